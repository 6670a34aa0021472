"""Output roots of a whole cohort as the participant level leaves them, without any volume."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

TEMPLATE = "MNI152NLin2009aSym"
MODELS = ("Average", "DenseFuse", "ReadFuse")
PLANES_SHAPE = (100, 680)
_PICTURES = 12


def write_cohort(
    out: Path,
    n: int = 20,
    *,
    models: Sequence[str] = MODELS,
    bad: str | None = "07",
    with_ct: int = 4,
    tracers: Sequence[str] = ("FDG",),
    seed: int = 0,
) -> None:
    """Write sidecars, empty images, thumbnails, planes and reports of `n` participants.

    Parameters
    ----------
    bad
        Label of the participant whose PET is far from its T1w.
    with_ct
        Every how manieth participant has a CT too.
    tracers
        Each participant has a PET of one of them, in turn.
    """
    random = np.random.default_rng(seed)
    out.mkdir(parents=True, exist_ok=True)
    about = {"Name": "cohort", "BIDSVersion": "1.10.0", "DatasetType": "derivative"}
    about["GeneratedBy"] = [{"Name": "fusionprep", "Version": "0.1.0"}]
    (out / "dataset_description.json").write_text(json.dumps(about))
    (out / ".bidsignore").write_text("*.html\nfigures\n/group_*\n*_xfm.*\nct\n")
    (out / "README.md").write_text("A synthetic cohort.\n")
    labels = [f"{i + 1:02}" for i in range(n)]
    table = ["participant_id\tage\tsex"]
    table += [
        f"sub-{label}\t{random.integers(50, 90)}\t{'FM'[i % 2]}" for i, label in enumerate(labels)
    ]
    (out / "participants.tsv").write_text("\n".join(table) + "\n")
    thumbnails = {False: _pictures(random, _thumbnail), True: _pictures(random, _displaced)}
    planes = _pictures(random, _planes)
    for i, label in enumerate(labels):
        pictures = thumbnails[label == bad]
        tracer = tracers[i % len(tracers)]
        write_anatomy(out, label, random)
        write_scan(out, label, random, models, (pictures, planes), i, tracer, bad=label == bad)
        if with_ct and i % with_ct == 0:
            write_scan(out, label, random, models, (pictures, planes), i, None)
        (out / f"sub-{label}.html").write_text(f"<!DOCTYPE html><title>sub-{label}</title>")


def write_sidecar(stem: Path, **sidecar: Any) -> None:
    """A sidecar and its image, which is empty."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    Path(f"{stem}.nii.gz").touch()
    Path(f"{stem}.json").write_text(json.dumps(sidecar))


def write_anatomy(out: Path, label: str, random: np.random.Generator) -> None:
    """The T1w of a participant, with plausible figures."""
    stem = out / f"sub-{label}" / "anat" / f"sub-{label}"
    quality = {
        "CNR": random.normal(3.2, 0.3),
        "CJV": random.normal(0.42, 0.03),
        "SNRWM": random.normal(12, 1.2),
    }
    write_sidecar(Path(f"{stem}_desc-preproc_T1w"), Quality=quality, SkullStripped=False)
    write_sidecar(Path(f"{stem}_desc-brain_mask"), BrainVolumeMillilitres=random.normal(1400, 100))
    volumes = {"GM": random.normal(680, 50), "WM": random.normal(500, 40), "CSF": 220.0}
    write_sidecar(Path(f"{stem}_dseg"), TissueVolumesMillilitres=volumes)
    registration = {
        "MaskDice": random.normal(0.965, 0.004),
        "GMDice": random.normal(0.81, 0.01),
        "DisplacementMillimetres": random.normal(1.4, 0.3),
        "Verdict": "pass",
    }
    write_sidecar(
        Path(f"{stem}_space-{TEMPLATE}_res-1_desc-preproc_T1w"), Registration=registration
    )


def write_scan(
    out: Path,
    label: str,
    random: np.random.Generator,
    models: Sequence[str],
    pictures: tuple[Sequence[bytes], Sequence[bytes]],
    number: int,
    tracer: str | None,
    *,
    bad: bool = False,
) -> None:
    """A PET, or without a tracer a CT, its fused images, thumbnails and planes."""
    folder = out / f"sub-{label}"
    (folder / "figures").mkdir(exist_ok=True)
    name = f"sub-{label}_trc-{tracer}" if tracer else f"sub-{label}"
    datatype, suffix = ("pet", "pet") if tracer else ("ct", "ct")
    extra = {"SUVR": {"Region": "whole-brain", "Reference": 8000.0, "Voxels": 900}}
    native = folder / datatype / f"{name}_space-T1w_desc-preproc_{suffix}"
    write_sidecar(
        native,
        Pairing={
            "T1w": f"bids:raw:sub-{label}/anat/sub-{label}_T1w.nii.gz",
            "Reason": "subject without sessions",
            "DayGap": None,
        },
        Registration=_registration(random, bad),
        Quality=_pet_quality(random, bad) if tracer else _ct_quality(random),
    )
    if tracer:
        write_sidecar(folder / "pet" / f"{name}_space-T1w_desc-suvr_pet", **extra)
    kind, datatype, suffix = ("", "pet", "pet") if tracer else ("CT", "anat", "T1w")
    for rank, model in enumerate(models):
        for space in ("T1w", f"{TEMPLATE}_res-1"):
            desc = f"{kind}{model}"
            write_sidecar(
                folder / datatype / f"{name}_space-{space}_desc-fused{desc}_{suffix}",
                FusionModel={
                    "Name": model.lower(),
                    "Label": model,
                    "Version": "1.0.0",
                    "RunTimeSeconds": 2.0 + rank + random.normal(0, 0.05),
                    "Software": "fusionprep 0.1.0",
                },
                FusionMetrics=_metrics(random, rank, bad),
            )
            shown = "thumb" if space == "T1w" else "planes"
            picture = pictures[shown == "planes"][(number + rank) % _PICTURES]
            figure = f"{name}_space-{space}_desc-{shown}{desc}_{suffix}.png"
            (folder / "figures" / figure).write_bytes(picture)


