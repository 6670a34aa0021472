"""Slices to be shown to readers, from folders of pairs and from outputs of fusionapp."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from fusionprep.bids import names
from fusionprep.errors import DataError, NoInputError
from fusionprep.evaluation.lesions import Reader, has_room
from fusionprep.evaluation.pairs import GrayPair, Pair, PairSet, read_pair, to_gray_levels
from fusionprep.evaluation.reading import brain_of
from fusionprep.evaluation.volumes import content_slices
from fusionprep.modalities import Modality
from fusionprep.training.derivatives import find_scans, read_scaled

Images = tuple[np.ndarray, np.ndarray]
"""Anatomical and functional."""


@dataclass(frozen=True)
class Scene:
    """A slice of a pair of images, with the neighbours that models look at.

    Attributes
    ----------
    name
        Of the pair and, in a volume, of the slice.
    subject
        None where it is not known.
    levels
        Both images, uint8 (H, W, S); of a volume, H is left to right and W back to front.
    middle
        Index of the slice itself among the S.
    brain
        bool (H, W).
    mask
        Where the images are fused, bool (H, W, S); None for all.
    voxel_sizes
        Along the three axes in mm; ones for pictures, which do not say.
    of_volume
        Whether it is turned for display.
    """

    name: str
    subject: str | None
    levels: Images
    middle: int
    brain: np.ndarray
    mask: np.ndarray | None
    voxel_sizes: tuple[float, float, float]
    of_volume: bool

    def images(self) -> Images:
        """Both images, float32 (H, W, S) in [0, 1]."""
        first, second = (levels.astype(np.float32) / 255 for levels in self.levels)
        return first, second

    def reader(self) -> Reader:
        """The reader of its brain, in the plane of the slice."""
        return Reader(self.brain, self.voxel_sizes[:2])


@dataclass(frozen=True)
class Wanted:
    """Which scenes are looked for.

    Attributes
    ----------
    count
        How many; there may be fewer.
    neighbours
        How many slices on either side of a scene its models look at, by the voxel sizes.
    fits
        Whether a scene can be used.
    """

    count: int
    neighbours: Callable[[Sequence[float]], int]
    fits: Callable[[Scene], bool]


@dataclass(frozen=True)
class Found:
    """Scenes, in the order in which they are to be used, and a line for each file that was lost."""

    scenes: tuple[Scene, ...]
    lost: tuple[str, ...]


def scenes_of_pairs(pair_set: PairSet, wanted: Wanted, rng: np.random.Generator) -> Found:
    """Scenes of a folder of pairs, drawn so that all patients have about as many."""
    subjects = [pair.subject for pair in pair_set.pairs]
    pairs = [pair_set.pairs[index] for index in spread(subjects, rng)]
    share = math.ceil(wanted.count / len(pairs))
    loads = [(pair.file, partial(_of_pair, pair, pair_set, wanted, share)) for pair in pairs]
    return _take(loads, wanted, rng)


def scenes_of_derivatives(
    root: Path, modality: Modality, wanted: Wanted, rng: np.random.Generator
) -> Found:
    """Scenes of the scans of one modality in an output folder of fusionapp.

    Raises
    ------
    NoInputError
        When there is no scan of that modality in T1w space.
    """
    paths = [path for kind, path in find_scans(root) if kind == modality]
    if not paths:
        raise NoInputError(f"{root} holds no preprocessed {modality.label}; choose another")
    subjects = [names.parse_name(path.name)[0].get("sub") for path in paths]
    paths = [paths[index] for index in spread(subjects, rng)]
    share = math.ceil(wanted.count / len(paths))
    loads = [(path.name, partial(_of_scan, root, path, modality, wanted, share)) for path in paths]
    return _take(loads, wanted, rng)


def spread(subjects: Sequence[str | None], rng: np.random.Generator) -> list[int]:
    """A random order in which each subject comes once before any comes again.

    Examples
    --------
    >>> order = spread(["a", "a", "a", "b"], np.random.default_rng(0))
    >>> sorted("aaab"[index] for index in order[:2])
    ['a', 'b']
    """
    order = rng.permutation(len(subjects)).tolist()
    seen: dict[str | None, int] = {}
    turns = {}
    for index in order:
        turns[index] = seen.get(subjects[index], 0)
        seen[subjects[index]] = turns[index] + 1
    return sorted(order, key=lambda index: turns[index])


def _take(
    loads: Sequence[tuple[str, Callable[[], list[Scene]]]],
    wanted: Wanted,
    rng: np.random.Generator,
) -> Found:
    """Scenes of one file after the other until there are enough."""
    scenes: list[Scene] = []
    lost = []
    for file, load in loads:
        try:
            scenes += [scene for scene in load() if wanted.fits(scene)]
        except DataError as error:
            lost.append(f"{file} is left out: {error}")
        if len(scenes) >= wanted.count:
            break
    order = spread([scene.subject for scene in scenes], rng)[: wanted.count]
    return Found(tuple(scenes[index] for index in order), tuple(lost))


def _of_pair(pair: Pair, pair_set: PairSet, wanted: Wanted, share: int) -> list[Scene]:
    gray = read_pair(pair, pair_set.functional_folder)
    brain = brain_of(gray, pair_set.modality)
    if gray.mask is None:
        return _of_picture(pair, gray, brain)
    levels, sizes = (gray.anatomical, gray.functional), _three(gray.voxel_sizes)
    # a volume is somebody's head: its slices are not those of many patients
    volume = _Volume(pair.name, pair.subject or pair.name, levels, brain, sizes)
    return _slices(volume, gray.mask, wanted, share)


def _of_picture(pair: Pair, gray: GrayPair, brain: np.ndarray) -> list[Scene]:
    if not has_room(brain):
        return []
    levels = gray.anatomical[..., None], gray.functional[..., None]
    sizes = (1.0, 1.0, 1.0)
    return [Scene(pair.name, pair.subject, levels, 0, brain, None, sizes, of_volume=False)]


def _of_scan(root: Path, path: Path, modality: Modality, wanted: Wanted, share: int) -> list[Scene]:
    scan = read_scaled(root, path, modality)
    first, second = (to_gray_levels(255 * image) for image in scan.images)
    subject = f"sub-{names.parse_name(path.name)[0]['sub']}"
    name = path.name.removesuffix(names.IMAGE)
    volume = _Volume(name, subject, (first, second), scan.brain, _three(scan.voxel_sizes))
    return _slices(volume, scan.mask, wanted, share)


@dataclass(frozen=True)
class _Volume:
    """A pair of volumes, uint8 (X, Y, Z)."""

    name: str
    subject: str | None
    levels: Images
    brain: np.ndarray
    voxel_sizes: tuple[float, float, float]


def _three(sizes: Sequence[float]) -> tuple[float, float, float]:
    first, second, third = (float(size) for size in sizes)
    return first, second, third


def _slices(volume: _Volume, mask: np.ndarray, wanted: Wanted, share: int) -> list[Scene]:
    """As many slices of a volume as are its share, evenly spaced through the brain."""
    if not volume.brain.any():
        raise DataError("no brain was found in it")
    reach, depth = wanted.neighbours(volume.voxel_sizes), mask.shape[2]
    scenes = []
    for place in content_slices(volume.brain, share).tolist():
        brain = volume.brain[:, :, place]
        low, high = max(place - reach, 0), min(place + reach + 1, depth)
        if has_room(brain, volume.voxel_sizes[:2]):
            first, second = (image[:, :, low:high].copy() for image in volume.levels)
            name = f"{volume.name} slice {place}"
            scenes.append(
                Scene(
                    name,
                    volume.subject,
                    (first, second),
                    place - low,
                    brain.copy(),
                    mask[:, :, low:high].copy(),
                    volume.voxel_sizes,
                    of_volume=True,
                )
            )
    return scenes
