"""How robust T1w to template registration is, and whether its verdicts can be trusted.

Heads are put in new poses, made noisy or given thick slices, and registered as fusionapp does; the
reference is the registration of the same head as it is. Then that registration is displaced on
purpose, as a whole and in one part of the brain, and judged.
"""

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import nibabel as nib
import numpy as np
import registration_cases as cases
import SimpleITK as sitk
from tables import add_option, record

from fusionprep.demo.phantom import random_rotation
from fusionprep.image.bias import correct_bias
from fusionprep.image.io import new_image, read_volume
from fusionprep.image.resample import compose, downsample, itk_from_ras, remove_shear
from fusionprep.image.segmentation import segment_tissues
from fusionprep.image.template import Template, TemplateSpace, load_template, register_template
from fusionprep.image.template_quality import assess_template

RIGHT_MM = 3.0
"""Largest mean difference in the brain of a registration that counts as right."""

WHOLE_MM = (2, 4, 6, 10, 15, 30)
PART_MM = (6, 10, 15)
PART_WIDTH_MM = 20.0
POSES = ((0, 0), (15, 20), (30, 50), (45, 100), (60, 50))


@dataclasses.dataclass(frozen=True)
class Head:
    """Skull-stripped T1w, brain mask and gray matter on one grid."""

    brain: nib.Nifti1Image
    mask: nib.Nifti1Image
    gm: nib.Nifti1Image

    @classmethod
    def from_t1w(cls, t1w: nib.Nifti1Image) -> "Head":
        """Correct, strip and segment a T1w as fusionapp does."""
        mask = cases.found_brain(t1w)
        inside, zooms = np.asarray(mask.dataobj) > 0, nib.affines.voxel_sizes(t1w.affine)
        data = np.asarray(t1w.dataobj, dtype=np.float32)
        corrected = correct_bias(data, inside, zooms, iterations=(50, 50, 30))
        tissues = segment_tissues(corrected, inside, tuple(zooms))
        brain = new_image(np.where(inside, corrected, 0).astype(np.float32), t1w.affine)
        return cls(brain, mask, new_image(tissues.fraction["GM"], t1w.affine))

    def moved(self, move: np.ndarray) -> "Head":
        """The same head elsewhere in the scanner; `move` is (4, 4), mm."""
        images = (self.brain, self.mask, self.gm)
        return Head(*(new_image(np.asarray(i.dataobj), move @ i.affine) for i in images))


@dataclasses.dataclass(frozen=True)
class Row:
    """A case, its differences from the reference in mm over the brain, and its scores."""

    head: str
    case: str
    mean_mm: float
    max_mm: float
    scores: dict
    seconds: float = 0.0


