"""Runs of one PET scan as a Nipype interface."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    InputMultiObject,
    SimpleInterface,
    TraitedSpec,
    traits,
)

if TYPE_CHECKING:
    import nibabel as nib

RUNS = "CombinedRuns"
"""Field of sidecars."""


class _CombineInputSpec(BaseInterfaceInputSpec):
    in_files = InputMultiObject(File(exists=True), mandatory=True, desc="3-D or 4-D, in order")
    factors = traits.List(
        traits.List(traits.Float), mandatory=True, desc="what each frame of each run is scaled by"
    )
    starts = traits.List(traits.List(traits.Float), mandatory=True, desc="from the injection, s")
    durations = traits.List(traits.List(traits.Float), mandatory=True, desc="of the frames, s")
    sources = traits.List(traits.Str, mandatory=True, desc="what the runs are called in sidecars")
    sloppy = traits.Bool(False, usedefault=True)


class _CombineOutputSpec(TraitedSpec):
    out_file = File(exists=True, desc="4-D, on the grid of the first run")
    metadata = traits.Dict(desc="the sidecar's field CombinedRuns")


class CombineRuns(SimpleInterface):
    """One series of the frames of several runs, brought to where the head was in the first."""

    input_spec = _CombineInputSpec
    output_spec = _CombineOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        from fusionprep.image.io import read_frames
        from fusionprep.image.run_alignment import STILL_MM, align_runs, write_series

        first = self._mean(0)
        moves: list[np.ndarray | None] = [None]
        told = [self._times(0)]
        for number in range(1, len(self.inputs.in_files)):
            pose, distance = align_runs(first, self._mean(number), sloppy=self.inputs.sloppy)
            moves.append(pose if distance >= STILL_MM else None)
            told.append(
                {
                    **self._times(number),
                    "MovedMillimetres": round(distance, 2),
                    "Realigned": moves[-1] is not None,
                    "FirstFromRun": np.round(pose, 5).tolist(),
                }
            )
        grid, frames = read_frames(self.inputs.in_files[0])
        shape = next(frames).shape
        count = sum(map(len, self.inputs.factors))
        path = Path(runtime.cwd, "combined.nii")
        write_series(path, self._frames(moves, grid, shape), (*shape, count), grid)
        self._results["out_file"] = str(path)
        self._results["metadata"] = {RUNS: told}
        return runtime

    def _times(self, number: int) -> dict[str, Any]:
        """What is said of any run."""
        return {
            "Run": self.inputs.sources[number],
            "FrameTimesStart": list(self.inputs.starts[number]),
            "FrameDuration": list(self.inputs.durations[number]),
        }

    def _mean(self, number: int) -> "nib.Nifti1Image":
        """Over the frames of a run, by their duration."""
        from fusionprep.image.frames import average_frames
        from fusionprep.image.io import new_image, read_frames
        from fusionprep.image.resample import remove_shear

        affine, frames = read_frames(self.inputs.in_files[number])
        durations, factors = self.inputs.durations[number], self.inputs.factors[number]
        mean = average_frames(frames, durations if sum(durations) else None, factors)
        return remove_shear(new_image(mean.image, affine))

    def _frames(
        self, moves: Sequence[np.ndarray | None], grid: np.ndarray, shape: tuple[int, ...]
    ) -> Iterator[np.ndarray]:
        from fusionprep.image.io import read_frames
        from fusionprep.image.run_alignment import brought

        runs = zip(self.inputs.in_files, self.inputs.factors, moves, strict=True)
        for path, factors, move in runs:
            affine, frames = read_frames(path)
            placed = brought(frames, affine, shape, grid, move)
            for frame, factor in zip(placed, factors, strict=True):
                yield frame * np.float32(factor)
