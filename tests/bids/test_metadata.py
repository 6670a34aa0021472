"""Tracer, frames, units and SUV from the dialects of sidecars that people have."""

import math
from pathlib import Path

import numpy as np
import pytest

from fusionprep.bids.body_weight import BodyWeight, body_weight
from fusionprep.bids.metadata import (
    radionuclide,
    tracer_label,
    tracer_name,
)
from fusionprep.bids.radionuclides import HALF_LIVES
from fusionprep.bids.sidecars import FRAME_TABLE
from fusionprep.bids.suv import suv_inputs
from fusionprep.bids.timing import frame_timing
from fusionprep.bids.types import ImageFile
from fusionprep.bids.units import units_factor
from fusionprep.errors import DataError
from tests.bids.skeleton import PET_SIDECAR


def pet(metadata=None, **entities):
    return ImageFile(Path("sub-01_pet.nii.gz"), {"sub": "01", **entities}, "pet", metadata or {})


@pytest.mark.parametrize(
    ("image", "label"),
    [
        (pet(trc="18FFDG", acq="PIB"), "18FFDG"),
        (pet({"TracerName": "FDG"}, acq="AV45"), "AV45"),
        (pet({"TracerName": "[18F]FDG"}, acq="static"), "18FFDG"),
        (pet(acq="18FNEWONE"), "18FNEWONE"),
        (pet(acq="fdg"), "fdg"),
        (pet({"TracerName": " ", "Radiopharmaceutical": "FDG -- fluorodeoxyglucose"}), "FDG"),
        (pet({"TracerName": "n/a", "Tracer": {"Name": "PIB", "Isotope": "C11"}}), "PIB"),
        (pet({"Tracer": {"Name": ""}}), None),
        (pet({"Tracer": "not an object"}, acq="static"), "static"),
        (pet(), None),
    ],
)
def test_tracer_label(image, label):
    assert tracer_label(image) == label


def test_tracer_name_is_the_sidecar_s():
    assert tracer_name(pet({"TracerName": "[18F]FDG"}, trc="18FFDG")) == "[18F]FDG"
    assert tracer_name(pet(trc="18FFDG")) == "18FFDG"


@pytest.mark.parametrize(
    ("image", "nuclide"),
    [
        (pet({"TracerRadionuclide": "F18"}), "F18"),
        (pet({"TracerRadionuclide": "18F"}), "F18"),
        (pet({"TracerRadionuclide": "[18F]"}), "F18"),
        (pet({"TracerRadionuclide": "Fluorine-18"}), "F18"),
        (pet({"Tracer": {"Isotope": "c-11"}}), "C11"),
        (pet({"TracerRadionuclide": "CU64"}), "Cu64"),
        (pet(trc="11CPIB"), "C11"),
        (pet(trc="FDG"), None),
    ],
)
def test_radionuclide(image, nuclide):
    assert radionuclide(image) == nuclide


def test_pet_bids_timing():
    timing = frame_timing({"FrameTimesStart": [0, 60], "FrameDuration": [60, 120.5]}, 2)
    assert timing.starts == (0.0, 60.0)
    assert timing.durations == (60.0, 120.5)


def test_static_image_may_give_plain_numbers():
    timing = frame_timing({"FrameTimesStart": 1800, "FrameDuration": 600}, 1)
    assert (timing.starts, timing.durations) == ((1800.0,), (600.0,))


def test_durations_follow_from_starts():
    timing = frame_timing({"FrameTimesStart": [0, 60, 180]}, 3)
    assert timing.durations == (60.0, 120.0, 120.0)
    assert "from the starts" in timing.source


@pytest.mark.parametrize(
    ("labels", "units", "values"),
    [
        (["start", "duration"], ["s", "s"], [[0, 300], [300, 300], [600, 600]]),
        (["frameStart", "frameEnd"], ["s", "s"], [[0, 300], [300, 600], [600, 1200]]),
        (["Frame", "Duration", "Start"], ["", "min", "ms"], [[1, 5, 0], [2, 5, 3e5], [3, 10, 6e5]]),
        (["start", "duration"], None, [["0", "300"], ["300", "300"], ["600", "600"]]),
    ],
)
def test_oasis_timing(labels, units, values):
    table = {"Labels": labels, "Units": units, "Values": values}
    timing = frame_timing({"Time": {"FrameTimes": table}}, 3)
    np.testing.assert_allclose(timing.starts, (0, 300, 600))
    np.testing.assert_allclose(timing.durations, (300, 300, 600))
    assert timing.source == "Time.FrameTimes"


