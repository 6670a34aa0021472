"""The sections of the subject report follow from the table of modalities."""

import pytest

from fusionprep.bids import fused_names, names
from fusionprep.bids.types import ImageFile
from fusionprep.modalities import CT, FLAIR, MOVED, PET, T2W
from fusionprep.models.registry import get_model, model_names
from fusionprep.reports.records import SubjectRecord
from fusionprep.reports.subject.spec import report_spec


def reportlets(section: dict) -> dict[str, dict]:
    """Reportlets by the label of their figures; fused ones under what these begin with."""
    found = {}
    for item in section["reportlets"]:
        desc = item["bids"]["desc"]
        found[fused_names.FUSED if isinstance(desc, list) else desc] = item
    return found


@pytest.fixture
def sections(tmp_path) -> dict[str, dict]:
    for name in (
        "sub-01_space-T1w_desc-fusedAverage_pet.jpg",
        "sub-01_space-T1w_desc-fusedFLAIRAverage_pet.png",
        "sub-01_space-T1w_desc-fusedTomorrow_pet.png",
        "sub-01_space-T1w_desc-fusedCTAverage_T1w.png",
        "sub-01_space-T1w_desc-thumbReadFuse_pet.png",
        "sub-01_desc-coreg_pet.svg",
    ):
        (tmp_path / name).touch()
    return {section["name"]: section for section in report_spec(tmp_path)}


def test_sections_and_their_order(sections):
    labels = [modality.label for modality in MOVED]
    before, after = ["Summary", "Viewer", "Anatomical"], ["Methods", "About", "Errors"]
    assert list(sections) == [*before, *labels, *after]


@pytest.mark.parametrize("modality", MOVED, ids=lambda modality: modality.name)
def test_a_section_has_what_its_modality_has(sections, modality):
    found = reportlets(sections[modality.label])
    assert {names.SUMMARY, names.COREG} <= set(found)
    assert ({names.FRAMES, names.SUVR, names.REGIONS} <= set(found)) is modality.tracer
    assert (fused_names.FUSED in found) is modality.fused
    for item in found.values():
        suffixes = {names.BIDS[modality].suffix, names.BIDS[modality].fused_suffix}
        assert item["bids"]["suffix"] in suffixes
    assert modality.label in found[names.COREG]["description"]


def test_mosaics_go_to_the_modality_that_was_fused(sections):
    fused = reportlets(sections[PET.label])[fused_names.FUSED]["bids"]["desc"]
    assert fused == ["fusedAverage", "fusedFLAIRAverage"]
    assert reportlets(sections[CT.label])[fused_names.FUSED]["bids"]["desc"] == ["fusedCTAverage"]


def test_texts_say_what_is_seen(sections):
    words = {
        modality: reportlets(sections[modality.label])[names.COREG]["description"]
        for modality in MOVED
    }
    assert "dark ventricles" in words[FLAIR]
    assert "bright ventricles" in words[T2W]
    assert "skull" in words[CT]
    on_fusion = reportlets(sections[PET.label])[fused_names.FUSED]["description"]
    for name in model_names():
        entry = get_model(name)
        assert entry.takes_image or entry.label in on_fusion


def test_scans_are_told_apart_by_what_derivatives_keep(tmp_path):
    """Images that share what their modality keeps are one scan; nothing else merges or splits."""

    def image(suffix: str, **entities: str) -> ImageFile:
        entities = {"sub": "01", **entities, "space": "T1w", "desc": "preproc"}
        return ImageFile(tmp_path / suffix, entities, suffix)

    images = (
        image("T2w", acq="b"),
        image("pet", trc="FDG", run="2"),
        image("pet", trc="FDG", run="1"),
        image("ct", acq="a", run="1"),
        image("FLAIR", ses="2"),
    )
    scans = SubjectRecord("01", images, (), ()).scans()
    assert [scan.label for scan in scans] == [
        "PET trc-FDG run-1",
        "PET trc-FDG run-2",
        "CT acq-a run-1",
        "FLAIR ses-2",
        "T2w acq-b",
    ]
