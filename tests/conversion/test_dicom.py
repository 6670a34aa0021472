import json
import sys

import nibabel as nib
import numpy as np
import pytest

from fusionprep.conversion.dicom_files import find_series
from tests.conversion.conftest import dry_run, problems, run_through
from tests.conversion.dicom_maker import (
    CORRECTED,
    CT_FIELDS,
    DARK_FLUID,
    HALF_LIFE,
    MPRAGE,
    PET_FIELDS,
    Made,
    drug,
    not_dicom,
    tilted,
)

MR_GRID = tilted((1.1, 1.2, 1.5), (30.0, 25.0, -20.0))
PET_GRID = tilted((2.0, 2.0, 3.0), (40.0, 33.0, -25.0))


def values(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 900, shape)


def mr(fields=MPRAGE, number=2, **more):
    return Made("MR", values(16, 14, 12), MR_GRID, {**fields, **more}, number)


def factor(start, length):
    """Decay correction of a frame to the start of the scan."""
    constant = np.log(2) / HALF_LIFE
    return np.exp(constant * start) * constant * length / -np.expm1(-constant * length)


def pet(number=5, *, tracer=None, **more):
    """Two frames, of 300 s and 600 s, 40 minutes after the injection."""
    each = (
        {"AcquisitionTime": "105000.000000", "ActualFrameDuration": 300000, "RescaleSlope": 2.0,
         "DecayFactor": f"{factor(0, 300):.6f}", "FrameReferenceTime": 150000.0},
        {"AcquisitionTime": "105500.000000", "ActualFrameDuration": 600000, "RescaleSlope": 4.0,
         "DecayFactor": f"{factor(300, 600):.6f}", "FrameReferenceTime": 600000.0},
    )  # fmt: skip
    fields = {
        **PET_FIELDS, "RescaleIntercept": 0.0, "NumberOfSlices": 11, "NumberOfTimeSlices": 2,
        "RadiopharmaceuticalInformationSequence": [tracer or drug()], **more,
    }  # fmt: skip
    return Made("PT", values(10, 9, 11, 2, seed=1), PET_GRID, fields, number, each)


@pytest.fixture
def folder(tmp_path):
    """What a hybrid scanner exports of one person."""
    where = tmp_path / "dicom"
    mr().write(where / "a")
    mr(DARK_FLUID, 3).write(where / "b")
    pet().write(where / "c")
    localiser = {"SeriesDescription": "AAHead_Scout", "ImageType": ["ORIGINAL", "PRIMARY", "M"]}
    mr(MPRAGE | localiser | {"ProtocolName": "AAHead_Scout"}, 1).write(where / "a")
    dixon = {"SeriesDescription": "Head_MRAC_in", "ProtocolName": "Head_MRAC"}
    mr(MPRAGE | dixon, 4).write(where / "a")
    pet(6, SeriesDescription="Brain_PET_NAC", CorrectedImage=CORRECTED[:1]).write(where / "c")
    not_dicom(where)
    return where


def written(out, subject="MRN1234"):
    return sorted(
        path.relative_to(out).as_posix()
        for path in (out / f"sub-{subject}").rglob("*")
        if path.is_file()
    )


def test_series_become_images_by_what_their_headers_say(folder, convert, tmp_path):
    out = tmp_path / "bids"
    code, told, complaint = convert("dicom", folder, out)
    assert code == 0, complaint
    stems = ("anat/sub-MRN1234_FLAIR", "anat/sub-MRN1234_T1w", "pet/sub-MRN1234_trc-18FFDG_pet")
    assert written(out) == [
        f"sub-MRN1234/{stem}{end}" for stem in stems for end in (".json", ".nii.gz")
    ]
    assert "left out: 1: MR, 'AAHead_Scout', 12 images: a localiser" in told
    assert "left out: 4: MR, 'Head_MRAC_in', 12 images: another sequence" in told
    assert "left out: 6: PT, 'Brain_PET_NAC', 22 images: not corrected for attenuation" in told
    assert "not DICOM images: 1 files" in told
    assert problems(out) == []
    assert "tracer 18FFDG, 2 frames" in dry_run(out, tmp_path / "out")


