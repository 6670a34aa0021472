"""The conditions of a reader study: ways to show a slice, each of one picture or two."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fusionprep.choices import ColourMapName, Device, SourceView
from fusionprep.devices import resolve_device
from fusionprep.errors import UsageError
from fusionprep.evaluation.lesions import Source
from fusionprep.evaluation.pairs import to_gray_levels
from fusionprep.image.colour import fuse_colour
from fusionprep.modalities import Modality
from fusionprep.models.inference import fuse_volume
from fusionprep.models.nets.base import PlannedFusion
from fusionprep.models.registry import get_model
from fusionprep.reader_study.scenes import Images, Scene

Panels = tuple[np.ndarray, ...]
"""What is shown at once, each uint8 (H, W) or (H, W, 3)."""

REACH = 3.0
"""How far plans are smoothed over slices, in standard deviations of that smoothing."""


def _no_neighbours(_: Sequence[float]) -> int:
    return 0


@dataclass(frozen=True)
class View:
    """A condition.

    Attributes
    ----------
    name
        As users and tables have it.
    title
        For people.
    render
        Shows a scene whose images, (H, W, S) in [0, 1], may have got lesions.
    neighbours
        How many slices on either side it looks at, by the voxel sizes.
    colours
        Name of the colour table; None without one.
    alone
        The only source that it shows; None where it shows both.
    """

    name: str
    title: str
    render: Callable[[Scene, Images], Panels]
    neighbours: Callable[[Sequence[float]], int] = _no_neighbours
    colours: ColourMapName | None = None
    alone: Source | None = None


@dataclass(frozen=True)
class Conditions:
    """Which ways to show a slice are compared.

    Attributes
    ----------
    models
        Names in the registry.
    weights
        Name of a model to the safetensors file of the user's own weights.
    colours
        Names of colour tables.
    sources
        Sources shown without fusion.
    device
        Where the models run.
    """

    models: tuple[str, ...] = ()
    weights: Mapping[str, Path] = field(default_factory=dict)
    colours: tuple[ColourMapName, ...] = ()
    sources: tuple[SourceView, ...] = ()
    device: Device = "auto"

    def views(self, modality: Modality) -> tuple[View, ...]:
        """The conditions, for a modality of the functional image.

        Raises
        ------
        UsageError
            When there are fewer than two, one is given twice, or one cannot show the modality.
        NoInputError, DataError
            When weights are missing or not those of the model.
        """
        for name in self.weights:
            if name not in self.models:
                raise UsageError(f"weights are given for {name!r}, which is not among the models")
        device = resolve_device(self.device)
        views = (
            *(_model(name, self.weights.get(name), modality, device) for name in self.models),
            *(_colour(name, modality) for name in self.colours),
            *(_source(name, modality) for name in self.sources),
        )
        names = [view.name for view in views]
        for name in names:
            if names.count(name) > 1:
                raise UsageError(f"the condition {name} is given twice; leave one out")
        if len(views) < 2:
            raise UsageError(
                "a reader study compares two conditions or more; name models, colours or sources"
            )
        return views


def neighbours(views: Sequence[View]) -> Callable[[Sequence[float]], int]:
    """How many slices on either side the conditions look at, by the voxel sizes."""
    return lambda sizes: max(view.neighbours(sizes) for view in views)


def _model(name: str, weights: Path | None, modality: Modality, device: str) -> View:
    entry = get_model(name, weights)
    if not entry.takes_image:
        raise UsageError(
            f"{name} needs a map of the gray matter, in which no lesion is planted; leave it out"
        )
    entry.check_modality(modality.name)
    network = entry.of(modality).load(device)

    def reach(sizes: Sequence[float]) -> int:
        if not isinstance(network, PlannedFusion):
            return 0
        return math.ceil(REACH * network.smoothed_slices(sizes, 2))

    def render(scene: Scene, images: Images) -> Panels:
        low = max(scene.middle - reach(scene.voxel_sizes), 0)
        slab = slice(low, scene.middle + reach(scene.voxel_sizes) + 1)
        first, second = (image[..., slab] for image in images)
        mask = None if scene.mask is None else scene.mask[..., slab]
        fused = fuse_volume(
            network, first, second, mask, device=device, voxel_sizes=scene.voxel_sizes
        )
        return (to_gray_levels(255 * fused[..., scene.middle - low]),)

    return View(name, entry.label, render, reach)


def _colour(name: ColourMapName, modality: Modality) -> View:
    if not modality.tracer:
        raise UsageError(f"a {modality.label} has no uptake to show in colour; leave out {name}")

    def render(scene: Scene, images: Images) -> Panels:
        mask = None if scene.mask is None else scene.mask[..., scene.middle]
        first, second = (image[..., scene.middle] for image in images)
        return (fuse_colour(first, second, mask, name),)

    return View(f"colour-{name}", f"Colour table {name}", render, colours=name)


def _source(name: SourceView, modality: Modality) -> View:
    titles: dict[SourceView, str] = {
        "anatomical": "MRI alone",
        "functional": f"{modality.label} alone",
        "side-by-side": f"MRI and {modality.label} side by side",
    }

    def render(scene: Scene, images: Images) -> Panels:
        first, second = (image[..., scene.middle] for image in images)
        pictures: dict[SourceView, Panels] = {
            "anatomical": (to_gray_levels(255 * first),),
            "functional": (_functional(second, modality),),
        }
        pictures["side-by-side"] = pictures["anatomical"] + pictures["functional"]
        return pictures[name]

    return View(name, titles[name], render, alone=None if name == "side-by-side" else name)


def _functional(image: np.ndarray, modality: Modality) -> np.ndarray:
    """The functional image as pictures show it: of a tracer in colour, uint8 (H, W, 3)."""
    if not modality.tracer:
        return to_gray_levels(255 * image)
    from matplotlib import colormaps

    return colormaps[modality.colour_map](to_gray_levels(255 * image), bytes=True)[..., :3]
