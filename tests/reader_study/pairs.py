"""Textured pairs of PNG slices, of several patients, for small reader studies."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from tests.evaluation.images import sources


def write_pairs(root: Path, count: int, *, side: int = 96, patients: int = 10) -> Path:
    """`count` pairs in ``mri`` and ``pet``, and the table that says whose they are."""
    folder = root / "brain-pet" / "val"
    rows = [("dataset", "split", "file", "subject")]
    for number in range(count):
        name = f"{number:03}.png"
        rows.append(("brain-pet", "val", name, f"patient {number % patients}"))
        for modality, image in zip(("mri", "pet"), sources(side, number), strict=True):
            path = folder / modality / name
            path.parent.mkdir(parents=True, exist_ok=True)
            # a lesion may be half again as bright as what is around it
            Image.fromarray((0.6 * image).astype(np.uint8)).save(path)
    with (root / "slices.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return folder
