"""What a reader can see, as losses: lesions that must stay visible, edges that must not cancel.

Differentiable forms of :mod:`fusionprep.evaluation.visibility`, which says what they mean. Images
are float tensors (N, 1, H, W) in [0, 1]; a mask is 1 inside, 0 outside.
"""

import math

import torch
from torch.nn import functional as nnf

from fusionprep.evaluation.lesions import AMPLITUDE, APART, MOST_LESIONS, READER_NOISE, SURROUND
from fusionprep.evaluation.visibility import STRONGEST
from fusionprep.training.losses import SMALLEST_NORM, in_float32, sobel

KEPT = 0.55
"""Share of an edge's strength that is enough."""


def blurred(image: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian smoothing of (N, 1, H, W), black outside the image."""
    height, width = image.shape[-2:]
    room = math.ceil(3 * sigma)
    down = torch.fft.fftfreq(height + room, device=image.device)[:, None]
    across = torch.fft.rfftfreq(width + room, device=image.device)
    kept = torch.exp(-2 * (math.pi * sigma) ** 2 * (down.square() + across.square()))
    spectrum = torch.fft.rfft2(nnf.pad(image, (0, room, 0, room))) * kept
    return torch.fft.irfft2(spectrum, s=(height + room, width + room))[..., :height, :width]


@in_float32
def template(image: torch.Tensor, brain: torch.Tensor, *, sigma: float) -> torch.Tensor:
    """T_s: what stands out at a scale, smoothing normalised inside the brain."""
    fine, coarse = (
        blurred(image * brain, scale) / blurred(brain, scale).clamp_min(1e-3)
        for scale in (sigma, SURROUND * sigma)
    )
    return (fine - coarse) * brain


def clutter(response: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """c(I) (N,): standard deviation of T_s(I) inside, and the reader's noise."""
    count = inside.sum(dim=(1, 2, 3)).clamp_min(1)
    mean = (response * inside).sum(dim=(1, 2, 3)) / count
    square = (response.square() * inside).sum(dim=(1, 2, 3)) / count
    return ((square - mean.square()).clamp_min(0) + READER_NOISE**2).sqrt()


def plant(
    image: torch.Tensor,
    inside: torch.Tensor,
    sigma: float,
    amplitude: float | None = None,
    *,
    generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Add Gaussian lesions of alternating sign to an image (1, 1, H, W).

    Parameters
    ----------
    inside
        (1, 1, H, W), where lesions may lie.
    amplitude
        In levels; None takes a share of the local mean.
    generator
        Draws the places, on the CPU.

    Returns
    -------
    tuple
        The image with lesions, their places (n, 2) and their signs (n,).
    """
    free = inside[0, 0] > 0
    down = torch.arange(free.shape[0], device=image.device)[:, None]
    across = torch.arange(free.shape[1], device=image.device)[None]
    local = blurred(image, 2 * sigma)[0, 0]
    added, places, signs = torch.zeros_like(image), [], []
    for number in range(MOST_LESIONS[2]):
        candidates = free.nonzero()
        if not len(candidates):
            break
        place = candidates[int(torch.randint(len(candidates), (1,), generator=generator))]
        square = (down - place[0]) ** 2 + (across - place[1]) ** 2
        sign = 1.0 if number % 2 else -1.0
        height = AMPLITUDE * local[place[0], place[1]] if amplitude is None else amplitude
        added = added + sign * height * torch.exp(-square / (2 * sigma**2))
        free = free & (square >= (APART * sigma) ** 2)
        places.append(place)
        signs.append(sign)
    found = torch.stack(places) if places else torch.zeros((0, 2), dtype=torch.long)
    return (image + added).clamp(0, 1), found, image.new_tensor(signs)


def retention(
    changes: tuple[torch.Tensor, torch.Tensor],
    clutters: tuple[torch.Tensor, torch.Tensor],
    signs: torch.Tensor,
) -> torch.Tensor:
    """Share of a source's lesions that stays visible, from the changes of T_s at them.

    Parameters
    ----------
    changes
        Of the fused image and of the source, each (n,).
    clutters
        Of both without lesions, scalars.
    """
    kept = (signs * changes[0]).clamp_min(0).sum() / clutters[0]
    return kept / ((signs * changes[1]).clamp_min(0).sum() / clutters[1] + SMALLEST_NORM)


@in_float32
def cancelled(
    fused: torch.Tensor,
    anatomical: torch.Tensor,
    functional: torch.Tensor,
    brain: torch.Tensor,
    *,
    sigma: float,
) -> torch.Tensor:
    """How far the brain's strongest edges fall short of :data:`KEPT` of the stronger source's."""
    of_a, of_b, of_f = (
        sobel(blurred(image, sigma)).square().sum(dim=1, keepdim=True).add(1e-10).sqrt()
        for image in (anatomical, functional, fused)
    )
    strength = torch.maximum(of_a, of_b)
    lacking = (KEPT - of_f / strength).clamp_min(0)
    shares = [
        each[edge >= torch.quantile(edge[inside], 1 - STRONGEST)] if inside.any() else each * 0
        for each, edge, inside in zip(lacking, strength * brain, brain > 0, strict=True)
    ]
    return torch.stack([share.mean() for share in shares]).mean()
