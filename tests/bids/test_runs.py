"""Runs of one injection made one scan: times, decay, and what is kept apart."""

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fusionprep.bids.names import kept_entities
from fusionprep.bids.pet_facts import pet_facts
from fusionprep.bids.radionuclides import HALF_LIVES
from fusionprep.bids.runs import combine_runs, combined_scans
from fusionprep.bids.types import ImageFile
from fusionprep.config import Config
from fusionprep.modalities import PET

HALF_LIFE = HALF_LIVES["C11"]
EARLY = {"FrameTimesStart": [0, 600, 1200], "FrameDuration": [600, 600, 600], "ScanStart": 0}
LATE = {"FrameTimesStart": [3000, 3600], "FrameDuration": [600, 600], "ScanStart": 3000}
PERSON = {
    "TracerName": "PIB",
    "TracerRadionuclide": "C11",
    "InjectedRadioactivity": 500.0,
    "InjectedRadioactivityUnits": "MBq",
    "BodyWeight": 70,
    "Units": "Bq/mL",
    "TimeZero": "10:00:00",
    "InjectionStart": 0,
    "ImageDecayCorrected": True,
    "ImageDecayCorrectionTime": 0,
}


def run(number: int, tmp_path: Path, **fields: Any) -> ImageFile:
    metadata = {name: value for name, value in {**PERSON, **fields}.items() if value is not None}
    count = len(metadata.get("FrameDuration", [1]))
    image = ImageFile(
        tmp_path / f"sub-01_trc-11CPIB_run-{number}_pet.nii",
        {"sub": "01", "trc": "11CPIB", "run": str(number)},
        "pet",
        metadata,
        (8, 8, 8, count)[: 3 + (count > 1)],
        (2.0, 2.0, 2.0),
    )
    return replace(image, pet=pet_facts(image, tmp_path))


