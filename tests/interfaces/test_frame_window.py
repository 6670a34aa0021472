"""Simulated 0 to 90 min scans: SUVR and SUV of the window against the same brain scanned then."""

import itertools
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fusionprep.bids.pet_facts import pet_facts
from fusionprep.bids.radionuclides import HALF_LIVES, decay_constant
from fusionprep.bids.types import ImageFile, PETFacts
from fusionprep.config import Processing
from fusionprep.interfaces.pet import AverageFrames, ReferenceMean

# Boundaries in seconds: a protocol common for PiB; frames of 10 min that begin at 47 and 57 min;
# the late scan.
USUAL = np.cumsum([0] + 4 * [15] + 8 * [30] + 9 * [60] + 2 * [180] + 8 * [300] + 3 * [600])
UNALIGNED = np.arange(0, 91, 10) * 60 - np.array([0] + 9 * [180])
LATE = np.arange(50, 71, 5) * 60
DOSE, WEIGHT_KG = 370e6, 70.0
SHAPE = (24, 24, 12)
NOISE = 0.1
"""Standard deviation of a voxel's noise in a frame of 5 min, as a share of its activity."""


@dataclass(frozen=True)
class Tissue:
    """Rate constants per minute of a model of two tissues."""

    k1: float
    k2: float
    k3: float
    k4: float


# About those of Price et al. (2005) for PiB; florbetapir is made to clear more slowly.
TISSUES = {
    "11CPIB": (Tissue(0.25, 0.15, 0.040, 0.030), Tissue(0.27, 0.16, 0.012, 0.060)),
    "18FAV45": (Tissue(0.22, 0.10, 0.030, 0.030), Tissue(0.24, 0.11, 0.008, 0.050)),
}
NUCLIDES = {"11CPIB": "C11", "18FAV45": "F18"}


def activity(tissue: Tissue, step: float = 1.0, minutes: float = 92.0) -> np.ndarray:
    """Activity each `step` s after a bolus (Bq/mL), corrected for decay to the injection.

    The plasma is that of Feng et al. (1993), whose slowest part is made to last longer.
    """
    t = np.arange(0, minutes * 60, step) / 60
    plasma = 4e3 * ((40 * t - 2.0 - 1.0) * np.exp(-4.1 * t) + 2.0 * np.exp(-0.5 * t))
    plasma += 4e3 * 1.0 * np.exp(-0.011 * t)
    free, bound = np.zeros_like(t), np.zeros_like(t)
    for i in range(1, t.size):
        exchange = tissue.k3 * free[i - 1] - tissue.k4 * bound[i - 1]
        inflow = tissue.k1 * plasma[i - 1] - tissue.k2 * free[i - 1]
        free[i] = free[i - 1] + (inflow - exchange) * step / 60
        bound[i] = bound[i - 1] + exchange * step / 60
    return free + bound


@dataclass(frozen=True)
class Scan:
    """A 4-D file and what is decided about it."""

    path: Path
    facts: PETFacts


