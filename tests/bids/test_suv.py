"""SUV from sidecars that people have: what is read, and what leaves none, with its reason."""

import math

import nibabel as nib
import numpy as np
import pytest

from fusionprep.bids.types import SUVGiven
from tests.bids.skeleton import PET_SIDECAR, only_plan, pet, t1w, write_dataset, write_json

# 200 MBq of F-18 and 70 kg, decay-corrected to the injection
FACTOR = 70_000 / 200e6
F18 = 1.8289 * 3600


def facts_of(tmp_path, n_frames=1, table="participant_id\tweight\nsub-01\t70\n", rest="", **change):
    """Facts of the PET of a dataset whose sidecar differs in some fields; None removes one."""
    root = write_dataset(tmp_path / "data", t1w(), pet(rest=rest))
    sidecar = {key: value for key, value in {**PET_SIDECAR, **change}.items() if value is not None}
    path = root / pet(rest=rest)
    if n_frames > 1:
        nib.save(nib.Nifti1Image(np.zeros((4, 4, 4, n_frames), np.int16), np.eye(4)), path)
    write_json(path.with_name(path.name.replace(".nii.gz", ".json")), sidecar)
    (root / "participants.tsv").write_text(table, "utf-8")
    plan = only_plan(root)
    assert not plan.problems
    return plan.pairings[0].image.pet


WATER = {"ScanStart": 0, "FrameTimesStart": [0], "FrameDuration": [120]}


def dose(amount, units="MBq"):
    return {"InjectedRadioactivity": amount, "InjectedRadioactivityUnits": units}


@pytest.mark.parametrize(
    ("change", "factor"),
    [
        ({}, FACTOR),
        (dose("185 MBq"), 70_000 / 185e6),
        (dose("185 MBq", None), 70_000 / 185e6),
        (dose(0.2, "GBq"), FACTOR),
        (dose(5, "mCi"), 70_000 / 185e6),
        (dose(1), 70_000 / 1e6),
        (dose(1500), 70_000 / 1500e6),
        ({**dose(2500), "TracerRadionuclide": "O15", **WATER}, 70_000 / 2500e6),
        ({**dose(200, None), "InjectedRadioactivityUnit": "MBq"}, FACTOR),
        ({"Units": None, "Unit": "Bq/mL"}, FACTOR),
        ({"InjectionStart": "10:00:00"}, FACTOR),
        ({"InjectionStart": "10:00", "ImageDecayCorrectionTime": "10:00:00.0"}, FACTOR),
        ({"ImageDecayCorrected": "true"}, FACTOR),
        ({"ImageDecayCorrected": "TRUE"}, FACTOR),
        ({"ImageDecayCorrected": 1}, FACTOR),
        # one half-life before the time zero that values are corrected to
        ({"InjectionStart": -F18}, 2 * FACTOR),
        ({"ImageDecayCorrectionTime": 1800}, FACTOR * 2 ** (1800 / F18)),
        ({"ImageDecayCorrectionTime": 2400}, FACTOR * 2 ** (2400 / F18)),
        # 15 minutes before TimeZero, over midnight
        ({"TimeZero": "00:05:00", "InjectionStart": "23:50:00"}, FACTOR * 2 ** (900 / F18)),
        # without TimeZero, ScanStart is when the first frame starts, at 1800 s
        (
            {"TimeZero": None, "ScanStart": "10:30:00", "InjectionStart": "10:00:00"},
            FACTOR,
        ),
        # the mean over a frame of 10 minutes, 30 minutes after injection
        (
            {"ImageDecayCorrected": "false", "ImageDecayCorrectionTime": None},
            FACTOR / (2 ** (-1800 / F18) * (1 - 2 ** (-600 / F18)) / (math.log(2) * 600 / F18)),
        ),
    ],
)
def test_suv_by_hand(tmp_path, change, factor):
    facts = facts_of(tmp_path, **change)
    assert facts.no_suv == ""
    assert facts.suv.factor == pytest.approx(factor, rel=1e-6)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (dose(185000000), "dose of 1.85e+08 MBq is outside 1 to 1500 MBq"),
        (dose(185000000), "InjectedRadioactivity is 185000000 MBq"),
        (dose(0.185), "InjectedRadioactivity is 0.185 MBq"),
        (dose(1600), "outside 1 to 1500 MBq"),
        ({**dose(1600), "TracerRadionuclide": "C11"}, "outside 1 to 1500 MBq"),
        ({**dose(3100), "TracerRadionuclide": "O15", **WATER}, "outside 1 to 3000 MBq"),
        (dose(0), "InjectedRadioactivity is 0 MBq"),
        (dose(-185), "InjectedRadioactivity is -185 MBq"),
        (dose("185000000 MBq"), "InjectedRadioactivity is 185000000 MBq"),
        (dose("a lot"), "InjectedRadioactivity is 'a lot', not a number"),
        (dose("185,000"), "InjectedRadioactivity is '185,000', not a number"),
        (dose([185]), "InjectedRadioactivity is [185], not a number"),
        (dose(True), "InjectedRadioactivity is True, not a number"),
        (dose(math.nan), "InjectedRadioactivity is nan, not a number"),
        (dose(185, None), "InjectedRadioactivity is 185 and InjectedRadioactivityUnits is not"),
        (dose(185, "furlong"), "InjectedRadioactivity is 185 in 'furlong', an unknown unit"),
        (dose("185 MBq", "kBq"), "InjectedRadioactivity is 185 MBq both in MBq and in kBq"),
        (dose(None), "InjectedRadioactivity is not given"),
        ({"InjectionStart": "10:00:00", "TimeZero": None}, "InjectionStart is '10:00:00', a time"),
        ({"InjectionStart": "ten"}, "InjectionStart is 'ten', not a time"),
        ({"InjectionStart": "25:00:00"}, "InjectionStart is '25:00:00'"),
        ({"InjectionStart": [0]}, "InjectionStart is [0]"),
        ({"InjectionStart": 36000}, "InjectionStart 36000 is after the end of the last frame"),
        ({"InjectionStart": -3600000}, "InjectionStart is -3600000 and the first frame starts"),
        ({"ImageDecayCorrected": "maybe"}, "ImageDecayCorrected is 'maybe', neither true nor"),
        ({"ImageDecayCorrected": [True]}, "ImageDecayCorrected is [True], neither"),
        ({"DecayCorrection": "NONE"}, "ImageDecayCorrected is True but DecayCorrection is 'NONE'"),
        ({"ImageDecayCorrectionTime": 36000}, "ImageDecayCorrectionTime 36000 is after the end"),
        ({"ImageDecayCorrectionTime": 2402}, "is after the end of the last frame, at 2400 s"),
        ({"ImageDecayCorrectionTime": -600}, "ImageDecayCorrectionTime -600 is before the injec"),
        ({"ImageDecayCorrectionTime": "noon"}, "ImageDecayCorrectionTime is 'noon'"),
        (
            {"ImageDecayCorrectionTime": 36000, "FrameTimesStart": None, "FrameDuration": None},
            "of 600 min is outside 0 to 180 min",
        ),
        ({"Units": "CNTS"}, "the image is in CNTS"),
        ({"Units": "PROPCPS"}, "the image is in PROPCPS"),
        ({"Units": "STDDEV"}, "the image is in STDDEV"),
        ({"Units": "Bq/mL", "Unit": "kBq/mL"}, "the image is in Bq/mL and kBq/mL"),
        ({"Units": "g/mL", "SUVType": "LBM"}, "SUVType is 'LBM'"),
        ({"BodyWeight": 700}, "the body weight of 700 kg is outside 0.5 to 350 kg"),
    ],
)
def test_no_suv_and_the_reason_quotes_the_field(tmp_path, change, reason):
    facts = facts_of(tmp_path, **change)
    assert facts.suv is None
    assert reason in facts.no_suv


