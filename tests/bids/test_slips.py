"""Single slips in a sidecar: the table of docs/numbers.md says which are caught.

``python -m tests.bids.test_slips`` writes it.
"""

from pathlib import Path

import pytest

from fusionprep.bids.pet_facts import pet_facts
from fusionprep.bids.types import ImageFile
from fusionprep.errors import DataError
from fusionprep.plausibility import (
    ADULT_WEIGHT,
    BODY_WEIGHT,
    BRAIN_SUV,
    DECAY_BEFORE_SCAN,
    INJECTED_DOSE,
    INJECTED_DOSES,
    SAME_WEIGHT,
    UNTIMED_REFERENCE,
    USUAL_BRAIN_SUV,
)

HEADER = "| field | slip | decay-corrected | not decay-corrected |\n|---|---|---|---|\n"
LIMITS_HEADER = "| quantity | limits | source |\n|---|---|---|\n"
DOCUMENT = Path(__file__).parents[2] / "docs" / "numbers.md"
# What the slips are made in: every time is different and none is 0.
VALID = {
    "Units": "Bq/mL",
    "TracerRadionuclide": "F18",
    "InjectedRadioactivity": 185.0,
    "InjectedRadioactivityUnits": "MBq",
    "BodyWeight": 70.0,
    "PatientAge": "040Y",
    "InjectionStart": 600.0,
    "ScanStart": 3000.0,
    "FrameTimesStart": [3000.0],
    "FrameDuration": [1200.0],
    "ImageDecayCorrected": True,
    "ImageDecayCorrectionTime": 3000.0,
}
UNCORRECTED = {**VALID, "ImageDecayCorrected": False}
TRUE_SUV = 5.0

_FACTORS = (("× 1000", 1e3), ("÷ 1000", 1e-3), ("× 60", 60), ("÷ 60", 1 / 60), ("× 3600", 3600),
            ("÷ 3600", 1 / 3600))  # fmt: skip


def slips():
    """Name of the field or fields, of the slip, and what it changes."""
    timed = ("InjectionStart", "FrameTimesStart", "FrameDuration", "ImageDecayCorrectionTime")
    for field in ("InjectedRadioactivity", "BodyWeight", *timed):
        for name, factor in _FACTORS:
            yield field, name, {field: _times(VALID[field], factor)}
        yield field, "sign", {field: _times(VALID[field], -1)}
        yield field, "0", {field: _times(VALID[field], 0)}
        yield field, "missing", {field: None}
    yield "InjectedRadioactivity", "5 mCi written as 5 MBq", {"InjectedRadioactivity": 5}
    yield "InjectedRadioactivity", "185 MBq written as mCi", {"InjectedRadioactivityUnits": "mCi"}
    yield "BodyWeight", "154 lb written as kg", {"BodyWeight": 154}
    yield "BodyWeight", "70 kg written as lb", {"BodyWeightUnits": "lb"}
    yield "Units", "kBq/mL for Bq/mL", {"Units": "kBq/mL"}
    yield "Units", "g/mL for Bq/mL", {"Units": "g/mL"}
    yield "ImageDecayCorrected", "the opposite", {}
    swaps = (
        ("InjectedRadioactivity", "BodyWeight"),
        ("InjectionStart", "ImageDecayCorrectionTime"),
        ("InjectionStart", "FrameTimesStart"),
        ("FrameTimesStart", "FrameDuration"),
        ("InjectionStart", "FrameDuration"),
    )
    for one, other in swaps:
        change = {one: _like(VALID[one], VALID[other]), other: _like(VALID[other], VALID[one])}
        yield f"{one}, {other}", "swapped", change


_HOW = {
    "is not given": "it is missing",
    "are not given": "it is missing",
    "half-lives": "too long after the injection",
    "is after the end": "after the end of the scan",
    "the only frame": "frame too short",
    "neither TimeZero nor": "before the injection, at no event",
    "before the injection": "before the injection",
    "before ScanStart": "frame before ScanStart",
    "is within its frame": "injection within the frame",
    "dose": "limits of the dose",
    "body weight": "limits of the weight",
}


def _how(reason):
    return next(short for words, short in _HOW.items() if words in reason)


def _times(value, factor):
    return [factor * item for item in value] if isinstance(value, list) else factor * value


def _like(old, new):
    number = new[0] if isinstance(new, list) else new
    return [number] if isinstance(old, list) else number


def facts_of(sidecar):
    given = {key: value for key, value in sidecar.items() if value is not None}
    path = Path("/no-such-dataset/sub-01_pet.nii.gz")
    return pet_facts(ImageFile(path, {"sub": "01"}, "pet", given, (4, 4, 4)), path.parent)


def outcome(right, field, change):
    """What becomes of a slip, as the table says it; of a brain whose mean SUV is 5."""
    if field == "ImageDecayCorrected":
        change = {field: not right[field]}
    try:
        facts = facts_of({**right, **change})
    except DataError:
        return "image refused"
    if facts.suv is None:
        return f"no SUV: {_how(facts.no_suv)}"
    before = facts_of(right)
    ratio = facts.suv.factor * facts.factor / (before.suv.factor * before.factor)
    suv = TRUE_SUV * ratio
    shown = f"{suv:.2g}" if suv < 10 else f"{suv:.0f}"
    if suv not in BRAIN_SUV:
        return f"no SUV: mean of the brain {shown}"
    if suv not in USUAL_BRAIN_SUV:
        return f"review: mean of the brain {shown}"
    if facts.doubts:
        return f"review: {_how(facts.doubts[0])}"
    return "no effect" if abs(ratio - 1) < 1e-9 else f"**not detectable: SUV × {ratio:.2f}**"


def table():
    rows = []
    for field, name, change in slips():
        found = " | ".join(outcome(right, field, change) for right in (VALID, UNCORRECTED))
        rows.append(f"| {field} | {name} | {found} |\n")
    return HEADER + "".join(rows)


def limits():
    """Rows of the table of limits."""
    named = (INJECTED_DOSE, BODY_WEIGHT, ADULT_WEIGHT, SAME_WEIGHT, DECAY_BEFORE_SCAN)
    shown = [
        *((of, "") for of in named),
        *((of, f" ({nuclide})") for nuclide, of in INJECTED_DOSES.items()),
        *((of, "") for of in (UNTIMED_REFERENCE, BRAIN_SUV)),
        (USUAL_BRAIN_SUV, ", else `review`"),
    ]
    for of, more in shown:
        yield f"| {of.quantity}{more} | {of.low:.3g} to {of.high:.4g} {of.unit} | {of.source} |\n"


@pytest.mark.parametrize("right", [VALID, UNCORRECTED])
def test_without_a_slip_there_is_suv(right):
    facts = facts_of(right)
    assert facts.no_suv == ""
    assert not facts.doubts


def test_the_document_says_what_becomes_of_each_slip():
    assert table() in DOCUMENT.read_text("utf-8")


def test_the_document_has_the_limits():
    text = DOCUMENT.read_text("utf-8")
    assert all(row in text for row in limits())


def write():
    text = DOCUMENT.read_text("utf-8")
    for header, rows in ((HEADER, table()), (LIMITS_HEADER, LIMITS_HEADER + "".join(limits()))):
        before, _, rest = text.partition(header)
        _, gap, after = rest.partition("\n\n")
        text = before + rows + gap[1:] + after
    DOCUMENT.write_text(text, "utf-8")


if __name__ == "__main__":
    write()
