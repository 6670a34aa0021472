"""A denoising diffusion model of brain slices: noise schedule, U-Net and sampling.

Ho J, Jain A, Abbeel P. Denoising Diffusion Probabilistic Models. NeurIPS 2020. arXiv:2006.11239
Nichol A, Dhariwal P. Improved Denoising Diffusion Probabilistic Models. ICML 2021 (schedule).
Song J, Meng C, Ermon S. Denoising Diffusion Implicit Models. ICLR 2021 (sampling).

Images are in [-1, 1] here. A noisy image at step t is sqrt(a_t) image + sqrt(1 - a_t) noise; the
network predicts the noise (Ho et al., eqs. 4 and 14).

Schedule and network are written out instead of taken from MONAI or diffusers: theirs would more
than double the time a fusion takes to start, need a newer PyTorch than the package, and give no
features of the decoder, which are all that the fusion needs.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import nn
from torch.nn import functional as nnf

STEPS = 2000
"""Length of the diffusion process, from t = 0, the image itself, to noise."""


def signal_levels(steps: int = STEPS) -> torch.Tensor:
    """The share a_t of the image in the variance at each step: the cosine schedule.

    Nichol & Dhariwal, eq. 17, with the offset 0.008 and no step of more than 0.999 of what is left.

    Returns
    -------
    torch.Tensor
        (steps + 1,) float64 on the CPU, falling from 1 at t = 0.
    """
    times = torch.arange(steps + 1, dtype=torch.float64, device="cpu") / steps
    levels = torch.cos((times + 0.008) / 1.008 * math.pi / 2).square()
    kept = (levels[1:] / levels[:-1]).clamp_min(0.001)
    return nnf.pad(kept.cumprod(0), (1, 0), value=1.0)


def add_noise(image: torch.Tensor, noise: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
    """The noisy image at a signal level a_t (Ho et al., eq. 4)."""
    return level.sqrt() * image + (1 - level).sqrt() * noise


def step_encoding(step: torch.Tensor, channels: int) -> torch.Tensor:
    """Sines and cosines of a step (N,), with periods from 2 pi to 20000 pi: (N, channels)."""
    half = channels // 2
    rates = torch.exp(-math.log(1e4) * torch.arange(half, device=step.device) / half)
    angles = step.float().unsqueeze(1) * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class ResidualBlock(nn.Module):
    """Two convolutions, each after group norm and SiLU, with the step added between them."""

    def __init__(
        self, channels_in: int, channels_out: int, step_channels: int, groups: int, dropout: float
    ) -> None:
        super().__init__()
        self.first = _convolution(channels_in, channels_out, groups)
        self.step = nn.Linear(step_channels, channels_out)
        self.second = _convolution(channels_out, channels_out, groups, dropout)
        same = channels_in == channels_out
        self.skip = nn.Identity() if same else nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, features: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        inner = self.first(features) + self.step(step).unsqueeze(-1).unsqueeze(-1)
        return self.second(inner) + self.skip(features)


def _convolution(
    channels_in: int, channels_out: int, groups: int, dropout: float = 0.0
) -> nn.Sequential:
    return nn.Sequential(
        nn.GroupNorm(groups, channels_in),
        nn.SiLU(),
        nn.Dropout(dropout),
        nn.Conv2d(channels_in, channels_out, 3, padding=1),
    )


class SelfAttention(nn.Module):
    """Every place of a feature map attends to every other, with one head."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels)
        self.query_key_value = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        query, key, value = self.query_key_value(self.norm(features)).flatten(2).chunk(3, dim=1)
        similarity = query.transpose(1, 2) @ key / math.sqrt(features.shape[1])
        attended = value @ similarity.softmax(dim=-1).transpose(1, 2)
        return features + self.out(attended.unflatten(2, features.shape[-2:]))