def table(*lines, name="sub-01_pet.tsv"):
    """Metadata of an image without sidecar, and with a table of frames beside it."""
    columns, *rows = (line.split() for line in lines)
    columns = [column.replace("~", " ") for column in columns]
    rows = [dict(zip(columns, row, strict=True)) for row in rows]
    return {FRAME_TABLE: {"Path": f"/data/{name}", "Rows": rows}}


@pytest.mark.parametrize(
    "lines",
    [
        ("Start Duration", "0 300", "300 300", "600 600"),
        ("Frame Duration Frame~Start", "1 300 0", "2 300 300", "3 600 600"),
        ("frame_start frame_end", "0 300", "300 600", "600 1200"),
        ("FrameTimesStart FrameDuration", "0 300", "300 300", "600 600"),
        ("Start~(s) Duration~[min]", "0 5", "300 5", "600 10"),
        ("start_min end_min activity", "0 5 7.1", "5 10 9.9", "10 20 n/a"),
        ("START(ms) end~[~min~]", "0 5", "3e5 10", "6e5 20"),
    ],
)
def test_timing_by_a_table(lines):
    timing = frame_timing(table(*lines), 3)
    np.testing.assert_allclose(timing.starts, (0, 300, 600))
    np.testing.assert_allclose(timing.durations, (300, 300, 600))
    assert timing.source == "frame times from sub-01_pet.tsv"


def test_a_table_of_durations_or_of_starts_alone():
    timing = frame_timing(table("Duration", "60", "120"), 2)
    assert (timing.starts, timing.durations) == (None, (60.0, 120.0))
    timing = frame_timing(table("start", "0", "60", "180"), 3)
    assert timing.durations == (60.0, 120.0, 120.0)
    assert timing.source == "frame times from sub-01_pet.tsv, durations from the starts"


@pytest.mark.parametrize(
    "sidecar",
    [
        {"FrameDuration": [60, 120]},
        {"Time": {"FrameTimes": {"Labels": ["duration"], "Values": [[60], [120]]}}},
    ],
)
def test_the_sidecar_comes_before_the_table(sidecar):
    timing = frame_timing({**table("duration", "1", "2", "3"), **sidecar}, 2)
    assert timing.durations == (60.0, 120.0)
    assert "pet.tsv" not in timing.source


def test_a_table_of_something_else_is_no_table_of_frames():
    timing = frame_timing(table("region uptake", "pons 1", "gray 2"), 3)
    assert timing.durations is None
    assert timing.source == (
        "no frame times given (sub-01_pet.tsv has no column for start or duration), equal weights"
    )


def test_a_table_without_names_is_refused_where_times_are_needed():
    metadata = table("0 300", "300 300", "600 600")
    with pytest.raises(DataError, match=r"no line of column names: /data/sub-01_pet\.tsv"):
        frame_timing(metadata, 3)
    assert frame_timing(metadata, 1).durations is None


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("start duration", "0 60", "60 60"), "has 3 frames but sub-01_pet.tsv lists 2"),
        (("start duration", "0 60", "60 n/a", "120 60"), "sub-01_pet.tsv of .* not a list of"),
        (("start duration~[h]", "0 1", "1 1", "2 1"), "unknown unit of frame times 'h'"),
        (("start duration", "0 60", "60 -1", "120 60"), "must be positive"),
    ],
)
def test_senseless_tables_are_data_errors(lines, message):
    with pytest.raises(DataError, match=message) as error:
        frame_timing(table(*lines), 3, Path("/data/sub-01_pet.nii.gz"))
    assert "/data/sub-01_pet.nii.gz" in str(error.value)


def test_a_static_image_covers_the_frames_of_its_table():
    """A mean over frames beside the table of its scan."""
    timing = frame_timing(table("start duration", "3000 300", "3300 600"), 1)
    assert (timing.starts, timing.durations) == ((3000,), (900,))


