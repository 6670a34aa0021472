"""Frames that are not corrected for decay: factors by hand."""

import math

import numpy as np
import pytest

from fusionprep.bids.decay import frame_decay
from fusionprep.bids.radionuclides import HALF_LIVES
from fusionprep.bids.timing import frame_timing
from tests.bids.skeleton import PET_SIDECAR
from tests.bids.test_timing import facts_of

C11 = HALF_LIVES["C11"]
ONE_HALF_LIFE_EACH = {
    "FrameTimesStart": [0, C11],
    "FrameDuration": [C11, C11],
    "TracerRadionuclide": "C11",
    "TracerName": "",
    "ScanStart": 0,
}


def decay_of(metadata, nuclide="C11"):
    n_frames = len(metadata.get("FrameTimesStart", [0, 1]))
    return frame_decay(metadata, nuclide, frame_timing(metadata, n_frames), n_frames)


@pytest.mark.parametrize("said", [False, "false", "No", 0, "0", "FALSE"])
def test_frames_are_corrected_to_time_zero(said):
    found = decay_of({**ONE_HALF_LIFE_EACH, "ImageDecayCorrected": said})
    # The mean of 2^-x from 0 to 1 is 1 / (2 ln 2), and half of that from 1 to 2.
    np.testing.assert_allclose(found.factors, (2 * math.log(2), 4 * math.log(2)))
    assert found.changed["ImageDecayCorrected"] is True
    assert found.changed["ImageDecayCorrectionTime"] == 0
    assert "corrected to TimeZero as C11" in found.note
    assert found.problem == ""


def test_frames_before_time_zero_and_after_a_pause():
    times = {"FrameTimesStart": [-600, 5400], "FrameDuration": [600, 1200]}
    found = decay_of({**times, "ImageDecayCorrected": False})
    for factor, start, end in zip(found.factors, (-600, 5400), (0, 6600), strict=True):
        seconds = np.linspace(start, end, 100001)
        assert factor * np.mean(0.5 ** (seconds / C11)) == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize(
    "metadata",
    [
        {"ImageDecayCorrected": True},
        {"ImageDecayCorrected": "true"},
        {"ImageDecayCorrected": True, "DecayCorrectionFactor": [2 * math.log(2), 4 * math.log(2)]},
        {"ImageDecayCorrected": True, "DecayCorrectionFactor": "n/a"},
        {"ImageDecayCorrected": True, "DecayCorrectionFactor": [1.3]},
    ],
)
def test_other_frames_stay_as_they_are(metadata):
    found = decay_of({**ONE_HALF_LIFE_EACH, **metadata})
    assert (found.factors, found.changed, found.problem, found.note) == (None, {}, "", "")


@pytest.mark.parametrize(
    "metadata", [{}, {"DecayCorrection": "ADMIN"}, {"ImageDecayCorrected": None}]
)
def test_what_is_assumed_is_said(metadata):
    found = decay_of({**ONE_HALF_LIFE_EACH, **metadata})
    assert (found.factors, found.changed, found.problem) == (None, {}, "")
    assert "ImageDecayCorrected is not given: frames are taken to be corrected" in found.note
    short = {"FrameTimesStart": [0, 10], "FrameDuration": [10, 10]}
    assert decay_of({**short, **metadata}).note == ""


def test_dicom_s_word_for_no_correction():
    found = decay_of({**ONE_HALF_LIFE_EACH, "DecayCorrection": "NONE"})
    np.testing.assert_allclose(found.factors, (2 * math.log(2), 4 * math.log(2)))
    found = decay_of({**ONE_HALF_LIFE_EACH, "DecayCorrection": "NONE", "ImageDecayCorrected": True})
    assert found.factors is None
    assert "DecayCorrection is 'NONE'" in found.problem


def test_frames_corrected_each_to_its_own_start_are_brought_to_time_zero():
    own = [2 * math.log(2)] * 2
    metadata = {"ImageDecayCorrected": True, "DecayCorrectionFactor": own}
    found = decay_of({**ONE_HALF_LIFE_EACH, **metadata})
    np.testing.assert_allclose(found.factors, (1, 2))
    assert "each to its own start" in found.note


def test_factors_of_one_are_doubted():
    metadata = {"ImageDecayCorrected": True, "DecayCorrectionFactor": [1, 1]}
    found = decay_of({**ONE_HALF_LIFE_EACH, **metadata})
    assert found.factors is None
    assert "the decay correction of every frame is 1" in found.doubt


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"TracerRadionuclide": "n/a"}, "the radionuclide is not given"),
        ({"TracerRadionuclide": "Xy99"}, "the half-life of Xy99 is not known"),
        ({"FrameTimesStart": "n/a"}, "their times are not given"),
        (
            {"FrameTimesStart": [0, 20000], "FrameDuration": [600, 600]},
            "the time from TimeZero to a frame of 16.37 half-lives is outside",
        ),
    ],
)
def test_what_cannot_be_corrected_has_neither_suv_nor_suvr(change, reason):
    metadata = {**PET_SIDECAR, **ONE_HALF_LIFE_EACH, "BodyWeight": 70, "ImageDecayCorrected": False}
    facts = facts_of({**metadata, **change}, 2)
    assert facts.suv is None
    assert facts.no_suv
    assert reason in facts.no_suvr
    assert facts.no_suvr in facts.doubts
    assert facts.frame_factors is None


def test_suv_of_frames_that_were_corrected_refers_to_time_zero():
    metadata = {**PET_SIDECAR, **ONE_HALF_LIFE_EACH, "BodyWeight": 70, "ImageDecayCorrected": False}
    metadata = {**metadata, "InjectionStart": -60, "DecayCorrectionFactor": [1, 1]}
    facts = facts_of(metadata, 2)
    assert facts.no_suvr == facts.no_suv == ""
    assert facts.suv.reference_dose == pytest.approx(200e6 * 0.5 ** (60 / C11))
    assert facts.changed["DecayCorrectionFactor"] is None


def test_the_nuclide_may_be_that_of_the_label():
    metadata = {**PET_SIDECAR, **ONE_HALF_LIFE_EACH, "BodyWeight": 70, "ImageDecayCorrected": False}
    metadata.pop("TracerRadionuclide")
    facts = facts_of(metadata, 2, trc="18FFDG")
    within = math.log(2) * C11 / HALF_LIVES["F18"]
    within /= 1 - math.exp(-within)
    expected = (within, within * 2 ** (C11 / HALF_LIVES["F18"]))
    np.testing.assert_allclose(facts.frame_factors, expected)
    assert facts.changed["TracerRadionuclide"] == "F18"
    assert facts.suv is not None


def test_a_static_image_is_not_corrected():
    facts = facts_of({**PET_SIDECAR, "BodyWeight": 70, "ImageDecayCorrected": False})
    assert facts.frame_factors is None
    assert facts.suv is not None
    assert facts.no_suvr == ""


def test_a_scan_long_after_its_injection_has_no_suv():
    metadata = {**PET_SIDECAR, "BodyWeight": 70, "FrameTimesStart": [36000]}
    facts = facts_of(metadata)
    assert facts.suv is None
    assert "half-lives is outside" in facts.no_suv
