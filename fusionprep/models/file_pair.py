"""Two aligned files to fuse: what they hold, and how the result is written beside them."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

from fusionprep.choices import Bringing, Device
from fusionprep.errors import DataError, NoInputError, OutputError, UsageError
from fusionprep.files import same_file, write_whole
from fusionprep.image.alignment import Aligned, align_volumes, on_grid_of, overlap
from fusionprep.image.chroma import chroma_of, joined_chroma
from fusionprep.image.colour import rgb24_image
from fusionprep.image.ct_units import CTUnits, to_hounsfield
from fusionprep.image.fusion_mask import fusion_mask, shown_by_either
from fusionprep.image.intensity import Scaling
from fusionprep.image.io import load_image, new_image, read_mask, read_volume, same_grid
from fusionprep.image.pictures import is_picture, read_gray, read_level, read_rgb
from fusionprep.machine import cpus
from fusionprep.modalities import Modality

if TYPE_CHECKING:
    from nibabel import Nifti1Image

VOLUMES = (".nii", ".nii.gz")
PICTURE = ".png"
"""Ending of pictures that are written: JPEG would change gray levels, and colours even more."""


@dataclass(frozen=True)
class FilePair:
    """What two files and a mask hold.

    Attributes
    ----------
    images, mask
        Of one shape: (X, Y, Z) closest to RAS orientation, or (H, W).
    save
        Writes a gray image in [0, 1], or colours, uint8 (..., 3), to a file.
    scalings
        Of both images where the files tell; None where they are found in the images.
    voxel_sizes
        Along the axes of a volume, mm.
    units
        What the numbers of a CT volume were; None for others.
    aligned
        How the second volume was registered to the first; None where it was not.
    resampled
        Whether it was brought to the grid of the first by their headers.
    chroma
        Of both pictures (:func:`~fusionprep.image.chroma.joined_chroma`); None where both are gray.
    coloured
        Which of both are in colour.
    """

    images: tuple[np.ndarray, np.ndarray]
    mask: np.ndarray
    save: Callable[[np.ndarray, Path], None]
    scalings: tuple[Scaling, Scaling] | None = None
    voxel_sizes: Sequence[float] = (1.0, 1.0, 1.0)
    units: CTUnits | None = None
    aligned: Aligned | None = None
    resampled: bool = False
    chroma: np.ndarray | None = None
    coloured: tuple[bool, bool] = (False, False)


def stem(path: Path) -> str:
    """The name of an image without its ending."""
    ending = next((end for end in reversed(VOLUMES) if path.name.endswith(end)), path.suffix)
    return path.name.removesuffix(ending)


def sidecar_path(path: Path) -> Path:
    """Where the JSON sidecar of an image is."""
    return path.with_name(f"{stem(path)}.json")


def check_outputs(outputs: Sequence[Path], inputs: Sequence[Path], *, overwrite: bool) -> None:
    """Refuse to write over what is there.

    Parameters
    ----------
    outputs
        Files that will be written.
    inputs
        Files that are read. Neither they nor their sidecars are ever written over.
    overwrite
        Whether any other file may be.

    Raises
    ------
    UsageError
        When an output is one of the inputs, be it through a link.
    OutputError
        When an output exists and may not be overwritten, or cannot be written.
    """
    kept = [*inputs, *(path for path in map(sidecar_path, inputs) if path.exists())]
    for output in outputs:
        for path in kept:
            if same_file(output, path):
                raise UsageError(
                    f"{output} would replace {path}, which belongs to the input; choose another"
                    " --output"
                )
        if output.is_dir():
            raise OutputError(f"{output} is a folder; choose another --output")
        if not overwrite and (output.exists() or output.is_symlink()):
            raise OutputError(f"{output} exists; choose another --output, or give --overwrite")
        check_folder(output.parent)


def check_folder(folder: Path) -> None:
    """Find out before hours of work whether a folder can be written, which need not exist yet.

    Raises
    ------
    OutputError
        When it cannot.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise OutputError(f"cannot write to {folder}: {there} is not a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write to {folder}: {there} cannot be written")


def write_together(writers: Mapping[Path, Callable[[Path], object]]) -> None:
    """Write files that belong together; none of them stays where one cannot be written.

    Raises
    ------
    OutputError
        When one cannot.
    """
    written: list[Path] = []
    try:
        for path, write in writers.items():
            write_whole(path, write)
            written.append(path)
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        why = error.strerror or error
        raise OutputError(f"cannot write {path}: {why}") from error


def present(path: Path) -> Path:
    """A path to a file that is there.

    Raises
    ------
    NoInputError
        When it is not.
    """
    if not path.is_file():
        raise NoInputError(f"there is no file {path}")
    return path