@pytest.mark.parametrize(
    "metadata",
    [{}, {"Time": {}}, {"Time": {"FrameTimes": {"Values": [[0, 1]]}}}, {"Time": "10:00"}],
)
def test_no_times_make_equal_weights(metadata):
    timing = frame_timing(metadata, 5)
    assert timing.durations is None
    assert "equal weights" in timing.source


@pytest.mark.parametrize(
    ("metadata", "n_frames", "numbers"),
    [
        ({"FrameDuration": [60] * 5}, 4, ("4 frames", "lists 5")),
        (
            {"FrameTimesStart": [0], "FrameDuration": [60, 60]},
            1,
            ("1 frame,", "FrameDuration 2"),
        ),
        (table("start duration", "0 60", "60 60"), 3, ("3 frames", "lists 2")),
        (
            {"Time": {"FrameTimes": {"Labels": ["start", "duration"], "Values": [[0, 9]] * 3}}},
            2,
            ("2 frames", "lists 3"),
        ),
    ],
)
def test_frame_mismatch_names_both_numbers_and_the_file(metadata, n_frames, numbers):
    with pytest.raises(DataError) as error:
        frame_timing(metadata, n_frames, Path("/data/sub-01_pet.nii.gz"))
    assert all(number in str(error.value) for number in (*numbers, "/data/sub-01_pet.nii.gz"))


@pytest.mark.parametrize(
    "metadata",
    [
        {"FrameDuration": ["long", 1]},
        {"FrameDuration": "60"},
        {"FrameDuration": [0, 0]},
        {"FrameDuration": [math.nan, 1]},
        {"FrameDuration": [-60, 120]},
        {"FrameTimesStart": [60, 0]},
        {"FrameDuration": {"a": 1}},
        {"Time": {"FrameTimes": {"Labels": ["start", "duration"], "Values": [[0], [1]]}}},
        {
            "Time": {
                "FrameTimes": {
                    "Labels": ["start", "duration"],
                    "Units": ["fortnights"] * 2,
                    "Values": [[0, 1], [1, 1]],
                }
            }
        },
    ],
)
def test_senseless_times_are_data_errors(metadata):
    with pytest.raises(DataError):
        frame_timing(metadata, 2)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("Bq/mL", ("Bq/mL", 1.0)),
        ("Bq/ml", ("Bq/mL", 1.0)),
        ("BQML", ("Bq/mL", 1.0)),
        ("kBq/mL", ("Bq/mL", 1000.0)),
        ("kBq / cc", ("Bq/mL", 1000.0)),
        ("MBq/mL", ("Bq/mL", 1e6)),
        ("µCi/mL", ("Bq/mL", 37000.0)),
        ("CNTS", ("CNTS", 1.0)),
        ("g/ml", ("g/mL", 1.0)),
        ("bananas", ("arbitrary", 1.0)),
        (None, ("arbitrary", 1.0)),
        (7, ("arbitrary", 1.0)),
    ],
)
def test_units(written, expected):
    assert units_factor({"Units": written}) == expected


WEIGHT = BodyWeight(70.0)


def suv_of(metadata, weight=WEIGHT, n_frames=1):
    return suv_inputs(metadata, weight, frame_timing(metadata, n_frames), n_frames)[:2]


def test_suv_of_an_evenly_spread_dose_is_one():
    # 200 MBq in 70 kg of water give 200e6 / 70000 Bq/mL, which is the definition of SUV 1.
    inputs, reason = suv_of(PET_SIDECAR)
    assert reason == ""
    assert 200e6 / 70000 * inputs.factor == pytest.approx(1.0)


def test_dose_is_decayed_to_the_correction_time():
    half_life = HALF_LIVES["F18"]
    times = {"InjectionStart": -100, "ImageDecayCorrectionTime": half_life - 100}
    metadata = {**PET_SIDECAR, **times, "FrameTimesStart": [half_life - 100]}
    inputs, _ = suv_of(metadata)
    assert inputs.reference_dose == pytest.approx(100e6)
    assert inputs.dose == pytest.approx(200e6)
    assert half_life / 60 == pytest.approx(109.7, abs=0.1)