def test_every_voxel_is_where_the_headers_put_it(folder, convert, tmp_path):
    out = tmp_path / "bids"
    convert("dicom", folder, out)
    stems = {
        "anat/sub-MRN1234_T1w": (mr(), np.ones(1)),
        "pet/sub-MRN1234_trc-18FFDG_pet": (pet(), np.array([2.0, 4.0])),
    }
    for stem, (made, slopes) in stems.items():
        image = nib.load(out / "sub-MRN1234" / f"{stem}.nii.gz")
        truth = made.values * slopes if made.values.ndim == 4 else made.values
        indices = np.argwhere(np.ones(made.values.shape[:3], bool))
        world = nib.affines.apply_affine(made.affine, indices)
        voxels = nib.affines.apply_affine(np.linalg.inv(image.affine), world)
        nearest = np.rint(voxels).astype(int)
        sizes = nib.affines.voxel_sizes(image.affine)
        assert np.abs((voxels - nearest) * sizes).max() < 0.01
        found = image.get_fdata()[tuple(nearest.T)]
        np.testing.assert_allclose(found, truth[tuple(indices.T)], rtol=1e-4, atol=0.2)


def test_the_sidecar_of_the_pet_says_what_the_headers_say(folder, convert, tmp_path):
    out = tmp_path / "bids"
    convert("dicom", folder, out)
    path = out / "sub-MRN1234" / "pet" / "sub-MRN1234_trc-18FFDG_pet.json"
    fields = json.loads(path.read_text())
    expected = {
        "Units": "Bq/mL", "TracerName": "Fluorodeoxyglucose", "TracerRadionuclide": "F18",
        "InjectedRadioactivity": 185.0, "InjectedRadioactivityUnits": "MBq",
        "TimeZero": "00:00:00", "InjectionStart": 0, "ScanStart": 2400.0,
        "FrameTimesStart": [2400.0, 2700.0], "FrameDuration": [300.0, 600.0],
        "ImageDecayCorrected": True, "ImageDecayCorrectionTime": 2400.0,
        "AttenuationCorrection": "measured,AC_MAP", "Manufacturer": "SIEMENS",
        "ManufacturersModelName": "Biograph_mMR", "InjectedMass": "n/a",
    }  # fmt: skip
    assert {name: fields[name] for name in expected} == expected
    # 185 MBq at the injection, 64 kg: SUV is computed
    assert "SUV;" in dry_run(out, tmp_path / "out")


def test_nothing_tells_who_it_is(folder, convert, tmp_path):
    words = ("doe", "jane", "house", "mercy", "19300102", "20230405", "98765", "mrc12345")
    words += ("10:20", "1050", "093")
    mr(SeriesDescription="t1_mprage Doe").write(tmp_path / "named")
    convert("dicom", tmp_path / "named", tmp_path / "bids", "--subject", "named")
    convert("dicom", folder, tmp_path / "bids", "--subject", "01")
    files = [path for path in (tmp_path / "bids").rglob("*") if path.is_file()]
    for path in files:
        text = path.name + path.read_text() if path.suffix != ".gz" else ""
        assert not [word for word in words if word in text.lower()], path
        if path.suffix == ".gz":
            header = nib.load(path).header
            assert not header["descrip"].item()
            assert not header["aux_file"].item()
            assert not header.extensions
    assert (tmp_path / "bids" / "participants.tsv").read_text().splitlines()[1:] == [
        "sub-named\t89\tF\t64\t1.68",
        "sub-01\t89\tF\t64\t1.68",
    ]


def test_what_was_not_copied_is_said(folder, convert, tmp_path):
    _, told, _ = convert("dicom", folder, tmp_path / "bids")
    line = next(line for line in told.splitlines() if "and not copied" in line)
    for name in ("PatientName", "PatientID", "PatientBirthDate", "InstitutionName", "StudyDate"):
        assert name in line