def read_file_pair(
    anatomical: Path,
    functional: Path,
    mask: Path | None,
    output: Path,
    modality: Modality,
    *,
    bringing: Bringing = "as is",
    device: Device = "auto",
    source_colours: np.ndarray | None = None,
) -> FilePair:
    """Read two files, and bring the second to the grid of the first where that is asked for.

    Parameters
    ----------
    anatomical, functional
        NIfTI volumes, or pictures of one size.
    mask
        On the grid of the first; None finds the head
        (:func:`~fusionprep.image.fusion_mask.fusion_mask`). For the registration it is the brain;
        None makes a mask of it.
    output
        The file to write, which tells nothing but must go with them.
    modality
        Of the functional image.
    bringing
        Of volumes: ``as is`` when they are on one grid, ``resample`` when they are aligned by
        their headers, ``register`` when they are not.
    device
        Where the network that finds the brain runs.
    source_colours
        Pseudo-colours of the functional picture, (levels, 3) uint8, by which its levels are read;
        None takes its luma for them.

    Raises
    ------
    UsageError
        When the files are of different kinds, or of none that is read or written.
    NoInputError
        When a file is missing.
    DataError
        When a file cannot be read, is not on the grid of the first, or the mask is empty.
    """
    inputs = [anatomical, functional, *([mask] if mask else [])]
    volumes = [path.name.endswith(VOLUMES) for path in (*inputs, output)]
    if all(volumes):
        if source_colours is not None:
            raise UsageError("--functional-colours is for pictures; volumes have levels")
        return _read_volumes(anatomical, functional, mask, modality, bringing, device)
    if all(map(is_picture, (*inputs, output))):
        if bringing != "as is":
            raise UsageError(
                f"--{bringing} is for NIfTI volumes; pictures do not say where they lie"
            )
        if output.suffix.lower() != PICTURE:
            raise UsageError(f"{output} would lose gray levels; give --output a name in {PICTURE}")
        return _read_pictures(anatomical, functional, mask, source_colours)
    raise UsageError(
        "the images, the mask and the output must all be NIfTI, or all PNG (JPEG and TIFF are read)"
    )


def _read_volumes(
    anatomical: Path,
    functional: Path,
    mask: Path | None,
    modality: Modality,
    bringing: Bringing,
    device: Device,
) -> FilePair:
    grid, moving = _read_nifti(anatomical), _read_nifti(functional, modality.outside)
    first, units = grid.get_fdata(dtype=np.float32), None
    if modality.hounsfield:
        levels, units = to_hounsfield(moving.get_fdata(dtype=np.float32), str(functional))
        moving = new_image(levels, moving.affine)
    given = None if mask is None else read_mask(present(mask))
    if given is not None and mask is not None and not same_grid(given, grid):
        raise DataError(f"{mask} is not on the grid of the MRI; resample it first")
    aligned, resampled = None, False
    if bringing == "register":
        aligned = align_volumes(
            grid,
            moving,
            modality,
            mask=given,
            fixed_name=str(anatomical),
            moving_name=str(functional),
            device=device,
            n_threads=cpus(),
        )
        moving = aligned.moved
    elif not same_grid(moving, grid):
        moving, resampled = _resampled(moving, grid, functional, modality, bringing), True
    second = moving.get_fdata(dtype=np.float32)
    inside = (
        fusion_mask(first, second, modality)
        if given is None
        else given.get_fdata(dtype=np.float32) > 0
    )
    return FilePair(
        images=(first, second),
        mask=inside,
        save=_saver(load_image(anatomical).affine),
        voxel_sizes=nib.affines.voxel_sizes(grid.affine),
        units=units,
        aligned=aligned,
        resampled=resampled,
    )


def _resampled(
    moving: "Nifti1Image",
    grid: "Nifti1Image",
    path: Path,
    modality: Modality,
    bringing: Bringing,
) -> "Nifti1Image":
    """A volume on another grid, where that is asked for and both have a place in common."""
    if bringing != "resample":
        raise DataError(
            f"{path} is not on the grid of the MRI: give --register to align it, or --resample if"
            " both already overlay in a viewer"
        )
    if not overlap(grid, moving):
        raise DataError(
            f"{path} and the MRI do not overlap in space by their headers: give --register"
        )
    return on_grid_of(grid, moving, modality, n_threads=cpus())


def _saver(as_stored: np.ndarray) -> Callable[[np.ndarray, Path], None]:
    """Writes a volume closest to RAS orientation with the axes of a file, by its affine."""
    from_ras = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), nib.io_orientation(as_stored)
    )

    def save(image: np.ndarray, path: Path) -> None:
        make = rgb24_image if image.dtype == np.uint8 else new_image
        turned = nib.orientations.apply_orientation(image, from_ras)
        make(np.ascontiguousarray(turned), as_stored).to_filename(path)

    return save


def _read_nifti(path: Path, missing: float = 0.0) -> "Nifti1Image":
    return read_volume(present(path), path.name, missing=missing)


def _read_pictures(
    anatomical: Path, functional: Path, mask: Path | None, source_colours: np.ndarray | None
) -> FilePair:
    first, second = read_gray(anatomical), read_gray(functional)
    if source_colours is not None:
        levels = read_level(functional, source_colours).astype(np.float32)
        second = levels, Scaling("levels of pseudo-colours", 0.0, 255.0)
    images = first[0], second[0]
    _check_size(images[1], images[0], functional)
    if mask is None:
        inside = shown_by_either(*images)
    else:
        inside = read_gray(mask)[0] > 0
        _check_size(inside, images[0], mask)
        if not inside.any():
            raise DataError(f"the mask {mask} is black everywhere; draw where to fuse in white")
    chromas = [
        None if rgb is None else chroma_of(rgb)
        for rgb in (read_rgb(anatomical), read_rgb(functional) if source_colours is None else None)
    ]
    return FilePair(
        images,
        inside,
        save_picture,
        (first[1], second[1]),
        chroma=joined_chroma(*chromas),
        coloured=(chromas[0] is not None, chromas[1] is not None),
    )


def _check_size(image: np.ndarray, reference: np.ndarray, path: Path) -> None:
    if image.shape != reference.shape:
        sizes = [f"{width} x {height}" for height, width in (image.shape, reference.shape)]
        raise DataError(f"{path} has {sizes[0]} pixels, the MRI {sizes[1]}; resample it first")


def save_picture(image: np.ndarray, path: Path) -> None:
    """Write a gray image in [0, 1], or colours, uint8 (H, W, 3), as PNG."""
    from PIL import Image

    levels = image if image.dtype == np.uint8 else np.rint(255 * image).astype(np.uint8)
    Image.fromarray(levels).save(path, format="PNG")