@pytest.mark.parametrize(
    ("units", "factor"),
    [
        ("kBq/cm3", 1e3),
        ("kBq/cm^3", 1e3),
        ("kBq/cm³", 1e3),
        ("MBq/cm3", 1e6),
        ("Bq.mL-1", 1.0),
        ("kBq mL⁻¹", 1e3),
        ("becquerel per ml", 1.0),
        ("nCi/cm3", 37.0),
        ("Bq/L", 1e-3),
        ("kBq/l", 1.0),
    ],
)
def test_units_of_concentration(tmp_path, units, factor):
    facts = facts_of(tmp_path, Units=units)
    assert (facts.units, facts.factor) == ("Bq/mL", pytest.approx(factor))


@pytest.mark.parametrize("units", ["g/mL", "g/ml", "SUV", "SUVbw", "SUV (g/mL)", "g/cm3", "GML"])
def test_an_image_in_suv_stays_as_it_is(tmp_path, units):
    nothing = {"InjectedRadioactivity": None, "InjectionStart": None}
    facts = facts_of(tmp_path, table="participant_id\n", Units=units, **nothing)
    assert facts.suv == SUVGiven()
    assert facts.suv.factor == 1
    assert facts.no_suv == ""
    assert f"the image came in SUV ({units})" in facts.notes[0]


@pytest.mark.parametrize(("units", "told"), [("PROPCPS", "PROPCPS"), ("cps", "CPS")])
def test_other_units_are_kept_by_name(tmp_path, units, told):
    assert facts_of(tmp_path, Units=units).units == told


def test_a_time_of_day_is_said_to_be_one(tmp_path):
    facts = facts_of(tmp_path, InjectionStart="09:45:00")
    assert "InjectionStart 09:45:00 is taken for -900 s by TimeZero 10:00:00" in facts.notes


FRAMES = {"FrameTimesStart": [0, 600, 1800], "FrameDuration": [600, 1200, 1800], "ScanStart": 0}
C11 = 20.361 * 60


def mean_decay(length):
    return math.log(2) * length / C11 / (1 - 2 ** (-length / C11))


