import nibabel as nib
import numpy as np
import pytest
import torch

from fusionprep.errors import DataError
from fusionprep.image import masks
from fusionprep.image.masks import dice, ends_of, tight_box
from fusionprep.modalities import CT, PET

TWO_MM = np.diag([2.0, 2.0, 2.0, 1.0])


def ball(shape=(90, 90, 90), radius=34.0, centre=None) -> np.ndarray:
    """At 2 mm, a radius of 34 voxels is 1317 ml."""
    centre = (np.array(shape) - 1) / 2 if centre is None else np.asarray(centre)
    offsets = np.indices(shape) - centre[:, None, None, None]
    return (offsets**2).sum(axis=0) <= radius**2


@pytest.mark.parametrize(
    ("sizes", "millilitres"), [((1, 1, 1), 0.001), ((2, 3, 4), 0.024), ((-2, 2, 2), 0.008)]
)
def test_volume_of_a_voxel(sizes, millilitres):
    assert masks.voxel_volume_ml(np.diag([*sizes, 1.0])) == pytest.approx(millilitres)


def test_volume_of_a_rotated_voxel():
    rotation = nib.eulerangles.euler2mat(0.3, -0.2, 0.5)
    affine = nib.affines.from_matvec(rotation @ np.diag([2.0, 2.0, 3.0]), [5, 6, 7])
    assert masks.voxel_volume_ml(affine) == pytest.approx(0.012)


def test_largest_component_is_by_size_and_faces_only():
    mask = np.zeros((8, 8, 8), dtype=bool)
    mask[0:2, 0:2, 0:2] = True
    mask[2:5, 2:5, 2:5] = True  # touches the first by a corner alone
    largest = masks.largest_component(mask)
    assert largest.sum() == 27
    assert largest[2:5, 2:5, 2:5].all()


def test_largest_component_of_nothing_is_nothing():
    empty = masks.largest_component(np.zeros((3, 3, 3), dtype=bool))
    assert empty.dtype == bool
    assert not empty.any()


def test_with_a_ct_the_head_is_fused_and_without_the_brain():
    brain = ball(shape=(40, 40, 40), radius=8)
    head = ball(shape=(40, 40, 40), radius=14)
    ct = np.where(head, 40.0, -1000)
    assert np.array_equal(masks.with_head(brain, ct, PET), brain)
    with_ct = masks.with_head(brain, ct, CT)
    assert not with_ct[~head].any()
    assert with_ct.sum() > 0.98 * head.sum()


def test_a_stripped_brain_is_told_from_a_head(person):
    head = person.t1w()
    data = np.asarray(head.dataobj)
    inside = np.asarray(person.mask().dataobj) > 0
    assert not masks.is_skull_stripped(data, head.affine)
    assert masks.is_skull_stripped(data * inside, head.affine)


@pytest.mark.parametrize(
    ("data", "stripped"),
    [
        (ball(), True),
        (ball(centre=(44.5, 44.5, 33)), True),  # cut by one side, as the lower end often is
        (ball(shape=(90, 90, 60)), False),  # cut by two sides
        (ball(radius=20), False),  # 268 ml
        (ball(radius=44), False),  # 2855 ml
        (ball() + 1, False),  # no zero outside
        (ball() | ~ball(radius=44), False),  # something else beside the brain
    ],
    ids=["brain", "one side", "two sides", "small", "large", "background", "pieces"],
)
def test_what_counts_as_stripped(data, stripped):
    assert masks.is_skull_stripped(data.astype(np.float32), TWO_MM) is stripped


def test_mask_of_stripped_fills_ventricles_and_drops_specks():
    data = ball().astype(np.float32)
    data[40:50, 40:50, 40:50] = 0
    data[0, 0, 0] = 1
    np.testing.assert_array_equal(masks.mask_of_stripped(data), ball())


