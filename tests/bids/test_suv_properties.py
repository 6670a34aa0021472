"""Of any sidecar: SUV is the closed form of what is written, or there is none and a reason."""

import math
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fusionprep.bids.pet_facts import pet_facts
from fusionprep.bids.radionuclides import HALF_LIVES
from fusionprep.bids.types import ImageFile, SUVInputs
from fusionprep.errors import DataError
from fusionprep.plausibility import (
    BODY_WEIGHT,
    DECAY_BEFORE_SCAN,
    INJECTED_DOSE,
    INJECTED_DOSES,
)

MBQ = {"Bq": 1e-6, "kBq": 1e-3, "MBq": 1.0, "GBq": 1e3, "mCi": 37.0, "uCi": 0.037}
CONCENTRATIONS = {"Bq/mL": 1.0, "kBq/mL": 1e3, "kBq/cm3": 1e3, "MBq/mL": 1e6, "nCi/cc": 37.0}
KILOGRAM = {"kg": 1.0, "g": 1e-3, "lb": 0.45359237}
NOWHERE = Path("/no-such-dataset")
some_tests = settings(max_examples=300, deadline=None, derandomize=True)


def facts_of(sidecar, n_frames=1):
    shape = (4, 4, 4, n_frames) if n_frames > 1 else (4, 4, 4)
    image = ImageFile(NOWHERE / "sub-01_pet.nii.gz", {"sub": "01"}, "pet", sidecar, shape)
    return pet_facts(image, NOWHERE)


def floats(low, high):
    return st.floats(low, high, allow_nan=False)


@st.composite
def possible(draw, n_frames=1):
    """A sidecar whose every field is inside its range, and SUV per Bq/mL by hand."""
    nuclide = draw(st.sampled_from(sorted(HALF_LIVES)))
    half_life = HALF_LIVES[nuclide]
    limits = INJECTED_DOSES.get(nuclide, INJECTED_DOSE)
    dose = draw(floats(limits.low * 1.001, limits.high * 0.999))
    kilograms = draw(floats(BODY_WEIGHT.low * 1.001, BODY_WEIGHT.high * 0.999))
    unit, weight_unit = draw(st.sampled_from(sorted(MBQ))), draw(st.sampled_from(sorted(KILOGRAM)))
    injection = draw(floats(-3600, 3600))
    longest = min(2 * half_life, 7200)
    start = injection + draw(floats(0, longest))
    duration = draw(floats(max(longest / 20, 6), longest))
    sidecar = {
        "Units": draw(st.sampled_from(sorted(CONCENTRATIONS))),
        "TracerRadionuclide": nuclide,
        "InjectedRadioactivity": dose / MBQ[unit],
        "InjectedRadioactivityUnits": unit,
        "BodyWeight": kilograms / KILOGRAM[weight_unit],
        "BodyWeightUnits": weight_unit,
        "InjectionStart": injection,
        "FrameTimesStart": [start],
        "FrameDuration": [duration],
        "ImageDecayCorrected": draw(st.booleans()),
    }
    constant = math.log(2) / half_life
    if sidecar["ImageDecayCorrected"]:
        reference = draw(floats(min(injection, 0), start + duration))
        sidecar["ImageDecayCorrectionTime"] = reference
        left = math.exp(-constant * (reference - injection))
    else:
        since = start - injection
        left = math.exp(-constant * since) * -math.expm1(-constant * duration)
        left /= constant * duration
    return sidecar, 1000 * kilograms / (1e6 * dose * left)


@some_tests
@given(possible())
def test_suv_is_the_closed_form_of_what_is_written(case):
    sidecar, factor = case
    facts = facts_of(sidecar)
    assert facts.no_suv == ""
    assert facts.suv.factor == pytest.approx(factor, rel=1e-3)
    assert facts.factor == pytest.approx(CONCENTRATIONS[sidecar["Units"]])


@some_tests
@given(possible(), st.data())
def test_one_field_outside_its_range_leaves_no_suv_and_a_reason(case, data):
    sidecar, _ = case
    nuclide = sidecar["TracerRadionuclide"]
    limits = INJECTED_DOSES.get(nuclide, INJECTED_DOSE)
    end = sidecar["FrameTimesStart"][0] + sidecar["FrameDuration"][0]
    earliest = min(sidecar["InjectionStart"], 0.0, sidecar["FrameTimesStart"][0])
    dose = MBQ[sidecar["InjectedRadioactivityUnits"]]
    kilogram = KILOGRAM[sidecar["BodyWeightUnits"]]
    start = sidecar["FrameTimesStart"][0]
    far = DECAY_BEFORE_SCAN.high * HALF_LIVES[nuclide]
    outside = {
        "InjectedRadioactivity": (limits.low / dose, limits.high / dose),
        "BodyWeight": (BODY_WEIGHT.low / kilogram, BODY_WEIGHT.high / kilogram),
        "InjectionStart": (start - far, end),
        "ImageDecayCorrectionTime": (earliest, end),
    }
    field = data.draw(st.sampled_from(sorted(outside)))
    assume(field != "ImageDecayCorrectionTime" or sidecar["ImageDecayCorrected"])
    low, high = outside[field]
    span = max(high - low, 10.0)
    value = data.draw(floats(high + 0.01 * span, high + 1e3 * span + 1e9))
    if data.draw(st.booleans()):
        value = data.draw(floats(low - 1e3 * span - 1e9, low - 0.01 * span))
    facts = facts_of({**sidecar, field: value})
    assert facts.suv is None
    assert facts.no_suv
    named = {"BodyWeight": "body weight"}.get(field, field)
    assert named in facts.no_suv


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**12), 10**12),
    st.floats(),
    st.sampled_from(["", "n/a", "185 MBq", "10:00:00", "true", "kg", "-1", "1e400", "77.5kg"]),
    st.lists(st.floats(), max_size=3),
    st.text(max_size=8),
    st.dictionaries(st.text(max_size=3), st.floats(), max_size=2),
)


@some_tests
@given(possible(), st.data())
def test_whatever_is_written_no_factor_is_absurd(case, data):
    sidecar, _ = case
    fields = [*sidecar, "TimeZero", "ScanStart", "DecayCorrectionFactor", "SUVType", "PatientAge"]
    names = data.draw(st.lists(st.sampled_from(fields), min_size=1, max_size=4, unique=True))
    changed = {**sidecar, **{name: data.draw(ANYTHING) for name in names}}
    n_frames = data.draw(st.sampled_from([1, 2]))
    try:
        facts = facts_of(changed, n_frames)
    except DataError:
        return
    assert math.isfinite(facts.factor)
    assert facts.factor > 0
    if facts.suv is None:
        assert facts.no_suv
    else:
        assert facts.no_suv == ""
        assert math.isfinite(facts.suv.factor)
        assert facts.suv.factor > 0
        if isinstance(facts.suv, SUVInputs):
            assert facts.suv.weight_kg in BODY_WEIGHT
            assert facts.suv.dose / 1e6 in INJECTED_DOSE