def _registration(random: np.random.Generator, bad: bool) -> dict[str, Any]:
    return {
        "Method": "rigid",
        "MattesMIBefore": random.normal(0.35, 0.03),
        "MattesMIAfter": 0.31 if bad else random.normal(0.85, 0.03),
        "BrainOverlap": 0.58 if bad else random.normal(0.93, 0.01),
        "BrainCoverage": 1.0,
        "UncertaintyMillimetres": 11.4 if bad else abs(random.normal(0.5, 0.1)),
        "OffOptimumMillimetres": 0.0,
        "RunnerUp": 0.99 if bad else random.normal(0.6, 0.03),
        "RotationDegrees": abs(random.normal(8, 3)),
        "TranslationMillimetres": abs(random.normal(15, 5)),
        "Verdict": "fail" if bad else "pass",
        "VerdictReason": "brain overlap 0.58" if bad else "scores are in the expected range",
    }


def _pet_quality(random: np.random.Generator, bad: bool) -> dict[str, float]:
    white = random.normal(5000, 300)
    ratio = 1.1 if bad else random.normal(2.4, 0.1)
    return {
        "GMMean": ratio * white,
        "WMMean": white,
        "GMWMRatio": ratio,
        "GMWMContrast": (ratio - 1) / (ratio + 1),
        "Noise": random.normal(0.11, 0.01),
    }


def _ct_quality(random: np.random.Generator) -> dict[str, float]:
    return {
        "BrainMedianHU": random.normal(34, 1.5),
        "BoneVolumeMillilitres": random.normal(620, 50),
    }


def _metrics(random: np.random.Generator, rank: int, bad: bool) -> dict[str, Any]:
    shift = -0.5 if bad else random.normal(0, 0.03)
    return {
        "Planes": "axial",
        "Slices": 8,
        "MI": 2.0 + 0.2 * rank + shift,
        "VIF": 0.5 + 0.05 * rank + random.normal(0, 0.01),
        "Qabf": 0.55 + 0.04 * rank + 0.3 * shift,
        "SSIM255": 1.1 + random.normal(0, 0.02),
        "SCD": 1.2 + 0.1 * rank + random.normal(0, 0.02),
        "Nabf": abs(random.normal(0.02, 0.005)),
        "EN": 5.0 + random.normal(0, 0.1),
    }


def _pictures(random: np.random.Generator, draw: Any) -> list[bytes]:
    from PIL import Image

    found = []
    for _ in range(_PICTURES):
        buffer = io.BytesIO()
        Image.fromarray(draw(random)).save(buffer, format="PNG")
        found.append(buffer.getvalue())
    return found


def _brain(shape: tuple[int, int], shift: float = 0.0) -> np.ndarray:
    """Three ellipses side by side, from 1 in their middles to 0."""
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(float)
    third = shape[1] / 3
    across = (columns % third) / third * 2 - 1
    down = (rows - shift) / shape[0] * 2 - 1
    return np.clip(1.2 * (0.75 - across**2 - down**2), 0, 1)


def _thumbnail(random: np.random.Generator, shift: float = 0.0) -> np.ndarray:
    anatomy = _brain((96, 288))
    uptake = _brain((96, 288), shift) * random.uniform(0.8, 1.0)
    picture = np.stack([uptake, 0.5 * uptake + 0.3 * anatomy, 0.6 * anatomy], axis=-1)
    edge = (anatomy > 0.02) & (anatomy < 0.07)
    picture[edge] = (0.2, 1.0, 0.2)
    return np.round(255 * np.clip(picture + random.normal(0, 0.02, picture.shape), 0, 1)).astype(
        np.uint8
    )


def _displaced(random: np.random.Generator) -> np.ndarray:
    return _thumbnail(random, shift=22.0)


def _planes(random: np.random.Generator) -> np.ndarray:
    noise = random.normal(0, 0.05, PLANES_SHAPE)
    return np.round(255 * np.clip(_brain(PLANES_SHAPE) + noise, 0, 1)).astype(np.uint8)
