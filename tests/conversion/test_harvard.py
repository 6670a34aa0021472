import json

import nibabel as nib
import numpy as np
import pytest
from nibabel.processing import resample_from_to
from PIL import Image

from fusionprep.conversion.harvard import fill_gaps
from tests.conversion.conftest import dry_run, problems, run_through

KNOWN = (
    *("--tracer", "18FFDG", "--dose", "185", "--frame-starts", "2400"),
    *("--frame-durations", "1200", "--decay-corrected", "injection"),
)
SPACED = ("--slice-distance", "6", "--pixel-size", "6")


def ramp(n=32):
    """A map of pseudo-colours whose brightness does not rise with the level."""
    level = np.linspace(0, 1, n)
    return np.rint(255 * np.stack([level, 1 - level, np.abs(np.sin(6 * level))], -1)).astype("u1")


def save(folder, name, numbers, volume, prefix="41"):
    (folder / name).mkdir(parents=True, exist_ok=True)
    for number, index in zip(numbers, range(volume.shape[2]), strict=True):
        # a picture has rows from the top, so from the front
        Image.fromarray(volume[:, :, index]).save(folder / name / f"{prefix}{number:03d}.png")


@pytest.fixture
def stack(tmp_path):
    """Slices 7 to 12 of an MRI, and of a PET in pseudo-colours, (rows, columns, slices)."""
    rng = np.random.default_rng(0)
    mri, level = rng.integers(0, 256, (8, 10, 6), "u1"), rng.integers(0, 32, (8, 10, 6))
    folder = tmp_path / "slices"
    save(folder, "mri", range(7, 13), mri)
    save(folder, "pet", range(7, 13), np.moveaxis(ramp()[level], 2, 2))
    table = tmp_path / "colours.csv"
    table.write_text("".join(f"{r},{g},{b}\n" for r, g, b in ramp()))
    return folder, table, mri, level


def scans(out, label="01", suffix="pet/sub-{}_trc-18FFDG_pet"):
    stems = ("anat/sub-{}_T1w", suffix)
    return [nib.load(out / f"sub-{label}" / f"{stem.format(label)}.nii.gz") for stem in stems]


def test_slices_are_stacked_where_radiologists_see_them(stack, convert, tmp_path):
    folder, table, mri, level = stack
    out = tmp_path / "bids"
    words = ("harvard", folder, out, "--subject", "01", "--slice-distance", "2.5", *KNOWN)
    code, told, complaint = convert(*words, "--pixel-size", "0.9", "--colours", table)
    assert code == 0, complaint
    assert "assumed: pixels of 0.9 mm, slices 2.5 mm apart, the first the lowest" in told
    t1w, pet = scans(out)
    # the patient's right is on the left of a picture, the front on its top, and the first is lowest
    right_front_low = nib.affines.apply_affine(t1w.affine, [0, 0, 0])
    np.testing.assert_allclose(right_front_low, [0.9 * 4.5, 0.9 * 3.5, -2.5 * 2.5], atol=0.01)
    last = nib.affines.apply_affine(t1w.affine, [9, 7, 5])
    np.testing.assert_allclose(last, -right_front_low, atol=0.01)
    np.testing.assert_array_equal(t1w.get_fdata(), mri.transpose(1, 0, 2))
    np.testing.assert_array_equal(pet.get_fdata(), np.rint(level.transpose(1, 0, 2) * 255 / 31))
    fields = json.loads((out / "sub-01/pet/sub-01_trc-18FFDG_pet.json").read_text())
    assert fields["Units"] == "arbitrary units"
    assert fields["Levels"] == "0 to 255: levels of pseudo-colours, by a map of 32 colours"
    assert fields["VoxelSizeAssumed"] == [0.9, 0.9, 2.5]
    assert problems(out) == []


