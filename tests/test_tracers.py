"""The table of tracers, and what is said of windows and reference regions that are unusual."""

import re

import pytest

from fusionprep.bids.timing import frame_timing
from fusionprep.bids.usual import choose_region, region_note, window_note
from fusionprep.config import Processing
from fusionprep.suvr_regions import REFERENCE_REGIONS, find_region
from fusionprep.tracers import TRACERS, find_tracer, is_tracer_label
from tests.bids.skeleton import PET_SIDECAR, only_plan, pet, t1w, write_dataset, write_image
from tests.bids.test_timing import facts_of


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("18FFDG", "[18F]FDG"),
        ("[18F]fluorodeoxyglucose", "[18F]FDG"),
        ("11CPIB", "[11C]PiB"),
        ("[11C]PiB", "[11C]PiB"),
        ("Pittsburgh Compound B", "[11C]PiB"),
        ("AV45", "[18F]florbetapir"),
        ("18F-AV-1451", "[18F]flortaucipir"),
        ("AV133", "[18F]AV-133"),
        ("[18F]flutemetamol", "[18F]flutemetamol"),
        ("NAV4694", "[18F]NAV4694"),
        ("MK-6240", "[18F]MK-6240"),
        ("11CMET", "met"),
        ("6-[18F]-L-DOPA", "DOPA"),
        ("something", None),
        ("", None),
        (None, None),
    ],
)
def test_find_tracer(text, name):
    found = find_tracer(text)
    assert (found.name if found else None) == name


@pytest.mark.parametrize(
    ("label", "known"),
    [
        ("AV45", True),
        ("fdg", True),
        ("18FNEWONE", True),
        ("11CRAC", True),
        ("static", False),
        ("FDGstatic", False),
    ],
)
def test_labels_of_tracers(label, known):
    assert is_tracer_label(label) == known


def test_the_table_is_sound():
    names = [alias for tracer in TRACERS for alias in tracer.aliases]
    assert len(names) == len(set(names))
    regions = {region.name for region in REFERENCE_REGIONS}
    for tracer in TRACERS:
        assert all(alias == alias.lower() and alias.isalnum() for alias in tracer.aliases)
        assert set(tracer.regions) <= regions
        assert bool(tracer.regions) == bool(tracer.regions_source)
        assert (tracer.window is not None) == bool(tracer.window_source)


def timed(starts, durations, n_frames=None):
    metadata = {"FrameTimesStart": starts, "FrameDuration": durations}
    return frame_timing(metadata, n_frames or len(starts))


def test_frames_before_the_window_are_said():
    pib = find_tracer("PIB")
    note = window_note(pib, timed([0, 3000], [3000, 2400]), 0)
    assert note.startswith("frames begin 0 min after injection, before the usual window of [11C]")
    assert "50 to 70 min (Klunk" in note
    # time zero may be another than the injection
    assert "begin 45 min after" in window_note(pib, timed([0, 300], [300, 300]), -2700)
    assert "before the injection" in window_note(pib, timed([0, 300], [300, 300]), 60)
    assert "the scan begins 40 min" in window_note(pib, timed([2400], [1800]), 0)
    assert "they are averaged" in window_note(pib, timed([0, 3000], [3000, 2400], 1), 0)


@pytest.mark.parametrize(
    ("tracer", "starts", "injection"),
    [
        ("PIB", [3000, 3300], 0),
        ("PIB", [2960, 3300], 0),
        ("PIB", [0, 3300], -3000),
        ("PIB", [0, 3300], None),
        ("UCBJ", [0, 3300], 0),
        ("new", [0, 3300], 0),
    ],
)
def test_nothing_is_said_of_what_is_usual_or_unknown(tracer, starts, injection):
    timing = timed(starts, [starts[1] - starts[0], 300])
    assert window_note(find_tracer(tracer), timing, injection) == ""


def test_unusual_reference_regions_are_said():
    note = region_note(find_tracer("11CPIB"), find_region("whole-brain"))
    assert note.startswith("the reference region whole-brain is not one that is used for [11C]PiB")
    assert "cerebellar-gm and cerebellum and pons" in note
    for tracer, region in [
        ("11CPIB", "cerebellar-gm"),
        ("18FFDG", "pons"),
        ("18FFDG", "whole-brain"),
        ("UCBJ", "whole-brain"),
        (None, "pons"),
        ("11CPIB", "/my/mask.nii.gz"),
    ]:
        assert region_note(find_tracer(tracer), find_region(region)) == ""


EARLY = {
    "FrameTimesStart": [0, 3000],
    "FrameDuration": [3000, 2400],
    "InjectionStart": 0,
    "ImageDecayCorrected": True,
}


def test_both_reach_the_plan_and_the_facts(tmp_path):
    root = write_dataset(tmp_path, t1w())
    write_image(root / pet(rest="_trc-11CPIB"), (4, 4, 4, 2), sidecar=EARLY)
    plan = only_plan(root, frames="all", suvr_region="whole-brain")
    *_, window, region = plan.pairings[0].image.pet.notes
    assert "before the usual window" in window
    assert "reference region whole-brain" in region
    assert plan.notes[-2:] == (
        f"sub-01_trc-11CPIB_pet.nii.gz: {window}",
        f"sub-01_trc-11CPIB_pet.nii.gz: {region}",
    )
    usual = only_plan(root, frames="all")
    assert usual.pairings[0].image.pet.notes[-1] == window
    none = only_plan(root, frames="all", suvr_region="none")
    assert none.pairings[0].image.pet.notes[-1] == window


