"""The lesions of a reader study: one in a slice, planted in one of its sources."""

from dataclasses import dataclass

import numpy as np

from fusionprep.evaluation.lesions import APART, Condition, Source, blobs, places_apart
from fusionprep.reader_study.scenes import Images, Scene

DARKEST = 0.5
"""Lesions are planted where their source has at least this share of the brain's median: one that is
a share of nothing cannot be seen by anybody."""


@dataclass(frozen=True)
class Kind:
    """What readers look for.

    Attributes
    ----------
    size
        Standard deviation of the Gaussian, in mm, or in pixels of pictures.
    contrast
        Height as a share of what is around it; below 0 it is darker.
    """

    size: float = 4.0
    contrast: float = 0.5

    def condition(self, source: Source) -> Condition:
        """The same as a condition of the benchmark's observers."""
        return Condition(source, self.size, share=abs(self.contrast))

    @property
    def sign(self) -> float:
        return -1.0 if self.contrast < 0 else 1.0


@dataclass(frozen=True)
class Lesion:
    """A lesion in a scene.

    Attributes
    ----------
    source
        The image it is planted in.
    place
        Row and column of its centre in the scene.
    height
        In levels of [0, 1].
    size
        As in :class:`Kind`.
    """

    source: Source
    place: tuple[int, int]
    height: float
    size: float


def suited_places(scene: Scene, source: Source, kind: Kind) -> np.ndarray:
    """Where a lesion can be planted, bool (H, W): inside, not in the dark, and not beyond white."""
    condition = kind.condition(source)
    image = scene.images()[condition.index][..., scene.middle]
    reader = scene.reader()
    local = reader.smooth(image, 2 * kind.size)
    bright = local >= DARKEST * np.median(local[reader.inside])
    return np.asarray(reader.inside & bright & (local * (1 + kind.contrast) <= 1))


def draw_lesion(scene: Scene, source: Source, kind: Kind, rng: np.random.Generator) -> Lesion:
    """A lesion at a random place that suits; the scene must have one."""
    places = np.argwhere(suited_places(scene, source, kind))
    return _lesion(scene, source, kind, places[rng.integers(len(places))])


def draw_lesions(
    scene: Scene, source: Source, kind: Kind, rng: np.random.Generator
) -> list[Lesion]:
    """As many lesions as do not meet."""
    where = suited_places(scene, source, kind)
    places = places_apart(scene.reader(), APART * kind.size, rng)
    return [_lesion(scene, source, kind, place) for place in places if where[tuple(place)]]


def _lesion(scene: Scene, source: Source, kind: Kind, place: np.ndarray) -> Lesion:
    image = scene.images()[kind.condition(source).index][..., scene.middle]
    row, column = (int(index) for index in place)
    local = scene.reader().smooth(image, 2 * kind.size)[row, column]
    return Lesion(source, (row, column), float(kind.contrast * local), kind.size)


def with_lesions(scene: Scene, lesions: list[Lesion]) -> Images:
    """Both images of a scene with lesions in them, float32 (H, W, S) in [0, 1]."""
    images = list(scene.images())
    for lesion in lesions:
        index = Condition(lesion.source, lesion.size).index
        added = blobs(
            images[index].shape,
            np.array([[*lesion.place, scene.middle]]),
            np.array([lesion.height]),
            lesion.size,
            scene.voxel_sizes,
        )
        images[index] = np.clip(images[index] + added, 0, 1).astype(np.float32)
    first, second = images
    return first, second