def test_two_series_that_may_be_one_image_are_an_error_that_lists_them(folder, convert, tmp_path):
    mr(number=7, SeriesDescription="t1_mprage_repeat").write(folder)
    out = tmp_path / "bids"
    code, _, complaint = convert("dicom", folder, out)
    assert code == 1
    assert complaint.count("\n") == 1
    assert "2: MR, 't1_mprage_sag_p2_iso', 12 images; 7: MR, 't1_mprage_repeat'" in complaint
    assert "--series NUMBER=t1w" in complaint
    assert not out.exists()
    code, told, _ = convert("dicom", folder, out, "--series", "7=t1w")
    assert code == 0
    assert "T1w: series 7" in told
    assert "left out: 2: MR, 't1_mprage_sag_p2_iso', 12 images: --series names another" in told
    assert convert("dicom", folder, tmp_path / "other", "--series", "7=skip")[0] == 0


def test_a_series_that_says_nothing_is_not_guessed(convert, tmp_path):
    silent = {"SeriesDescription": "head", "ProtocolName": "head", "SequenceName": "se2d1"}
    mr(MPRAGE | silent | {"ScanningSequence": "SE"}).write(tmp_path / "dicom")
    code, _, complaint = convert("dicom", tmp_path / "dicom", tmp_path / "bids")
    assert (code, "no series is taken for a T1w" in complaint) == (1, True)
    assert "2: MR, 'head', 12 images: not recognised" in complaint
    words = ("dicom", tmp_path / "dicom", tmp_path / "bids")
    assert convert(*words, "--series", "2=T1w")[0] == 0


def test_an_mprage_is_known_by_its_times(tmp_path, convert):
    silent = {"SeriesDescription": "head", "ProtocolName": "head", "SequenceName": "x"}
    mr(MPRAGE | silent).write(tmp_path / "dicom")
    assert convert("dicom", tmp_path / "dicom", tmp_path / "bids")[0] == 0


def test_the_one_with_a_contrast_agent_is_left_out(convert, tmp_path):
    mr().write(tmp_path / "dicom")
    mr(number=9, ContrastBolusAgent="Gadovist").write(tmp_path / "dicom")
    _, told, _ = convert("dicom", tmp_path / "dicom", tmp_path / "bids")
    assert "left out: 9: MR, 't1_mprage_sag_p2_iso', 12 images: with a contrast agent" in told


def test_a_ct_is_in_hounsfield_units(convert, tmp_path):
    grid = tilted((1.0, 1.0, 2.0), (8.0, 7.0, -12.0))
    ct = Made("CT", values(16, 14, 12) + 500, np.array(grid), CT_FIELDS, 3)
    ct.write(tmp_path / "dicom")
    mr().write(tmp_path / "dicom")
    out = tmp_path / "bids"
    assert convert("dicom", tmp_path / "dicom", out, "--subject", "01")[0] == 0
    image = nib.load(out / "sub-01" / "ct" / "sub-01_ct.nii.gz")
    assert image.get_fdata().min() == ct.values.min() - 1024
    assert json.loads((out / "sub-01" / "ct" / "sub-01_ct.json").read_text())["Units"] == "HU"
    assert problems(out) == []


def test_an_injection_that_is_not_told_is_not_made_up(convert, tmp_path):
    mr().write(tmp_path / "dicom")
    pet(tracer=drug(injected=None, dose=185.0)).write(tmp_path / "dicom")
    out = tmp_path / "bids"
    _, told, _ = convert("dicom", tmp_path / "dicom", out, "--subject", "01")
    fields = json.loads((out / "sub-01" / "pet" / "sub-01_trc-18FFDG_pet.json").read_text())
    assert "InjectionStart" not in fields
    assert "InjectedRadioactivity" not in fields
    assert fields["FrameTimesStart"] == [0.0, 300.0]
    assert "not copied: the injected dose of 0.000185 MBq" in told
    assert "not known of the PET, though BIDS asks for it: InjectedRadioactivity" in told
    assert problems(out) == [
        ("SIDECAR_KEY_REQUIRED", "InjectedRadioactivity"),
        ("SIDECAR_KEY_REQUIRED", "InjectionStart"),
    ]


