"""sRGB and CIELAB, and what colours look like without the green-sensitive cones."""

import numpy as np

SRGB_TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
WHITE = np.array([0.95047, 1.0, 1.08883])
"""D65, 2 degrees."""

DEUTERANOPIA = np.array(
    [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]
)
"""Machado, Oliveira and Fernandes, IEEE TVCG 15:1291 (2009), severity 1, on linear sRGB."""


def lab_to_linear(lab: np.ndarray) -> np.ndarray:
    """CIELAB (D65) to linear sRGB, not clipped (CIE 15:2004, IEC 61966-2-1).

    Parameters
    ----------
    lab
        (..., 3): L* from 0 to 100, a*, b*.
    """
    y = (lab[..., 0] + 16) / 116
    nonlinear = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    linear = np.where(nonlinear > 6 / 29, nonlinear**3, 3 * (6 / 29) ** 2 * (nonlinear - 4 / 29))
    return (linear * WHITE) @ np.linalg.inv(SRGB_TO_XYZ).T


def linear_to_srgb(linear: np.ndarray) -> np.ndarray:
    """Linear sRGB (..., 3) to uint8, clipped."""
    linear = np.clip(linear, 0, 1)
    curve = 1.055 * np.clip(linear, 0.0031308, None) ** (1 / 2.4) - 0.055
    return np.rint(255 * np.where(linear <= 0.0031308, 12.92 * linear, curve)).astype(np.uint8)


def srgb_to_linear(rgb: np.ndarray) -> np.ndarray:
    """Colours (..., 3) uint8 to linear sRGB in [0, 1]."""
    levels = np.arange(256) / 255
    curve = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    return curve[rgb]


def srgb_to_lab(rgb: np.ndarray) -> np.ndarray:
    """Colours (..., 3) uint8 to CIELAB (D65), float64 (..., 3): L* from 0 to 100, a*, b*."""
    xyz = srgb_to_linear(rgb) @ SRGB_TO_XYZ.T / WHITE
    nonlinear = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = np.moveaxis(nonlinear, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def deuteranopic(rgb: np.ndarray) -> np.ndarray:
    """Colours (..., 3) uint8 as a deuteranope sees them, by Machado et al. (2009)."""
    return linear_to_srgb(srgb_to_linear(rgb) @ DEUTERANOPIA.T)
