"""Colour of fused images: lightness from the fusion, hue and chroma from the functional image."""

from pathlib import Path

import numpy as np
from nibabel import Nifti1Image

from fusionprep.errors import DataError, NoInputError

COLOUR_MAP = "plasma"
"""Matplotlib's map that lends hue and chroma. Lightness comes from the fusion, so a map must differ
in hue over its whole range: plasma runs from violet through red and orange to yellow with a chroma
of 55 or more throughout, where inferno, magma and hot start black and end nearly white."""

COLOUR_MAP_END = 0.93
"""The part of the map in use; beyond it lies a yellow that turns greenish when it is darkened."""

FULL_CHROMA_FROM = 0.25
"""Below this uptake the colour fades to gray, so that tissue without tracer looks like MRI."""

SRGB_TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)

RGB24 = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])


def fuse_colour(
    fused: np.ndarray, functional: np.ndarray, mask: np.ndarray | None = None
) -> np.ndarray:
    """Colour a fused gray image by the uptake.

    Parameters
    ----------
    fused, functional
        Same shape, in [0, 1].
    mask
        Same shape; outside it the result is black. None colours everything.

    Returns
    -------
    numpy.ndarray
        uint8 of shape (..., 3), sRGB.
    """
    table = colour_table()
    colours = np.zeros((*fused.shape, 3), np.uint8)
    where = np.ones(fused.shape, bool) if mask is None else mask > 0
    colours[where] = table[_level(fused[where]), _level(functional[where])]
    return colours


def colour_table(levels: int = 256) -> np.ndarray:
    """Colours (sRGB) for every pair of fused gray level and uptake.

    Lightness is CIELAB L* (D65) = 100 times the fused level. Where sRGB cannot show the hue with
    the map's chroma at that lightness, the chroma is lowered until it can; hue and lightness are
    kept, so that the fused image can be read off the colour one.

    Returns
    -------
    numpy.ndarray
        uint8 (levels, levels, 3), first axis the fused level, second the uptake.
    """
    from matplotlib import colormaps
    from skimage.color import rgb2lab

    uptake = np.linspace(0, 1, levels)
    hues = rgb2lab(colormaps[COLOUR_MAP](COLOUR_MAP_END * uptake)[:, :3])[:, 1:]
    fade = np.clip(uptake / FULL_CHROMA_FROM, 0, 1)
    chroma = hues * (fade**2 * (3 - 2 * fade))[:, None]
    lab = np.empty((levels, levels, 3))
    lab[..., 0] = 100 * np.linspace(0, 1, levels)[:, None]
    lab[..., 1:] = chroma
    lab[..., 1:] *= _displayable_share(lab)[..., None]
    # Black has no hue, but the tolerance of what can be shown would leave a tint.
    lab[0, :, 1:] = 0
    return np.rint(np.clip(_linear_to_srgb(_lab_to_linear_rgb(lab)), 0, 1) * 255).astype(np.uint8)


def _displayable_share(lab: np.ndarray) -> np.ndarray:
    """The largest part of each colour's chroma that sRGB can show, by bisection."""
    shown, not_shown = np.zeros(lab.shape[:-1]), np.ones(lab.shape[:-1])
    tried = not_shown
    for _ in range(11):
        rgb = _lab_to_linear_rgb(lab * np.stack([np.ones_like(tried), tried, tried], axis=-1))
        fits = ((rgb > -1e-3) & (rgb < 1 + 1e-3)).all(axis=-1)
        shown = np.where(fits, tried, shown)
        not_shown = np.where(fits, not_shown, tried)
        tried = (shown + not_shown) / 2
    return shown


def _lab_to_linear_rgb(lab: np.ndarray) -> np.ndarray:
    """CIELAB (D65, 2 degrees) to linear sRGB, not clipped (CIE 15:2004, IEC 61966-2-1)."""
    y = (lab[..., 0] + 16) / 116
    nonlinear = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    linear = np.where(nonlinear > 6 / 29, nonlinear**3, 3 * (6 / 29) ** 2 * (nonlinear - 4 / 29))
    xyz = linear * np.array([0.95047, 1.0, 1.08883])
    return xyz @ np.linalg.inv(SRGB_TO_XYZ).T


def _linear_to_srgb(linear: np.ndarray) -> np.ndarray:
    curve = 1.055 * np.clip(linear, 0.0031308, None) ** (1 / 2.4) - 0.055
    return np.where(linear <= 0.0031308, 12.92 * linear, curve)


def rgb24_image(rgb: np.ndarray, affine: np.ndarray) -> Nifti1Image:
    """A NIfTI image of datatype RGB24 from uint8 (X, Y, Z, 3), in millimetres."""
    voxels = np.ascontiguousarray(rgb, np.uint8).view(RGB24)[..., 0]
    image = Nifti1Image(voxels, affine)
    image.header.set_xyzt_units("mm")
    return image


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


def _level(values: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
