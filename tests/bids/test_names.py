from pathlib import Path

import pytest

from fusionprep.bids.names import (
    derivative_path,
    figure_path,
    kept_entities,
    own_uri,
    raw_uri,
    still_true,
)
from fusionprep.bids.types import ImageFile
from fusionprep.errors import DataError


def test_entities_are_in_the_order_of_bids():
    path = derivative_path(
        "01", "2", "pet", "pet", ".nii.gz",
        desc="preproc", resolution="1", space="MNI152NLin2009aSym", run="03",
        reconstruction="acdyn", tracer="18FFDG", task="rest",
    )  # fmt: skip
    assert path == (
        "sub-01/ses-2/pet/sub-01_ses-2_task-rest_trc-18FFDG_rec-acdyn_run-03"
        "_space-MNI152NLin2009aSym_res-1_desc-preproc_pet.nii.gz"
    )


def test_transforms_are_named_by_direction():
    path = derivative_path(
        "01", None, "anat", "xfm", ".h5", mode="image", to="MNI152NLin2009aSym", from_="T1w"
    )
    assert path == "sub-01/anat/sub-01_from-T1w_to-MNI152NLin2009aSym_mode-image_xfm.h5"


def test_absent_entities_are_left_out():
    path = derivative_path("01", "", "anat", "mask", ".nii.gz", desc="brain", space=None)
    assert path == "sub-01/anat/sub-01_desc-brain_mask.nii.gz"


def test_unknown_entities_are_a_mistake_of_the_program():
    with pytest.raises(ValueError, match=r"unknown entities: .*colour"):
        derivative_path("01", None, "pet", "pet", ".nii.gz", colour="red")


@pytest.mark.parametrize(
    ("subject", "session", "entities"),
    [
        ("a_b", None, {}),
        ("", None, {}),
        ("../x", None, {}),
        ("01", "a-b", {}),
        ("01", None, {"run": "1/2"}),
        ("01", None, {"desc": ""}),
    ],
)
def test_labels_that_would_break_names_are_refused(subject, session, entities):
    with pytest.raises(DataError, match="letters and digits only"):
        derivative_path(subject, session, "pet", "pet", ".nii.gz", **entities)


def test_labels_may_hold_a_plus_sign():
    assert derivative_path("a+b", None, "anat", "T1w", ".nii.gz").startswith("sub-a+b/anat/")


def test_figures_are_in_one_folder_per_subject():
    derivative = "sub-01/ses-2/pet/sub-01_ses-2_trc-x_desc-coreg_pet.nii.gz"
    assert figure_path(derivative, ".svg") == (
        "sub-01/figures/sub-01_ses-2_trc-x_desc-coreg_pet.svg"
    )


def image(**entities: str) -> ImageFile:
    return ImageFile(Path("/data/raw/sub-01/pet/sub-01_pet.nii.gz"), {"subject": "01", **entities})


def test_kept_entities_of_each_modality():
    every = image(
        session="2", task="rest", tracer="old", reconstruction="a", run="01", acquisition="b"
    )
    assert kept_entities(every, "pet", "18FFDG") == {
        "task": "rest", "tracer": "18FFDG", "reconstruction": "a", "run": "01",
    }  # fmt: skip
    assert kept_entities(every, "pet", None)["tracer"] == "old"
    assert kept_entities(every, "ct", None) == {"acquisition": "b", "run": "01"}
    assert kept_entities(image(), "flair", None) == {}


def test_kept_entities_make_a_path():
    kept = kept_entities(image(tracer="x", run="1"), "pet", None)
    path = derivative_path("01", None, "pet", "pet", ".nii.gz", space="T1w", **kept)
    assert path == "sub-01/pet/sub-01_trc-x_run-1_space-T1w_pet.nii.gz"


def test_uris():
    assert raw_uri(image(), Path("/data/raw")) == "bids:raw:sub-01/pet/sub-01_pet.nii.gz"
    assert own_uri("sub-01/anat/x.nii.gz") == "bids::sub-01/anat/x.nii.gz"


def test_fields_of_the_frames_and_of_the_raw_image_are_dropped():
    raw = {
        "TracerName": "FDG",
        "InjectedRadioactivity": 185,
        "FrameDuration": [60, 60],
        "FrameTimesStart": [0, 60],
        "Units": "Bq/mL",
        "IntendedFor": "x",
        "SkullStripped": True,
    }
    assert still_true(raw) == {"TracerName": "FDG", "InjectedRadioactivity": 185}
    assert len(raw) == 7
