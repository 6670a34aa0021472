from pathlib import Path

import pytest

from fusionprep.bids.fused_names import FusedDesc
from fusionprep.bids.names import (
    OutputNames,
    derivative_path,
    figure_path,
    kept_entities,
    own_path,
    own_uri,
    parse_name,
    raw_uri,
)
from fusionprep.bids.types import FrameTiming, ImageFile, PETFacts
from fusionprep.errors import DataError
from fusionprep.modalities import APP_FUSED, CONTRASTS, CT, FLAIR, PET
from fusionprep.models.registry import get_model, model_names


def test_entities_are_in_the_order_of_bids():
    path = derivative_path(
        "pet", "pet",
        desc="preproc", res="1", space="MNI152NLin2009aSym", run="03",
        rec="acdyn", trc="18FFDG", task="rest", sub="01", ses="2",
    )  # fmt: skip
    assert path == (
        "sub-01/ses-2/pet/sub-01_ses-2_task-rest_trc-18FFDG_rec-acdyn_run-03"
        "_space-MNI152NLin2009aSym_res-1_desc-preproc_pet.nii.gz"
    )


def test_transforms_are_named_by_direction():
    path = derivative_path(
        "anat", "xfm", ".h5", sub="01", mode="image", to="MNI152NLin2009aSym", from_="T1w"
    )
    assert path == "sub-01/anat/sub-01_from-T1w_to-MNI152NLin2009aSym_mode-image_xfm.h5"


def test_absent_entities_are_left_out():
    path = derivative_path("anat", "mask", sub="01", ses=None, desc="brain", space=None)
    assert path == "sub-01/anat/sub-01_desc-brain_mask.nii.gz"


def test_unknown_entities_are_a_mistake_of_the_program():
    with pytest.raises(ValueError, match=r"unknown entities: .*colour"):
        derivative_path("pet", "pet", sub="01", colour="red")


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
        derivative_path("pet", "pet", sub=subject, ses=session, **entities)


def test_labels_may_hold_a_plus_sign():
    assert derivative_path("anat", "T1w", sub="a+b").startswith("sub-a+b/anat/")


def test_figures_are_in_one_folder_per_subject():
    derivative = "sub-01/ses-2/pet/sub-01_ses-2_trc-x_desc-coreg_pet.nii.gz"
    assert figure_path(derivative, ".svg") == (
        "sub-01/figures/sub-01_ses-2_trc-x_desc-coreg_pet.svg"
    )


def image(tracer: str | None = None, **entities: str) -> ImageFile:
    """A raw PET; `tracer` is what was found out about it."""
    path = Path("/data/raw/sub-01/pet/sub-01_pet.nii.gz")
    facts = PETFacts(tracer, tracer, None, FrameTiming(None, None, ""), "Bq/mL", 1.0, None, "")
    return ImageFile(path, {"sub": "01", **entities}, "pet", pet=facts)


def test_kept_entities_of_each_modality():
    every = {"ses": "2", "task": "rest", "trc": "old", "rec": "a", "run": "01", "acq": "b"}
    assert kept_entities(image("18FFDG", **every), PET) == {
        "task": "rest", "trc": "18FFDG", "rec": "a", "run": "01",
    }  # fmt: skip
    assert kept_entities(image(**every), PET)["trc"] == "old"
    assert kept_entities(image(**every), CT) == {"acq": "b", "run": "01"}
    assert kept_entities(image(), FLAIR) == {}


def test_names_of_what_is_made_of_an_image():
    names = OutputNames(image(trc="x", run="1", ses="a"), PET)
    stem = "sub-01_ses-a_trc-x_run-1"
    assert names(space="T1w") == f"sub-01/ses-a/pet/{stem}_space-T1w_pet.nii.gz"
    assert names.fused(desc="fusedMax") == f"sub-01/ses-a/pet/{stem}_desc-fusedMax_pet.nii.gz"
    of_ct = OutputNames(image(run="1"), CT)
    assert of_ct.fused(desc="fusedCTMax") == "sub-01/anat/sub-01_run-1_desc-fusedCTMax_T1w.nii.gz"


def test_a_name_is_read_as_it_was_written():
    entities = {"sub": "01", "ses": "A", "seg": "DK", "res": "1", "desc": "x"}
    path = derivative_path("anat", "dseg", **entities)
    assert "_seg-DK_res-1_" in path
    assert parse_name(Path(path).name) == (entities, "dseg")


EVERY_DESC = [
    FusedDesc(get_model(name).label, modality, contrast, colour)
    for name in model_names()
    for modality in APP_FUSED
    for contrast in CONTRASTS
    for colour in (False, True)
]


def test_labels_of_fused_images_are_read_as_they_were_written():
    labels = [str(desc) for desc in EVERY_DESC]
    assert len(set(labels)) == len(labels) == len(model_names()) * 2 * 3 * 2
    assert [FusedDesc.parse(label) for label in labels] == EVERY_DESC
    assert all(FusedDesc.parse(desc.figure("thumb"), "thumb") == desc for desc in EVERY_DESC)


@pytest.mark.parametrize(
    "label", ["fused", "fusedNew", "fusedFLAIR", "fusedColor", "fusedctMax", "preproc", "thumbMax"]
)
def test_a_label_that_is_never_written_is_not_guessed(label):
    assert FusedDesc.parse(label) is None


def test_uris():
    assert raw_uri(image(), Path("/data/raw")) == "bids:raw:sub-01/pet/sub-01_pet.nii.gz"
    assert own_uri("sub-01/anat/x.nii.gz") == "bids::sub-01/anat/x.nii.gz"
    assert own_path("bids::sub-01/anat/x.nii.gz") == "sub-01/anat/x.nii.gz"
    assert own_path("bids:raw:x.nii.gz") is None