def test_the_first_slice_may_be_the_uppermost(stack, convert, tmp_path):
    folder, table, mri, _ = stack
    words = ("--subject", "01", "--colours", table, "--top-first", *SPACED, *KNOWN)
    convert("harvard", folder, tmp_path / "bids", *words)
    found = scans(tmp_path / "bids")[0].get_fdata()
    np.testing.assert_array_equal(found, mri.transpose(1, 0, 2)[..., ::-1])


def test_colours_are_not_read_without_being_told_how(stack, convert, tmp_path):
    folder = stack[0]
    words = ("harvard", folder, tmp_path / "bids", "--subject", "01", *SPACED, *KNOWN)
    code, _, complaint = convert(*words)
    assert (code, "is in colour: give the map" in complaint) == (64, True)
    assert not (tmp_path / "bids").exists()
    assert convert(*words, "--colours", "luma")[0] == 0
    colours = ramp()[stack[3]].astype(float).transpose(1, 0, 2, 3)
    luma = np.rint(colours @ [0.299, 0.587, 0.114])
    np.testing.assert_array_equal(scans(tmp_path / "bids")[1].get_fdata(), luma)


def test_missing_slices_are_named_and_filled_only_when_asked(stack, convert, tmp_path):
    folder, table, mri, _ = stack
    for name in ("mri", "pet"):
        (folder / name / "41009.png").unlink()
    words = ("harvard", folder, tmp_path / "bids", "--subject", "01", "--colours", table)
    words += (*SPACED, *KNOWN)
    code, _, complaint = convert(*words)
    assert (code, "of slices 41007 to 41012" in complaint, "41009" in complaint) == (1, True, True)
    assert convert(*words, "--slices", "41010-41012")[0] == 0
    assert scans(tmp_path / "bids")[0].shape == (10, 8, 3)
    code, told, _ = convert(*words, "--fill-gaps", "--overwrite")
    assert "interpolated from their neighbours: slices 41009" in told
    found = scans(tmp_path / "bids")[0].get_fdata()
    expected = mri.astype(float).transpose(1, 0, 2)
    np.testing.assert_array_equal(found[..., [0, 1, 3, 4, 5]], expected[..., [0, 1, 3, 4, 5]])
    assert np.abs(found[..., 2] - (expected[..., 1] + expected[..., 3]) / 2).max() <= 0.5


def test_gaps_of_several_slices():
    stack = np.array([0, 90], np.uint8).reshape(1, 1, 2)
    assert fill_gaps(stack, [0, 3]).ravel().tolist() == [0, 30, 60, 90]


def test_patients_of_a_table_are_subjects(stack, convert, tmp_path):
    folder, table, mri, level = stack
    save(folder, "mri", range(3, 9), mri, "42")
    save(folder, "pet", range(3, 9), ramp()[level], "42")
    rows = [f"41{n:03d}.png,A-1" for n in range(7, 13)] + [f"42{n:03d}.png,B" for n in range(3, 9)]
    (folder / "slices.csv").write_text("\n".join(["file,subject", *rows]) + "\n")
    words = ("harvard", folder, tmp_path / "bids", "--colours", table, *SPACED, *KNOWN)
    assert convert(*words)[0] == 0
    assert sorted(path.name for path in (tmp_path / "bids").glob("sub-*")) == ["sub-A1", "sub-B"]
    code, _, complaint = convert(*words, "--subject", "01")
    assert (code, "holds 2 patients" in complaint) == (64, True)
    assert convert(*words, "--subject", "01", "--slices", "42003-42008")[0] == 0


