import shutil

import nibabel as nib
import pytest

from fusionprep.conversion.dicom_kinds import kind_of_name
from tests.conversion.conftest import dry_run, problems, run_through
from tests.conversion.test_dicom import mr, pet

KNOWN = ("--tracer", "FDG")


@pytest.fixture
def folder(heads, tmp_path):
    """Two people: one as NIfTI files in folders of series, one as DICOM."""
    where = tmp_path / "petmr"
    for name, source in (
        ("MPRAGE/t1_mprage.nii.gz", "anat/sub-01_T1w.nii.gz"),
        ("PET/FDG_PET_AC.nii.gz", "pet/sub-01_trc-18FFDG_pet.nii.gz"),
        ("PET/FDG_umap.nii.gz", "pet/sub-01_trc-18FFDG_pet.nii.gz"),
    ):
        path = where / "Subj_001" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(heads / "sub-01" / source, path)
    mr().write(where / "Subj_002" / "mr")
    pet().write(where / "Subj_002" / "pet")
    return where


def test_each_folder_is_a_subject(folder, convert, tmp_path):
    out = tmp_path / "bids"
    code, told, complaint = convert("nyu-petmr", folder, out, *KNOWN)
    assert code == 0, complaint
    stems = ["sub-Subj001/pet/sub-Subj001_trc-FDG_pet", "sub-Subj002/pet/sub-Subj002_trc-FDG_pet"]
    assert all((out / f"{stem}.nii.gz").exists() for stem in stems)
    assert "left out: PET/FDG_umap.nii.gz: a map of attenuation (umap)" in told
    assert "T1w: MPRAGE/t1_mprage.nii.gz" in told
    assert {code for code, _ in problems(out)} == {"SIDECAR_KEY_REQUIRED"}
    read = nib.load(folder / "Subj_001" / "MPRAGE" / "t1_mprage.nii.gz")
    written = nib.load(out / "sub-Subj001" / "anat" / "sub-Subj001_T1w.nii.gz")
    assert abs(written.affine - read.affine).max() < 1e-4
    assert "2 images of 2 of 2 subjects" in dry_run(out, tmp_path / "out")


def test_patterns_say_what_names_do_not(folder, convert, tmp_path):
    image = folder / "Subj_001" / "MPRAGE" / "t1_mprage.nii.gz"
    image.rename(image.with_name("s003.nii.gz"))
    words = ("nyu-petmr", folder, tmp_path / "bids", *KNOWN)
    code, _, complaint = convert(*words)
    assert (code, "no file is taken for a T1w" in complaint) == (1, True)
    assert "MPRAGE/s003.nii.gz: not recognised" in complaint
    assert not (tmp_path / "bids").exists()
    assert convert(*words, "--files", "MPRAGE/s003*=t1w")[0] == 0


def test_two_files_for_one_image_are_an_error(folder, convert, tmp_path):
    image = folder / "Subj_001" / "MPRAGE" / "t1_mprage.nii.gz"
    shutil.copy(image, image.with_name("t1_mprage_2.nii.gz"))
    words = ("nyu-petmr", folder, tmp_path / "bids", *KNOWN)
    code, _, complaint = convert(*words)
    assert code == 1
    assert "MPRAGE/t1_mprage.nii.gz, MPRAGE/t1_mprage_2.nii.gz" in complaint
    assert convert(*words, "--files", "*_2.nii.gz=skip")[0] == 0


def test_a_dose_is_of_one_person(folder, convert, tmp_path):
    code, _, complaint = convert("nyu-petmr", folder, tmp_path / "bids", *KNOWN, "--dose", "185")
    assert (code, "holds 2 people" in complaint) == (64, True)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("T1_MPRAGE_sag", "T1w"), ("mprage", "T1w"), ("t2_flair_tra", "FLAIR"),
        ("t2_tse_tra", "T2w"), ("Brain_PET_AC", "PET"), ("FDG_dynamic", "PET"),
        ("MRAC_dixon_in", None), ("umap_ute", None), ("ep2d_diff_mddw", None), ("s003", None),
        ("localizer", None), ("t1_flair", None), ("swi_t1", None),
    ],
)  # fmt: skip
def test_what_names_tell(name, label):
    modality = kind_of_name(name).modality
    assert (modality and modality.label) == label


@pytest.mark.slow
def test_the_app_runs_on_a_petmr(folder, convert, tmp_path):
    shutil.rmtree(folder / "Subj_002")
    known = ("--dose", "185", "--frame-starts", "2400", "--frame-durations", "1200")
    convert("nyu-petmr", folder, tmp_path / "bids", *KNOWN, *known, "--decay-corrected", "scan")
    run_through(tmp_path / "bids", tmp_path / "out")
