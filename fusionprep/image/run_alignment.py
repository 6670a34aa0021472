"""Runs of one PET scan: where the head was in each, and one series of their frames."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np

from fusionprep.image.io import new_image
from fusionprep.image.masks import largest_component
from fusionprep.image.registration import COARSE, FINE, MIDDLE, WORKING_MM, refine
from fusionprep.image.resample import downsample
from fusionprep.image.rigid import Brain
from fusionprep.image.similarity import Similarity, emphasised, smoothed

BRIGHT_SHARE = 0.3
"""Of the 99th percentile: what is brighter is the head that runs are aligned by."""

STILL_MM = 0.5
"""Moves below it are left as they are: interpolation would cost more sharpness."""


def head_mask(image: nib.Nifti1Image) -> nib.Nifti1Image:
    """Where a PET is bright: the largest piece, without holes."""
    from scipy import ndimage

    seen = np.asarray(smoothed(image, 3.0).dataobj)
    bright = largest_component(seen > BRIGHT_SHARE * np.percentile(seen, 99))
    return nib.Nifti1Image(ndimage.binary_fill_holes(bright).astype(np.uint8), image.affine)


def align_runs(
    first: nib.Nifti1Image, moving: nib.Nifti1Image, *, sloppy: bool = False
) -> tuple[np.ndarray, float]:
    """Find where the head went between two runs of one scan.

    Early and late images of a tracer differ as those of two modalities do, so that mutual
    information is maximised, at 8, 4 and 2 mm, from the header's alignment and from that of the
    centres of the heads.

    Parameters
    ----------
    first, moving
        Means over the frames of two runs, 3-D, finite.
    sloppy
        Stop at 4 mm.

    Returns
    -------
    first_from_moving
        (4, 4), of world coordinates.
    distance
        By which it moves the corners of the head's box at most, mm.
    """
    mask = head_mask(first)
    brain = Brain.from_mask(mask)
    head = emphasised(first, mask, WORKING_MM)
    seen = downsample(moving, WORKING_MM)
    coarse, middle = (Similarity.from_images(head, seen, level) for level in (COARSE, MIDDLE))
    shift = brain.centre - Brain.from_mask(head_mask(moving)).centre
    starts = [np.eye(4), nib.affines.from_matvec(np.eye(3), shift)]
    starts = [refine(coarse, start, brain.centre, step_mm=8.0) for start in starts]
    best = refine(middle, max(starts, key=middle), brain.centre, step_mm=4.0)
    if not sloppy:
        fine = Similarity.from_images(head, seen, FINE)
        for step_mm in (1.5, 0.7):
            best = refine(fine, best, brain.centre, step_mm=step_mm)
    return best, brain.distance(best, np.eye(4))


def brought(
    frames: Iterable[np.ndarray],
    affine: np.ndarray,
    shape: Sequence[int],
    grid: np.ndarray,
    grid_from_frames: np.ndarray | None = None,
) -> Iterator[np.ndarray]:
    """Frames of a run on the grid of another, one at a time.

    Parameters
    ----------
    frames
        (X, Y, Z) each.
    affine
        (4, 4), of their grid.
    shape, grid
        Of the other grid.
    grid_from_frames
        (4, 4), of world coordinates; None where the head did not move.

    Yields
    ------
    numpy.ndarray
        As they were where the head did not move and the grid is the same; else float32,
        interpolated by cubic splines, which hardly blur, and 0 out of the field of view.
    """
    from scipy import ndimage

    world = np.eye(4) if grid_from_frames is None else grid_from_frames
    same = grid_from_frames is None and np.allclose(affine, grid, atol=1e-3)
    matrix = np.linalg.inv(world @ affine) @ grid
    for frame in frames:
        if same and frame.shape == tuple(shape):
            yield frame
            continue
        finite = np.nan_to_num(frame, posinf=0, neginf=0)
        yield ndimage.affine_transform(
            finite, matrix[:3, :3], matrix[:3, 3], tuple(shape), np.float32, 3, "grid-constant"
        )


def write_series(
    path: Path, frames: Iterable[np.ndarray], shape: Sequence[int], affine: np.ndarray
) -> None:
    """Write a 4-D image of which one frame is in memory at a time.

    Parameters
    ----------
    shape
        (X, Y, Z, T).
    """
    header = new_image(np.zeros((1, 1, 1, 1), np.float32), affine).header
    header.set_data_shape(shape)
    with path.open("wb") as stream:
        header.write_to(stream)
        for frame in frames:
            stream.write(np.asarray(frame, "<f4").tobytes(order="F"))