def test_several_people_and_dates(convert, tmp_path):
    where = tmp_path / "dicom"
    mr().write(where / "1")
    late = {"StudyDate": "20240404", "SeriesDate": "20240404", "AcquisitionDate": "20240404"}
    pet(**late, StudyInstanceUID="1.2.3").write(where / "2")
    mr(PatientID="P2", PatientName="Roe^Richard", StudyInstanceUID="1.2.4").write(where / "3")
    out = tmp_path / "bids"
    code, _, complaint = convert("dicom", where, out, "--subject", "01")
    assert (code, "holds 2 patients" in complaint) == (64, True)
    assert convert("dicom", where, out, "--sessions-by-date")[0] == 0
    assert written(out)[::2] == [
        "sub-MRN1234/ses-d0000/anat/sub-MRN1234_ses-d0000_T1w.json",
        "sub-MRN1234/ses-d0365/pet/sub-MRN1234_ses-d0365_trc-18FFDG_pet.json",
    ]
    assert written(out, "P2")[0] == "sub-P2/ses-d0000/anat/sub-P2_ses-d0000_T1w.json"


def test_two_folders_with_a_series_each_are_a_pair(folder, convert, tmp_path):
    mr().write(tmp_path / "mri")
    pet(tracer=drug(injected=None)).write(tmp_path / "pet")
    out = tmp_path / "bids"
    words = ("pair", tmp_path / "mri", tmp_path / "pet", out, "--subject", "01")
    times = ("--frame-starts", "1800,2100", "--frame-durations", "300,600")
    code, _, complaint = convert(*words, *times, "--decay-corrected", "scan")
    assert code == 0, complaint
    fields = json.loads((out / "sub-01" / "pet" / "sub-01_trc-18FFDG_pet.json").read_text())
    assert (fields["FrameTimesStart"], fields["ImageDecayCorrectionTime"]) == ([1800, 2100], 1800)
    assert "DecayCorrectionFactor" not in fields
    assert problems(out) == []
    code, _, complaint = convert("pair", folder, *words[2:], "--overwrite")
    assert (code, "holds 6 series, not one" in complaint) == (64, True)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"PatientID": ""}, "has no PatientID; give --subject"),
        ({"PatientID": "DOE_jane"}, "holds the patient's name"),
        ({"PatientID": "1930Doe"}, "holds the patient's name"),
    ],
)
def test_a_label_never_tells_the_name(convert, tmp_path, fields, reason):
    mr(**fields).write(tmp_path / "dicom")
    code, _, complaint = convert("dicom", tmp_path / "dicom", tmp_path / "bids")
    assert (code, reason in complaint) == (64, True), complaint
    assert convert("dicom", tmp_path / "dicom", tmp_path / "bids", "--subject", "01")[0] == 0


def test_a_pseudonym_may_be_the_name_too(convert, tmp_path):
    mr(PatientID="sub017", PatientName="sub017").write(tmp_path / "dicom")
    assert convert("dicom", tmp_path / "dicom", tmp_path / "bids")[0] == 0


def test_labels_that_would_be_one_are_refused(convert, tmp_path):
    mr(PatientID="A-1").write(tmp_path / "dicom" / "1")
    mr(PatientID="A1", StudyInstanceUID="1.2.4").write(tmp_path / "dicom" / "2")
    code, _, complaint = convert("dicom", tmp_path / "dicom", tmp_path / "bids")
    assert (code, "would both be sub-A1" in complaint) == (1, True)


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (("{empty}",), 1, "no DICOM images"),
        (("{missing}",), 1, "is not a folder"),
        (("{folder}", "--series", "99=t1w"), 64, "no series has that number"),
    ],
)
def test_what_cannot_be_is_said(folder, convert, tmp_path, words, code, reason):
    (tmp_path / "empty").mkdir()
    places = {"empty": tmp_path / "empty", "missing": tmp_path / "no", "folder": folder}
    done, _, complaint = convert("dicom", words[0].format(**places), tmp_path / "bids", *words[1:])
    assert (done, reason in complaint) == (code, True), complaint


