import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from fusionprep.demo import phantom, scanner
from fusionprep.demo.dataset import BECQUEREL_PER_UNIT, read_truth, write_demo_dataset
from fusionprep.demo.subject import load_template
from fusionprep.errors import NoInputError, OutputError
from fusionprep.image.masks import dice
from tests.validator import issues


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "raw"
    return out, write_demo_dataset(out, voxel_size=2.0)


def image(demo, label, name):
    return nib.load(demo[0] / f"sub-{label}" / name.format(label=f"sub-{label}"))


def data(path) -> np.ndarray:
    return nib.load(path).get_fdata(dtype=np.float32)


def at_t1w_voxels(moving, array, t1w_from_moving, t1w) -> np.ndarray:
    """The moving image brought to the T1w's voxels by the true transform."""
    matrix = np.linalg.inv(moving.affine) @ np.linalg.inv(t1w_from_moving) @ t1w.affine
    return ndimage.affine_transform(array, matrix, output_shape=t1w.shape, order=1)


def test_files(demo):
    files = {path.relative_to(demo[0]).as_posix() for path in demo[0].rglob("*") if path.is_file()}
    raw = {name for name in files if not name.startswith("sourcedata")}
    stems = [
        f"sub-{label}/{name.format(label=label)}"
        for label in ("01", "02")
        for name in (
            "anat/sub-{label}_T1w",
            "anat/sub-{label}_FLAIR",
            "ct/sub-{label}_ct",
            "pet/sub-{label}_trc-18FFDG_pet",
        )
    ]
    tables = ["participants.tsv", "participants.json", "README.md", ".bidsignore"]
    expected = {"dataset_description.json", *tables}
    expected |= {f"{stem}{suffix}" for stem in stems for suffix in (".nii.gz", ".json")}
    assert raw == expected


def test_is_valid_raw_bids(demo):
    found = issues(demo[0], severities=None)
    assert [issue for issue in found if issue["severity"] == "error"] == []
    # HED tags and a RadLex identifier have nothing to say about this dataset.
    assert {issue.get("subCode") for issue in found} <= {"HEDVersion", "TracerRadLex"}


def test_same_seed_same_bytes_and_another_seed_another_person(tmp_path):
    options = {"voxel_size": 4.0, "subjects": ("01",)}
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        write_demo_dataset(tmp_path / name, seed=seed, **options)
    files = [path for path in (tmp_path / "a").rglob("*") if path.is_file()]
    for path in files:
        other = tmp_path / "b" / path.relative_to(tmp_path / "a")
        assert path.read_bytes() == other.read_bytes(), path.name
    t1w = Path("sub-01") / "anat" / "sub-01_T1w.nii.gz"
    assert (tmp_path / "a" / t1w).read_bytes() != (tmp_path / "c" / t1w).read_bytes()


def test_poses_do_not_depend_on_the_voxel_size(demo, tmp_path):
    coarse = write_demo_dataset(tmp_path / "raw", voxel_size=4.0)
    for label, truth in demo[1].items():
        np.testing.assert_array_equal(coarse[label].t1w_from_pet, truth.t1w_from_pet)
        np.testing.assert_array_equal(coarse[label].t1w_from_ct, truth.t1w_from_ct)


def test_poses_are_rigid_and_differ(demo):
    poses = [
        pose
        for truth in demo[1].values()
        for pose in (truth.t1w_from_pet, truth.t1w_from_ct, truth.t1w_from_flair)
    ]
    for pose in poses:
        assert pose.dtype == np.float64
        rotation = pose[:3, :3]
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert np.rad2deg(np.arccos((np.trace(rotation) - 1) / 2)) <= 12.0 + 1e-6
        assert np.linalg.norm(pose[:3, 3]) <= 15.0 + 1e-9
    assert len({pose.tobytes() for pose in poses}) == 6