def test_an_unknown_injection_is_not_guessed(tmp_path):
    root = write_dataset(tmp_path, t1w())
    sidecar = {name: value for name, value in EARLY.items() if name != "InjectionStart"}
    write_image(root / pet(rest="_trc-11CPIB"), (4, 4, 4, 2), sidecar=sidecar)
    facts = only_plan(root).pairings[0].image.pet
    assert facts.frames.chosen is facts.frames.minutes is None
    assert facts.notes[-1] == facts.frames.note
    assert facts.frames.note.endswith("InjectionStart is not given")
    assert facts.doubts == ()


@pytest.mark.parametrize(
    ("tracer", "region", "why"),
    [
        ("11CPIB", "cerebellar-gm", "Price et al."),
        ("AV45", "cerebellum", "whole cerebellum"),
        ("FBB", "cerebellum", "Rowe"),
        ("18FFMM", "cerebellum", "Thurfjell"),
        ("AV1451", "inferior-cerebellar-gm", "Baker et al."),
        ("MK6240", "inferior-cerebellar-gm", "inferior cerebellar gray matter"),
        ("RO948", "inferior-cerebellar-gm", "inferior cerebellar gray matter"),
        ("18FFDG", "whole-brain", "the mean of brain"),
        ("UCBJ", "whole-brain", "no region that is usual for UCB-J is known"),
        ("new", "whole-brain", "the tracer is not known"),
        (None, "whole-brain", "the tracer is not known"),
    ],
)
def test_the_region_that_is_taken_where_nobody_chooses(tracer, region, why):
    found = choose_region(Processing(), find_tracer(tracer))
    assert found.region.name == region
    assert why in found.reason
    assert found.note == ""
    # Without the atlas' template the brain has to do; that is said where it is not usual.
    without = choose_region(Processing(output_spaces=("T1w",)), find_tracer(tracer))
    assert without.region.name == "whole-brain"
    fallen = region != "whole-brain"
    assert ("is from an atlas in MNI152NLin2009aSym" in without.reason) == fallen
    assert bool(without.note) == fallen


def test_a_region_that_was_chosen_is_taken():
    asked = Processing(suvr_region="whole-brain")
    found = choose_region(asked, find_tracer("PIB"))
    assert (found.region.name, found.reason) == ("whole-brain", "chosen with --suvr-region")
    assert "is not one that is used for [11C]PiB" in found.note
    own = choose_region(Processing(suvr_region="/my/mask.nii.gz"), find_tracer("PIB"))
    assert own == (None, "chosen with --suvr-region", "")


@pytest.mark.parametrize(
    ("metadata", "entities", "told"),
    [
        (
            {"TracerRadionuclide": "C11"},
            {"trc": "18FFDG"},
            "C11 by its field and 18F by",
        ),
        (
            {"TracerRadionuclide": "C11", "TracerName": "[18F]FDG"},
            {},
            "C11 by its field and 18F by",
        ),
        (
            {"TracerRadionuclide": "C11", "TracerName": "[18F]NEW"},
            {},
            "C11 by its field and 18F by",
        ),
    ],
)
def test_a_nuclide_that_is_not_the_tracer_s_leaves_no_suv(metadata, entities, told):
    facts = facts_of({**PET_SIDECAR, "BodyWeight": 70, **metadata}, **entities)
    assert facts.suv is None
    assert re.search(told, facts.no_suv)
    assert facts.no_suv in facts.doubts


def test_a_nuclide_that_is_unusual_for_the_tracer_is_doubted():
    metadata = {**PET_SIDECAR, "BodyWeight": 70, "TracerRadionuclide": "C11", "TracerName": "FDG"}
    facts = facts_of(metadata)
    assert facts.doubts == ("the radionuclide is given as C11, and [18F]FDG is made with another",)
    assert facts.suv is not None


@pytest.mark.parametrize(
    ("metadata", "entities"),
    [
        ({"TracerRadionuclide": "18F"}, {"trc": "18FFDG"}),
        ({"TracerRadionuclide": "F-18", "TracerName": "18FFDG"}, {}),
        ({"TracerRadionuclide": "C11", "TracerName": "raclopride"}, {}),
        ({"TracerRadionuclide": "C11", "TracerName": "new"}, {}),
        ({"TracerRadionuclide": None, "TracerName": "FDG"}, {}),
    ],
)
def test_nuclides_that_agree(metadata, entities):
    assert facts_of({**PET_SIDECAR, "BodyWeight": 70, **metadata}, **entities).doubts == ()


def test_frames_timed_from_the_start_of_the_scan_are_not_placed_in_a_window():
    times = {"FrameTimesStart": [0, 300], "FrameDuration": [300, 300], "ScanStart": 3000}
    metadata = {**PET_SIDECAR, "BodyWeight": 70, "TracerName": "PIB", "TracerRadionuclide": "C11"}
    facts = facts_of({**metadata, **times}, 2)
    (said,) = [note for note in facts.notes if "before ScanStart at 3000 s" in note]
    assert said.startswith("all 2 frames are averaged, not those of the usual window")
    assert facts.frames.chosen is None
    assert facts.suv is not None
    facts = facts_of({**metadata, **times, "ImageDecayCorrected": False}, 2)
    assert "before ScanStart" in facts.no_suv
    assert facts.frame_factors is not None
    assert facts.no_suvr == ""
