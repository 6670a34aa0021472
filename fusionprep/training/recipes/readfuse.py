"""ReadFuse is trained to keep lesions visible, and after that on the field's metrics.

Lesions are planted in either source at random places and scales; as much of each as one gray
channel can hold has to stay visible, also where the other source is brighter. Edges must not
cancel, little may become white. What freedom that leaves goes to the metrics that SelFuse is
trained on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional as nnf

from fusionprep.evaluation.lesions import MARGIN, TRACER_SIZES, WINDOW_AMPLITUDE, WINDOW_SIZES
from fusionprep.models.nets.readfuse import ReadFuse, ReadFuseCT, compressed, without_bone
from fusionprep.training import visibility_losses as visibility
from fusionprep.training.recipes.base import Batch, Recipe, Sample, Terms
from fusionprep.training.recipes.selfuse import STRIPPED_SHARE, metric_terms

EDGE_SCALES = (2.0, 4.0)

COARSE_SCALE = 5.0
"""Pixels; small lesions are finer."""

LARGEST_SEED = 2**24
"""Whole numbers below it are exact in single precision."""

CYST_SHARE = 0.4
"""Share of CT samples that are given a cyst: where fluid is white in the MRI and dark in the CT,
edges of both cancel, and the few patients of a training set have none."""

CYST_RADIUS = (6.0, 30.0)
"""In pixels."""

CYST_LEVELS = ((0.7, 1.0), (0.0, 0.25))
"""Of its fluid in the MRI and in the CT."""

WHITE_PERCENTILE = 99.5

SHOWN, BONE = 0.08, 0.97
"""Levels between which a pixel of both images belongs to the brain."""


@dataclass(frozen=True)
class Goals:
    """What a reader should see.

    Attributes
    ----------
    retention, dominated
        Of lesions in the anatomical and the functional image: beyond it a sample asks for no more;
        the same where the other source is brighter.
    anatomical_scales, functional_scales
        Of the planted lesions, in pixels: smallest and largest. Every other lesion has the
        smallest, which is lost first.
    functional_amplitude
        Of lesions in the functional image; None takes a share of the local mean.
    bright
        Level above which a fused pixel counts as nearly white.
    """

    retention: tuple[float, float] = (0.8, 0.9)
    dominated: tuple[float, float] = (0.78, 0.88)
    anatomical_scales: tuple[float, float] = (2.0, 8.0)
    functional_scales: tuple[float, float] = TRACER_SIZES
    functional_amplitude: float | None = None
    bright: float = 0.88


class ReadFuseRecipe(Recipe[ReadFuse]):
    """Lesions, edges and metrics.

    Attributes
    ----------
    goals
        What a reader should see.
    stretched
        Share of samples that are scaled as if the slice were fused alone.
    """

    goals: ClassVar = Goals()
    stretched: ClassVar = 0.5

    loss_weights: ClassVar = {
        "lesions": 50.0,
        "dominated": 40.0,
        "cancelled": 40.0,
        "white": 100.0,
        "negative": 20.0,
        "coarse": 0.0,
        "gradients": 8.0,
        "ssim": 20.0,
        "yang": 3.0,
        "information": 0.4,
        "features": 6.0,
        "contrast": 3.0,
        "scd": 3.0,
        "vif": 1.0,
        "vif_smaller": 5.0,
        "added": 20.0,
        "bright": 3.0,
    }
    differences = "our own model; there is no paper to differ from."

    def build(self) -> ReadFuse:
        return ReadFuse()

    def prepare(
        self, anatomical: np.ndarray, functional: np.ndarray, rng: np.random.Generator
    ) -> Sample:
        brain = brain_of(anatomical, functional)
        if rng.random() < STRIPPED_SHARE:
            anatomical, functional = anatomical * brain, functional * brain
        if rng.random() < self.stretched:
            anatomical, functional = (stretched(image) for image in (anatomical, functional))
        # The loss draws from the sample's own seed, so that a run that is resumed draws the same,
        # and every epoch is validated on the same lesions.
        seed = np.full((1, 1), rng.integers(LARGEST_SEED), np.float32)
        return {"anatomical": anatomical, "functional": functional, "brain": brain, "seed": seed}

    def soft_tissue(
        self,
        uncompressed: torch.Tensor,  # noqa: ARG002
        fused: torch.Tensor,
        anatomical: torch.Tensor,
        functional: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The fused image and both sources, with the edges that must not cancel."""
        return fused, anatomical, functional

    def loss_terms(self, model: ReadFuse, batch: Batch, helper: Any) -> Terms:  # noqa: ARG002
        sources, brain = (batch["anatomical"], batch["functional"]), batch["brain"]
        uncompressed = model.planned(*sources)
        fused = model.finish(uncompressed, *sources)
        inside = brain.mean().clamp_min(0.01)
        seen = self.soft_tissue(uncompressed, fused, *sources)
        edges = [visibility.cancelled(*seen, brain, sigma=scale) for scale in EDGE_SCALES]
        return {
            **lost_lesions(model, fused, batch, self.goals),
            "cancelled": torch.stack(edges).sum(),
            "white": ((uncompressed - self.goals.bright).clamp_min(0) * brain).mean() / inside,
            "negative": (-uncompressed).clamp_min(0).mean(),
            "coarse": unlike_brighter(fused, *sources),
            **metric_terms(fused, *sources),
        }