@pytest.mark.parametrize("label", ["01", "02"])
def test_pet_is_the_blurred_activity_where_the_truth_puts_it(demo, label):
    truth = demo[1][label]
    t1w = image(demo, label, "anat/{label}_T1w.nii.gz")
    pet = image(demo, label, "pet/{label}_trc-18FFDG_pet.nii.gz")
    sidecar = json.loads((demo[0] / f"sub-{label}/pet/sub-{label}_trc-18FFDG_pet.json").read_text())
    array = pet.get_fdata(dtype=np.float32)
    if array.ndim == 4:
        array = np.average(array, axis=3, weights=sidecar["FrameDuration"])
    measured = at_t1w_voxels(pet, array, truth.t1w_from_pet, t1w)
    activity = sum(
        data(path) * truth.activity[tissue]
        for path, tissue in ((truth.gm, "GM"), (truth.wm, "WM"), (truth.csf, "CSF"))
    )
    # 2 mm voxels and the trilinear sampling on a 3 mm grid widen the 6 mm point spread a little.
    expected = ndimage.gaussian_filter(activity, 6.4 / scanner.FWHM_PER_SIGMA / 2.0)
    inner = ndimage.binary_erosion(data(truth.brain_mask) > 0, iterations=4)
    assert np.corrcoef(measured[inner], expected[inner])[0, 1] > 0.985
    assert measured[inner].mean() / expected[inner].mean() == pytest.approx(1.0, abs=0.02)


def test_static_and_dynamic_pet_match_their_sidecars(demo):
    frames = {}
    for label in ("01", "02"):
        pet = image(demo, label, "pet/{label}_trc-18FFDG_pet.nii.gz")
        path = demo[0] / f"sub-{label}/pet/sub-{label}_trc-18FFDG_pet.json"
        sidecar = json.loads(path.read_text())
        frames[label] = pet.shape[3:] or (1,)
        assert frames[label] == (len(sidecar["FrameDuration"]),)
        assert len(sidecar["FrameTimesStart"]) == len(sidecar["FrameDuration"])
        ends = np.add(sidecar["FrameTimesStart"], sidecar["FrameDuration"])
        np.testing.assert_array_equal(ends[:-1], sidecar["FrameTimesStart"][1:])
        assert pet.get_data_dtype() == np.int16
        assert pet.header.get_xyzt_units()[0] == "mm"
    assert frames == {"01": (1,), "02": (6,)}


def test_tissue_contrasts(demo):
    for label, truth in demo[1].items():
        t1w = image(demo, label, "anat/{label}_T1w.nii.gz")
        flair = image(demo, label, "anat/{label}_FLAIR.nii.gz")
        ct = image(demo, label, "ct/{label}_ct.nii.gz")
        masks = [data(path) > 0.95 for path in (truth.gm, truth.wm, truth.csf)]
        moved = at_t1w_voxels(flair, flair.get_fdata(), truth.t1w_from_flair, t1w)
        gm, wm, csf = (moved[mask].mean() for mask in masks)
        assert csf < 0.4 * wm < wm < gm
        gm, wm, csf = (t1w.get_fdata()[mask].mean() for mask in masks)
        assert csf < 0.6 * gm < gm < 0.85 * wm
        moved = at_t1w_voxels(ct, ct.get_fdata(), truth.t1w_from_ct, t1w)
        brain = data(truth.brain_mask) > 0
        assert 20 < np.median(moved[brain]) < 45
        shell = ndimage.binary_dilation(brain, iterations=6) & ~ndimage.binary_dilation(
            brain, iterations=1
        )
        assert np.mean(moved[shell] > 500) > 0.25
        assert np.median(ct.get_fdata()[:3]) == pytest.approx(-1000, abs=5)


def test_brain_lies_inside_every_field_of_view(demo):
    for label, truth in demo[1].items():
        mask = nib.load(truth.brain_mask)
        points = nib.affines.apply_affine(mask.affine, np.argwhere(data(truth.brain_mask) > 0))
        scans = {
            "anat/{label}_FLAIR.nii.gz": truth.t1w_from_flair,
            "ct/{label}_ct.nii.gz": truth.t1w_from_ct,
            "pet/{label}_trc-18FFDG_pet.nii.gz": truth.t1w_from_pet,
        }
        for name, pose in scans.items():
            scan = image(demo, label, name)
            voxels = nib.affines.apply_affine(np.linalg.inv(pose @ scan.affine), points)
            assert np.all(voxels >= 0)
            assert np.all(voxels <= np.array(scan.shape[:3]) - 1)


