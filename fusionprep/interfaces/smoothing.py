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
    from collections.abc import Iterable, Iterator, Sequence

    import numpy as np

    from fusionprep.image.smoothing import Smoother


class SmoothedFramesSpec(BaseInterfaceInputSpec):
    """Inputs that say how frames are smoothed."""

    kernel = traits.List(traits.Float, desc="FWHM, mm, RAS; none leaves frames as they are")
    mask = File(exists=True, desc="brain on the T1w grid to stay within; none smooths everything")
    to_t1w = File(exists=True, desc="with it: ITK file that resamples the PET onto the T1w")


def make_smoother(
    inputs: Any,
    affine: "np.ndarray",
    shape: tuple[int, ...],
    reference_from_frame: "np.ndarray | None" = None,
) -> "Smoother":
    """What smooths images on a grid.

    Parameters
    ----------
    inputs
        Of an interface, as in :class:`SmoothedFramesSpec`.
    affine, shape
        Of the grid.
    reference_from_frame
        (4, 4), where the head of a frame lies in the PET that was registered; None where it did not
        move.
    """
    import nibabel as nib
    import numpy as np

    from fusionprep.image.io import load_image
    from fusionprep.image.resample import ras_from_itk, read_transforms
    from fusionprep.image.smoothing import BrainOnGrid, Smoother, along_axes

    brain = None
    if isdefined(inputs.mask):
        t1w_from_pet = ras_from_itk(read_transforms([Path(inputs.to_t1w)]))
        move = np.eye(4) if reference_from_frame is None else reference_from_frame
        brain = BrainOnGrid.from_mask(load_image(inputs.mask), affine, shape, t1w_from_pet @ move)
    sizes = nib.affines.voxel_sizes(affine).tolist()
    return Smoother(along_axes(list(inputs.kernel), affine), sizes, brain)


def smoothed_frames(
    inputs: Any,
    frames: "Iterable[np.ndarray]",
    affine: "np.ndarray",
    moves: "Sequence[np.ndarray] | np.ndarray | None" = None,
) -> "Iterator[np.ndarray]":
    """Frames, smoothed where the inputs of an interface say so; one is in memory at a time.

    Parameters
    ----------
    inputs
        As in :class:`SmoothedFramesSpec`.
    frames
        T times (X, Y, Z).
    affine
        (4, 4), of their grid.
    moves
        T times (4, 4), where the head of each frame lies in the PET that was registered; None where
        it did not move.
    """
    if not isdefined(inputs.kernel) or not inputs.kernel:
        yield from frames
        return
    smoother = None
    for number, frame in enumerate(frames):
        # without any signal it has no values, which smoothing must not hide
        if not frame.any():
            yield frame
            continue
        if moves is not None or smoother is None:
            move = None if moves is None else moves[number]
            smoother = make_smoother(inputs, affine, frame.shape, move)
        yield smoother(frame)


class _SmoothInputSpec(SmoothedFramesSpec):
    in_file = File(exists=True, mandatory=True, desc="3-D PET on its own grid")


class _SmoothOutputSpec(TraitedSpec):
    out_file = File(exists=True)


class SmoothPET(SimpleInterface):
    """Smooth a PET on its own grid, in the brain without loss at its edge."""

    input_spec = _SmoothInputSpec
    output_spec = _SmoothOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        from fusionprep.image.io import new_image

        data, affine = load(self.inputs.in_file)
        smoother = make_smoother(self.inputs, affine, data.shape)
        self._results["out_file"] = save(new_image(smoother(data), affine), runtime.cwd, "smoothed")
        return runtime