def stretched(image: np.ndarray) -> np.ndarray:
    """A slice scaled by itself, from 0 to a percentile of what it shows.

    Slices of a volume share its scale, and most are darker than one that is fused alone.
    """
    shown = image[image > SHOWN]
    if not shown.size:
        return image
    return np.minimum(image / np.percentile(shown, WHITE_PERCENTILE), 1).astype(np.float32)


def unlike_brighter(
    fused: torch.Tensor, anatomical: torch.Tensor, functional: torch.Tensor
) -> torch.Tensor:
    """Mean absolute difference from the brighter of both sources on a coarse scale.

    It keeps tissues as bright as readers expect them, fluid of a T2w beside CT above all.
    """
    difference = fused - torch.maximum(anatomical, functional)
    return visibility.blurred(difference, COARSE_SCALE).abs().mean()


def brain_of(anatomical: np.ndarray, functional: np.ndarray) -> np.ndarray:
    """Roughly the brain, (H, W) float32 of 0 and 1: where both images show tissue."""
    tissue = (anatomical > SHOWN) & (functional > SHOWN) & (functional < BONE)
    room = 8
    closed = ndimage.binary_closing(
        np.pad(ndimage.binary_opening(tissue, iterations=3), room), iterations=6
    )
    inside = ndimage.binary_fill_holes(closed)[room:-room, room:-room]
    return inside.astype(np.float32)


