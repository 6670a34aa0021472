"""MATR: convolutions that adapt to the whole image, then self-attention in windows of pixels.

Tang W, He F, Liu Y, Duan Y. MATR: Multimodal Medical Image Fusion via Multiscale Adaptive
Transformer. IEEE Transactions on Image Processing 31:5134-5149, 2022. doi:10.1109/TIP.2022.3193288

Adaptive convolution (Lin X, Ma L, Liu W, Chang S-F. Context-Gated Convolution. ECCV 2020), branches
after one, two and three of them, shifted-window Transformer (Liu Z et al. Swin Transformer. ICCV
2021) and the sum of the branches are those of the paper and of its authors' program, which shares
one convolution and one Transformer between all branches. What differs:

- That program attends in windows of a single pixel, where attention mixes nothing, and reads the
  channels-first features as if channels came last. Here a token is a pixel with its channels, and a
  window has several.
- Images of any size are padded to whole windows, by enough that no window holds pixels of opposite
  borders; padding is masked out of the attention.
- Batch normalisation, whose running means do not suit features of different depth at once, is a
  group normalisation in the gates and a bias after the convolutions.
- The network adds to the mean of the two images, and the result lies between the darker and the
  brighter of them, 0 where both are 0: the paper's output, a plain tanh, has a gray background.
"""

import torch
from torch import nn
from torch.nn import functional as nnf

from fusionprep.models.nets.base import FusionModel, between, support

BRANCHES = 3
"""Scales: features after one, two and three adaptive convolutions."""

KERNEL = 3
LATENT = KERNEL**2 // 2 + 1
"""Numbers that hold the context of a channel, about half as many as its kernel (Lin et al.)."""


OUTSIDE = -1e4
"""Logit of keys outside the image: no weight beside any other, yet finite where there is none."""


