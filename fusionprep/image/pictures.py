"""Reading slices from pictures: gray levels, and the levels of pseudo-colours."""

import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fusionprep.errors import DataError, NoInputError
from fusionprep.image.intensity import Scaling
from fusionprep.regular import check_regular

if TYPE_CHECKING:
    from PIL import Image


PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
"""Endings of the pictures that are read, in lower case."""

MOST_PIXELS = 2**25
"""A slice has a few hundred thousand; of more than these, models would fill the memory."""

_FORMATS = ("PNG", "JPEG", "TIFF")
_LARGEST_FILE = 2**29
_LARGEST_TABLE = 2**20
_MOST_PAGES = 1000

_UNREADABLE = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, OSError, RuntimeError),
    *(SyntaxError, TypeError, ValueError, struct.error, zlib.error),
)
"""With what Pillow fails, depending on where a file is damaged."""

LUMA = np.array([0.299, 0.587, 0.114])
"""ITU-R BT.601."""

STORED_BITS = (8, 12, 16)
"""Depths of gray levels; scanners' 12 bits come in files of 16."""


@dataclass(frozen=True)
class _Picture:
    """Whole levels (H, W) or, in colour, (H, W, 3), and their depth."""

    levels: np.ndarray
    bits: int

    def in_8_bits(self) -> np.ndarray:
        return np.rint(self.levels * (255 / (2**self.bits - 1))).astype(np.uint8)

    def gray(self) -> np.ndarray:
        gray = self.levels if self.levels.ndim == 2 else np.rint(self.levels @ LUMA)
        return gray.astype(np.float32)


def is_picture(path: Path) -> bool:
    """Whether a file's ending, in any case, is that of a picture which can be read."""
    return path.suffix.lower() in PICTURES


def in_colour(path: Path) -> bool:
    """Whether a picture has colours other than gray; raises as :func:`read_gray`."""
    levels = _read(path).levels
    return levels.ndim == 3 and bool((levels != levels[..., :1]).any())


def read_gray(path: Path) -> tuple[np.ndarray, Scaling]:
    """Read a picture as gray levels of the depth in which they are stored.

    Colour becomes luma by ITU-R BT.601 (0.299 R + 0.587 G + 0.114 B), the Y of the YCbCr space in
    which pseudo-colour slices are fused in the literature. What is transparent shows nothing: it
    lies on black. Levels of 16 bits that all fit into 8 or 12 are taken for those.

    Returns
    -------
    levels : numpy.ndarray
        (H, W) float32, whole numbers.
    scaling : Scaling
        From black and white to [0, 1].

    Raises
    ------
    NoInputError
        When there is no such file.
    DataError
        When the file is not a picture, holds several, or its levels are not of 8 or 16 bits.
    """
    picture = _read(path)
    scaling = Scaling(f"{picture.bits}-bit gray levels", 0.0, float(2**picture.bits - 1))
    return picture.gray(), scaling


def read_rgb(path: Path) -> np.ndarray | None:
    """The colours of a picture, uint8 (H, W, 3); None where it is stored in gray levels.

    Raises
    ------
    NoInputError, DataError
        As in :func:`read_gray`.
    """
    picture = _read(path)
    return picture.levels.astype(np.uint8) if picture.levels.ndim == 3 else None


def read_luminance(path: Path) -> np.ndarray:
    """Read a picture as 8-bit gray levels, otherwise as :func:`read_gray`.

    Returns
    -------
    numpy.ndarray
        (H, W) uint8.

    Raises
    ------
    NoInputError, DataError
        As in :func:`read_gray`.
    """
    gray, scaling = read_gray(path)
    return np.rint(gray * (255 / scaling.high)).astype(np.uint8)


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
    check_regular(path, largest=_LARGEST_TABLE)
    try:
        colours = np.loadtxt(path.read_text("utf-8").splitlines(), delimiter=",", ndmin=2)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read the colour map {path}: {error}") from error
    three = colours.shape[1] == 3 and len(colours) > 1
    if not three or not ((colours >= 0) & (colours <= 255)).all():
        raise DataError(f"the colour map {path} is not a table of R,G,B rows from 0 to 255")
    return np.rint(colours).astype(np.uint8)