def with_cyst(
    anatomical: np.ndarray, functional: np.ndarray, brain: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Both images (H, W) with an ellipse of fluid that begins in the brain, if there is any."""
    places = np.argwhere(brain > 0)
    if not len(places):
        return anatomical, functional
    rows, columns = (
        grid - place
        for grid, place in zip(
            np.ogrid[: brain.shape[0], : brain.shape[1]], rng.choice(places), strict=True
        )
    )
    angle, radius = rng.uniform(0, np.pi), rng.uniform(*CYST_RADIUS)
    along = np.cos(angle) * rows + np.sin(angle) * columns
    across = (np.cos(angle) * columns - np.sin(angle) * rows) * rng.uniform(1.0, 2.0)
    # The wall is about two pixels wide.
    fluid = 1 / (1 + np.exp(np.clip(np.hypot(along, across) - radius, -30, 30) / 0.7))
    fluid *= functional < BONE
    first, second = (
        (image + fluid * (rng.uniform(*levels) - image)).astype(np.float32)
        for image, levels in zip((anatomical, functional), CYST_LEVELS, strict=True)
    )
    return first, second


class ReadFuseCTRecipe(ReadFuseRecipe):
    """Weights for CT: bone and soft tissue as readers of CT know them, small lesions kept."""

    variant_of: ClassVar = "readfuse"
    stretched: ClassVar = 0.0

    def build(self) -> ReadFuseCT:
        return ReadFuseCT()

    def prepare(
        self, anatomical: np.ndarray, functional: np.ndarray, rng: np.random.Generator
    ) -> Sample:
        if rng.random() < CYST_SHARE:
            inside = brain_of(anatomical, functional)
            anatomical, functional = with_cyst(anatomical, functional, inside, rng)
        return super().prepare(anatomical, functional, rng)

    def soft_tissue(
        self,
        uncompressed: torch.Tensor,
        fused: torch.Tensor,  # noqa: ARG002
        anatomical: torch.Tensor,
        functional: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """All without bone, whose edges are the strongest: dark rims would make them stronger."""
        return compressed(uncompressed), anatomical, without_bone(functional)

    goals: ClassVar = Goals(
        retention=(0.5, 0.5),
        dominated=(0.5, 0.5),
        functional_scales=WINDOW_SIZES,
        functional_amplitude=WINDOW_AMPLITUDE,
        bright=0.98,
    )
    loss_weights: ClassVar = {
        **ReadFuseRecipe.loss_weights,
        "lesions": 30.0,
        "dominated": 30.0,
        "cancelled": 200.0,
        "white": 30.0,
        "coarse": 150.0,
        "gradients": 17.0,
        "ssim": 30.0,
        "vif_smaller": 8.0,
        "bright": 30.0,
    }


def lost_lesions(
    model: ReadFuse,
    fused: torch.Tensor,
    batch: Batch,
    goals: Goals,
) -> Terms:
    """How far the retention of planted lesions falls short of its goals, of all and dominated."""
    sources, brain = (batch["anatomical"], batch["functional"]), batch["brain"]
    border = int(MARGIN)
    inside = 1 - nnf.max_pool2d(1 - brain, 2 * border + 1, stride=1, padding=border)
    planted = [
        _plant(sources, inside, index, side, goals, generator)
        for index, generator in enumerate(map(_generator, batch["seed"]))
        for side in range(2)
    ]
    changed = model(
        *(torch.cat(images) for images in zip(*(p.images for p in planted), strict=True))
    )
    lacking: dict[str, list[torch.Tensor]] = {"lesions": [], "dominated": []}
    for number, each in enumerate(planted):
        before = fused[each.index : each.index + 1]
        kept = _kept(each, before, changed[number : number + 1], brain, inside)
        for name, chosen, goal in (
            ("lesions", torch.ones_like(each.dominated), goals.retention[each.side]),
            ("dominated", each.dominated, goals.dominated[each.side]),
        ):
            if chosen.sum() >= 2:
                lacking[name].append((goal - kept(chosen)).clamp_min(0))
    nothing = fused.sum() * 0
    return {
        name: torch.stack(values).mean() if values else nothing for name, values in lacking.items()
    }


@dataclass(frozen=True)
class _Planted:
    """One slice's sources, one of them with lesions; places and signs of these."""

    images: tuple[torch.Tensor, torch.Tensor]
    before: torch.Tensor
    index: int
    side: int
    sigma: float
    places: torch.Tensor
    signs: torch.Tensor
    dominated: torch.Tensor


def _generator(seed: torch.Tensor) -> torch.Generator:
    return torch.Generator().manual_seed(int(seed.item()))


def _plant(
    sources: tuple[torch.Tensor, torch.Tensor],
    inside: torch.Tensor,
    index: int,
    side: int,
    goals: Goals,
    generator: torch.Generator,
) -> _Planted:
    smallest, largest = (goals.anatomical_scales, goals.functional_scales)[side]
    size = torch.rand((), generator=generator).item()
    sigma = smallest * (largest / smallest) ** max(2 * size - 1, 0)
    amplitude = goals.functional_amplitude if side else None
    pair = [source[index : index + 1] for source in sources]
    before = pair[side]
    pair[side], places, signs = visibility.plant(
        before, inside[index : index + 1], sigma, amplitude, generator=generator
    )
    own, other = (
        visibility.blurred(image, sigma)[0, 0, places[:, 0], places[:, 1]]
        for image in (before, pair[1 - side])
    )
    return _Planted((pair[0], pair[1]), before, index, side, sigma, places, signs, other > own)


def _kept(
    planted: _Planted,
    before: torch.Tensor,
    after: torch.Tensor,
    brain: torch.Tensor,
    inside: torch.Tensor,
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Retention of a choice (n,) of the lesions, from the fused slice without and with them."""
    mask, border = (image[planted.index : planted.index + 1] for image in (brain, inside))
    changes, clutters = [], []
    for one, two in ((before, after), (planted.before, planted.images[planted.side])):
        response, seen = (
            visibility.template(image, mask, sigma=planted.sigma) for image in (one, two)
        )
        changes.append((seen - response)[0, 0, planted.places[:, 0], planted.places[:, 1]])
        clutters.append(visibility.clutter(response, border)[0])

    def kept(chosen: torch.Tensor) -> torch.Tensor:
        return visibility.retention(
            (changes[0][chosen], changes[1][chosen]),
            (clutters[0], clutters[1]),
            planted.signs[chosen],
        )

    return kept