class AdaptiveConvolution(nn.Module):
    """Convolution whose kernels are gated by the context of the whole image, and ReLU.

    The context of a channel is its mean in three by three parts of the image, encoded. It opens the
    elements of the kernels for that input channel; mixed between channels, also those for each
    output channel (Lin et al. 2020).
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels_out, channels_in, KERNEL, KERNEL))
        nn.init.kaiming_uniform_(self.weight, nonlinearity="relu")
        self.bias = nn.Parameter(torch.zeros(channels_out))
        self.encode = nn.Linear(KERNEL**2, LATENT, bias=False)
        self.norm_in = nn.GroupNorm(1, channels_in)
        self.norm_mixed = nn.GroupNorm(1, channels_in)
        self.norm_out = nn.GroupNorm(1, channels_out)
        self.mix = nn.Linear(channels_in, channels_out, bias=False)
        self.decode_in = nn.Linear(LATENT, KERNEL**2, bias=False)
        self.decode_out = nn.Linear(LATENT, KERNEL**2, bias=False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        kernels = self.weight.flatten(2) * self.gate(features)
        columns = nnf.unfold(features, KERNEL, padding=KERNEL // 2)
        output = torch.matmul(kernels.flatten(2), columns)
        output = output.unflatten(2, features.shape[-2:])
        return torch.relu(output + self.bias[:, None, None])

    def gate(self, features: torch.Tensor) -> torch.Tensor:
        """How far each element of the kernels is open, (N, out, in, 9), between 0 and 1."""
        context = self.encode(part_means(features).flatten(2))
        opened_in = self.decode_in(torch.relu(self.norm_in(context)))
        mixed = self.mix(torch.relu(self.norm_mixed(context)).transpose(1, 2)).transpose(1, 2)
        opened_out = self.decode_out(torch.relu(self.norm_out(mixed)))
        return torch.sigmoid(opened_in.unsqueeze(1) + opened_out.unsqueeze(2))


def part_means(features: torch.Tensor) -> torch.Tensor:
    """Means (N, C, 3, 3) of the features in three by three parts of about equal size.

    Adaptive average pooling as a matrix product, which ONNX can express for any size.
    """
    height, width = features.shape[-2:]
    rows, columns = _part_weights(height, features), _part_weights(width, features)
    return rows @ features @ columns.transpose(0, 1)


def _part_weights(length: int, like: torch.Tensor) -> torch.Tensor:
    part = torch.arange(KERNEL, device=like.device).unsqueeze(1)
    begin, end = part * length // KERNEL, ((part + 1) * length + KERNEL - 1) // KERNEL
    index = torch.arange(length, device=like.device)
    inside = ((index >= begin) & (index < end)).to(like.dtype)
    return inside / (end - begin)


class WindowAttention(nn.Module):
    """Multi-head self-attention within windows, with a bias for the relative position of pixels.

    Parameters
    ----------
    channels
        Of a pixel; a multiple of ``heads``.
    window
        Side of the square windows in pixels.
    shift
        How many pixels the windows begin below and right of the corner of the grid.
    """

    relative: torch.Tensor

    def __init__(self, channels: int, heads: int, window: int, shift: int) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.shift = shift
        self.query_key_value = nn.Linear(channels, 3 * channels)
        self.project = nn.Linear(channels, channels)
        self.position_bias = nn.Parameter(0.02 * torch.randn((2 * window - 1) ** 2, heads))
        self.register_buffer("relative", _relative_positions(window), persistent=False)

    def forward(self, tokens: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
        """Tokens (N, H, W, C) to the same shape, both sides multiples of the window.

        Only tokens where ``inside`` (1, H, W, 1) is true are attended to. Windows that are cut by
        the border continue at the opposite one; only one of the two sides may be inside.
        """
        windows = self._windows(self._roll(tokens, -self.shift))
        keys_inside = self._windows(self._roll(inside, -self.shift)).squeeze(-1)
        mixed = self._attend(windows, keys_inside)
        height, width = tokens.shape[1] // self.window, tokens.shape[2] // self.window
        mixed = mixed.reshape(-1, height, width, self.window, self.window, mixed.shape[-1])
        mixed = mixed.transpose(2, 3).reshape(tokens.shape)
        return self.project(self._roll(mixed, self.shift))

    def _roll(self, tokens: torch.Tensor, amount: int) -> torch.Tensor:
        return tokens.roll((amount, amount), dims=(1, 2)) if self.shift else tokens

    def _windows(self, tokens: torch.Tensor) -> torch.Tensor:
        """(N, H, W, C) to (N, windows, window squared, C)."""
        count, height, width, channels = tokens.shape
        side = self.window
        parts = tokens.reshape(count, height // side, side, width // side, side, channels)
        return parts.transpose(2, 3).reshape(count, -1, side**2, channels)

    def _attend(self, windows: torch.Tensor, keys_inside: torch.Tensor) -> torch.Tensor:
        """Every pixel of a window becomes a mean of those of its window that are inside."""
        split = self.query_key_value(windows).unflatten(-1, (3, self.heads, -1))
        query, key, value = split.permute(3, 0, 1, 4, 2, 5)
        logits = query * query.shape[-1] ** -0.5 @ key.transpose(-1, -2)
        logits = logits + self.position_bias[self.relative].permute(2, 0, 1)
        logits = logits.masked_fill(~keys_inside[:, :, None, None, :], OUTSIDE)
        return (logits.softmax(dim=-1) @ value).transpose(2, 3).flatten(3)


def _relative_positions(window: int) -> torch.Tensor:
    """Index (window squared, window squared) of each pair's offset among all offsets."""
    axis = torch.arange(window)
    rows, columns = (grid.flatten() for grid in torch.meshgrid(axis, axis, indexing="ij"))
    down = rows[:, None] - rows + window - 1
    right = columns[:, None] - columns + window - 1
    return down * (2 * window - 1) + right


