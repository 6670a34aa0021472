"""Training pairs from slices (PNG, JPEG, TIFF) listed in a table."""

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fusionprep.errors import DataError, NoInputError
from fusionprep.evaluation.pairs import ANATOMICAL_FOLDERS
from fusionprep.image.pictures import read_colormap, read_level, read_luminance
from fusionprep.regular import check_regular
from fusionprep.training.options import TrainingOptions
from fusionprep.training.pairs import SPLITS, SlicePair, check_patient_split

TABLE = "slices.csv"
COLUMNS = ("dataset", "split", "file", "subject")
LARGEST_TABLE = 2**28

ANATOMICAL = frozenset(ANATOMICAL_FOLDERS)
"""Folders of anatomical slices; any other folder is taken for the functional modality."""


@dataclass(frozen=True)
class SliceGroup:
    """One row of ``slices.csv``: the aligned images of one slice of one patient.

    Attributes
    ----------
    images
        Modality folder name to file, e.g. ``{"ct": …, "mri": …}``.
    """

    dataset: str
    split: str
    subject: str
    images: dict[str, Path]


def read_slice_table(data_dir: Path) -> list[SliceGroup]:
    """Read ``slices.csv`` (columns dataset, split, file, subject) and find the images it lists.

    The images lie at ``<dataset>/<split>/<modality>/<file>``, below ``data_dir``.

    Raises
    ------
    NoInputError
        When the table or an image is missing.
    DataError
        When a column is missing, a split is unknown, or a subject is on both sides of the split.
    """
    table = Path(data_dir) / TABLE
    rows = _read_rows(table)
    if not rows:
        raise DataError(f"{table} lists no slice")
    missing = set(COLUMNS) - set(rows[0])
    if missing:
        raise DataError(f"{table} lacks the column(s) {', '.join(sorted(missing))}")
    for line, row in enumerate(rows, start=2):
        for name in COLUMNS:
            _check_cell(row[name], f"{table}, line {line}: {name}", is_name=name != "subject")
    groups = [_slice_group(Path(data_dir), row) for row in rows]
    check_patient_split(groups)
    return groups


def _read_rows(table: Path) -> list[dict[str, str]]:
    check_regular(table, largest=LARGEST_TABLE)
    try:
        with table.open(newline="", encoding="utf-8-sig") as stream:
            return list(csv.DictReader(stream))
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"cannot read the table of training slices {table}: {error}") from error


def _check_cell(cell: str | None, where: str, *, is_name: bool) -> None:
    """Refuse a cell that is empty or, where it is the name of a file or folder, leads elsewhere."""
    if not cell:
        raise DataError(f"{where} is missing")
    if is_name and (Path(cell).name != cell or "\0" in cell):
        raise DataError(f"{where} {cell!r} is not the name of a file or folder")


def _slice_group(data_dir: Path, row: dict[str, str]) -> SliceGroup:
    if row["split"] not in SPLITS:
        raise DataError(f"slices.csv: split {row['split']!r} of {row['file']} is not train or val")
    folder = data_dir / row["dataset"] / row["split"]
    # a link to a file that is not there counts, so that it is missed
    images = {
        path.name: path / row["file"]
        for path in sorted(folder.glob("*/"))
        if os.path.lexists(path / row["file"])
    }
    if not images:
        raise NoInputError(f"slices.csv lists {row['file']}, which is in no folder of {folder}")
    return SliceGroup(row["dataset"], row["split"], row["subject"], images)


def read_slice_pairs(data_dir: Path, options: TrainingOptions) -> list[SlicePair]:
    """All pairs of an anatomical and a functional slice of a folder with ``slices.csv``.

    Raises
    ------
    NoInputError, DataError
        When the data cannot be used; also when a patient is on both sides of the split.
    """
    colours = None
    if options.functional_levels == "colormap":
        colours = read_colormap(Path(data_dir) / options.colormap)
    return [pair for group in read_slice_table(data_dir) for pair in _pairs(group, colours)]


def _pairs(group: SliceGroup, colours: np.ndarray | None) -> list[SlicePair]:
    pairs = []
    for anatomical in sorted(ANATOMICAL & set(group.images)):
        for modality in sorted(set(group.images) - ANATOMICAL):
            path = group.images[modality]
            functional = read_luminance(path) if colours is None else read_level(path, colours)
            image = read_luminance(group.images[anatomical])
            if image.shape != functional.shape:
                sizes = [" x ".join(map(str, each.shape[::-1])) for each in (functional, image)]
                raise DataError(f"{path} has {sizes[0]} pixels, its {anatomical} {sizes[1]}")
            pairs.append(
                SlicePair(
                    *(group.dataset, group.split, group.subject, modality),
                    anatomical=image,
                    functional=functional,
                    file=path.name,
                )
            )
    return pairs
