"""Training pairs from PNG slices listed in a table."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fusionprep.errors import DataError, NoInputError
from fusionprep.evaluation.pairs import ANATOMICAL_FOLDERS
from fusionprep.image.pictures import read_colormap, read_level, read_luminance
from fusionprep.training.options import TrainingOptions
from fusionprep.training.pairs import SPLITS, SlicePair, check_patient_split

TABLE = "slices.csv"

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
    try:
        with table.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    except OSError as error:
        raise NoInputError(f"cannot read the table of training slices {table}: {error}") from error
    if not rows:
        raise DataError(f"{table} lists no slice")
    missing = {"dataset", "split", "file", "subject"} - set(rows[0])
    if missing:
        raise DataError(f"{table} lacks the column(s) {', '.join(sorted(missing))}")
    groups = [_slice_group(Path(data_dir), row) for row in rows]
    check_patient_split(groups)
    return groups


def _slice_group(data_dir: Path, row: dict[str, str]) -> SliceGroup:
    if row["split"] not in SPLITS:
        raise DataError(f"slices.csv: split {row['split']!r} of {row['file']} is not train or val")
    folder = data_dir / row["dataset"] / row["split"]
    images = {path.parent.name: path for path in sorted(folder.glob(f"*/{row['file']}"))}
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
            pairs.append(
                SlicePair(
                    *(group.dataset, group.split, group.subject, modality),
                    anatomical=read_luminance(group.images[anatomical]),
                    functional=functional,
                )
            )
    return pairs