def moved(seconds: float, fields: dict[str, Any]) -> dict[str, Any]:
    """The same times as seen from a time zero that is later."""
    hours, minutes = divmod(int(seconds) // 60, 60)
    times = {"FrameTimesStart": [start - seconds for start in fields["FrameTimesStart"]]}
    return {
        **fields,
        **times,
        "ScanStart": fields["ScanStart"] - seconds,
        "InjectionStart": -seconds,
        "TimeZero": f"{10 + hours}:{minutes:02d}:00",
    }


def test_two_runs_are_one_scan_of_one_time_axis(tmp_path):
    (scan,), (note,) = combine_runs([run(1, tmp_path, **EARLY), run(2, tmp_path, **LATE)])
    assert scan.metadata["FrameTimesStart"] == [0, 600, 1200, 3000, 3600]
    assert scan.metadata["FrameDuration"] == [600] * 5
    assert scan.shape == (8, 8, 8, 5)
    assert kept_entities(scan, PET) == {"trc": "11CPIB"}
    assert [part.factors for part in scan.runs] == [(1, 1, 1), (1, 1)]
    assert "run-1_pet.nii (0 to 30 min)" in note
    assert "run-2_pet.nii (50 to 70 min)" in note


def test_a_window_that_the_second_run_alone_covers(tmp_path):
    raw, out, work = (tmp_path / name for name in ("raw", "out", "work"))
    config = Config.from_options(bids_dir=raw, output_dir=out, work_dir=work, frames="50-70")
    images = [run(1, tmp_path, **EARLY), run(2, tmp_path, **LATE)]
    (scan,), _ = combined_scans(images, config)
    facts = scan.pet
    assert facts is not None
    assert facts.frames.numbers == [4, 5]
    assert facts.frames.minutes == (50, 70)
    assert not facts.doubts
    assert facts.suv is not None
    assert facts.suv.to_dict()["DecayedDoseBecquerel"] == pytest.approx(500e6)


@pytest.mark.parametrize("given", [True, False])
def test_of_decay_is_assumed_what_is_of_a_run(tmp_path, given):
    names = ("raw", "out", "work")
    raw, out, work = (tmp_path / name for name in names)
    config = Config.from_options(bids_dir=raw, output_dir=out, work_dir=work)
    rate, runs = math.log(2) / HALF_LIFE, []
    for number, fields in enumerate((EARLY, LATE), 1):
        times = zip(fields["FrameTimesStart"], fields["FrameDuration"], strict=True)
        factors = [rate * d / (math.exp(-rate * s) - math.exp(-rate * (s + d))) for s, d in times]
        runs.append(run(number, tmp_path, **fields, DecayCorrectionFactor=factors * given or None))
    (scan,), _ = combined_scans(runs, config)
    assert scan.pet is not None
    assert any("taken to be decay-corrected" in note for note in scan.pet.notes) is not given


def test_time_zero_of_each_run_is_its_own_start(tmp_path):
    late = moved(3000, LATE)
    # values refer to the start of the second run, when less was left
    late["ImageDecayCorrectionTime"] = 0
    (scan,), _ = combine_runs([run(1, tmp_path, **EARLY), run(2, tmp_path, **late)])
    assert scan.metadata["FrameTimesStart"] == [0, 600, 1200, 3000, 3600]
    assert scan.runs[1].factors == pytest.approx([2 ** (3000 / HALF_LIFE)] * 2)
    assert scan.runs[0].factors == (1, 1, 1)


@pytest.mark.parametrize("count", [1, 2])
def test_frames_that_are_not_corrected_for_decay(tmp_path, count):
    late = {
        "FrameTimesStart": LATE["FrameTimesStart"][:count],
        "FrameDuration": LATE["FrameDuration"][:count],
        "ScanStart": 3000,
        "ImageDecayCorrected": False,
    }
    (scan,), _ = combine_runs([run(1, tmp_path, **EARLY), run(2, tmp_path, **late)])
    rate = math.log(2) / HALF_LIFE
    for factor, start in zip(scan.runs[1].factors, late["FrameTimesStart"], strict=True):
        left = (math.exp(-rate * start) - math.exp(-rate * (start + 600))) / (600 * rate)
        assert factor * left == pytest.approx(1)
    assert scan.metadata["ImageDecayCorrected"] is True


def test_injection_after_time_zero(tmp_path):
    early = {**EARLY, "FrameTimesStart": [30, 630, 1230], "ScanStart": 30, "InjectionStart": 30}
    late = {**moved(3000, LATE), "TimeZero": None}
    (scan,), _ = combine_runs([run(1, tmp_path, **early), run(2, tmp_path, **late)])
    assert scan.metadata["FrameTimesStart"] == [0, 600, 1200, 3000, 3600]
    assert scan.metadata["TimeZero"] == "10:00:30"
    assert scan.metadata["ImageDecayCorrectionTime"] == -30
    # corrected to 3000 s and to -30 s after injection
    assert scan.runs[1].factors[0] == pytest.approx(2 ** (3030 / HALF_LIFE))


def test_units_are_made_alike(tmp_path):
    late = run(2, tmp_path, **LATE, Units="kBq/mL")
    (scan,), _ = combine_runs([run(1, tmp_path, **EARLY), late])
    assert scan.runs[1].factors == pytest.approx([1000] * 2)
    assert scan.metadata["Units"] == "Bq/mL"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"TracerRadionuclide": "F18", "ImageDecayCorrected": True}, "its radionuclide is F18"),
        ({"InjectedRadioactivity": 400.0}, r"its injected dose is 4e\+08"),
        ({"TimeZero": "13:30:00"}, "the tracer was injected at 13:30:00, and for .* at 10:00:00"),
        ({"FrameTimesStart": [1500, 2100]}, "25 to 45 min after injection.*: they overlap"),
        ({"InjectionStart": None}, "InjectionStart is not given"),
        ({"FrameTimesStart": None, "FrameDuration": [600, 600]}, "times of its frames are not"),
        ({"ImageDecayCorrected": None}, "ImageDecayCorrected is not given"),
        ({"TracerRadionuclide": "Xx1"}, "half-life|radionuclide"),
    ],
)
def test_what_is_kept_apart_and_why(tmp_path, fields, reason):
    images = [run(1, tmp_path, **EARLY), run(2, tmp_path, **{**LATE, **fields})]
    made, (note,) = combine_runs(images)
    assert made == images
    assert note.startswith("sub-01_trc-11CPIB_run-2_pet.nii is not combined with other runs: ")
    assert "\n" not in note
    assert re.search(reason, note), note


def test_scans_of_two_injections_have_names_of_their_own(tmp_path):
    other = {"TimeZero": "14:00:00", "InjectedRadioactivity": 300.0}
    images = [
        run(1, tmp_path, **EARLY),
        run(2, tmp_path, **LATE),
        run(3, tmp_path, **EARLY, **other),
        run(4, tmp_path, **LATE, **other),
    ]
    made, _ = combine_runs(images)
    assert [kept_entities(scan, PET).get("run") for scan in made] == [None, "3"]
    assert [len(scan.runs) for scan in made] == [2, 2]
    assert [part.path.name[-14:-8] for part in made[1].runs] == ["_run-3", "_run-4"]


def test_lists_of_frames_are_joined_and_the_rest_is_what_runs_share(tmp_path):
    one = run(1, tmp_path, **EARLY, PromptRate=[1, 2, 3], Manufacturer="X", Note="a")
    two = run(2, tmp_path, **LATE, PromptRate=[4, 5], Manufacturer="X", Note="b")
    (scan,), _ = combine_runs([one, two])
    assert scan.metadata["PromptRate"] == [1, 2, 3, 4, 5]
    assert scan.metadata["Manufacturer"] == "X"
    assert "Note" not in scan.metadata


def test_other_images_stay_as_they_were(tmp_path):
    images = [run(1, tmp_path, **EARLY)]
    assert combine_runs(images) == (images, [])
