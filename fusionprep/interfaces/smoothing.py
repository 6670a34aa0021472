"""Smoothing of PET as a Nipype interface."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    SimpleInterface,
    TraitedSpec,
    isdefined,
    traits,
)

from fusionprep.interfaces.files import load, save

if TYPE_CHECKING:
    import numpy as np

    from fusionprep.image.smoothing import Smoother


def make_smoother(
    kernel: list[float],
    affine: "np.ndarray",
    shape: tuple[int, ...],
    mask: Path | None = None,
    transform: Path | None = None,
) -> "Smoother":
    """What smooths images on a grid.

    Parameters
    ----------
    kernel
        FWHM in mm, from left to right, back to front and feet to head.
    mask, transform
        Brain on the T1w grid, and the ITK file that brings images there; None smooths everything.
    """
    import nibabel as nib

    from fusionprep.image.io import load_image
    from fusionprep.image.resample import ras_from_itk, read_transforms
    from fusionprep.image.smoothing import BrainOnGrid, Smoother, along_axes

    brain = None
    if mask is not None and transform is not None:
        t1w_from_pet = ras_from_itk(read_transforms([transform]))
        brain = BrainOnGrid.from_mask(load_image(mask), affine, shape, t1w_from_pet)
    sizes = nib.affines.voxel_sizes(affine).tolist()
    return Smoother(along_axes(kernel, affine), sizes, brain)


class _SmoothInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="3-D PET on its own grid")
    kernel = traits.List(traits.Float, mandatory=True, minlen=3, maxlen=3, desc="FWHM, mm, RAS")
    mask = File(exists=True, desc="brain on the T1w grid; none smooths everything")
    transform = File(exists=True, desc="with it: ITK file that resamples PET onto the T1w")


class _SmoothOutputSpec(TraitedSpec):
    out_file = File(exists=True)


class SmoothPET(SimpleInterface):
    """Smooth a PET on its own grid, in the brain without loss at its edge."""

    input_spec = _SmoothInputSpec
    output_spec = _SmoothOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        from fusionprep.image.io import new_image

        data, affine = load(self.inputs.in_file)
        smoother = make_smoother(
            list(self.inputs.kernel),
            affine,
            data.shape,
            *(given_file(self.inputs, name) for name in ("mask", "transform")),
        )
        self._results["out_file"] = save(new_image(smoother(data), affine), runtime.cwd, "smoothed")
        return runtime


def given_file(inputs: Any, name: str) -> Path | None:
    """A file among the inputs of an interface; None where none is set."""
    value = getattr(inputs, name)
    return Path(value) if isdefined(value) else None
