"""DM-FNet: features of a diffusion model at several steps and scales, fused with attention.

He D, Li W, Wang G, Huang Y, Liu S. DM-FNet: Unified multimodal medical image fusion via diffusion
process-trained encoder-decoder. IEEE Transactions on Multimedia, 2025. arXiv:2506.15218

Stage I, the prior, is a U-Net that was trained to take the noise out of single slices of every
modality. Stage II looks at both slices through it: noise of three early steps is added to each, and
the features of the decoder's five levels are fused by the paper's three modules, which bring
together the steps of a slice (:class:`StepFusion`), the two slices (:class:`ModalityFusion`) and
the levels (:class:`ScaleFusion`).

What differs: the prior predicts the noise at a step, not the image at a noise level; the attention
of :class:`ModalityFusion` is used as a share between 0 and 1 (the authors' program multiplies it by
the features first); borders are replicated instead of reflected, which requires no minimum size;
both slices get the same noise, always the same, so that a result can be repeated; the result lies
between the darker and the brighter slice, 0 where both are 0, and is the one slice that shows
anything where the other does not. The shipped configuration is narrower.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as nnf

from fusionprep.models.nets.base import FusionModel, between, keep_alone, support
from fusionprep.models.nets.diffusion import DiffusionUNet, add_noise, signal_levels

NOISE_SIDE = 256
"""Side of the fixed noise in pixels; larger slices see it repeated."""

NOISE_SEED = 2506


class StepFusion(nn.Module):
    """Brings together what the prior sees in one slice at several steps of noise."""

    def __init__(self, width: int, steps: int) -> None:
        super().__init__()
        self.convolutions = _narrow_and_mix(width * steps, width)

    def forward(self, features: Sequence[torch.Tensor]) -> torch.Tensor:
        return self.convolutions(torch.cat(list(features), dim=1))


class ModalityFusion(nn.Module):
    """Adaptive fusion of two slices' features: each place and channel has its own share.

    Channel, spatial and then pixel attention to the sum of both decide on the share (the
    content-guided attention of DEA-Net, Chen et al. 2024); the sum itself is added to the mixture.
    """

    def __init__(self, width: int, reduction: int = 8) -> None:
        super().__init__()
        self.channels = nn.Sequential(
            nn.Conv2d(width, width // reduction, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(width // reduction, width, 1),
        )
        self.places = nn.Conv2d(2, 1, 7, padding=3, padding_mode="replicate")
        self.pixels = nn.Conv2d(
            2 * width, width, 3, padding=1, padding_mode="replicate", groups=width
        )

    def share(self, total: torch.Tensor) -> torch.Tensor:
        """Share of the first slice, in (0, 1), from the sum of both slices' features."""
        channels = self.channels(total.mean(dim=(2, 3), keepdim=True))
        extremes = torch.cat([total.mean(1, keepdim=True), total.amax(1, keepdim=True)], dim=1)
        coarse = channels + self.places(extremes)
        # Each channel is next to its own coarse attention, as groups of two.
        beside = torch.stack([total, coarse], dim=2).flatten(1, 2)
        return torch.sigmoid(self.pixels(beside))

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        total = first + second
        return torch.lerp(second, first, self.share(total)) + total


class ScaleFusion(nn.Module):
    """Adds the results of the two coarser levels before it to one level.

    Parameters
    ----------
    width, width_out
        Channels of this level and of the next finer one.
    width_before_last
        Channels of the result two levels before; None where there is none.
    """

    def __init__(self, width: int, width_out: int, width_before_last: int | None) -> None:
        super().__init__()
        self.before_last = None
        if width_before_last is not None:
            self.before_last = _narrow_and_mix(width_before_last, width)
        self.convolutions = _narrow_and_mix(width, width_out)

    def forward(self, features: torch.Tensor, coarser: Sequence[torch.Tensor]) -> torch.Tensor:
        """Fuse a level with the results of all coarser ones, the coarsest first."""
        size = features.shape[-2:]
        if coarser:
            features = features + _resized(coarser[-1], size)
        if self.before_last is not None:
            features = features + _resized(self.before_last(coarser[-2]), size)
        return self.convolutions(features)


def _narrow_and_mix(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 1),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels_out, channels_out, 3, padding=1),
        nn.ReLU(inplace=True),
    )


def _resized(features: torch.Tensor, size: torch.Size) -> torch.Tensor:
    return nnf.interpolate(features, size=size, mode="bilinear", align_corners=False)


