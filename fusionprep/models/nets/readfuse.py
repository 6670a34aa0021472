"""ReadFuse, our own: a gray image in which a reader finds the lesions of both sources.

No paper. Both images are split into bands by an a-trous wavelet transform (Starck & Murtagh,
Astronomical Image and Data Analysis, 2006, section 1.4: B3 spline, no decimation). A small
network says, for each block of 4x4 pixels, how much of each band of each source to add up, and how
bright the coarsest levels of either should be::

    fused = u r_a + v r_b + sum_k (g_k a_k + h_k b_k)

with r what remains of an image below the coarsest band, and gains that are never negative, so that
neither source's contrast is ever reversed. Where the two images show the same, the result is what
both show; an image that is alone stays as it is; both exactly. Levels above 0.8 rise ever more
slowly and stay below 1.

Everything is local: nothing farther away than the network sees and the coarsest band reaches has
any influence, so that no square outside the head and no bright slice elsewhere changes a pixel.
"""

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as nnf

from fusionprep.models.nets.base import PlannedFusion, box_mean, keep_alone, support
from fusionprep.models.nets.selfuse import BLOCK, block_statistics, whole_blocks

BANDS = 5
"""Bands of each image, each an octave; what remains has a scale of 32 pixels."""

B3_SPLINE = (1 / 16, 1 / 4, 3 / 8)
"""Weights of the outer, inner and central taps."""

LARGEST_GAIN, FIRST_GAIN = 1.6, 0.85
"""Of a band: the largest, and that of an untrained network."""

LARGEST_SHARE, FIRST_SHARE = 1.2, 0.55
"""The same of what remains below the bands."""

SHOULDER = 0.8
"""Level above which levels are compressed."""

BONE, COMPACT_BONE = 0.5, 0.75
"""Levels of a CT between which pixels are partly bone, in any window that shows brain."""

DENSE = 0.9
"""Level from which a single pixel of a CT is compact bone or calcification, not noise."""

AIR = 0.05
"""Level of a CT up to which there is no tissue."""

AROUND = 21
"""Pixels of the square whose soft tissue stands for bone: more than a skull is thick."""

LEAST_TISSUE = 0.44
"""Pixels of it that must be soft tissue, partly counted."""

MIDDLE_GRAY = 0.48
"""Level that soft tissue has on average where it is bright in MRI and CT, as in a T1w."""

BOTH_BRIGHT = (0.41, 0.46)
"""Broad levels of the darker source between which both count more and more as bright: below it lies
a T2w beside CT."""

BROAD = 13
"""Blocks of the square that is averaged over, twice, for broad levels."""

LEAST_SHARE = 0.02
"""Share of soft tissue around a block that counts."""

ALIKE = 0.02
"""Mean absolute difference of a neighbourhood from which two images are no longer the same."""

STATISTICS = 10 + 2 * BANDS + BANDS
"""Values that the network sees of a block: SelFuse's, and each band's energies and correlation."""

PLAN_SMOOTHING_MM = 6.0
"""Smoothing of plans over slices, in mm; ..."""

LEAST_SMOOTHED_SLICES = 1.25
"""... and the least in slices: those of thick stacks must agree as well."""

SMALLEST_ENERGY = 1e-6


