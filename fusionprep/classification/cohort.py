"""A cohort as arrays: images of all scans on one coarse grid, tables, classes and groups."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np

from fusionprep.bids import names
from fusionprep.bids.units import is_given
from fusionprep.classification.inputs import (
    AGE_SEX,
    BRAIN_MASK,
    REGIONS,
    Found,
    Scan,
    find_scans,
    image_kinds,
    parts_of,
)
from fusionprep.classification.people import Classes, age_and_sex, read_people
from fusionprep.errors import DataError, NoInputError, UnreadableFileError
from fusionprep.image.io import read_volume, same_grid
from fusionprep.reading import cell_number, read_table
from fusionprep.reports.group import regions

VOXEL_MM = 4.0
"""Side of the voxels that are classified, as near as whole numbers of the images' voxels come."""

_MASK = "brain mask"
_REGION_TABLE = f"{regions.REGIONS}{names.TABLE}"
_MOST_GAPS = 0.2


@dataclass(frozen=True)
class Source:
    """Where a cohort is read from.

    Attributes
    ----------
    root
        Output folder of the App.
    participants
        Table of participants.
    inputs
        As typed, e.g. ``t1w+pet``.
    space, tracer
        See :func:`fusionprep.classification.inputs.find_scans`.
    voxel_mm
        Side of the voxels that are classified, mm.
    """

    root: Path
    participants: Path
    inputs: tuple[str, ...]
    space: str = ""
    tracer: str = ""
    voxel_mm: float = VOXEL_MM


@dataclass(frozen=True)
class Grid:
    """Where images lie: the mean of blocks of voxels, in a mask.

    Attributes
    ----------
    mask
        (X, Y, Z) of bool.
    affine
        (4, 4), RAS millimetres.
    block
        Voxels of an image along each side of a block.
    fine_shape, fine_affine
        Of the images as they are written.
    """

    mask: np.ndarray
    affine: np.ndarray
    block: tuple[int, int, int]
    fine_shape: tuple[int, ...]
    fine_affine: np.ndarray


@dataclass(frozen=True)
class Cohort:
    """What is classified.

    Attributes
    ----------
    scans
        Visits; several of one subject are allowed.
    subjects
        Labels with ``sub-``.
    member
        (scans,), number of each scan's subject.
    images
        (scans, X, Y, Z) float32 of each kind of image, 0 outside the mask.
    tables
        (scans, columns) of each kind of table, NaN in gaps, with the names of columns.
    grid
        None without images.
    left_out
        Lines that say who is not there, and why.
    """

    scans: tuple[Scan, ...]
    subjects: tuple[str, ...]
    member: np.ndarray
    images: Mapping[str, np.ndarray] = field(default_factory=dict)
    tables: Mapping[str, tuple[np.ndarray, tuple[str, ...]]] = field(default_factory=dict)
    grid: Grid | None = None
    left_out: tuple[str, ...] = ()

    def voxels(self, kind: str) -> np.ndarray:
        """(scans, voxels in the mask)."""
        if self.grid is None:
            raise ValueError("no images were read")
        return self.images[kind][:, self.grid.mask]


def read_cohort(
    source: Source,
    classes: Classes | None = None,
    *,
    grid: Grid | None = None,
    columns: Sequence[str] = (),
) -> Cohort:
    """Read the inputs of every subject.

    Parameters
    ----------
    classes
        Only their subjects are read; all when None.
    grid
        Where a trained model wants images; else the mask is where most brains are, which takes no
        notice of classes.
    columns
        Of the table of regions, which a trained model wants; all that are filled when empty.

    Raises
    ------
    NoInputError, UsageError, DataError
        When inputs cannot be read or used, or two subjects have the same image.
    """
    parts = parts_of(source.inputs)
    found = _visits(source, parts)
    wanted = [scan for scan in found.scans if classes is None or scan.subject in classes.of]
    nobody = sorted({s.subject for s in found.scans} - {s.subject for s in wanted})
    left_out = [*found.left_out, *(f"{who}: not of a class" for who in nobody)]
    if not wanted:
        raise NoInputError(f"no subject with images in {source.root} has a class; check --target")
    rows = [found.scans.index(scan) for scan in wanted]
    files = {name: [paths[row] for row in rows] for name, paths in found.files.items()}
    images: dict[str, np.ndarray] = {}
    if files:
        images, grid = _read_images(files, wanted, source.voxel_mm, grid)
    subjects = tuple(dict.fromkeys(scan.subject for scan in wanted))
    tables = {}
    if REGIONS in parts:
        tables[REGIONS] = _regions(source, wanted, columns)
    if AGE_SEX in parts:
        people = read_people(source.participants)
        tables[AGE_SEX] = (age_and_sex(people, [s.subject for s in wanted]), ("age", "sex"))
    member = np.array([subjects.index(scan.subject) for scan in wanted])
    return Cohort(tuple(wanted), subjects, member, images, tables, grid, tuple(left_out))


def _visits(source: Source, parts: Sequence[str]) -> Found:
    kinds = {name: kind for name, kind in image_kinds().items() if name in parts}
    if kinds:
        return find_scans(
            source.root, {**kinds, _MASK: BRAIN_MASK}, space=source.space, tracer=source.tracer
        )
    if REGIONS in parts:
        return Found(tuple(sorted(_region_rows(source))), {}, ())
    people = read_people(source.participants)
    return Found(tuple(Scan(who, "") for who in sorted(people)), {}, ())