class TransformerBlock(nn.Module):
    """Window attention, then a perceptron for each pixel, each added to its normalised input."""

    def __init__(
        self, channels: int, heads: int, window: int, shift: int, hidden_ratio: int
    ) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(channels)
        self.attention = WindowAttention(channels, heads, window, shift)
        self.norm_perceptron = nn.LayerNorm(channels)
        self.perceptron = nn.Sequential(
            nn.Linear(channels, hidden_ratio * channels),
            nn.GELU(),
            nn.Linear(hidden_ratio * channels, channels),
        )

    def forward(self, tokens: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
        tokens = tokens + self.attention(self.norm_attention(tokens), inside)
        return tokens + self.perceptron(self.norm_perceptron(tokens))


class WindowTransformer(nn.Module):
    """Transformer blocks of which every other one shifts its windows by half.

    Parameters
    ----------
    channels, heads, depth, window, hidden_ratio
        See :class:`MATR`.
    """

    def __init__(
        self, channels: int, heads: int, depth: int, window: int, hidden_ratio: int
    ) -> None:
        super().__init__()
        self.window = window
        self.blocks = nn.ModuleList(
            TransformerBlock(channels, heads, window, block % 2 * (window // 2), hidden_ratio)
            for block in range(depth)
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features (N, C, H, W) to the same shape, whatever the size."""
        height, width = features.shape[-2:]
        padding = (0, self._padding(width), 0, self._padding(height))
        tokens = nnf.pad(features, padding).permute(0, 2, 3, 1)
        inside = nnf.pad(features.new_ones(1, 1, height, width), padding).permute(0, 2, 3, 1) > 0
        for block in self.blocks:
            tokens = block(tokens, inside)
        # The exporter to ONNX knows the length of an index, but not that of a slice.
        tokens = tokens.index_select(1, torch.arange(height, device=tokens.device))
        tokens = tokens.index_select(2, torch.arange(width, device=tokens.device))
        return tokens.permute(0, 3, 1, 2)

    def _padding(self, side: int) -> int:
        """To whole windows, and to more than a shifted window takes from the other border."""
        windows = (side + 2 * self.window - self.window // 2 - 1) // self.window
        return windows * self.window - side


class MATR(FusionModel):
    """Three branches of adaptive convolutions and a Transformer, summed.

    Its reach is left open, because the gates see the whole image.

    Parameters
    ----------
    channels
        Of the features; 16 in the authors' program.
    heads, depth
        Of the attention, and its blocks, of which every other one shifts its windows; 8 and 3.
    window
        Side of a window in pixels.
    hidden_ratio
        Width of the perceptrons in multiples of ``channels``; 4.
    """

    def __init__(
        self,
        channels: int = 16,
        heads: int = 8,
        depth: int = 3,
        window: int = 8,
        hidden_ratio: int = 4,
    ) -> None:
        super().__init__()
        self.first = AdaptiveConvolution(2, channels)
        self.shared = AdaptiveConvolution(channels, channels)
        self.transformer = WindowTransformer(channels, heads, depth, window, hidden_ratio)
        self.last = nn.Conv2d(channels, 1, 1, bias=False)

    def forward(self, anatomical: torch.Tensor, functional: torch.Tensor) -> torch.Tensor:
        return between(self.unbounded(anatomical, functional), anatomical, functional)

    def unbounded(self, anatomical: torch.Tensor, functional: torch.Tensor) -> torch.Tensor:
        """The fused image (N, 1, H, W) before it is held between the two: what is trained."""
        features = self.first(torch.cat([anatomical, functional], dim=1))
        summed = 0
        for _ in range(BRANCHES):
            features = self.shared(features)
            summed = summed + self.shared(self.transformer(features))
        added = torch.tanh(self.last(summed))
        fused = torch.lerp(anatomical, functional, 0.5) + added
        return fused.clamp(0, 1) * support(anatomical, functional)


def matr_small() -> MATR:
    """The shipped configuration, for a CPU: fewer heads and blocks, smaller windows."""
    return MATR(heads=2, depth=2, window=4)
