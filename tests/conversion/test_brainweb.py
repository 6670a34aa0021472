import gzip
import json
import shutil
import sys

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from fusionprep.conversion.brainweb import Simulation
from fusionprep.conversion.brainweb_files import read_brainweb
from fusionprep.conversion.brainweb_model import GREY, WHITE
from fusionprep.image.partial_volume.partition import FWHM_PER_SIGMA
from tests.conversion.conftest import dry_run, problems, run_through
from tests.conversion.minc_maker import write_minc1, write_minc2
from tests.validator import issues

STEPS, STARTS = (3.0, 3.5, 4.0), (-60.0, -80.0, -50.0)
TINY = ("--voxel-size", "4")


def head(shape=(40, 44, 32)):
    """Labels of a head: white in gray matter in CSF, skull and skin around them."""
    middle = (np.array(shape) - 1) / 2
    at = (np.indices(shape) - middle.reshape(3, 1, 1, 1)) / (middle.reshape(3, 1, 1, 1) + 0.5)
    # not the same from left to right, so that a flip is seen
    distance = np.sqrt(((at - np.reshape([0.06, 0.0, 0.0], (3, 1, 1, 1))) ** 2).sum(axis=0))
    labels = np.zeros(shape, np.uint8)
    for label, radius in ((6, 0.95), (7, 0.85), (1, 0.75), (2, 0.68), (3, 0.48)):
        labels[distance < radius] = label
    return labels


def affine():
    matrix = np.diag([*STEPS, 1.0])
    matrix[:3, 3] = STARTS
    return matrix


def truth_of(out, label):
    folder = out / "sourcedata" / "truth" / f"sub-{label}"
    values = json.loads((folder / f"sub-{label}_truth.json").read_text())
    return values, nib.load(folder / f"sub-{label}_dseg.nii.gz")


@pytest.fixture
def folder(tmp_path):
    """The normal brain as MINC, with an MRI beside it."""
    where = tmp_path / "brainweb"
    where.mkdir()
    write_minc1(where / "phantom_1.0mm_normal_crisp.mnc", head(), STEPS, STARTS)
    write_minc1(where / "t1_icbm_normal_1mm_pn3_rf20.mnc", head() * 20, STEPS, STARTS)
    return where


@pytest.mark.parametrize(
    ("write", "packed"), [(write_minc1, 0), (write_minc1, 1), (write_minc2, 0)]
)
def test_minc_is_read_where_its_header_puts_it(tmp_path, write, packed):
    path = tmp_path / "x_crisp.mnc"
    write(path, head(), STEPS, STARTS)
    if packed:
        path = path.rename(tmp_path / "plain")
        (tmp_path / "x_crisp.mnc.gz").write_bytes(gzip.compress(path.read_bytes()))
        path = tmp_path / "x_crisp.mnc.gz"
    values, grid = read_brainweb(path)
    np.testing.assert_allclose(grid.affine, affine(), atol=1e-6)
    np.testing.assert_array_equal(values, head())


def test_axes_that_run_backwards_are_turned(tmp_path):
    path = tmp_path / "x_crisp.mnc"
    write_minc1(path, head()[::-1], (-3.0, 3.5, 4.0), (-60.0 + 3.0 * 39, -80.0, -50.0))
    values, grid = read_brainweb(path)
    np.testing.assert_allclose(grid.affine, affine(), atol=1e-6)
    np.testing.assert_array_equal(values, head())


@pytest.mark.parametrize(
    ("name", "dtype", "factor"),
    [("m.rawb", "u1", 1), ("m.raws", "<u2", 16), ("m.raws", ">u2", 16), ("m.rawb.gz", "u1", 1)],
)
def test_numbers_without_header_have_brainwebs_grid(tmp_path, name, dtype, factor):
    labels = np.zeros((181, 217, 181), np.uint8)
    labels[60:70, 100:130, 20:50] = 3
    labels[10, 20, 30] = 9
    content = (labels.T.astype(np.uint16) * factor).astype(dtype).tobytes()
    path = tmp_path / name
    path.write_bytes(gzip.compress(content, 1) if name.endswith("gz") else content)
    values, grid = read_brainweb(path)
    np.testing.assert_array_equal(values, labels * factor)
    point = nib.affines.apply_affine(grid.affine, [10, 20, 30])
    np.testing.assert_allclose(point, [-80.0, -106.0, -42.0], atol=1e-6)