def _read_images(
    files: Mapping[str, Sequence[Path]],
    scans: Sequence[Scan],
    voxel_mm: float,
    grid: Grid | None,
) -> tuple[dict[str, np.ndarray], Grid]:
    first = read_volume(files[_MASK][0], _MASK)
    if grid is None:
        masks, layout = _stack(files[_MASK], scans, _layout(first, voxel_mm), _MASK)
        grid = _cropped(layout, masks.mean(axis=0) > 0.5)
    kinds = image_kinds()
    images = {}
    for name in files:
        if name == _MASK:
            continue
        stack, _ = _stack(files[name], scans, grid, name)
        stack *= grid.mask
        if kinds[name].relative:
            stack /= _levels(stack[:, grid.mask], files[name])[:, None, None, None]
        images[name] = stack
    return images, grid


def _levels(voxels: np.ndarray, paths: Sequence[Path]) -> np.ndarray:
    levels = voxels.mean(axis=1)
    if (dark := np.flatnonzero(levels <= 0)).size:
        raise DataError(f"{paths[dark[0]]} has a mean of 0 or less in the brain; check the image")
    return levels


def _layout(image: nib.Nifti1Image, voxel_mm: float) -> Grid:
    sizes = nib.affines.voxel_sizes(image.affine)
    x, y, z = (max(1, round(voxel_mm / size)) for size in sizes)
    block = (x, y, z)
    affine = image.affine @ np.diag([*block, 1.0])
    affine[:3, 3] = nib.affines.apply_affine(image.affine, (np.array(block) - 1) / 2)
    shape = [length // side for length, side in zip(image.shape, block, strict=True)]
    return Grid(np.ones(shape, bool), affine, block, image.shape, image.affine)


def _cropped(layout: Grid, mask: np.ndarray) -> Grid:
    if not mask.any():
        raise DataError("the brain masks have no voxel in common; are they in one space?")
    return Grid(mask, layout.affine, layout.block, layout.fine_shape, layout.fine_affine)


def _stack(
    paths: Sequence[Path], scans: Sequence[Scan], grid: Grid, name: str
) -> tuple[np.ndarray, Grid]:
    """Images (scans, X, Y, Z) as means of blocks; the same image of two subjects is refused."""
    stack = np.empty((len(paths), *grid.mask.shape), np.float32)
    reference = nib.Nifti1Image(np.empty(grid.fine_shape, np.uint8), grid.fine_affine)
    owners: dict[bytes, int] = {}
    for row, path in enumerate(paths):
        image = read_volume(path, name)
        if not same_grid(image, reference):
            raise DataError(
                f"{path} is not on the grid of the other images, or of those that the classifier "
                "was trained on; all need one template and one resolution"
            )
        data = image.get_fdata(dtype=np.float32)
        owner = owners.setdefault(hashlib.sha256(data.tobytes()).digest(), row)
        # masks of two brains may agree
        if scans[owner].subject != scans[row].subject and name != _MASK:
            raise DataError(
                f"{paths[owner]} and {path} are the same image under two names, so that one "
                "subject would be both trained on and tested; remove one of the two"
            )
        stack[row] = block_means(data, grid.block)
    return stack, grid


def block_means(data: np.ndarray, block: Sequence[int]) -> np.ndarray:
    """Means of blocks of voxels; what does not fill a block at the far end is left out.

    Examples
    --------
    >>> block_means(np.arange(10.0).reshape(5, 2, 1), (2, 2, 1)).ravel()
    array([1.5, 5.5])
    """
    shape = [length // side for length, side in zip(data.shape, block, strict=True)]
    whole = data[tuple(slice(n * side) for n, side in zip(shape, block, strict=True))]
    split = [size for pair in zip(shape, block, strict=True) for size in pair]
    return whole.reshape(split).mean(axis=(1, 3, 5))


def _regions(
    source: Source, scans: Sequence[Scan], wanted: Sequence[str]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """SUVR and volume of regions; columns with gaps in more than a fifth of scans are left out."""
    rows, path = _region_rows(source), source.root / _REGION_TABLE
    if absent := [scan for scan in scans if scan not in rows]:
        raise DataError(f"{path} has no row for {absent[0]}; run its subject again")
    there = list(next(iter(rows.values())))
    if missing := [column for column in wanted if column not in there]:
        raise DataError(f"{path} has no column {missing[0]}; use the atlases of the training data")
    columns = wanted or [column for column in there if column.endswith(("_suvr", "_volume"))]
    values = np.array([[cell_number(rows[scan].get(c)) for c in columns] for scan in scans])
    if wanted:
        return values, tuple(wanted)
    kept = np.flatnonzero(np.isnan(values).mean(axis=0) <= _MOST_GAPS) if columns else np.array([])
    if not kept.size:
        raise DataError(f"{path} has no SUVR and no volume of any region")
    return values[:, kept], tuple(columns[column] for column in kept)


def _region_rows(source: Source) -> dict[Scan, dict[str, str]]:
    path = source.root / _REGION_TABLE
    try:
        table = read_table(path)
    except UnreadableFileError as error:
        raise DataError(f"cannot read {path}: {error.reason}; run fusionapp again") from error
    rows: dict[Scan, dict[str, str]] = {}
    for row in table:
        if source.tracer and row.get("tracer") != source.tracer:
            continue
        session = row.get("session_id", "")
        scan = Scan(row.get("participant_id", ""), session if is_given(session) else "")
        if scan in rows:
            raise DataError(f"{path} has two rows for {scan}; choose with --tracer, or leave one")
        rows[scan] = row
    if not rows:
        raise NoInputError(f"there is no {path}; run fusionapp with --atlas, which writes it")
    return rows
