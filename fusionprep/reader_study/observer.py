"""What the model observer of the benchmark can do in each condition of a reader study.

It reads the pictures as they are shown: lightness, and of colours a* and b* too, as parts of 100 so
that the L* of a gray picture is about its level; of two panels both.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fusionprep.evaluation.lesions import Reader, Source
from fusionprep.evaluation.observer import Reading, channels, detectability
from fusionprep.image.colour import gray_as_rgb
from fusionprep.image.colour_space import srgb_to_lab
from fusionprep.reader_study.lesions import Kind, Lesion, draw_lesions, with_lesions
from fusionprep.reader_study.scenes import Scene
from fusionprep.reader_study.views import Panels, View

MOST_SCENES = 12
"""Scenes the observer reads, with several lesions each."""


@dataclass(frozen=True)
class Detectability:
    """How well the observer sees the lesions in one condition.

    Attributes
    ----------
    by_source
        d' of the lesions of each source.
    """

    by_source: dict[Source, float]

    @property
    def proportion(self) -> float:
        """Expected proportion correct of two alternatives, where the place is known, .5 to 1."""
        return float(np.mean([0.5 * (1 + math.erf(d / 2)) for d in self.by_source.values()]))


def coordinates(panels: Panels) -> list[np.ndarray]:
    """What the eye has of pictures: one (H, W) for each of gray, three for each in colour."""
    found = []
    for panel in panels:
        if panel.ndim == 2:
            found.append(srgb_to_lab(gray_as_rgb(panel / 255))[..., 0] / 100)
        else:
            lab = srgb_to_lab(panel) / 100
            found += [lab[..., axis] for axis in range(3)]
    return found


def responses(panels: Panels, reader: Reader, size: float) -> np.ndarray:
    """(channels, H, W): the channels of all coordinates."""
    return np.concatenate([channels(each, reader, size) for each in coordinates(panels)])


def read(
    reader: Reader, kind: Kind, lesions: Sequence[Lesion], without: Panels, changed: Panels
) -> Reading:
    """What the channels say about lesions in a picture.

    Parameters
    ----------
    without, changed
        What is shown of a scene without and with the lesions.
    """
    plain = responses(without, reader, kind.size)
    change = responses(changed, reader, kind.size) - plain
    at = tuple(np.array([lesion.place for lesion in lesions]).T)
    return Reading(signals=change[(slice(None), *at)].T, clutter=np.cov(plain[:, reader.inside]))


def observe(
    views: Sequence[View],
    scenes: Sequence[Scene],
    sources: Sequence[Source],
    kind: Kind,
    rng: np.random.Generator,
) -> list[Detectability]:
    """How well the observer sees lesions in each condition.

    Parameters
    ----------
    scenes
        The first ``MOST_SCENES`` are read, all conditions with the same lesions.
    sources
        In which lesions are planted.
    rng
        Draws the places.
    """
    readings: list[dict[Source, list[Reading]]] = [
        {source: [] for source in sources} for _ in views
    ]
    for scene in scenes[:MOST_SCENES]:
        plain = [view.render(scene, scene.images()) for view in views]
        for source in sources:
            lesions = draw_lesions(scene, source, kind, rng)
            if not lesions:
                continue
            images = with_lesions(scene, lesions)
            for view, without, found in zip(views, plain, readings, strict=True):
                changed = view.render(scene, images)
                found[source].append(read(scene.reader(), kind, lesions, without, changed))
    return [
        Detectability({source: detectability(found[source]) for source in sources})
        for found in readings
    ]
