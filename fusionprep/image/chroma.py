"""Colours of pictures that are fused: luma goes through the model, chroma is kept beside it.

YCbCr is that of JPEG: ITU-R BT.601 luma, full range. Chroma is (..., 2), Cb and Cr, in levels from
-127.5 to 127.5, 0 for gray.
"""

import numpy as np

from fusionprep.image.pictures import LUMA

APART, FEWEST = 12, 1e-3
"""A picture is in colour where the channels of this share of its pixels are this far apart, of 255:
JPEG and screenshots leave traces of colour in gray ones."""

_TO_CHROMA = 0.5 / (1 - LUMA[[2, 0]])


def chroma_of(rgb: np.ndarray) -> np.ndarray | None:
    """Cb and Cr (..., 2) of colours (..., 3), levels 0..255; None for a picture in gray."""
    if rgb.ndim < 3 or rgb.shape[-1] != 3:
        return None
    levels = rgb.astype(np.float32)
    if np.mean(np.ptp(levels, axis=-1) > APART) < FEWEST:
        return None
    luma = levels @ LUMA.astype(np.float32)
    return np.asarray((levels[..., [2, 0]] - luma[..., None]) * _TO_CHROMA, np.float32)


def joined_chroma(first: np.ndarray | None, second: np.ndarray | None) -> np.ndarray | None:
    """One chroma for two pictures: that of the only one in colour, else a mean by saturation.

    Notes
    -----
    Each is weighted by its distance from gray (Prabhakar, Srikar & Babu, DeepFuse, ICCV 2017, eq
    5), so that colour on gray stays as it is. One weight serves both channels: two would turn hues.
    """
    if first is None or second is None:
        return second if first is None else first
    weights = [np.linalg.norm(each, axis=-1, keepdims=True) for each in (first, second)]
    total = np.maximum(weights[0] + weights[1], 1e-6)
    return np.asarray((first * weights[0] + second * weights[1]) / total, np.float32)


def with_chroma(luma: np.ndarray, chroma: np.ndarray) -> np.ndarray:
    """Colours of exactly this luma.

    Clipping to what RGB can show, as is usual, would change the luma and so the fused image; here
    the chroma is lowered instead, where it must be. Black stays black.

    Parameters
    ----------
    luma
        (...), in [0, 1].
    chroma
        (..., 2).

    Returns
    -------
    numpy.ndarray
        uint8 (..., 3), sRGB.
    """
    level = 255 * np.clip(luma, 0, 1).astype(np.float32)[..., None]
    blue, red = np.moveaxis(chroma / _TO_CHROMA.astype(np.float32), -1, 0)
    green = -(LUMA[0] * red + LUMA[2] * blue) / LUMA[1]
    apart = np.stack([red, green, blue], axis=-1)
    room = np.where(apart > 0, 255 - level, level)
    share = np.min(room / np.maximum(np.abs(apart), 1e-6), axis=-1, keepdims=True)
    return np.rint(level + apart * np.minimum(share, 1)).astype(np.uint8)
