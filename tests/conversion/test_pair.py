import json
import shutil

import nibabel as nib
import numpy as np
import pytest

from tests.conversion.conftest import dry_run, problems, run_through

KNOWN = (
    *("--tracer", "18FFDG", "--units", "Bq/mL", "--dose", "185", "--weight", "64"),
    *("--frame-starts", "2400", "--frame-durations", "1200", "--decay-corrected", "injection"),
)


@pytest.fixture
def pair(heads, tmp_path):
    """The files of a head under names that say nothing, without sidecars."""
    files = {
        "mri.nii.gz": "anat/sub-01_T1w.nii.gz",
        "scan.1.nii.gz": "pet/sub-01_trc-18FFDG_pet.nii.gz",
    }
    for name, source in files.items():
        shutil.copy(heads / "sub-01" / source, tmp_path / name)
    return [tmp_path / name for name in files]


def sidecar(dataset, stem):
    return json.loads((dataset / f"{stem}.json").read_text())


def test_two_files_are_a_valid_dataset_with_the_same_images(pair, convert, tmp_path):
    out = tmp_path / "bids"
    code, told, _ = convert("pair", *pair, out, "--subject", "sub-A1", *KNOWN)
    assert (code, told) == (0, f"written: {out / 'sub-A1'}\n")
    assert problems(out) == []
    names = ["anat/sub-A1_T1w", "pet/sub-A1_trc-18FFDG_pet"]
    for name, source in zip(names, pair, strict=True):
        written, read = nib.load(out / "sub-A1" / f"{name}.nii.gz"), nib.load(source)
        np.testing.assert_allclose(written.affine, read.affine, atol=1e-4)
        np.testing.assert_array_equal(written.dataobj.get_unscaled(), read.dataobj.get_unscaled())
        np.testing.assert_array_equal(written.get_fdata(), read.get_fdata())
        assert written.header.get_xyzt_units() == ("mm", "sec")
    pet = sidecar(out, "sub-A1/pet/sub-A1_trc-18FFDG_pet")
    assert pet["TracerRadionuclide"] == "F18"
    assert pet["InjectedRadioactivity"] == 185
    assert pet["InjectedMass"] == "n/a"
    table = (out / "participants.tsv").read_text()
    assert table == "participant_id\tweight\nsub-A1\t64\n"


def test_the_app_computes_suv_from_what_was_given(pair, convert, tmp_path):
    convert("pair", *pair, tmp_path / "bids", "--subject", "01", *KNOWN)
    told = dry_run(tmp_path / "bids", tmp_path / "out")
    assert "sub-01" in told
    assert "SUV;" in told
    assert "no SUV" not in told


def test_what_is_not_known_is_said_and_left_out(pair, convert, tmp_path):
    out = tmp_path / "bids"
    code, told, _ = convert("pair", *pair, out, "--subject", "01", "--tracer", "FDG")
    unknown = {
        *("InjectedRadioactivity", "InjectionStart", "FrameDuration"),
        *("ImageDecayCorrected", "ImageDecayCorrectionTime"),
    }
    assert code == 0
    assert all(name in told for name in unknown)
    assert "--dose" in told
    assert problems(out) == sorted(("SIDECAR_KEY_REQUIRED", name) for name in unknown)
    assert "sub-01" in dry_run(out, tmp_path / "out")


def test_a_ct_has_no_tracer(heads, pair, convert, tmp_path):
    out = tmp_path / "bids"
    words = ("pair", *pair, out, "--subject", "01", "--functional-modality", "ct")
    assert convert(*words)[0] == 0
    assert (out / "sub-01" / "ct" / "sub-01_ct.nii.gz").exists()
    assert (out / ".bidsignore").read_text() == "ct\n"
    assert problems(out) == []
    code, _, complaint = convert(*words[:-1], "ct", "--tracer", "FDG", "--overwrite")
    assert (code, "options of a PET" in complaint) == (64, True)


def test_fields_of_a_sidecar_are_copied_unless_they_tell_of_people(pair, convert, tmp_path):
    beside = {
        "EchoTime": 0.003, "PatientName": "Doe^Jane", "InstitutionName": "Mercy",
        "AcquisitionTime": "10:11:12", "SeriesDescription": "t1 of Jane", "ProtocolName": "t1",
    }  # fmt: skip
    (tmp_path / "mri.json").write_text(json.dumps(beside))
    times = {
        "TimeZero": "10:00:00", "ScanStart": 0, "InjectionStart": -2400, "FrameTimesStart": [0],
        "FrameDuration": [1200], "ImageDecayCorrected": True, "ImageDecayCorrectionTime": 0,
        "TracerName": "FDG", "InfusionStart": -2400,
    }  # fmt: skip
    (tmp_path / "scan.1.json").write_text(json.dumps(times))
    out = tmp_path / "bids"
    code, told, _ = convert("pair", *pair, out, "--subject", "01")
    assert code == 0
    assert sidecar(out, "sub-01/anat/sub-01_T1w") == {
        "Modality": "MR", "EchoTime": 0.003, "ProtocolName": "t1",
    }  # fmt: skip
    assert "mri.json" not in told
    assert "AcquisitionTime, InstitutionName, PatientName, SeriesDescription" in told
    pet = sidecar(out, "sub-01/pet/sub-01_trc-FDG_pet")
    assert pet["TimeZero"] == "00:00:00"
    assert (pet["InjectionStart"], pet["ScanStart"], pet["ImageDecayCorrectionTime"]) == (
        0,
        2400,
        2400,
    )
    assert (pet["FrameTimesStart"], pet["InfusionStart"]) == ([2400], 0)


