"""By how much a PET is smoothed, decided when its subject is planned."""

from dataclasses import dataclass
from typing import Any

from fusionprep.bids.point_spread import point_spread
from fusionprep.bids.types import ImageFile, PointSpread
from fusionprep.config import Processing
from fusionprep.errors import DataError
from fusionprep.image.smoothing import kernel_to, resolution, told_mm

NEARLY_MM = 0.05
"""By how much a resolution may be missed."""

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Smoothing:
    """What a PET is smoothed by before it is brought to the T1w.

    Attributes
    ----------
    kernel
        FWHM of the Gaussian, mm, from left to right, back to front and feet to head of its grid.
    target
        The resolution that it is brought to, mm; None where the kernel itself was asked for, which
        then goes by the brain mask.
    resolution
        FWHM of the result in the output spaces, interpolation included; None where the point spread
        is not known.
    spread
        Of the PET as it was.
    """

    kernel: Triple
    target: float | None
    resolution: Triple | None
    spread: PointSpread | None

    def to_dict(self) -> dict[str, Any]:
        """For a sidecar."""
        within = "brain mask, by normalised convolution; all of the image elsewhere"
        fields: dict[str, Any] = {
            "KernelFWHM": _rounded(self.kernel),
            "TargetFWHM": self.target,
            "ResolutionFWHM": _rounded(self.resolution),
            "Within": within if self.target is None else "all of the image",
        }
        if self.spread is not None:
            fields["PointSpreadFWHM"] = _rounded(self.spread.fwhm)
            fields["PointSpreadSource"] = self.spread.source
        return {name: value for name, value in fields.items() if value is not None}

    @property
    def notes(self) -> tuple[str, ...]:
        """That the image is softer than asked for, where interpolation alone blurs it so far."""
        if self.target is None or self.resolution is None:
            return ()
        reached = max(self.resolution)
        if reached <= self.target + NEARLY_MM:
            return ()
        return (
            f"its resolution is {told_mm(self.resolution)}, not {self.target:g} mm: linear"
            " interpolation alone blurs it so far; it can be brought to --target-resolution"
            f" {reached:.3g} or more",
        )

    def __str__(self) -> str:
        to = "" if self.resolution is None else f" to {told_mm(self.resolution)}"
        return f"smoothed by {told_mm(self.kernel)}{to}"


def _rounded(widths: Triple | None) -> list[float] | None:
    return None if widths is None else [round(width, 3) for width in widths]


def decide_smoothing(
    image: ImageFile, processing: Processing, voxel_sizes: Triple
) -> Smoothing | None:
    """Decide by how much a PET is smoothed; None where that is not asked for.

    Parameters
    ----------
    image
        With its metadata read.
    voxel_sizes
        mm, from left to right, back to front and feet to head.

    Raises
    ------
    DataError
        When it cannot be brought to a resolution: its point spread is not known, or is wider.
    """
    target, width = processing.target_resolution, processing.smooth
    if target is not None:
        spread = point_spread(image, processing.psf, "--target-resolution")
        try:
            kernel = kernel_to(target, spread.fwhm, voxel_sizes)
        except DataError as error:
            raise DataError(
                f"{image.path.name} cannot be brought to --target-resolution {target:g}: {error}"
                f" (point spread: {spread.source})"
            ) from error
        return Smoothing(kernel, target, resolution(spread.fwhm, kernel, voxel_sizes), spread)
    if width is None:
        return None
    kernel = (width, width, width)
    try:
        spread = point_spread(image, processing.psf)
    except DataError:
        # the kernel does not depend on it
        return Smoothing(kernel, None, None, None)
    return Smoothing(kernel, None, resolution(spread.fwhm, kernel, voxel_sizes), spread)
