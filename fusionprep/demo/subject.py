"""One person of the demo dataset: a deformed template brain inside a synthetic head."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from fusionprep.demo import phantom
from fusionprep.demo.disease import Patterns, Severities, atrophied, metabolism

FIELD_SPACING_MM = 4.0
HEAD_SPACING_MM = 2.0
SHAPE_MM = (192.0, 240.0, 200.0)
# The other scanners see a little more neck than the T1w, since each has its own field of view.
NECK_MM = 32.0
# T1w world coordinates of the brain's middle: a head lies near a scanner's isocentre, not on it.
BRAIN_CENTRE_MM = (2.0, 14.0, 16.0)
# The T1w's field of view reaches further past the face than past the occiput.
MARGIN_MM = (0.0, 6.0, 2.0)
TEMPLATE_CENTRE_MM = (0.0, -18.0, 5.0)


@dataclass(frozen=True)
class Template:
    """Template maps on one grid.

    Attributes
    ----------
    t1w, gm, wm, mask
        float32 (X, Y, Z), values in [0, 1].
    affine
        Voxel to MNI152NLin2009aSym world, (4, 4).
    patterns
        Where a disease acts; None where nobody is ill.
    """

    t1w: np.ndarray
    gm: np.ndarray
    wm: np.ndarray
    mask: np.ndarray
    affine: np.ndarray
    patterns: Patterns | None = None


@dataclass(frozen=True)
class Grid:
    """Voxel grid: shape and voxel-to-world affine (4, 4), RAS mm."""

    shape: tuple[int, ...]
    affine: np.ndarray

    @property
    def voxel_size(self) -> np.ndarray:
        return np.sqrt(np.sum(self.affine[:3, :3] ** 2, axis=0))


@dataclass(frozen=True)
class Lesion:
    """A ball of brain that is gone, as an old infarct leaves it, without pushing what is around.

    Attributes
    ----------
    centre
        In the template, mm.
    radius
        mm, there.
    """

    centre: tuple[float, float, float] = (-36.0, -12.0, 24.0)
    radius: float = 15.0


@dataclass(frozen=True)
class Traits:
    """What makes one person differ from another.

    Attributes
    ----------
    scale
        Size relative to the template along x, y and z.
    csf_weight
        See :func:`fusionprep.demo.phantom.tissue_fractions`.
    tilt_degrees
        Rotation of the head in the MR scanner.
    peak_mm
        Greatest component of the nonlinear displacement.
    lesion
        None for a healthy brain.
    severities
        Of an Alzheimer-like disease, which needs a template with patterns; None for a young brain.
    """

    scale: tuple[float, float, float]
    csf_weight: float
    tilt_degrees: float
    peak_mm: float = 5.0
    lesion: Lesion | None = None
    severities: Severities | None = None


@dataclass(frozen=True)
class Subject:
    """The truth about one person, on a grid in T1w world coordinates.

    Attributes
    ----------
    grid
        Grid of ``fractions`` and ``signals``; the T1w's grid is its upper part.
    t1w_grid
        Grid of the T1w image.
    fractions
        GM, WM and CSF fractions inside the brain mask.
    mask
        Boolean brain mask.
    lesion
        Boolean; empty in a healthy brain. ``fractions`` leave it out.
    signals
        Noise-free image of each modality of :data:`phantom.MODALITIES`.
    displacement
        (3, X, Y, Z) float32 on ``field_grid``: template point = T1w point + displacement, mm,
        trilinear between the nodes.
    """

    grid: Grid
    t1w_grid: Grid
    fractions: tuple[np.ndarray, ...]
    mask: np.ndarray
    lesion: np.ndarray
    signals: Mapping[str, np.ndarray]
    displacement: np.ndarray
    field_grid: Grid

    def crop_to_t1w(self, array: np.ndarray) -> np.ndarray:
        """The part of an array on ``grid`` that the T1w covers."""
        return array[:, :, self.grid.shape[2] - self.t1w_grid.shape[2] :]


def load_template() -> Template:
    """The ICBM152 2009a symmetric maps at 1 mm packaged with nilearn (no download)."""
    from nilearn import datasets

    images = [
        datasets.load_mni152_template(resolution=1),
        datasets.load_mni152_gm_template(resolution=1),
        datasets.load_mni152_wm_template(resolution=1),
        datasets.load_mni152_brain_mask(resolution=1),
    ]
    t1w, gm, wm, mask = (np.asarray(image.dataobj, np.float32) for image in images)
    return Template(t1w, gm, wm, mask, np.asarray(images[0].affine, np.float64))


def make_subject(
    template: Template, traits: Traits, voxel_size: float, rng: np.random.Generator
) -> Subject:
    """Build one person.

    Parameters
    ----------
    voxel_size
        Isotropic voxel size of the T1w, mm.
    rng
        Source of the shape and of the soft tissue's texture.
    """
    grid, t1w_grid = _grids(voxel_size)
    field_grid = _covering_grid(grid, FIELD_SPACING_MM)
    points = _template_points(field_grid, traits, rng)
    displacement = (points - world_points(field_grid)).astype(np.float32)
    signals = _head(template, grid, points, rng)
    box, maps = _brain(template, grid, points)
    fractions = phantom.tissue_fractions(maps.gm, maps.wm, maps.mask, traits.csf_weight)
    uptake = None
    if maps.patterns is not None and traits.severities is not None:
        gm, wm, csf = fractions
        left = atrophied(gm, maps.patterns.atrophy, traits.severities.atrophy)
        fractions = left, wm, csf + gm - left
        uptake = metabolism(maps.patterns, traits.severities.hypometabolism)
    _paint_brain(signals, box, fractions, maps, uptake)
    mask, lesion = np.zeros(grid.shape, bool), np.zeros(grid.shape, bool)
    mask[box] = maps.mask > 0.5
    if traits.lesion is not None:
        gone = _gone(traits.lesion, grid, points, box) * maps.mask
        fractions = tuple(fraction * (1.0 - gone) for fraction in fractions)
        lesion[box] = gone > 0.5
        for modality, signal in signals.items():
            signal[box] += gone * (phantom.OLD_INFARCT.signal(modality) - signal[box])
    return Subject(
        grid=grid,
        t1w_grid=t1w_grid,
        fractions=tuple(_placed(fraction, box, grid.shape) for fraction in fractions),
        mask=mask,
        lesion=lesion,
        signals=signals,
        displacement=displacement,
        field_grid=field_grid,
    )


def world_points(grid: Grid) -> np.ndarray:
    """World coordinates (3, X, Y, Z) of the voxel centres of a grid without rotation."""
    axes = [
        grid.affine[axis, 3] + grid.affine[axis, axis] * np.arange(size)
        for axis, size in enumerate(grid.shape)
    ]
    return np.stack(np.meshgrid(*axes, indexing="ij"))


def sample(
    array: np.ndarray, affine: np.ndarray, grid: Grid, source_from_grid: np.ndarray, fill: float
) -> np.ndarray:
    """Trilinear sampling of an image on a grid in another world.

    Parameters
    ----------
    array, affine
        Source image and its voxel-to-world affine.
    grid
        Grid to fill.
    source_from_grid
        (4, 4) world transform from the grid's world to the source's.
    fill
        Value outside the source.
    """
    matrix = np.linalg.inv(affine) @ source_from_grid @ grid.affine
    return ndimage.affine_transform(
        array, matrix, output_shape=grid.shape, order=1, mode="constant", cval=fill
    )


def _grids(voxel_size: float) -> tuple[Grid, Grid]:
    shape = tuple(round(extent / voxel_size) for extent in SHAPE_MM)
    neck = round(NECK_MM / voxel_size)
    middle = np.array(BRAIN_CENTRE_MM) + MARGIN_MM
    origin = middle - voxel_size * (np.array(shape) - 1) / 2
    t1w = Grid(shape, _affine((voxel_size,) * 3, origin))
    origin = origin - (0.0, 0.0, neck * voxel_size)
    return Grid((*shape[:2], shape[2] + neck), _affine((voxel_size,) * 3, origin)), t1w


def _affine(voxel_size: tuple[float, float, float], origin: np.ndarray) -> np.ndarray:
    affine = np.diag([*voxel_size, 1.0])
    affine[:3, 3] = origin
    return affine


def _covering_grid(grid: Grid, spacing: float) -> Grid:
    """Coarser grid with the same first voxel, reaching past the last one."""
    extent = (np.array(grid.shape) - 1) * grid.voxel_size
    shape = tuple(int(np.ceil(length / spacing)) + 1 for length in extent)
    return Grid(shape, _affine((spacing,) * 3, grid.affine[:3, 3]))


def _template_points(grid: Grid, traits: Traits, rng: np.random.Generator) -> np.ndarray:
    """Template coordinates of the grid's nodes: an affine and a smooth random displacement."""
    linear = np.diag(1.0 / np.asarray(traits.scale))
    linear = linear @ phantom.random_rotation(rng, traits.tilt_degrees)
    offset = world_points(grid) - np.reshape(BRAIN_CENTRE_MM, (3, 1, 1, 1))
    points = np.tensordot(linear, offset, axes=1) + np.reshape(TEMPLATE_CENTRE_MM, (3, 1, 1, 1))
    # 20 mm of smoothing keeps the gradient below one, so that the map can be inverted.
    sigma = 20.0 / FIELD_SPACING_MM
    for axis in range(3):
        points[axis] += traits.peak_mm * phantom.smooth_noise(grid.shape, sigma, rng)
    return points.astype(np.float32)