def test_subjects_are_added_and_never_replaced_by_chance(pair, convert, tmp_path):
    out = tmp_path / "bids"
    words = ("pair", *pair, out, "--tracer", "FDG", "--subject")
    assert convert(*words, "01")[0] == 0
    (out / "README.md").write_text("Ours.\n")
    assert convert(*words, "02", "--weight", "80")[0] == 0
    assert (out / "README.md").read_text() == "Ours.\n"
    table = "participant_id\tweight\nsub-01\tn/a\nsub-02\t80\n"
    assert (out / "participants.tsv").read_text() == table
    image = out / "sub-01" / "anat" / "sub-01_T1w.nii.gz"
    before = image.read_bytes()
    code, _, complaint = convert(*words, "01")
    assert code == 1
    assert "is there already" in complaint
    own = out / "sub-01" / "anat" / "own.txt"
    own.write_text("")
    assert convert(*words, "01", "--overwrite")[0] == 0
    assert image.read_bytes() == before
    assert not own.exists()
    assert not list(out.glob(".writing*"))


def test_sessions(pair, convert, tmp_path):
    out = tmp_path / "bids"
    words = ("pair", *pair, out, "--tracer", "FDG", "--subject", "01")
    assert convert(*words, "--session", "a")[0] == 0
    assert convert(*words, "--session", "b")[0] == 0
    assert (out / "sub-01" / "ses-b" / "pet" / "sub-01_ses-b_trc-FDG_pet.nii.gz").exists()
    code, _, complaint = convert(*words)
    assert (code, "has sessions" in complaint) == (1, True)
    assert "own.txt" not in complaint
    assert "sub-01" in dry_run(out, tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "code", "reason"),
    [
        (("--subject", "0_1", "--tracer", "FDG"), 64, "letters and digits only, e.g. 01"),
        (("--subject", "01"), 64, "give it with --tracer"),
        (("--subject", "01", "--tracer", "FDG", "--dose", "2000"), 64, "dose of 2000 MBq"),
        (("--subject", "01", "--tracer", "FDG", "--frame-durations", "60"), 64, "--frame-starts"),
        (("--subject", "01", "--tracer", "F", "--frame-starts", "0,60"), 1, "1 frames"),
        (("--subject", "01", "--tracer", "F", "--weight", "0.2"), 64, "body weight of 0.2 kg"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(
    pair, convert, tmp_path, options, code, reason
):
    done, _, complaint = convert("pair", *pair, tmp_path / "bids", *options)
    assert (done, reason in complaint, complaint.count("\n")) == (code, True, 1), complaint
    assert not (tmp_path / "bids").exists()


def test_a_folder_of_something_else_is_not_added_to(pair, convert, tmp_path):
    words = ("--subject", "01", "--tracer", "FDG")
    code, _, complaint = convert("pair", *pair, tmp_path, *words)
    assert (code, "neither empty nor a BIDS dataset" in complaint) == (1, True)


@pytest.mark.parametrize("dtype", [">i2", "<f8", "u1", ">f4", "<i8"])
def test_voxels_of_any_type_and_order_keep_their_values(heads, convert, tmp_path, dtype):
    values = np.random.default_rng(0).integers(0, 200, (7, 6, 5)).astype(dtype)
    affine = np.array([[0, 0, 2.0, 5], [-1.5, 0, 0, 6], [0, 1.0, 0, 7], [0, 0, 0, 1]])
    header = nib.Nifti1Header(endianness=dtype[0] if dtype[0] in "<>" else "<")
    image = nib.Nifti1Image(values, affine, header, dtype=np.dtype(dtype))
    for name in ("mri.nii", "pet.nii"):
        image.to_filename(tmp_path / name)
    words = (tmp_path / "mri.nii", tmp_path / "pet.nii", tmp_path / "bids")
    code, _, complaint = convert("pair", *words, "--subject", "01", "--tracer", "FDG")
    assert code == 0, complaint
    written = nib.load(tmp_path / "bids" / "sub-01" / "anat" / "sub-01_T1w.nii.gz")
    np.testing.assert_array_equal(written.get_fdata(), values.astype(float))
    np.testing.assert_allclose(written.affine, affine, atol=1e-5)


def test_a_file_that_ends_early_is_named(pair, convert, tmp_path):
    pair[0].write_bytes(pair[0].read_bytes()[:-200])
    words = ("--subject", "01", "--tracer", "FDG")
    code, _, complaint = convert("pair", *pair, tmp_path / "bids", *words)
    assert (code, "mri.nii.gz" in complaint, complaint.count("\n")) == (1, True, 1)
    code, _, complaint = convert("pair", tmp_path / "no.nii", pair[1], tmp_path / "bids", *words)
    assert (code, "no.nii does not exist" in complaint) == (1, True)


@pytest.mark.slow
def test_the_app_runs_on_two_files(pair, convert, tmp_path):
    convert("pair", *pair, tmp_path / "bids", "--subject", "01", *KNOWN)
    run_through(tmp_path / "bids", tmp_path / "out")
