"""Occlusion maps as NIfTI images and as pictures."""

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from fusionprep.bids.names import IMAGE
from fusionprep.classification.evaluation import Entry, Evaluation
from fusionprep.classification.inputs import JOIN
from fusionprep.evaluation.roc import area_interval
from fusionprep.files import write_whole
from fusionprep.image.io import new_image
from fusionprep.reports.figures.rows import draw_rows
from fusionprep.reports.figures.slices import Volume

FOLDER = "maps"
_LEVELS = {0.25: "#56B4E9", 0.5: "#F0B323"}
"""Shares of the largest loss whose outlines are drawn, in colours after Okabe and Ito."""


@dataclass(frozen=True)
class DrawnMap:
    """A map of an entry; paths are relative to the page."""

    entry: str
    kind: str
    largest: float
    image: str
    picture: str


def write_maps(evaluation: Evaluation, out: Path) -> list[DrawnMap]:
    """Write the maps of entries that tell classes apart, by an interval above chance.

    A map of anything else would show where noise is.

    Raises
    ------
    OSError
        When a file cannot be written.
    """
    drawn = []
    for entry in evaluation.entries:
        found = area_interval(entry.area, evaluation.design.labels, evaluation.plan.folds)
        if found.low > 0.5:
            drawn += [_write(evaluation, entry, kind, out) for kind in entry.maps]
    return drawn


def _write(evaluation: Evaluation, entry: Entry, kind: str, out: Path) -> DrawnMap:
    grid = evaluation.cohort.grid
    if grid is None:
        raise ValueError("there are maps without images")
    stem = "_".join([entry.input.replace(JOIN, "-and-"), entry.model, f"{kind}-occlusion"])
    image, picture = (f"{FOLDER}/{stem}{ending}" for ending in (IMAGE, ".svg"))
    volume = entry.maps[kind]
    nifti = new_image(volume, grid.affine)
    write_whole(out / image, lambda path: nib.save(nifti, path))
    largest = float(volume.max())
    contours = {
        f"{level:.0%} of the largest": (colour, _mask(volume > level * largest, grid.affine))
        for level, colour in _LEVELS.items()
    }
    mean = evaluation.cohort.images[kind].mean(axis=0)
    draw_rows(
        {f"mean {kind}": Volume.from_image(new_image(mean, grid.affine))},
        contours,
        new_image(grid.mask.astype(np.uint8), grid.affine),
        out / picture,
        title=f"Mean {kind} and what {entry.name} loses when a place is hidden",
        description=f"Occlusion map of {kind} for {entry.name}",
    )
    return DrawnMap(entry.name, kind, largest, image, picture)


def _mask(inside: np.ndarray, affine: np.ndarray) -> Volume:
    return Volume.of_mask(new_image(inside.astype(np.uint8), affine))
