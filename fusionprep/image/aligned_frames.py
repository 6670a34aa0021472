"""Frames of a dynamic PET brought to one grid, each by its own transform."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

from fusionprep.image.frames import average_frames
from fusionprep.image.io import new_image
from fusionprep.image.resample import compose, itk_from_ras, remove_shear, resample

if TYPE_CHECKING:
    import SimpleITK as sitk


def resample_frames(
    frames: Iterable[np.ndarray],
    affine: np.ndarray,
    reference_from_frame: Iterable[np.ndarray],
    grid: nib.Nifti1Image,
    transform: "sitk.Transform | None" = None,
    *,
    n_threads: int = 1,
) -> Iterator[np.ndarray]:
    """Bring frames to a grid, each in one linear interpolation.

    Parameters
    ----------
    frames
        T times (X, Y, Z); one is in memory at a time.
    affine
        (4, 4), voxels of the frames to RAS mm.
    reference_from_frame
        T times (4, 4), where the head of the frame lies in the scan's reference, RAS mm.
    grid
        The grid that is wanted, of any space.
    transform
        ITK transform from points of that space to the reference; None where they are the same.

    Yields
    ------
    numpy.ndarray
        On the grid, float32; NaN outside of the frame's field of view.
    """
    import SimpleITK as sitk

    first = sitk.Transform(3, sitk.sitkIdentity) if transform is None else transform
    for frame, move in zip(frames, reference_from_frame, strict=True):
        image = remove_shear(new_image(frame, affine), outside=np.nan)
        chain = compose([first, itk_from_ras(move)])
        moved = resample(image, grid, chain, outside=np.nan, n_threads=n_threads)
        yield np.asarray(moved.dataobj)


def average_aligned(
    frames: Iterable[np.ndarray],
    affine: np.ndarray,
    reference_from_frame: Sequence[np.ndarray] | np.ndarray,
    grid: nib.Nifti1Image,
    transform: "sitk.Transform | None" = None,
    *,
    durations: Sequence[float] | None = None,
    factors: Sequence[float] | None = None,
    chosen: Sequence[int] | None = None,
    n_threads: int = 1,
) -> np.ndarray:
    """Mean over frames on a grid, of which each was interpolated once.

    The parameters are those of :func:`resample_frames` and
    :func:`~fusionprep.image.frames.average_frames`, which this is otherwise like. Where a frame has
    no values, the mean is over the others.

    Returns
    -------
    numpy.ndarray
        On the grid, float32; 0 where no frame has a value.
    """
    taken = list(range(len(reference_from_frame)) if chosen is None else chosen)
    wanted = set(taken)
    kept = (frame for index, frame in enumerate(frames) if index in wanted)
    moves = [reference_from_frame[index] for index in taken]
    moved = resample_frames(kept, affine, moves, grid, transform, n_threads=n_threads)
    weights, scales = (
        None if values is None else [values[index] for index in taken]
        for values in (durations, factors)
    )
    return average_frames(moved, weights, scales).image


def frames_grid(t1w: nib.Nifti1Image, pet_affine: np.ndarray) -> nib.Nifti1Image:
    """The field of view and the axes of a T1w in voxels as large as a PET's.

    Parameters
    ----------
    pet_affine
        (4, 4). Of its voxel sizes, each goes to the axis of the T1w that is nearest to its own in
        the world.

    Returns
    -------
    nibabel.Nifti1Image
        Empty.
    """
    axes, ours = (
        nib.orientations.io_orientation(affine)[:, 0].astype(int)
        for affine in (pet_affine, t1w.affine)
    )
    sizes = nib.affines.voxel_sizes(pet_affine)
    new = np.array([sizes[list(axes).index(axis)] for axis in ours])
    step = new / nib.affines.voxel_sizes(t1w.affine)
    length = np.array(t1w.shape[:3])
    # a rounded share of a voxel is not one more
    shape = np.maximum(np.ceil(length / step - 1e-6), 1).astype(int)
    start = (length - shape * step) / 2 + (step - 1) / 2
    affine = t1w.affine @ nib.affines.from_matvec(np.diag(step), start)
    return new_image(np.zeros(shape, np.float32), affine)


def write_frames(
    frames: Iterable[np.ndarray], count: int, grid: nib.Nifti1Image, path: Path
) -> None:
    """Write a 4-D image, of which one frame is in memory at a time.

    Parameters
    ----------
    frames
        As many as `count`, on the grid; what is not finite is written as 0.
    path
        Ending in ``.nii.gz``; the affine is marked as aligned to another image.

    Raises
    ------
    ValueError
        When there are more or fewer frames.
    """
    # ISA-L packs as tightly as zlib in a tenth of the time
    from isal import igzip

    header = nib.Nifti1Header()
    header.set_data_dtype(np.float32)
    header.set_data_shape((*grid.shape, count))
    header.set_sform(grid.affine, code=2)
    header.set_qform(grid.affine, code=2)
    header.set_xyzt_units("mm", "sec")
    header["vox_offset"], header["scl_slope"], header["scl_inter"] = 352, 1.0, 0.0
    written = 0
    with (
        path.open("wb") as file,
        # without name and time, which would differ from run to run
        igzip.IGzipFile("", "wb", fileobj=file, mtime=0) as stream,
    ):
        stream.write(header.binaryblock + bytes(4))
        for frame in frames:
            values = np.nan_to_num(frame, posinf=0.0, neginf=0.0).astype("<f4", copy=False)
            stream.write(values.tobytes(order="F"))
            written += 1
    if written != count:
        raise ValueError(f"{written} frames where {count} were to be written")
