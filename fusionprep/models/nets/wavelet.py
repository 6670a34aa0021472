"""Fusion in the wavelet domain: mean of the approximation, stronger of the details.

Li H, Manjunath BS, Mitra SK. Multisensor Image Fusion Using the Wavelet Transform. Graphical
Models and Image Processing 57(3):235-245, 1995. doi:10.1006/gmip.1995.1022

What differs: coefficients are chosen one by one, without the paper's window of 3x3 or 5x5
coefficients and its consistency check; the approximation, which the paper treats like the details,
is averaged, as is usual today.
"""

import numpy as np
import torch

from fusionprep.models.nets.base import FusionModel


class Wavelet(FusionModel):
    """Discrete wavelet fusion of each slice.

    Parameters
    ----------
    wavelet
        PyWavelets' name.
    levels
        Depth of the decomposition; small slices get what their size allows.
    """

    def __init__(self, wavelet: str = "db2", levels: int = 3) -> None:
        super().__init__()
        self.wavelet = wavelet
        self.levels = levels

    def forward(self, anatomical: torch.Tensor, functional: torch.Tensor) -> torch.Tensor:
        fused = fuse_wavelet(
            anatomical.cpu().numpy(), functional.cpu().numpy(), self.wavelet, self.levels
        )
        return torch.from_numpy(fused).to(anatomical.device)


def fuse_wavelet(first: np.ndarray, second: np.ndarray, wavelet: str, levels: int) -> np.ndarray:
    """Fuse images (..., H, W) in [0, 1]; the result is clipped to that range."""
    import pywt

    height, width = first.shape[-2:]
    depth = min(levels, pywt.dwt_max_level(min(height, width), wavelet))
    approximation1, *details1 = pywt.wavedec2(first, wavelet, level=depth)
    approximation2, *details2 = pywt.wavedec2(second, wavelet, level=depth)
    fused = [(approximation1 + approximation2) / 2]
    for bands1, bands2 in zip(details1, details2, strict=True):
        fused.append(tuple(map(_stronger, bands1, bands2)))
    # Odd sides come back one pixel longer.
    image = pywt.waverec2(fused, wavelet)[..., :height, :width]
    return np.clip(image, 0, 1, dtype=np.float32)


def _stronger(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.where(np.abs(first) >= np.abs(second), first, second)