def test_an_uncorrected_static_image_is_referred_to_the_mean_over_its_frame():
    metadata = {**PET_SIDECAR, "ImageDecayCorrected": False, "TracerRadionuclide": "C-11"}
    metadata.pop("ImageDecayCorrectionTime")
    inputs, _ = suv_of(metadata)
    times = np.linspace(1800, 2400, 100001)
    mean = np.mean(0.5 ** (times / HALF_LIVES["C11"]))
    assert inputs.reference_dose == pytest.approx(200e6 * mean, rel=1e-5)


def test_an_uncorrected_image_may_be_timed_by_a_table():
    metadata = {**PET_SIDECAR, "ImageDecayCorrected": False}
    expected, _ = suv_of(metadata)
    for key in ("FrameTimesStart", "FrameDuration"):
        metadata.pop(key)
    inputs, _ = suv_of({**metadata, **table("start_min duration_min", "30 10")})
    assert inputs == expected


@pytest.mark.parametrize(
    ("amount", "units"),
    [
        (5, "mCi"),
        (185, "MBq"),
        (185e6, "Bq"),
        (185e3, "kBq"),
        (0.185, "GBq"),
        (5000, "μCi"),
        ("185", "megabecquerel"),
        ("185 MBq", None),
        ("185MBq", "MBq"),
        ("185,0", "MBq"),
    ],
)
def test_dose_units(amount, units):
    change = {"InjectedRadioactivity": amount, "InjectedRadioactivityUnits": units}
    inputs, _ = suv_of({**PET_SIDECAR, **change})
    assert inputs.dose == pytest.approx(185e6)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"Units": "CNTS"}, "CNTS"),
        ({"Units": None}, "unknown units"),
        ({"InjectedRadioactivity": "n/a"}, "InjectedRadioactivity"),
        ({"InjectedRadioactivity": 0}, "InjectedRadioactivity"),
        ({"InjectedRadioactivityUnits": "furlong"}, "InjectedRadioactivity"),
        ({"InjectionStart": None}, "InjectionStart"),
        ({"ImageDecayCorrected": None}, "ImageDecayCorrected"),
        ({"ImageDecayCorrectionTime": None}, "ImageDecayCorrectionTime"),
        ({"ImageDecayCorrectionTime": 60, "TracerRadionuclide": "Xy99"}, "half-life of Xy99"),
        ({"ImageDecayCorrectionTime": 60, "TracerRadionuclide": ""}, "half-life"),
    ],
)
def test_suv_is_refused_with_a_reason(change, reason):
    inputs, told = suv_of({**PET_SIDECAR, **change})
    assert inputs is None
    assert reason in told


@pytest.mark.parametrize("times", [{"FrameTimesStart": [0, 60]}, {}])
def test_suv_of_uncorrected_dynamic_pet_is_refused(times):
    change = {"ImageDecayCorrected": False, "FrameDuration": [60, 60], "FrameTimesStart": None}
    inputs, told = suv_of({**PET_SIDECAR, **change, **times}, n_frames=2)
    assert inputs is None
    assert "dynamic" in told


def test_suv_needs_a_weight():
    unknown = BodyWeight(None, "the body weight is not given")
    assert suv_of(PET_SIDECAR, unknown) == (None, "the body weight is not given")


@pytest.mark.parametrize(
    ("table", "metadata", "expected"),
    [
        ("participant_id\tweight\nsub-01\t64\n", {}, 64.0),
        ("participant_id\tBodyWeight\nsub-01\t64.5\n", {}, 64.5),
        ("participant_id\tweight\nsub-01\tn/a\n", {}, None),
        ("participant_id\tweight\nsub-02\t64\n", {}, None),
        ("participant_id\tweight\nsub-01\t64000\n", {}, None),
        ("participant_id\tweight\nsub-01\n", {"PatientWeight": 80}, 80.0),
        ("participant_id\tweight\nsub-01\t64\n", {"BodyWeight": 70}, 70.0),
        (None, {}, None),
    ],
)
def test_body_weight(tmp_path, table, metadata, expected):
    if table is not None:
        (tmp_path / "participants.tsv").write_text(table, encoding="utf-8")
    assert body_weight(pet(metadata), tmp_path).kg == expected