@pytest.mark.parametrize(("name", "fields"), [("spect", {"Modality": "NM"}), ("ct", {})])
def test_spect_and_ct(stack, convert, tmp_path, name, fields):
    folder = stack[0]
    (folder / "pet").rename(folder / name)
    out = tmp_path / "bids"
    words = ("harvard", folder, out, "--subject", "01", "--colours", "luma", *SPACED)
    code, told, complaint = convert(*words, *(("--tracer", "99mTcHMPAO") if fields else ()))
    assert code == 0, complaint
    if not fields:
        assert (out / "sub-01" / "ct" / "sub-01_ct.nii.gz").exists()
        assert problems(out) == []
        return
    assert "it is written as a PET, whose sidecar says Modality NM" in told
    sidecar = json.loads((out / "sub-01/pet/sub-01_trc-99mTcHMPAO_pet.json").read_text())
    assert sidecar["Modality"] == "NM"
    assert {code for code, _ in problems(out)} == {"SIDECAR_KEY_REQUIRED"}


def test_an_mri_that_is_no_t1w_is_not_called_one(stack, convert, tmp_path):
    folder = stack[0]
    words = ("--subject", "01", "--colours", "luma", "--mri", "t2w", *SPACED, *KNOWN)
    _, told, _ = convert("harvard", folder, tmp_path / "bids", *words)
    assert (tmp_path / "bids" / "sub-01" / "anat" / "sub-01_T2w.nii.gz").exists()
    assert "fusionapp needs a T1w beside it" in told


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (("--subject", "01", "--colours", "luma"), 64, "give --tracer"),
        (("--tracer", "FDG", "--colours", "luma"), 64, "give --subject"),
        (("--subject", "01", "--tracer", "FDG", "--slices", "1-2"), 64, "no slice of these"),
        (("--subject", "01", "--tracer", "FDG", "--colours", "{none}"), 1, "none.csv"),
    ],
)
def test_what_cannot_be_is_said(stack, convert, tmp_path, words, code, reason):
    words = [word.format(none=tmp_path / "none.csv") for word in words]
    done, _, complaint = convert("harvard", stack[0], tmp_path / "bids", *SPACED, *words)
    assert (done, reason in complaint, complaint.count("\n")) == (code, True, 1), complaint


def test_pictures_of_different_sizes(stack, convert, tmp_path):
    folder = stack[0]
    Image.new("RGB", (9, 9), (200, 0, 0)).save(folder / "pet" / "41009.png")
    words = ("--subject", "01", "--colours", "luma", *SPACED, *KNOWN)
    code, _, complaint = convert("harvard", folder, tmp_path / "bids", *words)
    assert (code, "is not of the size" in complaint) == (1, True)


@pytest.fixture
def head_in_slices(heads, tmp_path):
    """A head's T1w and PET on one grid, as gray pictures."""
    t1w, pet = (
        nib.load(heads / "sub-01" / f"{stem}.nii.gz")
        for stem in ("anat/sub-01_T1w", "pet/sub-01_trc-18FFDG_pet")
    )
    shape, affine = (36, 40, 30), np.diag([6.0, 6.0, 6.0, 1.0])
    affine[:3, 3] = np.array([2.0, 14.0, 16.0]) - 3.0 * (np.array(shape) - 1)
    for name, image in (("mri", t1w), ("pet", pet)):
        data = resample_from_to(image, (shape, affine), order=1).get_fdata()
        levels = np.rint(255 * np.clip(data / np.percentile(data, 99.9), 0, 1)).astype("u1")
        # columns to the patient's left, rows to the back
        save(tmp_path / "head", name, range(30), levels[::-1, ::-1].transpose(1, 0, 2))
    return tmp_path / "head"


def test_the_app_takes_a_stack(head_in_slices, convert, tmp_path):
    words = ("--subject", "01", "--weight", "64", *SPACED, *KNOWN)
    convert("harvard", head_in_slices, tmp_path / "bids", *words)
    told = dry_run(tmp_path / "bids", tmp_path / "out")
    assert "no SUV: the image is in arbitrary units" in told


@pytest.mark.slow
def test_the_app_runs_on_slices(head_in_slices, convert, tmp_path):
    convert("harvard", head_in_slices, tmp_path / "bids", "--subject", "01", *SPACED, *KNOWN)
    run_through(tmp_path / "bids", tmp_path / "out")