class FusionHead(nn.Module):
    """Stage II: the fused slice from the prior's features of both slices.

    Parameters
    ----------
    widths
        Channels of the prior's levels, from full resolution down.
    steps
        Number of noise steps at which the prior is evaluated.
    """

    def __init__(self, widths: Sequence[int], steps: int) -> None:
        super().__init__()
        coarsest_first = tuple(widths)[::-1]
        results = (*coarsest_first[1:], coarsest_first[-1])
        self.steps = nn.ModuleList(StepFusion(width, steps) for width in coarsest_first)
        self.modalities = nn.ModuleList(ModalityFusion(width) for width in coarsest_first)
        self.scales = nn.ModuleList(
            ScaleFusion(width, result, results[level - 2] if level >= 2 else None)
            for level, (width, result) in enumerate(zip(coarsest_first, results, strict=True))
        )
        self.last = nn.Sequential(
            nn.Conv2d(widths[0], widths[0] // 2, 3, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(widths[0] // 2, 1, 3, padding=1),
            nn.Tanh(),
        )

    def forward(
        self,
        anatomical: Sequence[Sequence[torch.Tensor]],
        functional: Sequence[Sequence[torch.Tensor]],
    ) -> torch.Tensor:
        """Fuse features, for each slice a list of levels (coarsest first) of a list of steps.

        Returns
        -------
        torch.Tensor
            (N, 1, H, W) in [-1, 1].
        """
        results: list[torch.Tensor] = []
        for level, pair in enumerate(zip(anatomical, functional, strict=True)):
            fused = self.modalities[level](*map(self.steps[level], pair))
            results.append(self.scales[level](fused, results))
        return self.last(results[-1])


class DMFNet(FusionModel):
    """The frozen prior and the fusion of its features.

    The defaults are the shipped configuration. Its reach is left open: attention and normalisation
    look at the whole slice.

    Parameters
    ----------
    widths, groups, dropout
        Of the prior; see :class:`fusionprep.models.nets.diffusion.DiffusionUNet`.
    steps
        Steps of noise at which the prior's features are taken, of 2000.
    """

    noise: torch.Tensor
    step_numbers: torch.Tensor
    levels: torch.Tensor

    def __init__(
        self,
        widths: Sequence[int] = (24, 24, 24, 24, 48),
        *,
        groups: int = 8,
        dropout: float = 0.0,
        steps: tuple[int, ...] = (5, 10, 20),
    ) -> None:
        super().__init__()
        self.steps = steps
        self.prior = DiffusionUNet(widths, groups=groups, dropout=dropout)
        self.head = FusionHead(widths, len(steps))
        # Always made on the CPU, because another device draws other numbers.
        noise = torch.randn(
            (len(steps), NOISE_SIDE, NOISE_SIDE),
            generator=torch.Generator().manual_seed(NOISE_SEED),
            device="cpu",
        )
        self.register_buffer("noise", noise, persistent=False)
        numbers = torch.tensor(steps, dtype=torch.float32, device="cpu")
        self.register_buffer("step_numbers", numbers, persistent=False)
        schedule = signal_levels()
        levels = torch.stack([schedule[step] for step in steps]).float()
        self.register_buffer("levels", levels, persistent=False)

    def forward(self, anatomical: torch.Tensor, functional: torch.Tensor) -> torch.Tensor:
        return between(self.unbounded(anatomical, functional), anatomical, functional)

    def unbounded(self, anatomical: torch.Tensor, functional: torch.Tensor) -> torch.Tensor:
        """The fused image before it is held between the two: what is trained."""
        described = [self._describe(2 * image - 1) for image in (anatomical, functional)]
        fused = keep_alone((self.head(*described) + 1) / 2, anatomical, functional)
        return fused * support(anatomical, functional)

    def _describe(self, image: torch.Tensor) -> list[tuple[torch.Tensor, ...]]:
        """The prior's features of images in [-1, 1]: for each level, coarsest first, its steps."""
        rows, columns = (
            torch.arange(side, device=image.device) % NOISE_SIDE for side in image.shape[-2:]
        )
        noise = self.noise.index_select(1, rows).index_select(2, columns)
        noise = noise.unsqueeze(1).unsqueeze(1)
        levels = self.levels.view(-1, 1, 1, 1, 1)
        noisy = add_noise(image, noise, levels)
        steps = self.step_numbers.repeat_interleave(len(image))
        features = self.prior.features(noisy.flatten(0, 1), steps)
        return [maps.unflatten(0, (len(self.steps), -1)).unbind(0) for maps in features]


def dmfnet_full() -> DMFNet:
    """The paper's width, for training on a GPU."""
    return DMFNet((128, 128, 128, 128, 256), groups=32, dropout=0.2)