class ReadFuse(PlannedFusion):
    """Bands of two images, added up with gains from a network.

    Parameters
    ----------
    channels
        Width of the body.
    dilations
        One residual convolution for each.
    """

    def __init__(self, channels: int = 32, dilations: tuple[int, ...] = (1, 2, 4, 2, 1)) -> None:
        super().__init__()
        self.first = nn.Conv2d(STATISTICS, channels, 3, padding=1)
        self.body = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
            for dilation in dilations
        )
        self.last = nn.Conv2d(channels, 2 * (BANDS + 1), 3, padding=1)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def seen(
        self, anatomical: torch.Tensor, functional: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Both images as their bands are taken."""
        return anatomical, functional

    def forward(self, anatomical: torch.Tensor, functional: torch.Tensor) -> torch.Tensor:
        return self.finish(self.planned(anatomical, functional), anatomical, functional)

    def planned(self, anatomical: torch.Tensor, functional: torch.Tensor) -> torch.Tensor:
        """What :meth:`uncompressed` gives with their own plan, with one decomposition for both."""
        seen = self.seen(anatomical, functional)
        bands, rest = decomposed(torch.cat(seen, dim=1))
        return _added(bands, rest, self._said(*seen, bands))

    def plan(self, anatomical: torch.Tensor, functional: torch.Tensor) -> torch.Tensor:
        """For each block (N, 12, h, w), what the network says of the gains; 0 where nothing."""
        seen = self.seen(anatomical, functional)
        bands, _ = decomposed(torch.cat(seen, dim=1))
        return self._said(*seen, bands)

    def _said(
        self, anatomical: torch.Tensor, functional: torch.Tensor, bands: torch.Tensor
    ) -> torch.Tensor:
        features = nnf.leaky_relu(self.first(_statistics(anatomical, functional, bands)), 0.1)
        for layer in self.body:
            features = features + nnf.leaky_relu(layer(features), 0.1)
        return self.last(features)

    def smoothed_slices(self, voxel_sizes: Sequence[float], axis: int) -> float:
        return max(PLAN_SMOOTHING_MM / voxel_sizes[axis], LEAST_SMOOTHED_SLICES)

    def follow(
        self, anatomical: torch.Tensor, functional: torch.Tensor, plan: torch.Tensor
    ) -> torch.Tensor:
        fused = self.uncompressed(anatomical, functional, plan)
        return self.finish(fused, anatomical, functional)

    def finish(
        self, fused: torch.Tensor, anatomical: torch.Tensor, functional: torch.Tensor
    ) -> torch.Tensor:
        """What :meth:`uncompressed` gives, in [0, 1]; see :func:`finished`."""
        return finished(compressed(fused), anatomical, functional)

    def uncompressed(
        self, anatomical: torch.Tensor, functional: torch.Tensor, plan: torch.Tensor
    ) -> torch.Tensor:
        """The sum of the bands, which can lie outside [0, 1]."""
        bands, rest = decomposed(torch.cat(self.seen(anatomical, functional), dim=1))
        return _added(bands, rest, plan)


class ReadFuseCT(ReadFuse):
    """The same for CT: bone is taken out of the bands and put back on top.

    Its edges are several times as strong as all others, and leave halos far into the brain as soon
    as two bands of them have different gains. Where bone was, the bands see what lies around it.
    Compact bone is never darker than in the CT. Where both sources are bright, their sum would be a
    white sheet without contrast: it comes down to a middle gray.
    """

    def seen(
        self, anatomical: torch.Tensor, functional: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return anatomical, without_bone(functional)

    def finish(
        self, fused: torch.Tensor, anatomical: torch.Tensor, functional: torch.Tensor
    ) -> torch.Tensor:
        soft = compressed(lowered(fused, anatomical, functional)).to(functional.dtype)
        fused = torch.lerp(soft, torch.maximum(soft, functional), dense(functional))
        return finished(fused, anatomical, functional)


def bone(functional: torch.Tensor) -> torch.Tensor:
    """How far the pixels of a CT are bone, 0 to 1."""
    return ((functional - BONE) / (COMPACT_BONE - BONE)).clamp(0.0, 1.0)


def dense(functional: torch.Tensor) -> torch.Tensor:
    """How far the pixels of a CT are bone or calcification, 0 to 1.

    In a narrow window peaks of the noise reach ``BONE``: a pixel also counts by its surroundings.
    """
    around = _smoothed(_smoothed(functional, 1, -1), 1, -2)
    certain = ((functional - COMPACT_BONE) / (DENSE - COMPACT_BONE)).clamp(0.0, 1.0)
    return torch.minimum(bone(functional), torch.maximum(bone(around), certain))


def without_bone(functional: torch.Tensor) -> torch.Tensor:
    """A CT whose bone has the mean level of soft tissue around it, black where there is none."""
    kept = 1 - bone(functional)
    tissue = kept * (functional > AIR)
    around, share = _sums_around(torch.cat([functional * tissue, tissue], dim=1)).chunk(2, dim=1)
    return torch.lerp(around / share.clamp_min(LEAST_TISSUE), functional, kept)


def lowered(
    fused: torch.Tensor, anatomical: torch.Tensor, functional: torch.Tensor
) -> torch.Tensor:
    """The sum of the bands, with soft tissue at a middle gray where it is bright in both sources.

    Only the broad level changes, so that contrasts stay and the shoulder takes none of them.
    """
    height, width = fused.shape[-2:]
    darker = torch.minimum(anatomical, functional)
    tissue = (darker > AIR) * (1 - bone(functional))
    maps = torch.cat([fused.clamp(0, 1) * tissue, darker * tissue, tissue], dim=1)
    broad = nnf.avg_pool2d(whole_blocks(maps), BLOCK)
    broad = box_mean(box_mean(broad, BROAD), BROAD)
    level, both, share = broad.chunk(3, dim=1)
    share = share + LEAST_SHARE
    low, high = BOTH_BRIGHT
    bright = ((both / share - low) / (high - low)).clamp(0, 1)
    excess = bright * (level / share - MIDDLE_GRAY).clamp_min(0)
    fine = nnf.interpolate(excess, scale_factor=BLOCK, mode="bilinear")
    return fused - fine[..., :height, :width]


def _sums_around(images: torch.Tensor) -> torch.Tensor:
    """Sums over a square around each pixel, from running sums: no cost for a large square."""
    half = AROUND // 2
    for axis, room in ((-1, (half + 1, half)), (-2, (0, 0, half + 1, half))):
        running = nnf.pad(images, room).cumsum(axis)
        side = images.shape[axis]
        images = running.narrow(axis, AROUND, side) - running.narrow(axis, 0, side)
    return images


def _added(bands: torch.Tensor, rest: torch.Tensor, plan: torch.Tensor) -> torch.Tensor:
    """The bands and what remains, each with its gain.

    Gains lie between 0 and the largest; where the network says nothing, they are the first.
    """
    height, width = rest.shape[-2:]
    shares, gains = plan.split([2, 2 * BANDS], dim=1)
    # the first value is added to blocks, of which there are fewer than pixels
    said = torch.cat(
        [
            shares + math.log(FIRST_SHARE / (LARGEST_SHARE - FIRST_SHARE)),
            gains + math.log(FIRST_GAIN / (LARGEST_GAIN - FIRST_GAIN)),
        ],
        dim=1,
    )
    fine = nnf.interpolate(said, scale_factor=BLOCK, mode="bilinear")[..., :height, :width]
    shares, gains = torch.sigmoid(fine).split([2, 2 * BANDS], dim=1)
    fused = LARGEST_SHARE * (shares * rest).sum(dim=1, keepdim=True)
    return fused + LARGEST_GAIN * (gains * bands).sum(dim=1, keepdim=True)


def decomposed(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Bands (N, BANDS * C, H, W), the finest of all images first, and what remains (N, C, H, W).

    Images end in black at their borders. Bands and remainder add up to the image.
    """
    bands, level = [], images
    for band in range(BANDS):
        coarser = _smoothed(_smoothed(level, 2**band, -1), 2**band, -2)
        bands.append(level - coarser)
        level = coarser
    return torch.cat(bands, dim=1), level


def _smoothed(images: torch.Tensor, step: int, axis: int) -> torch.Tensor:
    """Convolution with the spline along one axis, ``step`` pixels from tap to tap.

    Sums of shifted images: several times faster on a CPU than PyTorch's dilated convolutions.
    """
    outer, inner, centre = B3_SPLINE
    smooth = centre * images
    for weight, shift in ((inner, step), (outer, 2 * step)):
        rest = images.shape[axis] - shift
        if rest > 0:
            # added in place: half the time goes into new tensors
            ahead, behind = (slice(shift, None), slice(rest))
            for to, of in ((ahead, behind), (behind, ahead)):
                _along(smooth, axis, to).add_(_along(images, axis, of), alpha=weight)
    return smooth


def _along(images: torch.Tensor, axis: int, part: slice) -> torch.Tensor:
    return images[..., part] if axis == -1 else images[..., part, :]


def compressed(fused: torch.Tensor) -> torch.Tensor:
    """The sum of the bands in [0, 1]."""
    room = 1 - SHOULDER
    above = (fused - SHOULDER).clamp_min(0)
    return fused.clamp(0.0, SHOULDER) + room * torch.tanh(above / room)


def finished(
    fused: torch.Tensor, anatomical: torch.Tensor, functional: torch.Tensor
) -> torch.Tensor:
    """What both images show where they are alike or one is alone, elsewhere the fused levels.

    Black where neither is above 0.
    """
    difference = box_mean((anatomical - functional).abs(), 9)
    unlike = 1 - torch.exp(-((difference / ALIKE) ** 2))
    fused = torch.lerp((anatomical + functional) / 2, fused.to(anatomical.dtype), unlike)
    return keep_alone(fused, anatomical, functional) * support(anatomical, functional)


def _statistics(
    anatomical: torch.Tensor, functional: torch.Tensor, bands: torch.Tensor
) -> torch.Tensor:
    """What the network sees of each block: (N, 25, h, w)."""
    of_a, of_b = bands[:, 0::2], bands[:, 1::2]
    moments = [
        nnf.avg_pool2d(whole_blocks(product), BLOCK)
        for product in (of_a.square(), of_b.square(), of_a * of_b)
    ]
    # Neighbouring blocks count as well: one block holds little of a coarse band.
    moments = [nnf.avg_pool2d(nnf.pad(m, (1, 1, 1, 1), mode="replicate"), 3, 1) for m in moments]
    deviations = [(moment + SMALLEST_ENERGY).sqrt() for moment in moments[:2]]
    correlation = moments[2] / (deviations[0] * deviations[1])
    blocks = block_statistics(anatomical, functional)
    return torch.cat([blocks, *(8 * deviation for deviation in deviations), correlation], dim=1)
