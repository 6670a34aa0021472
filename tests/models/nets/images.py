"""Random images and networks for the tests of our own models."""

import torch


def blobs(side: int, darkest: float = 0.0) -> torch.Tensor:
    """Two smooth images (2, 1, 1, 96, 96) with black around a square of ``darkest`` to 1."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(2, 1, 1, 12, 12, generator=generator)
    images, border = torch.zeros(2, 1, 1, 96, 96), (96 - side) // 2
    inside = slice(border, border + side)
    for image, small in zip(images, coarse, strict=True):
        large = torch.nn.functional.interpolate(small, size=(side, side), mode="bilinear")
        image[..., inside, inside] = darkest + (1 - darkest) * large
    return images


def with_random_weights(model: torch.nn.Module) -> torch.nn.Module:
    """The network with random instead of initial weights everywhere, not to be trained."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.05)
    return model.eval()
