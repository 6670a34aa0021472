"""Images of one person: the head deformed, ill, and seen by a scanner."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from fusionprep.cohort.anatomy import HEAD, PATTERNS, Anatomy
from fusionprep.cohort.design import Person
from fusionprep.cohort.scanners import acquire_pet, acquire_t1w
from fusionprep.demo import phantom
from fusionprep.demo.disease import Patterns, atrophied, metabolism
from fusionprep.demo.subject import world_points

NODE_MM = 8.0
"""Spacing of the random fields before they are interpolated."""


@dataclass(frozen=True)
class Variation:
    """How people and scans differ, apart from the disease; fields are Gaussian and smooth.

    Attributes
    ----------
    displacement
        Standard deviation along each axis, mm, of what registration to the template has left.
    displacement_width
        Standard deviation of the kernel that makes it smooth, mm.
    gray, uptake
        Relative standard deviations of gray matter and of its uptake.
    width
        Of the kernel that makes these smooth, mm.
    bias, bias_width
        Standard deviation of the logarithm of what bias correction has left in the T1w; width, mm.
    gain
        The same of the whole T1w.
    """

    displacement: float = 0.4
    displacement_width: float = 8.0
    gray: float = 0.04
    uptake: float = 0.12
    width: float = 12.0
    bias: float = 0.01
    bias_width: float = 30.0
    gain: float = 0.1


NO_VARIATION = Variation(displacement=0.0, gray=0.0, uptake=0.0, bias=0.0, gain=0.0)


@dataclass(frozen=True)
class Images:
    """What the App would write of a person in template space.

    Attributes
    ----------
    t1w
        float32, scanner units.
    gm
        float32, fraction of gray matter.
    suvr
        float32, the mean of the brain is 1.
    mask
        Of the brain, bool.
    fractions
        GM, WM and CSF, float32.
    """

    t1w: np.ndarray
    gm: np.ndarray
    suvr: np.ndarray
    mask: np.ndarray
    fractions: tuple[np.ndarray, np.ndarray, np.ndarray]


def simulate_person(
    anatomy: Anatomy, person: Person, rng: np.random.Generator, variation: Variation = Variation()
) -> Images:
    """The images of a person on the grid of the anatomy.

    Parameters
    ----------
    rng
        Source of the person's shape and of the noise.
    """
    shape, size = anatomy.grid.shape, anatomy.voxel_size

    def field(deviation: float, width: float) -> np.ndarray:
        return smooth_field(shape, size, width, rng) * np.float32(deviation)

    displacement = [field(variation.displacement, variation.displacement_width) for _ in range(3)]
    maps = _deformed(anatomy, displacement)
    patterns = Patterns(*(maps[name] for name in PATTERNS))
    gm = atrophied(maps["gm"], patterns.atrophy, person.atrophy)
    gm *= 1.0 + field(variation.gray, variation.width)
    gm = np.clip(gm, 0.0, np.maximum(maps["mask"] - maps["wm"], 0.0))
    fractions = gm, maps["wm"], np.clip(maps["mask"] - maps["wm"] - gm, 0.0, 1.0)
    t1w = phantom.brain_signal(fractions, "t1w") + maps["detail"]
    t1w += maps["head_t1w"] * (1.0 - maps["mask"])
    t1w *= np.exp(field(variation.bias, variation.bias_width))
    t1w *= np.float32(np.exp(variation.gain * rng.standard_normal()))
    uptake = metabolism(patterns, person.hypometabolism)
    uptake *= np.maximum(1.0 + field(variation.uptake, variation.width), 0.0)
    pet = phantom.brain_signal((gm * uptake, *fractions[1:]), "pet")
    pet += maps["head_pet"] * (1.0 - maps["mask"])
    mask = maps["mask"] > 0.5
    pet = acquire_pet(np.maximum(pet, 0.0), person.scanner, size, rng)
    return Images(
        t1w=acquire_t1w(t1w, person.scanner, size, rng),
        gm=gm,
        suvr=pet / pet[mask].mean(),
        mask=mask,
        fractions=fractions,
    )


def _deformed(anatomy: Anatomy, displacement: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """The maps of an anatomy on its grid, each point taken from where it is displaced to (mm)."""
    points = world_points(anatomy.grid) + np.stack(displacement)
    origin = anatomy.source.affine[:3, 3].reshape(3, 1, 1, 1)
    where = ((points - origin) / anatomy.source.voxel_size[0]).astype(np.float32)
    # most of a head's voxels are not of the brain
    inside = where[:, anatomy.brain]
    maps = {}
    for name, array in anatomy.maps.items():
        if name in HEAD:
            maps[name] = ndimage.map_coordinates(array, where, order=1, mode="nearest")
            continue
        maps[name] = np.zeros(anatomy.grid.shape, np.float32)
        maps[name][anatomy.brain] = ndimage.map_coordinates(array, inside, order=1)
    return maps


def smooth_field(
    shape: tuple[int, ...], voxel_size: float, width: float, rng: np.random.Generator
) -> np.ndarray:
    """A random field of standard deviation 1, Gaussian and smooth.

    Parameters
    ----------
    width
        Standard deviation of the kernel, mm.

    Returns
    -------
    float32 array of ``shape``.
    """
    nodes = tuple(int(np.ceil(size * voxel_size / NODE_MM)) + 1 for size in shape)
    noise = rng.standard_normal(nodes, dtype=np.float32)
    smooth = ndimage.gaussian_filter(noise, width / NODE_MM, mode="wrap")
    impulse = np.zeros(1 + 2 * max(nodes))
    impulse[max(nodes)] = 1.0
    kernel = ndimage.gaussian_filter1d(impulse, width / NODE_MM)
    deviation = np.sum(kernel**2) ** (len(shape) / 2)
    return phantom.upsample(smooth / np.float32(deviation), NODE_MM / voxel_size, shape)