def _head(
    template: Template, grid: Grid, points: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    head_grid = _covering_grid(grid, max(HEAD_SPACING_MM, float(grid.voxel_size[0])))
    spacing = float(head_grid.voxel_size[0])
    ratio = FIELD_SPACING_MM / spacing
    fine = np.stack([phantom.upsample(axis, ratio, head_grid.shape) for axis in points])
    envelope = _envelope(template, fine)
    texture = phantom.smooth_noise(head_grid.shape, 8.0 / spacing, rng)
    signals = phantom.head_signals(fine, envelope, texture, edge=spacing)
    ratio = spacing / float(grid.voxel_size[0])
    return {name: phantom.upsample(signal, ratio, grid.shape) for name, signal in signals.items()}


def _envelope(template: Template, points: np.ndarray) -> np.ndarray:
    step, margin = 3, 16
    mask = np.pad(template.mask[::step, ::step, ::step] > 0.5, margin)
    distance = phantom.envelope_distance(mask, float(step))
    index = (points - np.reshape(template.affine[:3, 3], (3, 1, 1, 1))) / step + margin
    return ndimage.map_coordinates(distance, index, order=1, mode="nearest")


def _brain(
    template: Template, grid: Grid, points: np.ndarray
) -> tuple[tuple[slice, ...], Template]:
    """Template maps on the part of the grid that holds the brain."""
    ratio = FIELD_SPACING_MM / float(grid.voxel_size[0])
    origin = template.affine[:3, 3]
    index = points - np.reshape(origin, (3, 1, 1, 1)).astype(np.float32)
    coarse_mask = ndimage.map_coordinates(template.mask, index, order=1, mode="constant") > 0
    nodes = np.argwhere(coarse_mask)
    low = np.floor((nodes.min(axis=0) - 2) * ratio).astype(int).clip(0)
    high = np.minimum(np.ceil((nodes.max(axis=0) + 2) * ratio).astype(int), grid.shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    fine = np.stack([phantom.upsample(axis, ratio, grid.shape)[box] for axis in index])

    def deformed(array: np.ndarray) -> np.ndarray:
        return ndimage.map_coordinates(array, fine, order=1, mode="constant")

    t1w, gm, wm, mask = map(deformed, (template.t1w, template.gm, template.wm, template.mask))
    patterns = None
    if template.patterns is not None:
        patterns = Patterns(*map(deformed, template.patterns.arrays))
    return box, Template(t1w, gm, wm, mask, grid.affine, patterns)


def _gone(lesion: Lesion, grid: Grid, points: np.ndarray, box: tuple[slice, ...]) -> np.ndarray:
    """Share of each voxel of a part of the grid that a lesion takes (float32)."""
    size = float(grid.voxel_size[0])
    fine = [phantom.upsample(axis, FIELD_SPACING_MM / size, grid.shape)[box] for axis in points]
    distance = phantom.ellipsoid_distance(np.stack(fine), lesion.centre, (lesion.radius,) * 3)
    return phantom.inside(distance, size).astype(np.float32)


def _paint_brain(
    signals: dict[str, np.ndarray],
    box: tuple[slice, ...],
    fractions: tuple[np.ndarray, ...],
    maps: Template,
    uptake: np.ndarray | None,
) -> None:
    """Put a brain into the head; `uptake` of its gray matter for PET, 1 where it is None."""
    csf = np.clip(1.0 - maps.gm - maps.wm, 0.0, 1.0)
    # What the template's T1w shows beyond the three tissues: thalamus, pallidum, brainstem.
    detail = maps.t1w - phantom.brain_signal((maps.gm, maps.wm, csf), "t1w")
    for modality, signal in signals.items():
        seen = fractions
        if modality == "pet" and uptake is not None:
            seen = (fractions[0] * uptake, *fractions[1:])
        brain = phantom.brain_signal(seen, modality)
        if modality == "t1w":
            brain = brain + 0.5 * detail * maps.mask
        signal[box] = signal[box] * (1.0 - maps.mask) + brain


def _placed(part: np.ndarray, box: tuple[slice, ...], shape: tuple[int, ...]) -> np.ndarray:
    whole = np.zeros(shape, part.dtype)
    whole[box] = part
    return whole