def test_brain_of_the_simulated_head(person):
    head = person.t1w()
    found = masks.extract_brain(np.asarray(head.dataobj), head.affine)
    assert found.dtype == bool
    assert dice(found, np.asarray(person.mask().dataobj) > 0) >= 0.93


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_gpu_finds_the_brain_that_a_cpu_finds(person):
    head = person.t1w()
    on_cpu, on_gpu = (
        masks.extract_brain(np.asarray(head.dataobj), head.affine, device=device)
        for device in ("cpu", "cuda")
    )
    assert dice(on_gpu, on_cpu) > 0.999


def test_brain_of_colin27(shared_data):
    head = nib.as_closest_canonical(nib.load(shared_data / "volumes" / "colin27_T1w.nii.gz"))
    truth = nib.as_closest_canonical(nib.load(shared_data / "volumes" / "colin27_brain.nii.gz"))
    found = masks.extract_brain(head.get_fdata(dtype=np.float32), head.affine)
    assert dice(found, np.asarray(truth.dataobj) > 0) >= 0.93


def test_no_brain_is_an_error_of_the_data():
    with pytest.raises(DataError, match="no brain was found"):
        masks.extract_brain(np.zeros((40, 40, 40), np.float32), TWO_MM)


def test_brain_volume_and_its_limits():
    volume = masks.check_brain_volume(ball(), TWO_MM, "sub-01_T1w.nii.gz")
    assert volume == pytest.approx(4 / 3 * np.pi * 6.8**3, rel=0.01)
    for radius in (20, 43):
        with pytest.raises(DataError, match=r"sub-01_T1w.nii.gz has \d+ ml, outside 300 to 2500"):
            masks.check_brain_volume(ball(radius=radius), TWO_MM, "sub-01_T1w.nii.gz")


def test_noise_is_told_from_a_brain(person):
    data = np.asarray(person.t1w().dataobj)
    inside = np.asarray(person.mask().dataobj) > 0
    masks.check_coherence(data, inside, "sub-01_T1w.nii.gz")
    noise = np.random.default_rng(0).permutation(data.ravel()).reshape(data.shape)
    for image in (noise, np.ones_like(data)):
        with (
            np.errstate(all="ignore"),
            pytest.raises(DataError, match=r"sub-01_T1w\.nii\.gz shows noise"),
        ):
            masks.check_coherence(image, inside, "sub-01_T1w.nii.gz")


def test_head_of_ct_keeps_the_sinuses_and_drops_the_headrest():
    hounsfield = np.full((80, 80, 80), -1000.0, np.float32)
    head = ball((80, 80, 80), 25, (40, 42, 40))
    hounsfield[head] = 40
    hounsfield[38:43, 55:60, 38:43] = -1000  # air inside
    hounsfield[5:75, 5:9, :] = 100  # headrest
    hounsfield[40, 9:20, 40] = 100  # what holds it to the skin
    found = masks.head_of_ct(hounsfield)
    assert dice(found, head) > 0.99
    assert found[40, 57, 40]
    assert not found[:, 5:9].any()


def test_thin_bones_of_the_face_grow_back():
    hounsfield = np.full((60, 60, 60), -1000.0, np.float32)
    hounsfield[ball((60, 60, 60), 18, (30, 30, 30))] = 40
    hounsfield[30, 30, 48:51] = 900  # two voxels beyond the surface, one thick
    assert masks.head_of_ct(hounsfield)[30, 30, 48:51].all()


def test_the_table_becomes_air_and_the_head_keeps_its_values():
    hounsfield = np.full((80, 80, 80), -990.0, np.float32)
    head = ball((80, 80, 80), 25, (40, 42, 40))
    hounsfield[head] = np.where(np.indices(head.shape)[0][head] % 2, -120.0, 60.0)
    hounsfield[5:75, 5:9, :] = 100
    cleaned = masks.without_table(hounsfield, -1000.0)
    np.testing.assert_array_equal(cleaned[head], hounsfield[head])
    assert cleaned.min() == -1000
    assert (cleaned[:, 5:9] == -1000).all()
    assert cleaned.dtype == np.float32