def test_a_model_and_its_mri_become_a_subject(folder, convert, tmp_path):
    out = tmp_path / "bids"
    code, told, complaint = convert("brainweb", folder, out, *TINY)
    assert code == 0, complaint
    assert "PET: simulated from the classes of phantom_1.0mm_normal_crisp.mnc" in told
    t1w = nib.load(out / "sub-normal" / "anat" / "sub-normal_T1w.nii.gz")
    np.testing.assert_allclose(t1w.affine, affine(), atol=1e-5)
    np.testing.assert_array_equal(t1w.get_fdata(), head() * 20)
    assert problems(out) == []
    assert "SUV;" in dry_run(out, tmp_path / "out")


def test_the_pet_is_the_blurred_uptake_where_the_truth_puts_it(folder, convert, tmp_path):
    out = tmp_path / "bids"
    words = ("--counts", "1000", "--gray-to-white", "3", "--psf", "8")
    convert("brainweb", folder, out, *TINY, *words)
    truth, dseg = truth_of(out, "normal")
    np.testing.assert_array_equal(dseg.get_fdata(), head())
    assert truth["activity"]["GM"] == pytest.approx(3 * truth["activity"]["WM"])
    pet = nib.load(out / "sub-normal" / "pet" / "sub-normal_trc-18FFDG_pet.nii.gz")
    pose = np.array(truth["t1w_from_pet"])
    assert not np.allclose(pose, np.eye(4), atol=0.1)
    levels = np.zeros(12)
    levels[1:4] = [truth["activity"][name] for name in ("CSF", "GM", "WM")]
    labels = head()
    inside = np.isin(labels, (1, GREY, WHITE))
    expected = ndimage.gaussian_filter(levels[labels], 8 / FWHM_PER_SIGMA / np.array(STEPS))
    at = nib.affines.apply_affine(
        np.linalg.inv(pose @ pet.affine) @ dseg.affine, np.argwhere(np.ones_like(labels))
    )
    seen = ndimage.map_coordinates(pet.get_fdata(), at.T, order=1).reshape(labels.shape)
    deep = ndimage.binary_erosion(inside, iterations=2)
    assert np.corrcoef(seen[deep], expected[deep])[0, 1] > 0.99
    assert seen[deep].mean() == pytest.approx(expected[deep].mean(), rel=0.03)


def test_a_t1w_is_simulated_where_there_is_none(folder, convert, tmp_path):
    next(folder.glob("t1*")).unlink()
    out = tmp_path / "bids"
    code, told, _ = convert("brainweb", folder, out, *TINY)
    assert code == 0
    assert "no T1w beside phantom_1.0mm_normal_crisp.mnc: simulated from its classes" in told
    data = nib.load(out / "sub-normal" / "anat" / "sub-normal_T1w.nii.gz").get_fdata()
    csf, gray, white = (np.median(data[head() == label]) for label in (1, GREY, WHITE))
    assert csf < 0.6 * gray < gray < 0.85 * white
    # all of it is simulated, so nothing is unknown but what the demo does not know either
    unknown = {issue.get("subCode") for issue in issues(out)}
    assert unknown <= {"HEDVersion", "TracerRadLex", "License", "Acknowledgements"}


def test_fine_models_are_simulated_at_one_millimetre(tmp_path, convert):
    where = tmp_path / "brainweb"
    where.mkdir()
    write_minc1(
        where / "subject04_crisp_v.mnc", head((60, 64, 50)), (0.5,) * 3, (-90.25, -126.25, 1)
    )
    convert("brainweb", where, tmp_path / "bids", *TINY)
    t1w = nib.load(tmp_path / "bids" / "sub-04" / "anat" / "sub-04_T1w.nii.gz")
    assert t1w.shape == (30, 32, 25)
    np.testing.assert_allclose(np.diag(t1w.affine), 1.0)
    np.testing.assert_allclose(t1w.affine[:3, 3], [-90.0, -126.0, 1.25])
    table = (tmp_path / "bids/sourcedata/truth/sub-04/sub-04_dseg.tsv").read_text()
    assert table.splitlines()[-1] == "11\tbone marrow"