def test_a_damaged_file_is_not_passed_over(folder, convert, tmp_path):
    path = sorted((folder / "a").glob("002-*"))[3]
    content = bytearray(path.read_bytes())
    content[400:900] = b"\xff" * 500
    path.write_bytes(content)
    code, _, complaint = convert("dicom", folder, tmp_path / "bids")
    assert (code, complaint.count("\n")) == (1, 1)
    assert "2: MR" in complaint or path.name in complaint
    assert not (tmp_path / "bids").exists()


@pytest.mark.parametrize("number", [4, 13])
def test_missing_slices_are_noticed(convert, tmp_path, number):
    mr().write(tmp_path / "dicom")
    pet().write(tmp_path / "dicom")
    (tmp_path / "dicom" / f"005-{number:04d}.dcm").unlink()
    code, _, complaint = convert("dicom", tmp_path / "dicom", tmp_path / "bids")
    assert (code, "of some slices" in complaint) == (1, True)
    (tmp_path / "dicom" / "002-0006.dcm").unlink()
    code, _, complaint = convert("dicom", tmp_path / "dicom", tmp_path / "bids")
    assert (code, "slices are 1.5 to 3 mm apart" in complaint) == (1, True)


def test_what_is_read_stays_as_it_is(folder, convert, tmp_path):
    def state():
        return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    before = state()
    convert("dicom", folder, tmp_path / "bids")
    assert state() == before


@pytest.mark.parametrize("package", ["pydicom", "dcm2niix"])
def test_a_package_that_is_missing_is_named(folder, convert, tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    code, _, complaint = convert("dicom", folder, tmp_path / "bids")
    assert code == 1
    assert complaint == (
        f"fusionprep: {package} is not installed: pip install 'fusionprep[convert]'\n"
    )


def test_headers_without_identifiers_are_one_series(tmp_path):
    mr(PatientID="").write(tmp_path / "dicom")
    series, others = find_series(tmp_path / "dicom")
    assert (len(series), others, series[0].n_images) == (1, 0, 12)


@pytest.mark.slow
def test_the_app_runs_on_dicom(heads, convert, tmp_path):
    stems = ("anat/sub-01_T1w", "pet/sub-01_trc-18FFDG_pet")
    t1w, scan = (nib.load(heads / "sub-01" / f"{stem}.nii.gz") for stem in stems)
    stored = np.asarray(t1w.dataobj.get_unscaled())
    Made("MR", stored, t1w.affine, MPRAGE, 2).write(tmp_path / "dicom")
    fields = {
        **PET_FIELDS, "RadiopharmaceuticalInformationSequence": [drug()],
        "DecayCorrection": "ADMIN",
        "RescaleIntercept": 0.0, "RescaleSlope": f"{scan.dataobj.slope:.8g}",
        "ActualFrameDuration": 1200000, "AcquisitionTime": "105000",
    }  # fmt: skip
    stored = np.asarray(scan.dataobj.get_unscaled())
    Made("PT", stored, scan.affine, fields, 5).write(tmp_path / "dicom")
    code, _, complaint = convert("dicom", tmp_path / "dicom", tmp_path / "bids", "--subject", "01")
    assert code == 0, complaint
    written = nib.load(tmp_path / "bids" / "sub-01" / f"{stems[1]}.nii.gz")
    np.testing.assert_allclose(
        np.sort(written.get_fdata(), axis=None),
        np.sort(scan.get_fdata(), axis=None),
        rtol=1e-5,
        atol=1,
    )
    run_through(tmp_path / "bids", tmp_path / "out")
