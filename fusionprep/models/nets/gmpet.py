"""GM-PET: the PET confined to the gray matter of the T1w.

Song J, Zheng J, Li P, Lu X, Zhu G, Shen P. An Effective Multimodal Image Fusion Method Using MRI
and PET for Alzheimer's Disease Diagnosis. Frontiers in Digital Health 3:637386, 2021.
doi:10.3389/fdgth.2021.637386

The paper's fusion is registration and "mask coding": the gray matter that was segmented in the MRI
gives the contour, the registered FDG PET the values inside. The networks for diagnosis that the
paper trains on these images are not part of it.

What differs: the gray matter comes as probabilities, of which the mask takes those above one half;
the second variant multiplies by them, which needs no threshold and keeps soft borders.
"""

import torch

from fusionprep.models.nets.base import FusionModel


class GrayMatterPET(FusionModel):
    """PET inside the gray matter.

    In place of an MRI, ``forward`` takes the probability of gray matter.

    Parameters
    ----------
    weighted
        Multiply by the probability; otherwise keep the PET where it is above one half.
    """

    reach = 0

    def __init__(self, *, weighted: bool) -> None:
        super().__init__()
        self.weighted = weighted

    def forward(self, anatomical: torch.Tensor, functional: torch.Tensor) -> torch.Tensor:
        share = anatomical if self.weighted else (anatomical > 0.5).to(functional.dtype)
        return functional * share


def gmpet_mask() -> GrayMatterPET:
    """GM-PET by a mask, as in the paper."""
    return GrayMatterPET(weighted=False)


def gmpet_probability() -> GrayMatterPET:
    """GM-PET weighted by the probability of gray matter."""
    return GrayMatterPET(weighted=True)
