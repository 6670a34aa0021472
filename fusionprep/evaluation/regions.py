"""Regions in which fused images are judged."""

import numpy as np

from fusionprep.image.masks import largest_component

_AIR = 10


def head_mask(anatomical: np.ndarray, functional: np.ndarray) -> np.ndarray:
    """The head: largest part brighter than 10 gray levels in either image, holes filled.

    Parameters
    ----------
    anatomical, functional
        Same shape, gray levels 0..255.

    Returns
    -------
    numpy.ndarray
        bool, same shape; all False for black images.
    """
    from scipy import ndimage

    bright = np.maximum(anatomical, functional) > _AIR
    return ndimage.binary_fill_holes(largest_component(bright))


def uptake_mask(smoothed_functional: np.ndarray) -> np.ndarray:
    """The brain by its uptake: at least 30 % of the largest, holes filled.

    Parameters
    ----------
    smoothed_functional
        Functional image at PET resolution, at least 0.

    Returns
    -------
    numpy.ndarray
        bool, same shape; all False for an image of zeros.
    """
    from scipy import ndimage

    largest = smoothed_functional.max()
    return ndimage.binary_fill_holes(
        (smoothed_functional >= 0.3 * largest) & (smoothed_functional > 0)
    )