def acquire(
    path: Path,
    tracer: str,
    boundaries: np.ndarray,
    *,
    injection: float | None = 0.0,
    corrected: bool = True,
    frames: str = "auto",
) -> Scan:
    """Scan cortex (left) beside the reference region (right) from `boundaries`, s after injection.

    Frames are corrected for decay to time zero, or not at all. Time zero is `injection` s before
    the injection, which goes unmentioned where that is None.
    """
    rng = np.random.default_rng(3)
    decay = decay_constant(HALF_LIVES[NUCLIDES[tracer]])
    zero = -(injection or 0.0)
    curves = [activity(tissue) for tissue in TISSUES[tracer]]
    volumes = []
    for start, end in itertools.pairwise(boundaries):
        seconds = np.arange(int(start), int(end))
        means = [(curve[seconds] * np.exp(-decay * seconds)).mean() for curve in curves]
        if corrected:
            means = [mean / np.exp(-decay * (seconds - zero)).mean() for mean in means]
        volume = np.repeat(means, SHAPE[0] // 2)[:, None, None] * np.ones(SHAPE)
        noise = NOISE * np.sqrt(300 / (end - start)) * np.exp(decay * end / 2)
        volumes.append(volume * (1 + noise * rng.standard_normal(SHAPE)))
    nib.save(nib.Nifti1Image(np.stack(volumes, -1).astype(np.float32), np.eye(4)), path)
    metadata = {
        "Units": "Bq/mL",
        "TracerName": tracer,
        "TracerRadionuclide": NUCLIDES[tracer],
        "InjectedRadioactivity": DOSE / 1e6,
        "InjectedRadioactivityUnits": "MBq",
        "BodyWeight": WEIGHT_KG,
        "FrameTimesStart": [float(start - zero) for start in boundaries[:-1]],
        "FrameDuration": np.diff(boundaries).astype(float).tolist(),
        "ImageDecayCorrected": corrected,
        "ImageDecayCorrectionTime": 0,
        **({} if injection is None else {"InjectionStart": injection}),
    }
    shape = (*SHAPE, len(volumes))
    image = ImageFile(path, {"sub": "01"}, "pet", metadata, shape, (1.0, 1.0, 1.0))
    return Scan(path, pet_facts(image, path.parent, Processing(frames=frames)))


def truth(tracer: str, end: int = 70) -> tuple[float, float]:
    """SUVR and SUV of the cortex from 50 min to `end`, without noise and frames."""
    cortex, reference = (activity(tissue)[3000 : 60 * end].mean() for tissue in TISSUES[tracer])
    return cortex / reference, cortex * 1000 * WEIGHT_KG / DOSE


def measure(scan: Scan, folder: Path) -> tuple[float, float | None]:
    """SUVR of the cortex, and its SUV where there is one, as the workflow finds them."""
    facts = scan.facts
    known = {
        "starts": facts.timing.starts,
        "durations": facts.timing.durations,
        "frame_factors": facts.frame_factors,
        "chosen": facts.frames.chosen,
    }
    given = {name: list(values) for name, values in known.items() if values is not None}
    average = AverageFrames(in_file=str(scan.path), factor=facts.factor, **given)
    static = average.run(cwd=folder).outputs.out_file
    region = np.zeros(SHAPE, np.uint8)
    region[SHAPE[0] // 2 :] = 1
    nib.save(nib.Nifti1Image(region, np.eye(4)), folder / "region.nii")
    reference = ReferenceMean(pet=static, region=str(folder / "region.nii"), name="cerebellar-gm")
    factor = reference.run(cwd=folder).outputs.factor
    cortex = float(np.asarray(nib.load(static).dataobj)[: SHAPE[0] // 2].mean())
    return cortex * factor, None if facts.suv is None else cortex * facts.suv.factor


@pytest.mark.parametrize("tracer", TISSUES)
@pytest.mark.parametrize("corrected", [True, False])
@pytest.mark.parametrize("injection", [0.0, 90.0])
def test_a_dynamic_scan_gives_what_a_late_one_gives(tmp_path, tracer, corrected, injection):
    options = {"injection": injection, "corrected": corrected}
    whole = acquire(tmp_path / "whole.nii", tracer, USUAL, **options)
    late = acquire(tmp_path / "late.nii", tracer, LATE, **options)
    assert whole.facts.frames.minutes == pytest.approx((50, 70))
    assert len(whole.facts.frames.numbers) == 3
    assert late.facts.frames.chosen is None
    suvr, suv = measure(whole, tmp_path)
    late_suvr, late_suv = measure(late, tmp_path)
    true_suvr, true_suv = truth(tracer)
    assert suvr == pytest.approx(late_suvr, rel=0.02)
    assert suv == pytest.approx(late_suv, rel=0.02)
    assert (suvr, suv) == pytest.approx((true_suvr, true_suv), rel=0.01)


@pytest.mark.parametrize("tracer", TISSUES)
def test_what_the_window_mends(tmp_path, tracer):
    true_suvr, _ = truth(tracer)
    every, _ = measure(acquire(tmp_path / "all.nii", tracer, USUAL, frames="all"), tmp_path)
    assert every < 0.9 * true_suvr
    unaligned = acquire(tmp_path / "unaligned.nii", tracer, UNALIGNED)
    assert unaligned.facts.frames.minutes == pytest.approx((47, 67))
    suvr, _ = measure(unaligned, tmp_path)
    assert suvr == pytest.approx(true_suvr, rel=0.03)


@pytest.mark.parametrize("tracer", TISSUES)
def test_half_of_the_window_does(tmp_path, tracer):
    half = acquire(tmp_path / "half.nii", tracer, USUAL[USUAL <= 3600])
    assert half.facts.frames.minutes == pytest.approx((50, 60))
    assert half.facts.doubts == ()
    suvr, suv = measure(half, tmp_path)
    assert (suvr, suv) == pytest.approx(truth(tracer, 60), rel=0.01)
    # SUVR still rises in that time
    assert suvr == pytest.approx(truth(tracer)[0], rel=0.04)


@pytest.mark.parametrize("tracer", TISSUES)
def test_a_scan_that_ends_early_is_averaged_whole_and_doubted(tmp_path, tracer):
    boundaries = USUAL[USUAL <= 2700]
    early = acquire(tmp_path / "early.nii", tracer, boundaries)
    (doubt,) = early.facts.doubts
    assert "0 to 45 min after injection, covers less than half of the usual window" in doubt
    assert early.facts.frames.chosen is None
    same = acquire(tmp_path / "early.nii", tracer, boundaries, frames="all")
    assert measure(early, tmp_path) == measure(same, tmp_path)


@pytest.mark.parametrize("tracer", TISSUES)
def test_without_a_time_of_injection_no_frame_is_left_out(tmp_path, tracer):
    untimed = acquire(tmp_path / "untimed.nii", tracer, USUAL, injection=None)
    assert untimed.facts.frames.chosen is None
    assert untimed.facts.doubts == ()
    assert any("InjectionStart is not given" in note for note in untimed.facts.notes)
    suvr, suv = measure(untimed, tmp_path)
    every, _ = measure(acquire(tmp_path / "all.nii", tracer, USUAL, frames="all"), tmp_path)
    assert (suvr, suv) == (every, None)
