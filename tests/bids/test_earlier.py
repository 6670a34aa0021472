"""What is found of a subject in derivatives of others, and what is said of the rest."""

import json
from pathlib import Path

import pytest

from fusionprep.bids.dataset import describe_dataset
from fusionprep.bids.earlier import (
    check_folder,
    earlier_registration,
    earlier_work,
    software_of,
    with_lacks,
)
from fusionprep.bids.filters import check_filters
from fusionprep.bids.types import ImageFile
from fusionprep.config import Config
from fusionprep.errors import UsageError
from fusionprep.modalities import PET
from tests.bids.skeleton import pair

ASYM = "MNI152NLin2009cAsym"
FMRIPREP = (
    "desc-brain_mask.nii.gz", "desc-preproc_T1w.nii.gz", "dseg.nii.gz", "desc-aseg_dseg.nii.gz",
    *(f"label-{tissue}_probseg.nii.gz" for tissue in ("GM", "WM", "CSF")),
    f"from-T1w_to-{ASYM}_mode-image_xfm.h5", f"from-{ASYM}_to-T1w_mode-image_xfm.h5",
    f"space-{ASYM}_desc-brain_mask.nii.gz", f"space-{ASYM}_label-GM_probseg.nii.gz",
    "from-T1w_to-fsnative_mode-image_xfm.txt",
)  # fmt: skip


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def config(tmp_path: Path, *names: str, templates=(f"{ASYM}:res-1",), **options) -> Config:
    return Config.from_options(
        bids_dir=tmp_path / "raw",
        output_dir=tmp_path / "out",
        work_dir=tmp_path / "work",
        output_spaces=("T1w", *templates),
        atlas=("none",),
        derivatives={name: tmp_path / name for name in names},
        **options,
    )


def image(tmp_path: Path, name: str, datatype: str = "anat") -> ImageFile:
    *pairs, suffix = name.split("_")
    entities = dict(part.split("-", 1) for part in pairs)
    return ImageFile(tmp_path / "raw" / "sub-01" / datatype / f"{name}.nii.gz", entities, suffix)


@pytest.fixture
def fmriprep(tmp_path) -> Path:
    root = tmp_path / "fmriprep"
    touch(*(root / "sub-01" / "anat" / f"sub-01_{name}" for name in FMRIPREP))
    described = {"Name": "x", "GeneratedBy": [{"Name": "fMRIPrep", "Version": "23.2.1"}]}
    (root / "dataset_description.json").write_text(json.dumps(described))
    return root


@pytest.mark.parametrize("name", ["sub-01_T1w", "sub-01_ses-a_acq-x_run-1_T1w"])
def test_fmriprep(tmp_path, fmriprep, name):
    found = earlier_work(config(tmp_path, "fmriprep"), image(tmp_path, name))
    anat = "sub-01/anat/sub-01"
    assert found.brain.to_dict() == {
        "Dataset": "fmriprep",
        "Software": "fMRIPrep 23.2.1",
        "Files": [
            f"bids:fmriprep:{anat}_desc-brain_mask.nii.gz",
            f"bids:fmriprep:{anat}_desc-preproc_T1w.nii.gz",
        ],
    }
    assert {path.name for path in found.tissues.files.values()} == {
        *(f"sub-01_label-{tissue}_probseg.nii.gz" for tissue in ("GM", "WM", "CSF")),
        "sub-01_desc-preproc_T1w.nii.gz",
    }
    assert (
        found.templates[ASYM].files["there"].name == f"sub-01_from-T1w_to-{ASYM}_mode-image_xfm.h5"
    )
    assert not found.lacks


def test_files_of_the_session_come_before_those_of_the_subject(tmp_path, fmriprep):
    own = fmriprep / "sub-01" / "ses-a" / "anat" / "sub-01_ses-a_desc-brain_mask.nii.gz"
    touch(own)
    found = earlier_work(config(tmp_path, "fmriprep"), image(tmp_path, "sub-01_ses-a_T1w"))
    assert found.brain.files["mask"] == own
    assert found.tissues is not None
    other = earlier_work(config(tmp_path, "fmriprep"), image(tmp_path, "sub-01_ses-b_T1w"))
    assert other.brain.files["mask"].parent == fmriprep / "sub-01" / "anat"


def test_a_transform_to_another_template_is_not_taken(tmp_path, fmriprep):
    found = earlier_work(
        config(tmp_path, "fmriprep", templates=("MNI152NLin6Asym:res-1",)),
        image(tmp_path, "sub-01_T1w"),
    )
    assert not found.templates
    assert found.lacks == (
        f"fmriprep has transforms to {ASYM}, none to MNI152NLin6Asym: the T1w is registered to it"
        " here",
    )


def test_a_transform_without_that_back_is_not_taken(tmp_path, fmriprep):
    (fmriprep / "sub-01" / "anat" / f"sub-01_from-{ASYM}_to-T1w_mode-image_xfm.h5").unlink()
    found = earlier_work(config(tmp_path, "fmriprep"), image(tmp_path, "sub-01_T1w"))
    assert not found.templates
    assert "the one back is missing" in found.lacks[0]


def test_labels_stand_in_for_fractions_with_the_table_that_is_inherited(tmp_path):
    root = tmp_path / "lab"
    anat = root / "sub-01" / "anat"
    touch(anat / "sub-01_dseg.nii.gz", root / "dseg.tsv", anat / "sub-01_label-GM_probseg.nii.gz")
    found = earlier_work(config(tmp_path, "lab"), image(tmp_path, "sub-01_T1w"))
    assert found.tissues.files == {
        "labels": anat / "sub-01_dseg.nii.gz",
        "table": root / "dseg.tsv",
    }
    assert found.tissues.software == "lab"