class DiffusionUNet(nn.Module):
    """Predicts the noise in an image; its decoder's features describe the image.

    The network of SR3 (Saharia et al. 2023), which DM-FNet uses: per level residual blocks on the
    way down and one more on the way up, each of which sees what one block or down-sampling on the
    way down made, and self-attention in the middle.

    Parameters
    ----------
    widths
        Channels of each level, from full resolution down.
    blocks
        Residual blocks of each level on the way down.
    groups
        Groups of the normalisation; a divisor of all widths.
    """

    def __init__(
        self,
        widths: Sequence[int] = (128, 128, 128, 128, 256),
        *,
        blocks: int = 2,
        groups: int = 32,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.blocks = blocks
        thin, deep = widths[0], widths[-1]
        self.step = nn.Sequential(nn.Linear(thin, 4 * thin), nn.SiLU(), nn.Linear(4 * thin, thin))

        def block(channels_in: int, channels_out: int) -> ResidualBlock:
            return ResidualBlock(channels_in, channels_out, thin, groups, dropout)

        self.first = nn.Conv2d(1, thin, 3, padding=1)
        self.down, self.shrink = nn.ModuleList(), nn.ModuleList()
        made, current = [thin], thin
        for level, width in enumerate(widths):
            if level:
                self.shrink.append(nn.Conv2d(current, current, 3, stride=2, padding=1))
                made.append(current)
            inputs = (current, *[width] * (blocks - 1))
            self.down.append(nn.ModuleList(block(channels, width) for channels in inputs))
            made += [width] * blocks
            current = width
        self.before, self.after = block(deep, deep), block(deep, deep)
        self.attention = SelfAttention(deep, groups)
        self.up, self.grow = nn.ModuleList(), nn.ModuleList()
        for level, width in reversed(tuple(enumerate(widths))):
            inputs = (current, *[width] * blocks)
            self.up.append(nn.ModuleList(block(item + made.pop(), width) for item in inputs))
            current = width
            if level:
                self.grow.append(nn.Conv2d(width, width, 3, padding=1))
        self.last = _convolution(thin, 1, groups)

    def forward(self, noisy: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        """The noise in images (N, 1, H, W) at steps (N,)."""
        *_, features = self._decoded(noisy, step)
        return self.last(features)

    def features(self, noisy: torch.Tensor, step: torch.Tensor) -> list[torch.Tensor]:
        """What the first decoder block of each level makes, from the coarsest level to the finest.

        Sides are those of the images divided by a power of two and rounded up. The blocks after the
        last of these are not computed.
        """
        period = self.blocks + 1
        count = period * (len(self.widths) - 1) + 1
        return list(itertools.islice(self._decoded(noisy, step), 0, count, period))

    def _decoded(self, noisy: torch.Tensor, step: torch.Tensor) -> Iterator[torch.Tensor]:
        """The output of one decoder block after the other, computed when it is asked for."""
        step = self.step(step_encoding(step, self.widths[0]))
        features = self.first(noisy)
        made = [features]
        for level, blocks in enumerate(self.down):
            if level:
                features = self.shrink[level - 1](features)
                made.append(features)
            for block in cast(nn.ModuleList, blocks):
                features = block(features, step)
                made.append(features)
        features = self.after(self.attention(self.before(features, step)), step)
        for level, blocks in enumerate(self.up):
            if level:
                larger = nnf.interpolate(features, size=made[-1].shape[-2:], mode="nearest")
                features = self.grow[level - 1](larger)
            for block in cast(nn.ModuleList, blocks):
                features = block(torch.cat([features, made.pop()], dim=1), step)
                yield features


@torch.no_grad()
def sample(
    network: nn.Module, count: int, side: int, *, evaluations: int = 100, seed: int = 0
) -> torch.Tensor:
    """Images that the diffusion model makes out of noise, by DDIM without added noise.

    Song et al., eq. 12 with sigma = 0; the image predicted at each step is kept in [-1, 1]. Another
    ``count`` or ``side`` gives other images; the random state of PyTorch is left alone.

    Parameters
    ----------
    network
        Predicts the noise of images (N, 1, H, W) at steps (N,).
    evaluations
        How often the network is evaluated, at steps spread evenly over the process.

    Returns
    -------
    torch.Tensor
        (count, 1, side, side) float32 in [0, 1].
    """
    levels = signal_levels().float()
    steps = torch.linspace(STEPS, 0, evaluations + 1).round().long()
    noisy = torch.randn(count, 1, side, side, generator=torch.Generator().manual_seed(seed))
    for step, following in itertools.pairwise(steps.tolist()):
        noise = network(noisy, torch.full((count,), step)).float()
        level = levels[step]
        image = (noisy - (1 - level).sqrt() * noise) / level.sqrt()
        image = image.clamp(-1, 1)
        # The rest is noise by definition, even where the prediction was clipped.
        noise = (noisy - level.sqrt() * image) / (1 - level).sqrt()
        noisy = add_noise(image, noise, levels[following])
    return (noisy + 1) / 2
