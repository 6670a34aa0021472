"""Writing an image as a DICOM series beside its NIfTI file."""

from functools import partial
from pathlib import Path

from fusionprep.dicom.datasets import build_series
from fusionprep.dicom.series import check_same_image, on_grid, read_series
from fusionprep.errors import OutputError
from fusionprep.files import write_whole
from fusionprep.image.io import load_image


def write_series(
    image: Path, reference: Path, folder: Path, *, what: str, details: str, like: Path | None = None
) -> list[Path]:
    """Write a fused image as DICOM, on the grid and under the study of a series.

    Parameters
    ----------
    image
        NIfTI in [0, 1] or RGB24, in the space of the reference.
    reference
        Folder of one series of MR, PET or CT.
    folder
        Where the slices go; other DICOM files in it are removed.
    what, details
        See :func:`~fusionprep.dicom.datasets.build_series`.
    like
        NIfTI that was converted from the reference, to be compared with it; None compares nothing.

    Returns
    -------
    list of pathlib.Path
        The files, in the order of the reference's slices.

    Raises
    ------
    NoInputError, DataError
        When the reference cannot be used, or shows something else.
    OutputError
    """
    series = read_series(reference)
    if like is not None:
        check_same_image(series, load_image(like), like.name)
    datasets = build_series(series, on_grid(load_image(image), series), what, details)
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(datasets, start=1):
            path = folder / f"{number:04d}.dcm"
            write_whole(path, partial(data.save_as, enforce_file_format=True))
            written.append(path)
        for stale in set(folder.glob("*.dcm")) - set(written):
            stale.unlink()
    except OSError as error:
        raise OutputError(f"cannot write DICOM to {folder}: {error.strerror or error}") from error
    return written