def test_head_of_the_simulated_ct(person):
    """The head of the CT holds the brain, and is no more than the head."""
    ct = person.moving("ct")
    found = masks.head_of_ct(np.asarray(ct.dataobj))
    voxels = np.argwhere(np.asarray(person.mask().dataobj) > 0)
    to_ct = np.linalg.inv(ct.affine) @ np.linalg.inv(person.t1w_from("ct")) @ person.mask().affine
    there = np.rint(nib.affines.apply_affine(to_ct, voxels)).astype(int)
    assert found[tuple(there.T)].mean() > 0.999
    assert 2000 < found.sum() * masks.voxel_volume_ml(ct.affine) < 8000


def test_dice():
    a = np.array([1, 1, 1, 0, 0, 0])
    b = np.array([0, 1, 1, 1, 1, 0])
    assert dice(a, b) == pytest.approx(2 * 2 / (3 + 4))
    assert dice(a, a) == 1.0
    assert dice(a, 1 - a) == 0.0
    assert dice(np.zeros(3), np.zeros(3)) == 1.0


def test_dice_refuses_to_broadcast():
    with pytest.raises(ValueError, match="shapes"):
        dice(np.ones((2, 1)), np.ones((2, 2)))


@pytest.mark.parametrize("margin", [0, 3])
def test_a_tight_box_holds_a_mask_and_no_more_than_the_grid(margin):
    inside = np.zeros((9, 8, 7), bool)
    inside[2, 1:7, 3] = inside[4, 5, 6] = True
    low, high = ends_of(tight_box(inside, margin))
    assert low.tolist() == np.maximum(np.array([2, 1, 3]) - margin, 0).tolist()
    assert high.tolist() == np.minimum(np.array([4, 6, 6]) + margin, [8, 7, 6]).tolist()
    assert not inside[tight_box(np.zeros_like(inside), margin)].size


TORCHSCRIPT = """The following operation failed in the TorchScript interpreter.
RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB"""


@pytest.mark.parametrize(
    "error", [torch.cuda.OutOfMemoryError("out of memory"), RuntimeError(TORCHSCRIPT)]
)
def test_the_brain_is_found_on_the_cpu_where_a_gpu_is_too_small(error, monkeypatch):
    tried = []

    def network(data, affine, device):
        tried.append(device)
        if device == "cuda":
            raise error
        return data > 1

    monkeypatch.setattr(masks, "resolve_device", lambda _: "cuda")
    monkeypatch.setattr(masks, "_deepbet", network)
    data = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
    with pytest.warns(UserWarning, match="too little memory for the brain mask"):
        found = masks.extract_brain(data, TWO_MM, device="auto")
    assert np.array_equal(found, data > 1)
    assert tried == ["cuda", "cpu"]


def test_another_error_of_a_gpu_is_not_hidden(monkeypatch):
    def network(data, affine, device):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(masks, "resolve_device", lambda _: "cuda")
    monkeypatch.setattr(masks, "_deepbet", network)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        masks.extract_brain(np.zeros((2, 2, 2), np.float32), TWO_MM, device="cuda")


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_both_networks_of_the_brain_mask_are_on_the_device(device, monkeypatch):
    class Here:
        """Has two networks as deepbet has, which are not of TorchScript."""

        def __init__(self, *, no_gpu):
            # else deepbet takes what it finds
            assert no_gpu
            self.model, self.bbox_model = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)

        def run(self, image):
            networks = self.model, self.bbox_model
            places = {one.device.type for network in networks for one in network.parameters()}
            assert places == {device}
            return None, nib.Nifti1Image(np.ones(image.shape, np.uint8), TWO_MM), None

    monkeypatch.setattr("deepbet.BrainExtraction", Here)
    assert masks._deepbet(np.zeros((2, 2, 2), np.float32), TWO_MM, device).all()
