"""Decay of the radionuclides of PET."""

import math

# Seconds; Table of Radionuclides (LNHB/DDEP recommended data).
HALF_LIVES = {
    "C11": 20.361 * 60,
    "N13": 9.967 * 60,
    "O15": 2.041 * 60,
    "F18": 1.8289 * 3600,
    "Cu64": 12.7004 * 3600,
    "Ga68": 67.83 * 60,
    "Zr89": 78.42 * 3600,
    "I124": 4.176 * 86400,
}


def decay_constant(half_life: float) -> float:
    """Per second, of a half-life in seconds."""
    return math.log(2) / half_life


def within_frame(constant: float, duration: float) -> float:
    """Activity at the start of a frame over its mean during the frame."""
    decay = constant * duration
    return decay / -math.expm1(-decay)