def named_colormap(name: str) -> np.ndarray:
    """The colours of a pseudo-colour map by matplotlib's name or from a file.

    Parameters
    ----------
    name
        E.g. ``hot``; or the path of a file for :func:`read_colormap`.

    Returns
    -------
    numpy.ndarray
        (levels, 3) uint8.

    Raises
    ------
    NoInputError
        When it is neither.
    DataError
        When the file is not a colour map.
    """
    from matplotlib import colormaps

    if name in colormaps:
        return np.rint(255 * colormaps[name](np.linspace(0, 1, 256))[:, :3]).astype(np.uint8)
    if not Path(name).is_file():
        raise NoInputError(
            f"{name} is neither a file of R,G,B rows nor a colour map of matplotlib, such as hot"
        )
    return read_colormap(Path(name))


def read_level(path: Path, colours: np.ndarray) -> np.ndarray:
    """Read a pseudo-colour picture as the level that its nearest colour has in the map.

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
        As in :func:`read_gray`.
    """
    from scipy.spatial import KDTree

    picture = _read(path)
    levels = picture.in_8_bits()
    if levels.ndim == 2:
        return levels
    if (levels == levels[..., :1]).all():
        return levels[..., 0]
    _, nearest = KDTree(colours.astype(float)).query(levels.astype(float))
    return np.rint(nearest * (255 / (len(colours) - 1))).astype(np.uint8)


def _read(path: Path) -> _Picture:
    from PIL import Image

    check_regular(path, largest=_LARGEST_FILE)
    try:
        with warnings.catch_warnings():
            # of damaged metadata and large images, of which errors tell
            warnings.simplefilter("ignore")
            with Image.open(path, formats=_FORMATS) as image:
                mode, levels = _decoded(image, path)
    except Image.DecompressionBombError as error:
        raise DataError(f"{path} is too large for a slice ({error})") from error
    except _UNREADABLE as error:
        what = " ".join(str(error).split())
        raise DataError(f"cannot read the image {path}: {what}; save it again as PNG") from error
    except MemoryError as error:
        raise MemoryError(f"reading {path}") from error
    if levels is None or levels.min() < 0 or levels.max() >= 2 ** STORED_BITS[-1]:
        raise DataError(
            f"{path} does not hold gray levels or RGB of 8 or 16 bits (mode {mode}); save it as PNG"
        )
    if mode[0] != "I":
        return _Picture(levels, STORED_BITS[0])
    return _Picture(levels, next(bits for bits in STORED_BITS if levels.max() < 2**bits))


def _decoded(image: "Image.Image", path: Path) -> tuple[str, np.ndarray | None]:
    """Mode and levels of the only picture in a file; its size is looked at first."""
    from PIL import ImageOps

    width, height = image.size
    if not 0 < width * height <= MOST_PIXELS:
        raise DataError(
            f"{path} has {width} x {height} pixels; a slice has at least 1 and at most"
            f" {MOST_PIXELS / 1e6:.0f} million"
        )
    if (pages := _pages(image)) > 1:
        raise DataError(f"{path} holds {pages} images; save the one to fuse as PNG")
    upright = ImageOps.exif_transpose(image)
    return upright.mode, _levels(upright)


def _pages(image: "Image.Image") -> int:
    """How many images a file holds; a chain of them may be endless, so not all are counted."""
    count = 1
    try:
        while count < _MOST_PAGES:
            image.seek(count)
            count += 1
    except EOFError:
        image.seek(0)
    return count


def _levels(image: "Image.Image") -> np.ndarray | None:
    """The levels of a picture on black; None where they are of neither 8 nor 16 bits."""
    if image.mode == "I" or image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.int64)
    if image.mode == "F":
        return None
    transparent = image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info
    gray = image.mode in ("1", "L", "LA", "La")
    if not transparent:
        return np.asarray(image.convert("L" if gray else "RGB"))
    channels = np.asarray(image.convert("RGBA")).astype(float)
    shown = np.rint(channels[..., :3] * (channels[..., 3:] / 255)).astype(np.uint8)
    return shown[..., 0] if gray else shown