def test_several_brains_and_the_same_seed(folder, convert, tmp_path):
    for name in ("subject04_crisp_v.mnc", "phantom_1.0mm_msles2_crisp.mnc"):
        shutil.copy(folder / "phantom_1.0mm_normal_crisp.mnc", folder / name)
    assert convert("brainweb", folder, tmp_path / "a", *TINY)[0] == 0
    found = sorted(path.name for path in (tmp_path / "a").glob("sub-*"))
    assert found == ["sub-04", "sub-msles2", "sub-normal"]
    for path in folder.glob("*04*"):
        path.unlink()
    convert("brainweb", folder, tmp_path / "b", *TINY)
    convert("brainweb", folder, tmp_path / "c", *TINY, "--seed", "1")
    pets = [
        (tmp_path / name / "sub-normal/pet/sub-normal_trc-18FFDG_pet.nii.gz").read_bytes()
        for name in "abc"
    ]
    assert pets[0] == pets[1] != pets[2]
    code, _, complaint = convert("brainweb", folder, tmp_path / "d", "--subject", "x")
    assert (code, "holds 2 brains" in complaint) == (64, True)


@pytest.mark.parametrize(
    ("name", "content", "code", "reason"),
    [
        ("normal_crisp.rawb", b"\1" * 1000, 1, "holds 1000 numbers, not those of 181x217x181"),
        ("normal_crisp.mnc", b"CDF\1" + b"\0" * 90, 1, "normal_crisp.mnc"),
        ("normal_crisp.rawb", b"\1" * 181 * 217 * 181, 1, "no gray matter, white matter or CSF"),
        ("t1_normal.rawb", b"\1" * 10, 1, "0 of its files (t1_normal.rawb) are a discrete model"),
        ("brain_crisp.rawb", b"\1" * 10, 64, "give --subject"),
        ("readme.txt", b"", 1, "holds no volume of BrainWeb"),
    ],
)
def test_what_cannot_be_is_said(tmp_path, convert, name, content, code, reason):
    (tmp_path / "brainweb").mkdir()
    (tmp_path / "brainweb" / name).write_bytes(content)
    done, _, complaint = convert("brainweb", tmp_path / "brainweb", tmp_path / "bids")
    assert (done, reason in complaint, complaint.count("\n")) == (code, True, 1), complaint
    assert not (tmp_path / "bids").exists()


def test_a_continuous_image_is_not_taken_for_classes(tmp_path, convert):
    where = tmp_path / "brainweb"
    where.mkdir()
    write_minc1(where / "normal_crisp.mnc", head() * 80, STEPS, STARTS)
    code, _, complaint = convert("brainweb", where, tmp_path / "bids")
    assert (code, "labels above 10" in complaint) == (1, True)


def test_what_minc2_needs_is_named(tmp_path, convert, monkeypatch):
    write_minc2(tmp_path / "normal_crisp.mnc", head(), STEPS, STARTS)
    monkeypatch.setitem(sys.modules, "h5py", None)
    code, _, complaint = convert("brainweb", tmp_path, tmp_path / "bids")
    assert (code, "h5py is not installed: pip install" in complaint) == (1, True)


def test_a_point_spread_below_the_filter(folder, convert, tmp_path):
    code, _, complaint = convert("brainweb", folder, tmp_path / "bids", "--psf", "3")
    assert (code, "--psf must be above 4 mm" in complaint) == (64, True)
    assert Simulation().ratio == 4


@pytest.mark.slow
def test_the_app_runs_on_brainweb(convert, tmp_path):
    """A head of the demo in BrainWeb's format."""
    from fusionprep.demo.dataset import write_demo_dataset

    truth = write_demo_dataset(tmp_path / "demo", voxel_size=6.0, subjects=("01",))["01"]
    parts = [nib.load(path).get_fdata() for path in (truth.csf, truth.gm, truth.wm)]
    brain = nib.load(truth.brain_mask)
    labels = np.where(brain.get_fdata() > 0, 1 + np.argmax(parts, axis=0), 0).astype(np.uint8)
    (tmp_path / "brainweb").mkdir()
    steps, starts = np.diag(brain.affine)[:3], brain.affine[:3, 3]
    write_minc1(tmp_path / "brainweb" / "normal_crisp.mnc", labels, steps, starts)
    convert("brainweb", tmp_path / "brainweb", tmp_path / "bids", "--voxel-size", "5")
    run_through(tmp_path / "bids", tmp_path / "out")
