"""A template head that people are made of: tissues, where the disease acts, and regions."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from fusionprep.demo import phantom
from fusionprep.demo.disease import Patterns, labels_on, load_patterns
from fusionprep.demo.subject import Grid, Template, load_template, world_points
from fusionprep.image.atlases import freesurfer_names, freesurfer_tissues, named_labels

CSF_WEIGHT = 1.4
"""As in an older brain; see :func:`fusionprep.demo.phantom.tissue_fractions`."""

HEAD_SPACING_MM = 2
MARGIN_MM = 32
"""Around the template, wider than what closes the fissures of its envelope."""

TEXTURE_MM, TEXTURE_SEED = 8.0, 0
HEAD = ("head_t1w", "head_pet")
PATTERNS = ("atrophy", "hypometabolism", "low_uptake")


@dataclass(frozen=True)
class Anatomy:
    """The head before anybody's own shape is given to it.

    Attributes
    ----------
    grid
        Where images of the cohort lie, in template space.
    source
        Of `maps`, of half the voxel size.
    maps
        float32: ``gm``, ``wm`` and ``mask`` (fractions), ``detail`` (what the template's T1w shows
        beyond tissues), :data:`PATTERNS`, and :data:`HEAD` (all but the brain).
    brain
        Bool on `grid`, where anybody's brain can be.
    labels
        Of the Desikan-Killiany atlas, on `grid`.
    names, tissues
        Of its labels.
    """

    grid: Grid
    source: Grid
    maps: Mapping[str, np.ndarray]
    brain: np.ndarray
    labels: np.ndarray
    names: Mapping[int, str]
    tissues: Mapping[int, str]

    @property
    def voxel_size(self) -> float:
        """In mm; voxels are cubes."""
        return float(self.grid.affine[0, 0])

    def patterns(self) -> Patterns:
        """Where the disease acts, on `source`."""
        return Patterns(*(self.maps[name] for name in PATTERNS))


def load_anatomy(voxel_size: int) -> Anatomy:
    """The head of the packaged template.

    Parameters
    ----------
    voxel_size
        Of the images of the cohort, whole mm.
    """
    template = load_template()
    whole = Grid(template.t1w.shape, template.affine)
    grid = coarser_grid(whole, voxel_size)
    # means over half a voxel, so that a voxel stands for all that lies in it
    block = max(1, voxel_size // 2)
    maps = {name: block_mean(array, block) for name, array in _brain_maps(template).items()}
    source = Grid(maps["gm"].shape, _block_affine(template.affine, block))
    head = coarser_grid(whole, HEAD_SPACING_MM)
    signals = _head(template, head)
    maps |= {name: _sampled(signals[name.split("_")[1]], head, source) for name in HEAD}
    labels = labels_on(grid.affine, grid.shape)
    names = named_labels(labels, freesurfer_names())
    brain = ndimage.binary_dilation(_sampled(maps["mask"], source, grid) > 0, iterations=1)
    return Anatomy(grid, source, maps, brain, labels, names, freesurfer_tissues())


def coarser_grid(grid: Grid, voxel_size: float) -> Grid:
    """A grid of another voxel size with the same first voxel, which covers the last."""
    affine = grid.affine.copy()
    affine[:3, :3] = np.eye(3) * voxel_size
    extents = (np.array(grid.shape) - 1) * grid.voxel_size
    return Grid(tuple(int(np.ceil(extent / voxel_size)) + 1 for extent in extents), affine)


def block_mean(array: np.ndarray, block: int) -> np.ndarray:
    """Means over cubes of voxels, float32; the last are filled up with zeros.

    Examples
    --------
    >>> block_mean(np.ones((4, 4, 3)), 2)[..., 1]
    array([[0.5, 0.5],
           [0.5, 0.5]], dtype=float32)
    """
    room = [(0, -size % block) for size in array.shape]
    padded = np.pad(np.asarray(array, np.float32), room)
    split = [size for length in padded.shape for size in (length // block, block)]
    return padded.reshape(split).mean(axis=(1, 3, 5))


def _block_affine(affine: np.ndarray, block: int) -> np.ndarray:
    scaled = affine @ np.diag([block, block, block, 1.0])
    scaled[:3, 3] += affine[:3, :3] @ np.full(3, (block - 1) / 2)
    return scaled


def _brain_maps(template: Template) -> dict[str, np.ndarray]:
    gm, wm, _ = phantom.tissue_fractions(template.gm, template.wm, template.mask, CSF_WEIGHT)
    csf = np.clip(1.0 - template.gm - template.wm, 0.0, 1.0)
    detail = template.t1w - phantom.brain_signal((template.gm, template.wm, csf), "t1w")
    patterns = load_patterns(template.affine, template.t1w.shape)
    return {
        "gm": gm,
        "wm": wm,
        "mask": template.mask,
        # as in the demo's heads
        "detail": 0.5 * detail * template.mask,
        **{name: getattr(patterns, name) for name in PATTERNS},
    }


def _head(template: Template, grid: Grid) -> Mapping[str, np.ndarray]:
    """Signals of all but the brain on a grid."""
    step, margin = HEAD_SPACING_MM, MARGIN_MM // HEAD_SPACING_MM
    mask = np.pad(template.mask[::step, ::step, ::step] > 0.5, margin)
    inner = tuple(slice(margin, margin + size) for size in grid.shape)
    envelope = phantom.envelope_distance(mask, float(step))[inner]
    rng = np.random.default_rng(TEXTURE_SEED)
    texture = phantom.smooth_noise(grid.shape, TEXTURE_MM / step, rng)
    points = world_points(grid).astype(np.float32)
    return phantom.head_signals(points, envelope, texture, edge=float(step))


def _sampled(array: np.ndarray, grid: Grid, onto: Grid) -> np.ndarray:
    """Linear interpolation on another grid; beyond the first, the nearest value."""
    matrix = np.linalg.inv(grid.affine) @ onto.affine
    return ndimage.affine_transform(
        np.asarray(array, np.float32), matrix, output_shape=onto.shape, order=1, mode="nearest"
    )
