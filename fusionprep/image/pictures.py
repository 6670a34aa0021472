"""Reading slices from pictures: gray levels, and the levels of pseudo-colours."""

from pathlib import Path

import numpy as np

from fusionprep.errors import DataError, NoInputError


def read_luminance(path: Path) -> np.ndarray:
    """Read a PNG as gray levels.

    Colour becomes luma by ITU-R BT.601 (0.299 R + 0.587 G + 0.114 B), the Y of the YCbCr space in
    which pseudo-colour slices are fused in the literature.

    Returns
    -------
    numpy.ndarray
        (H, W) uint8.

    Raises
    ------
    NoInputError
        When there is no such file.
    DataError
        When the file is not an 8-bit image.
    """
    return np.rint(_read_rgb(path) @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)


def read_colormap(path: Path) -> np.ndarray:
    """The colours of a pseudo-colour map, one ``R,G,B`` row for each level from the lowest.

    Returns
    -------
    numpy.ndarray
        (levels, 3) uint8.

    Raises
    ------
    NoInputError
        When there is no such file.
    DataError
        When it holds anything but rows of three numbers from 0 to 255.
    """
    try:
        colours = np.loadtxt(path, delimiter=",", ndmin=2)
    except FileNotFoundError as error:
        raise NoInputError(f"there is no file {path}") from error
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read the colour map {path}: {error}") from error
    if colours.shape[1] != 3 or len(colours) < 2 or colours.min() < 0 or colours.max() > 255:
        raise DataError(f"the colour map {path} is not a table of R,G,B rows from 0 to 255")
    return np.rint(colours).astype(np.uint8)


def read_level(path: Path, colours: np.ndarray) -> np.ndarray:
    """Read a pseudo-colour PNG as the level that its nearest colour has in the map.

    Parameters
    ----------
    colours
        (levels, 3) uint8, from :func:`read_colormap`.

    Returns
    -------
    numpy.ndarray
        (H, W) uint8: 0 for the map's first colour to 255 for its last. Gray images, which have no
        colours to look up, are returned as they are.

    Raises
    ------
    NoInputError, DataError
        As in :func:`read_luminance`.
    """
    from scipy.spatial import KDTree

    rgb = _read_rgb(path)
    if (rgb == rgb[..., :1]).all():
        return rgb[..., 0]
    _, nearest = KDTree(colours.astype(float)).query(rgb.astype(float))
    return np.rint(nearest * (255 / (len(colours) - 1))).astype(np.uint8)


def _read_rgb(path: Path) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            mode = image.mode
            rgb = np.asarray(image.convert("RGB"))
    except FileNotFoundError as error:
        raise NoInputError(f"there is no file {path}") from error
    except (OSError, UnidentifiedImageError) as error:
        raise DataError(f"cannot read the image {path}: {error}") from error
    if mode not in ("L", "P", "RGB", "RGBA"):
        raise DataError(f"{path} is not an 8-bit gray or RGB image (mode {mode})")
    return rgb