def test_a_mask_of_the_lab_is_chosen_by_filter(tmp_path):
    anat = tmp_path / "lab" / "sub-01" / "anat"
    names = ("sub-01_desc-manual_mask.nii.gz", "sub-01_desc-rough_mask.nii")
    touch(*(anat / name for name in names))
    t1w = image(tmp_path, "sub-01_T1w")
    assert earlier_work(config(tmp_path, "lab"), t1w).brain is None
    for value, name in (("manual", names[0]), ("desc-rough", names[1])):
        chosen = config(tmp_path, "lab", bids_filters={"brain_mask": {"desc": value}})
        check_filters(chosen.selection)
        assert earlier_work(chosen, t1w).brain.files["mask"].name == name
    both = config(tmp_path, "lab", bids_filters={"brain_mask": {"desc": "*"}})
    found = earlier_work(both, t1w)
    assert found.brain is None
    assert f"there are several ({', '.join(names)}); choose one with" in found.lacks[0]


@pytest.mark.parametrize(
    ("names", "filters", "said"),
    [
        ((), {"brain_mask": {"desc": "x"}}, "for brain_mask is for --derivatives"),
        (("lab",), {"dseg": {"suffix": "x"}}, "'suffix' is not an entity that can be chosen by"),
        (("lab",), {"mask": {"desc": "x"}}, "unknown query .* brain_mask, dseg, probseg"),
    ],
)
def test_filters_for_nothing_are_refused(tmp_path, names, filters, said):
    with pytest.raises(UsageError, match=said):
        check_filters(config(tmp_path, *names, bids_filters=filters).selection)


def test_freesurfer(tmp_path):
    mri = tmp_path / "fs" / "sub-01_ses-a" / "mri"
    touch(*(mri / name for name in ("brainmask.mgz", "aparc+aseg.mgz", "orig.mgz")))
    stamp = mri.parent / "scripts" / "build-stamp.txt"
    touch(stamp)
    stamp.write_text("freesurfer-linux-centos7_x86_64-7.3.2-20220804-6354275\n")
    found = earlier_work(config(tmp_path, "fs"), image(tmp_path, "sub-01_ses-a_T1w"))
    assert found.brain.files["mask"] == mri / "brainmask.mgz"
    assert found.brain.files["labels"] == found.tissues.files["labels"] == mri / "aparc+aseg.mgz"
    assert found.tissues.from_freesurfer
    assert found.brain.software == "FreeSurfer 7.3.2"
    touch(mri / "aseg.mgz")
    found = earlier_work(config(tmp_path, "fs"), image(tmp_path, "sub-01_ses-a_T1w"))
    assert found.tissues.files["labels"] == mri / "aseg.mgz"


def test_the_first_dataset_that_has_it_is_taken(tmp_path, fmriprep):
    touch(tmp_path / "lab" / "sub-01" / "anat" / "sub-01_desc-brain_mask.nii.gz")
    found = earlier_work(config(tmp_path, "lab", "fmriprep"), image(tmp_path, "sub-01_T1w"))
    assert (found.brain.dataset, found.tissues.dataset) == ("lab", "fmriprep")


@pytest.mark.parametrize("start", ["pet", "petref"])
def test_the_transform_of_a_pet(tmp_path, start):
    folder = tmp_path / "petprep" / "sub-01" / "ses-a" / "pet"
    path = folder / f"sub-01_ses-a_from-{start}_to-T1w_mode-image_xfm.txt"
    touch(path, folder / "sub-01_ses-a_from-orig_to-petref_mode-image_xfm.txt")
    options = config(tmp_path, "petprep")
    t1w, pet = image(tmp_path, "sub-01_ses-a_T1w"), image(tmp_path, "sub-01_ses-a_pet", "pet")
    pairing = pair(PET, pet, t1w, options.processing)
    found, lacks = earlier_registration(options, pairing)
    assert (found.files, lacks) == ({"transform": path}, ())
    other = image(tmp_path, "sub-01_ses-b_pet", "pet")
    found, _ = earlier_registration(options, pair(PET, other, t1w, options.processing))
    assert found is None


def test_what_is_lacking_is_noted_with_the_image(tmp_path):
    (tmp_path / "lab" / "sub-02").mkdir(parents=True)
    options = config(tmp_path, "lab")
    t1w, pet = image(tmp_path, "sub-01_T1w"), image(tmp_path, "sub-01_pet", "pet")
    (noted,) = with_lacks(options, [pair(PET, pet, t1w, options.processing)])
    assert noted.t1w.notes == ("--derivatives has nothing of sub-01",)
    assert noted.image.notes == ()


def test_the_datasets_are_named_in_the_description(tmp_path, fmriprep):
    described = describe_dataset(config(tmp_path, "fmriprep"))
    assert described["DatasetLinks"] == {"raw": "../raw", "fmriprep": "../fmriprep"}
    assert described["SourceDatasets"] == [{"Name": "fmriprep", "Version": "fMRIPrep 23.2.1"}]
    assert software_of("lab", tmp_path / "none") == "lab"


def test_folders_and_names_that_cannot_be(tmp_path):
    (tmp_path / "empty").mkdir()
    for name, said in (("none", "no such folder"), ("empty", r"no folder sub-\*")):
        with pytest.raises(UsageError, match=said):
            check_folder(name, tmp_path / name)
    for name in ("raw", "a b", "a:b"):
        with pytest.raises(UsageError, match="--derivatives cannot be named"):
            config(tmp_path, name)
    with pytest.raises(UsageError, match="is the output folder"):
        config(tmp_path, "out")
