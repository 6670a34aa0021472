"""Whether ``fuse --register`` finds displaced pairs, and notices a PET of somebody else.

PETs of one real adult, of two simulated people and of two real heads with a simulated PET are
turned by 20 degrees and moved by 40 mm, and registered to their own MRI: the error against the
registration of the pair as it was, and the verdict. Then each PET is registered to each other
MRI, which no verdict should pass. Rows are written as they are found.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import registration_cases as cases

from fusionprep.demo.phantom import random_rotation
from fusionprep.evaluation.registration import target_registration_error
from fusionprep.image.alignment import Aligned, align_volumes
from fusionprep.image.rigid import Brain

DEGREES, MILLIMETRES = 20.0, 40.0
DISPLACEMENTS = 3
"""Of each pair."""

CAUGHT, ALARMS, ERROR_MM = 0.8, 0.05, 1.0
"""Least share of wrong pairs that do not pass, largest of right ones, and largest error."""


def main() -> int:
    """Run everything; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path, help="new folder")
    parser.add_argument("shared", type=Path, help="folder with bids/ and volumes/")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    people = list(read_people(arguments.work, arguments.shared))
    masks = [cases.found_brain(person.t1w) for person in people]
    rows = []
    with (arguments.work / "wrong_pairs.jsonl").open("w", encoding="utf-8") as stream:
        for row in run(people, masks):
            rows.append(row)
            stream.write(json.dumps(row) + "\n")
            stream.flush()
            print(row, file=sys.stderr)
    return summarise(rows)


def read_people(work: Path, shared: Path) -> Iterator[cases.Case]:
    """T1w and PET of five people, and where the PET lies."""
    truth = json.loads((shared / "bids" / "truth.json").read_text(encoding="utf-8"))
    yield cases.real(shared / "bids" / "cermep", np.array(truth["cermep"]["sub-0001_pet"]))
    yield cases.phantom(work / "phantoms", "01")
    volumes = shared / "volumes"
    yield cases.half_real("half real", work / "real", volumes / "prisma_T1w.nii.gz")
    yield cases.phantom(work / "phantoms-again", "02")
    colin = (volumes / "colin27_T1w.nii.gz", volumes / "colin27_brain.nii.gz")
    yield cases.half_real("half colin27", work / "colin27", *colin)


def run(people: list[cases.Case], masks: list[nib.Nifti1Image]) -> Iterator[dict]:
    """Right and wrong pairs in turn, so that an interrupted run has some of both."""
    rng = np.random.default_rng(0)
    found = {}
    for step in range(max(len(people) - 1, DISPLACEMENTS + 1)):
        for index, (person, mask) in enumerate(zip(people, masks, strict=True)):
            other = people[(index + step + 1) % len(people)]
            if other is not person:
                yield row_of(person, other, mask, align(person.t1w, other.pet, mask))
            if step == 0:
                found[index] = align(person.t1w, person.pet, mask)
                yield row_of(person, person, mask, found[index])
            elif step <= DISPLACEMENTS:
                moved, truth = displaced(person, rng, found[index].fixed_from_moving)
                yield row_of(person, person, mask, align(person.t1w, moved, mask), truth)


def displaced(
    person: cases.Case, rng: np.random.Generator, t1w_from_pet: np.ndarray
) -> tuple[nib.Nifti1Image, np.ndarray]:
    """A PET whose header says that it lies elsewhere, and what it was registered to before."""
    centre = nib.affines.apply_affine(
        np.linalg.inv(t1w_from_pet), Brain.from_mask(person.mask).centre
    )
    shift = rng.standard_normal(3)
    shift *= MILLIMETRES / np.linalg.norm(shift)
    move = cases.about(centre, random_rotation(rng, DEGREES), shift)
    return cases.with_header(person, move).pet, t1w_from_pet @ np.linalg.inv(move)


def align(t1w: nib.Nifti1Image, pet: nib.Nifti1Image, mask: nib.Nifti1Image) -> Aligned:
    """The registration; how long it took is beside its scores."""
    began = time.monotonic()
    aligned = align_volumes(t1w, pet, mask=mask)
    aligned.registration["Seconds"] = round(time.monotonic() - began, 1)
    return aligned


def row_of(
    person: cases.Case,
    other: cases.Case,
    mask: nib.Nifti1Image,
    aligned: Aligned,
    truth: np.ndarray | None = None,
) -> dict:
    """What was found of a pair; the error in mm of a displaced one."""
    error = None
    if truth is not None:
        error = target_registration_error(aligned.fixed_from_moving, truth, mask).max()
    names = ("Verdict", "VerdictReason", "StretchPercent", "UncertaintyMillimetres", "Seconds")
    return {
        "mri": person.base,
        "pet": other.base,
        "right": person is other,
        "error_mm": None if error is None else round(float(error), 3),
        **{name: aligned.registration[name] for name in names},
    }


def summarise(rows: list[dict]) -> int:
    """Print what matters, and whether the bars are reached."""
    right, wrong = ([row for row in rows if row["right"] is kind] for kind in (True, False))
    alarms = [row for row in right if row["Verdict"] != "pass"]
    caught = [row for row in wrong if row["Verdict"] != "pass"]
    errors = [row["error_mm"] for row in right if row["error_mm"] is not None]
    print(
        f"{len(right)} right pairs: {len(alarms)} flagged; largest error of {len(errors)}"
        f" displaced ones {max(errors, default=0):.2f} mm\n"
        f"{len(wrong)} wrong pairs: {len(caught)} flagged"
    )
    return int(
        max(errors, default=0) > ERROR_MM
        or len(alarms) > ALARMS * len(right)
        or len(caught) < CAUGHT * len(wrong)
    )


if __name__ == "__main__":
    sys.exit(main())