def main() -> int:
    """Run all cases; 1 when a registration is wrong, or a verdict is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="JSON file to write")
    parser.add_argument("t1w", type=Path, nargs="+", help="whole heads")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--backend", choices=("greedy", "ants"), default="greedy")
    add_option(parser)
    arguments = parser.parse_args()
    files = arguments.t1w
    with ProcessPoolExecutor(arguments.processes, mp_context=get_context("spawn")) as pool:
        found = pool.map(run_head, files, [arguments.backend] * len(files), range(len(files)))
        rows = [row for of_head in found for row in of_head]
    text = json.dumps([dataclasses.asdict(row) for row in rows], indent=1)
    arguments.out.write_text(text, encoding="utf-8")
    print(table(rows))
    record("template", {"poses": table(rows)}, arguments.record)
    return summarise(rows)


def run_head(path: Path, backend: str, seed: int) -> list[Row]:
    """Every case of one head."""
    template = load_template(TemplateSpace("MNI152NLin2009aSym"))
    t1w = remove_shear(read_volume(path, "T1w", missing=0.0), outside=0.0)
    head, rng = Head.from_t1w(t1w), np.random.default_rng(seed)
    reference = register(template, head, backend)
    inside = np.argwhere(np.asarray(template.mask.dataobj) > 0.5)[::1500]
    points = nib.affines.apply_affine(template.mask.affine, inside)
    expected = carry(reference, points)
    rows = []

    def judge(case: str, there: np.ndarray, scores: dict, seconds: float = 0.0) -> None:
        error = np.linalg.norm(there - expected, axis=1)
        rows.append(Row(path.name, case, error.mean(), error.max(), scores, seconds))
        print(f"{path.name}: {case}: {error.mean():.2f} mm, {scores}", file=sys.stderr)

    judge("as it is", expected, assess(template, head, reference))
    for case, other, move, sloppy in registered(t1w, head, rng):
        start = time.monotonic()
        found = register(template, other, backend, sloppy=sloppy)
        seconds = time.monotonic() - start
        there = nib.affines.apply_affine(np.linalg.inv(move), carry(found, points))
        judge(case, there, assess(template, other, found), seconds)
    for case, wrong in displaced(points, rng):
        transform = compose([wrong, reference])
        judge(case, carry(transform, points), assess(template, head, transform))
    return rows


def register(
    template: Template, head: Head, backend: str, *, sloppy: bool = False
) -> sitk.Transform:
    """``template_from_t1w`` of a head."""
    return register_template(
        template.brain, head.brain, backend=backend, sloppy=sloppy
    ).template_from_t1w


def assess(template: Template, head: Head, transform: sitk.Transform) -> dict:
    """Scores and verdict of a transform of a head."""
    return assess_template(template, head.brain, head.mask, head.gm, transform)


def carry(transform: sitk.Transform, points: np.ndarray) -> np.ndarray:
    """Where an ITK transform brings points (N, 3), in RAS."""
    lps = np.array([-1, -1, 1])
    return np.array([transform.TransformPoint(p) for p in (points * lps).tolist()]) * lps


def registered(
    t1w: nib.Nifti1Image, head: Head, rng: np.random.Generator
) -> Iterator[tuple[str, Head, np.ndarray, bool]]:
    """Name, head, how it was moved, and whether to spare iterations."""
    inside = np.argwhere(np.asarray(head.mask.dataobj) > 0)
    centre = nib.affines.apply_affine(head.mask.affine, inside.mean(axis=0))
    for degrees, millimetres in POSES:
        turn = random_rotation(rng, degrees) if degrees else np.eye(3)
        shift = rng.standard_normal(3)
        move = cases.about(centre, turn, millimetres * shift / np.linalg.norm(shift))
        moved = head.moved(move)
        for kind in ("", ", --sloppy"):
            yield f"{degrees} degrees, {millimetres} mm{kind}", moved, move, bool(kind)
    data = np.asarray(t1w.dataobj, dtype=np.float32)
    level = 0.12 * np.median(np.asarray(head.brain.dataobj)[tuple(inside.T)])
    noisy = np.hypot(data + level * rng.standard_normal(data.shape), level)
    noisy = new_image(noisy.astype(np.float32), t1w.affine)
    yield "signal to noise of 8", Head.from_t1w(noisy), np.eye(4), False
    thick = downsample(t1w, 2.5)
    yield "voxels of 2.5 mm", Head.from_t1w(thick), np.eye(4), False


def displaced(points: np.ndarray, rng: np.random.Generator) -> Iterator[tuple[str, sitk.Transform]]:
    """Displacements of the whole brain, and of a part of it."""
    for size in WHOLE_MM:
        turn, shift = random_rotation(rng, np.degrees(0.5 * size / 80)), rng.standard_normal(3)
        move = cases.about(points.mean(axis=0), turn, 0.6 * size * shift / np.linalg.norm(shift))
        yield f"whole {size} mm", itk_from_ras(move)
    for size in PART_MM:
        for _ in range(2):
            direction = rng.standard_normal(3)
            vector = size * direction / np.linalg.norm(direction)
            yield f"part {size} mm", bump(points[rng.integers(len(points))], vector)


def bump(centre: np.ndarray, vector: np.ndarray) -> sitk.Transform:
    """Displacement by a vector (3,) at a point, which fades out around it as a Gaussian."""
    spacing, half = 5.0, 16
    grid = np.stack(np.indices((2 * half,) * 3), axis=-1) * spacing - half * spacing
    fade = np.exp(-(grid**2).sum(axis=-1) / (2 * PART_WIDTH_MM**2))
    field = sitk.GetImageFromArray(
        np.ascontiguousarray((fade[..., None] * vector).transpose(2, 1, 0, 3)), isVector=True
    )
    field.SetSpacing([spacing] * 3)
    field.SetOrigin((centre * [-1, -1, 1] - half * spacing).tolist())
    return sitk.DisplacementFieldTransform(field)


def table(rows: list[Row]) -> str:
    """A Markdown table of the cases, over heads."""
    lines = [
        "| case | mean difference, mm | displacement found, mm | pass | review | fail |",
        "|---|---|---|---|---|---|",
    ]
    for case in dict.fromkeys(row.case for row in rows):
        group = [row for row in rows if row.case == case]
        mean = [row.mean_mm for row in group]
        seen = [row.scores["DisplacementMillimetres"] for row in group]
        verdicts = [row.scores["Verdict"] for row in group]
        counts = " | ".join(str(verdicts.count(v)) for v in ("pass", "review", "fail"))
        lines.append(
            f"| {case} | {min(mean):.1f} to {max(mean):.1f} | {min(seen):.1f} to {max(seen):.1f}"
            f" | {counts} |"
        )
    return "\n".join(lines)


def summarise(rows: list[Row]) -> int:
    """Print whether registrations and verdicts are right."""
    purpose = [row for row in rows if row.case.startswith(("whole", "part"))]
    tried = [row for row in rows if row not in purpose]
    wrong = [row for row in tried if row.mean_mm > RIGHT_MM]
    full = [row for row in tried if "sloppy" not in row.case]
    alarms = [row for row in full if row not in wrong and row.scores["Verdict"] != "pass"]
    missed = [row for row in (*wrong, *purpose) if row.mean_mm > RIGHT_MM]
    missed = [row for row in missed if row.scores["Verdict"] == "pass"]
    seconds = np.mean([row.seconds for row in tried if row.seconds])
    print(
        f"\n{len(tried)} registrations, {seconds:.1f} s each: {len(wrong)} differ by more than"
        f" {RIGHT_MM:g} mm on average; {len(alarms)} false alarms without --sloppy. Of all that"
        f" differ by more, {len(missed)} pass."
    )
    return int(bool(wrong or missed) or len(alarms) > 0.03 * len(full))


if __name__ == "__main__":
    sys.exit(main())
