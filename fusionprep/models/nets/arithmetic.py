"""The two fusions by plain arithmetic, against which every model is to be judged."""

import torch

from fusionprep.models.nets.base import FusionModel


class Average(FusionModel):
    """Mean of the two images."""

    reach = 0

    def forward(self, anatomical: torch.Tensor, functional: torch.Tensor) -> torch.Tensor:
        return torch.lerp(anatomical, functional, 0.5)


class Maximum(FusionModel):
    """The brighter of the two images at each pixel."""

    reach = 0

    def forward(self, anatomical: torch.Tensor, functional: torch.Tensor) -> torch.Tensor:
        return torch.maximum(anatomical, functional)