def test_without_factors_the_reference_of_frames_is_assumed_and_said(tmp_path):
    facts = facts_of(tmp_path, n_frames=3, **FRAMES)
    assert facts.suv.factor == pytest.approx(FACTOR)
    assert any("taken to be decay-corrected to one time" in note for note in facts.notes)


def test_the_reference_of_frames_is_said_where_there_is_no_suv(tmp_path):
    facts = facts_of(tmp_path, n_frames=3, **FRAMES, Units=None)
    assert any("taken to be decay-corrected to one time" in note for note in facts.notes)


def test_factors_show_that_frames_refer_to_one_time(tmp_path):
    lengths, starts = FRAMES["FrameDuration"], FRAMES["FrameTimesStart"]
    factors = [
        mean_decay(length) * 2 ** (start / C11)
        for length, start in zip(lengths, starts, strict=True)
    ]
    change = {"TracerRadionuclide": "C11", "DecayCorrectionFactor": factors}
    facts = facts_of(tmp_path, n_frames=3, **FRAMES, **change)
    assert facts.suv.factor == pytest.approx(FACTOR)
    assert not any("decay" in note for note in facts.notes)


@pytest.mark.parametrize(
    ("time", "starts", "factor"),
    [(0, [1800], 1.03), (0, [1800], 1.0), (1800, [1800], 2.9), (0, [1800], 0.5)],
)
def test_a_factor_that_contradicts_the_reference_leaves_no_suv(tmp_path, time, starts, factor):
    """Of ten minutes, half an hour after injection: 1.032 to its start, 1.247 to TimeZero."""
    change = {"ImageDecayCorrectionTime": time, "DecayCorrectionFactor": [factor]}
    facts = facts_of(tmp_path, FrameTimesStart=starts, **change)
    assert facts.suv is None
    assert f"DecayCorrectionFactor {factor:g} is a correction" in facts.no_suv


@pytest.mark.parametrize(("time", "factor"), [(0, 1.247), (1800, 1.032)])
def test_a_factor_that_fits_is_no_obstacle(tmp_path, time, factor):
    change = {"ImageDecayCorrectionTime": time, "DecayCorrectionFactor": factor}
    facts = facts_of(tmp_path, **change)
    assert facts.suv.factor == pytest.approx(FACTOR * 2 ** (time / F18))


def test_an_uncorrected_frame_that_starts_before_its_scan_leaves_no_suv(tmp_path):
    change = {"ImageDecayCorrected": False, "FrameTimesStart": [0], "ScanStart": 1800}
    facts = facts_of(tmp_path, **change)
    assert facts.suv is None
    assert "starts at 0 s, before ScanStart 1800" in facts.no_suv


@pytest.mark.parametrize(
    ("time", "doubtful"), [(300, True), (0, False), (1800, False), (900, False)]
)
def test_a_reference_before_the_injection_at_nothing_is_doubtful(tmp_path, time, doubtful):
    facts = facts_of(tmp_path, InjectionStart=600, ImageDecayCorrectionTime=time)
    assert facts.suv.factor == pytest.approx(FACTOR * 2 ** ((time - 600) / F18))
    assert any("neither TimeZero nor the start" in doubt for doubt in facts.doubts) == doubtful


@pytest.mark.parametrize(
    ("rest", "change", "told"),
    [
        ("_trc-18FFDG", {"TracerRadionuclide": "C11"}, "C11 by its field and 18F by the tracer"),
        ("", {"TracerName": "[11C]PIB"}, "F18 by its field and 11C by the tracer"),
        ("_trc-18FFDG", {}, ""),
        ("_trc-18FFDG", {"TracerRadionuclide": None}, ""),
        ("_trc-FDG", {"TracerRadionuclide": "fluorine-18"}, ""),
    ],
)
def test_a_radionuclide_that_is_contradicted_leaves_no_suv(tmp_path, rest, change, told):
    facts = facts_of(tmp_path, rest=rest, **change)
    assert (facts.suv is None) == bool(told)
    assert told in facts.no_suv


def test_the_label_gives_the_radionuclide_for_decay(tmp_path):
    change = {"TracerRadionuclide": None, "ImageDecayCorrectionTime": 1800}
    facts = facts_of(tmp_path, rest="_trc-18FFDG", **change)
    assert facts.suv.factor == pytest.approx(FACTOR * 2 ** (1800 / F18))
    assert facts.suv.radionuclide == "F18"


def test_an_adult_of_21_kg_is_said_and_reviewed(tmp_path):
    """What is doubtful becomes a note of the plan, and makes the verdict review."""
    table = "participant_id\tage\tweight\nsub-01\t38\t21\n"
    facts = facts_of(tmp_path, table=table)
    assert facts.suv.factor == pytest.approx(21_000 / 200e6)
    assert facts.doubts == (
        "the body weight of an adult of 21 kg is outside 35 to 250 kg (age 38)",
    )
    (note,) = only_plan(tmp_path / "data").notes
    assert facts.doubts[0] in note


def test_a_weight_that_is_not_used_is_not_doubted(tmp_path):
    table = "participant_id\tage\tweight\nsub-01\t38\t21\n"
    assert facts_of(tmp_path, table=table, Units="CNTS").doubts == ()