def test_displacement_leads_to_the_template_and_can_be_inverted(demo):
    template = load_template()
    for truth in demo[1].values():
        field = nib.load(truth.template_displacement)
        displacement = field.get_fdata()
        gradient = np.stack(
            [
                np.stack(np.gradient(displacement[..., i], *field.header.get_zooms()[:3]), axis=-1)
                for i in range(3)
            ],
            axis=-2,
        )
        assert np.linalg.det(gradient + np.eye(3)).min() > 0.2
        mask = nib.load(truth.brain_mask)
        points = nib.affines.apply_affine(
            mask.affine, np.stack(np.indices(mask.shape), axis=-1).reshape(-1, 3)
        )
        nodes = nib.affines.apply_affine(np.linalg.inv(field.affine), points).T
        shift = [ndimage.map_coordinates(displacement[..., i], nodes, order=1) for i in range(3)]
        index = nib.affines.apply_affine(
            np.linalg.inv(template.affine), points + np.stack(shift, axis=-1)
        )
        warped = ndimage.map_coordinates(template.mask, index.T, order=1) > 0.5
        assert dice(warped, data(truth.brain_mask).ravel()) > 0.999


def test_activity_is_fdg_like(demo):
    activity = demo[1]["01"].activity
    assert activity["GM"] / activity["WM"] == pytest.approx(4.0)
    assert activity["CSF"] / activity["WM"] == pytest.approx(0.2)
    assert activity["WM"] == pytest.approx(BECQUEREL_PER_UNIT * phantom.WHITE_MATTER.pet)


def test_two_people_differ(demo):
    masks = [data(truth.brain_mask) for truth in demo[1].values()]
    assert dice(*masks) < 0.97


def test_truth_is_read_back(demo):
    again = read_truth(demo[0])
    assert list(again) == ["01", "02"]
    for label, truth in demo[1].items():
        np.testing.assert_array_equal(again[label].t1w_from_ct, truth.t1w_from_ct)
        assert again[label].gm == truth.gm
        brain_share = data(truth.gm) + data(truth.wm) + data(truth.csf)
        # Three fractions of 8 bits each leave the sum uncertain by 0.006.
        clear = np.abs(brain_share - 0.5) > 0.01
        inside = data(truth.brain_mask) > 0
        np.testing.assert_array_equal(brain_share[clear] > 0.5, inside[clear])


def test_folder_without_truth(tmp_path):
    with pytest.raises(NoInputError, match="fusionapp demo"):
        read_truth(tmp_path)


def test_existing_files_are_never_overwritten(tmp_path):
    (tmp_path / "keep.txt").write_text("precious")
    with pytest.raises(OutputError, match="not an empty folder"):
        write_demo_dataset(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["keep.txt"]


def test_output_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="not an empty folder"):
        write_demo_dataset(tmp_path / "file")
    with pytest.raises(OutputError, match="cannot write"):
        write_demo_dataset(tmp_path / "file" / "raw")


def brain_extraction_dice(out, truth, label) -> float:
    deepbet = pytest.importorskip("deepbet")
    t1w = nib.load(out / f"sub-{label}" / "anat" / f"sub-{label}_T1w.nii.gz")
    _, mask, _ = deepbet.BrainExtraction(no_gpu=True).run(t1w)
    return dice(np.asarray(mask.dataobj), data(truth.brain_mask))


def test_brain_extraction_finds_the_brain(demo):
    assert brain_extraction_dice(demo[0], demo[1]["01"], "01") >= 0.95


@pytest.mark.slow
def test_brain_extraction_finds_every_brain_at_full_resolution(tmp_path):
    truths = write_demo_dataset(tmp_path / "raw")
    for label, truth in truths.items():
        assert brain_extraction_dice(tmp_path / "raw", truth, label) >= 0.95
