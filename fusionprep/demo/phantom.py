"""A digital head in T1w space: brain from tissue maps, the rest from signed distances.

All distances are in mm, negative inside. Template coordinates are those of MNI152NLin2009aSym.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

CSF_RIM_MM = 2.5
SKULL_MM = 6.5
SCALP_MM = 6.0


@dataclass(frozen=True)
class Tissue:
    """What each scanner sees: relative MR signal, HU, and activity relative to white matter."""

    t1w: float
    flair: float
    ct: float
    pet: float

    def signal(self, modality: str) -> float:
        return float(getattr(self, modality))


MODALITIES = ("t1w", "flair", "ct", "pet")

AIR = Tissue(t1w=0.0, flair=0.0, ct=-1000.0, pet=0.0)
SKIN = Tissue(t1w=0.50, flair=0.45, ct=40.0, pet=0.6)
FAT = Tissue(t1w=1.15, flair=0.80, ct=-80.0, pet=0.6)
MUSCLE = Tissue(t1w=0.45, flair=0.35, ct=55.0, pet=0.6)
CORTICAL_BONE = Tissue(t1w=0.05, flair=0.04, ct=1400.0, pet=0.2)
MARROW = Tissue(t1w=0.55, flair=0.35, ct=700.0, pet=0.4)
VITREOUS = Tissue(t1w=0.18, flair=0.08, ct=10.0, pet=0.2)
GREY_MATTER = Tissue(t1w=0.63, flair=0.80, ct=38.0, pet=4.0)
WHITE_MATTER = Tissue(t1w=0.90, flair=0.62, ct=29.0, pet=1.0)
CEREBROSPINAL_FLUID = Tissue(t1w=0.24, flair=0.10, ct=8.0, pet=0.2)
OLD_INFARCT = Tissue(t1w=0.28, flair=0.14, ct=12.0, pet=0.3)


def ellipsoid_distance(points: np.ndarray, centre: tuple, radii: tuple) -> np.ndarray:
    """Signed distance to an axis-aligned ellipsoid, exact to first order at its surface.

    Parameters
    ----------
    points
        Coordinates (3, ...) in mm.
    centre, radii
        Three numbers each, mm.
    """
    shape = (3,) + (1,) * (points.ndim - 1)
    scale = np.reshape(np.asarray(radii, points.dtype), shape)
    offset = (points - np.reshape(np.asarray(centre, points.dtype), shape)) / scale
    length = np.sqrt(np.sum(offset**2, axis=0))
    gradient = np.sqrt(np.sum((offset / scale) ** 2, axis=0))
    centre_value = -np.min(scale)
    return np.where(
        length > 1e-3, length * (length - 1.0) / np.maximum(gradient, 1e-9), centre_value
    )


def capsule_distance(points: np.ndarray, start: tuple, end: tuple, radius: float) -> np.ndarray:
    """Signed distance to a cylinder with round ends; arguments as :func:`ellipsoid_distance`."""
    shape = (3,) + (1,) * (points.ndim - 1)
    first = np.reshape(np.asarray(start, points.dtype), shape)
    axis = np.reshape(np.asarray(end, points.dtype), shape) - first
    along = np.sum((points - first) * axis, axis=0) / np.sum(axis**2)
    nearest = first + np.clip(along, 0.0, 1.0)[np.newaxis] * axis
    return np.sqrt(np.sum((points - nearest) ** 2, axis=0)) - radius


def smooth_union(*distances: np.ndarray, width: float) -> np.ndarray:
    """Union of shapes with fillets of about ``width`` mm (log-sum-exp minimum)."""
    lowest = np.minimum.reduce(distances)
    total = sum(np.exp((lowest - distance) / width) for distance in distances)
    return lowest - width * np.log(total)


def inside(distance: np.ndarray, edge: float) -> np.ndarray:
    """Fraction of a voxel inside a shape, falling linearly over ``edge`` mm at its surface."""
    return np.clip(0.5 - distance / edge, 0.0, 1.0)


def upsample(coarse: np.ndarray, ratio: float, shape: tuple[int, ...]) -> np.ndarray:
    """Trilinear interpolation onto a finer grid with the same first voxel centre.

    Parameters
    ----------
    coarse
        (X, Y, Z) array.
    ratio
        Coarse voxel size over fine voxel size.
    shape
        Shape of the fine grid; the last coarse value is repeated past the end.

    Returns
    -------
    float32 array of ``shape``.
    """
    # One dense product per axis is several times faster than a general spline interpolation.
    result = np.asarray(coarse, np.float32)
    for axis, size in enumerate(shape):
        weights = _interpolation_matrix(coarse.shape[axis], size, ratio)
        result = np.moveaxis(np.tensordot(weights, result, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(result)


def _interpolation_matrix(n_coarse: int, n_fine: int, ratio: float) -> np.ndarray:
    position = np.minimum(np.arange(n_fine) / ratio, n_coarse - 1.0)
    distance = np.abs(position[:, np.newaxis] - np.arange(n_coarse)[np.newaxis, :])
    return np.maximum(0.0, 1.0 - distance).astype(np.float32)


def smooth_noise(shape: tuple[int, ...], sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian-filtered white noise, scaled to values in [-1, 1] (float32)."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), sigma)
    return noise / np.max(np.abs(noise))


def random_rotation(rng: np.random.Generator, degrees: float) -> np.ndarray:
    """Rotation matrix (3, 3) by ``degrees`` about an axis drawn uniformly on the sphere."""
    axis = rng.standard_normal(3)
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    angle = np.deg2rad(degrees)
    return np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * cross @ cross


def random_rigid(
    rng: np.random.Generator, max_degrees: float = 12.0, max_mm: float = 15.0
) -> np.ndarray:
    """Rigid transform (4, 4) with rotation and shift of a third to the whole of the limits."""
    matrix = np.eye(4)
    matrix[:3, :3] = random_rotation(rng, rng.uniform(max_degrees / 3, max_degrees))
    direction = rng.standard_normal(3)
    matrix[:3, 3] = rng.uniform(max_mm / 3, max_mm) * direction / np.linalg.norm(direction)
    return matrix


def envelope_distance(mask: np.ndarray, voxel_size: float, closing_mm: float = 12.0) -> np.ndarray:
    """Signed distance to the morphological closing of a brain mask.

    The closing bridges the fissures and the cisterns, as the inner table of the skull does.

    Parameters
    ----------
    mask
        Boolean (X, Y, Z), with a margin wider than ``closing_mm`` on every side.

    Returns
    -------
    float32 array, mm, negative inside.
    """
    outside = ndimage.distance_transform_edt(~mask, sampling=voxel_size)
    depth = ndimage.distance_transform_edt(outside < closing_mm, sampling=voxel_size)
    distance = np.where(depth > 0, closing_mm - depth, outside)
    return ndimage.gaussian_filter(distance.astype(np.float32), 1.0)


def tissue_fractions(
    gm: np.ndarray, wm: np.ndarray, mask: np.ndarray, csf_weight: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """GM, WM and CSF fractions of one person from a population's probabilities.

    A template averages many brains and is blurred by it; squaring the probabilities before
    normalising gives back the thin, distinct cortex of a single brain.

    Parameters
    ----------
    gm, wm, mask
        Probabilities in [0, 1], same shape.
    csf_weight
        Above 1 widens sulci and ventricles, as in an older brain.

    Returns
    -------
    Three float32 arrays that sum to ``mask``.
    """
    csf = np.clip(1.0 - gm - wm, 0.0, 1.0)
    odds = [gm**2, wm**2, csf_weight * csf**2]
    total = np.maximum(sum(odds), 1e-6)
    return tuple((mask * value / total).astype(np.float32) for value in odds)


def brain_signal(fractions: tuple[np.ndarray, ...], modality: str) -> np.ndarray:
    """Signal of a mixture of GM, WM and CSF (float32)."""
    tissues = (GREY_MATTER, WHITE_MATTER, CEREBROSPINAL_FLUID)
    weighted = (
        np.float32(tissue.signal(modality)) * fraction
        for tissue, fraction in zip(tissues, fractions, strict=True)
    )
    return sum(weighted, start=np.zeros((), np.float32))


def head_signals(
    points: np.ndarray, envelope: np.ndarray, texture: np.ndarray, edge: float
) -> Mapping[str, np.ndarray]:
    """Everything in the head but the brain, whose place is filled with CSF.

    Parameters
    ----------
    points
        Template coordinates (3, X, Y, Z) of the voxels, mm.
    envelope
        Signed distance to the brain's envelope at these points, mm.
    texture
        Smooth noise in [-1, 1]: varies the thickness of skull and scalp and the soft tissue.
    edge
        Width of the boundaries between tissues, mm; about the voxel size.

    Returns
    -------
    Modality (one of :data:`MODALITIES`) to float32 array (X, Y, Z).
    """
    layers = head_layers(points, envelope, texture)
    signals = {}
    weights = [(inside(distance, edge), tissue) for distance, tissue in layers]
    for modality in MODALITIES:
        signal = np.full(envelope.shape, AIR.signal(modality), np.float32)
        for weight, tissue in weights:
            signal += weight * (tissue.signal(modality) - signal)
        signals[modality] = signal
    return signals


def head_layers(
    points: np.ndarray, envelope: np.ndarray, texture: np.ndarray
) -> list[tuple[np.ndarray, Tissue]]:
    """Shapes from the skin inwards, each painted over the ones before it.

    Arguments as in :func:`head_signals`; returns signed distances with their tissues.
    """
    inner = envelope - CSF_RIM_MM
    outer = inner - (SKULL_MM + 1.2 * texture)
    head = _head_surface(points, outer - (SCALP_MM + 1.5 * texture[::-1]))
    fascia = 8.0 * texture[:, ::-1] + 2.0
    face_bone = np.maximum(_shell(head, 14.0, 18.0), 15.0 - points[1])
    vertebra = capsule_distance(points, (0, -40, -92), (0, -44, -190), 17.0)
    canal = capsule_distance(points, (0, -45, -68), (0, -52, -190), 9.0)
    cord = capsule_distance(points, (0, -45, -70), (0, -52, -190), 5.5)
    beyond_skull = 1.0 - outer
    layers = [
        (head, SKIN),
        (head + 2.0, FAT),
        (np.maximum(head + 6.0, beyond_skull), MUSCLE),
        (np.maximum(np.maximum(head + 10.0, fascia), beyond_skull), FAT),
        (np.maximum(face_bone, beyond_skull), CORTICAL_BONE),
    ]
    layers += _face(points, np.maximum(beyond_skull, head + 4.0))
    layers += [
        (vertebra, CORTICAL_BONE),
        (vertebra + 2.5, MARROW),
        (outer, CORTICAL_BONE),
        (_shell(inner, -0.65 * SKULL_MM, -0.35 * SKULL_MM), MARROW),
        (np.maximum(canal, -inner - 8.0), CEREBROSPINAL_FLUID),
        (inner, CEREBROSPINAL_FLUID),
        (cord, WHITE_MATTER),
    ]
    return layers


def _shell(distance: np.ndarray, shallow: float, deep: float) -> np.ndarray:
    """Between two depths below a surface."""
    return np.maximum(distance + shallow, -(distance + deep))


def _mirrored(points: np.ndarray, centre: tuple, radii: tuple) -> np.ndarray:
    """The same ellipsoid on the left and on the right."""
    folded = np.stack([np.abs(points[0]), points[1], points[2]])
    return ellipsoid_distance(folded, centre, radii)


def _head_surface(points: np.ndarray, scalp: np.ndarray) -> np.ndarray:
    return smooth_union(
        scalp,
        ellipsoid_distance(points, (0, -14, -62), (72, 74, 52)),
        ellipsoid_distance(points, (0, 40, -75), (60, 50, 62)),
        ellipsoid_distance(points, (0, 90, -62), (11, 15, 20)),
        ellipsoid_distance(points, (0, -28, -150), (60, 62, 100)),
        _mirrored(points, (81, -24, -44), (6, 17, 28)),
        width=4.0,
    )


def _face(points: np.ndarray, limits: np.ndarray) -> list[tuple[np.ndarray, Tissue]]:
    """Orbits, eyes and airways, kept between skin and skull."""
    orbit = _mirrored(points, (31, 54, -44), (17, 24, 17))
    sinus = _mirrored(points, (27, 55, -72), (12, 15, 15))
    nasal = ellipsoid_distance(points, (0, 60, -68), (9, 30, 19))
    pharynx = capsule_distance(points, (0, 22, -78), (0, 10, -190), 9.0)
    airways = np.minimum(np.minimum(sinus, nasal), pharynx)
    return [
        (np.maximum(orbit - 2.5, limits), CORTICAL_BONE),
        (np.maximum(orbit, limits), FAT),
        (np.maximum(_mirrored(points, (32, 66, -44), (12, 12, 12)), limits), VITREOUS),
        (np.maximum(airways - 1.5, limits), CORTICAL_BONE),
        (np.maximum(airways, limits), AIR),
    ]
