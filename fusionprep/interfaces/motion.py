"""Motion between frames of a dynamic PET, and the frames themselves, as Nipype interfaces."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    InputMultiObject,
    SimpleInterface,
    TraitedSpec,
    isdefined,
    traits,
)

from fusionprep.bids.names import NOTES
from fusionprep.files import table_text
from fusionprep.interfaces.files import given, given_moves, load_moves, save
from fusionprep.interfaces.frames import FramesSpec
from fusionprep.interfaces.registration import Resample, ResampleInputSpec
from fusionprep.interfaces.smoothing import SmoothedFramesSpec, smoothed_frames

if TYPE_CHECKING:
    from fusionprep.image.motion import Motion

FRAMEWISE_DISPLACEMENT, STANDARD_ERROR = "framewise_displacement", "standard_error"
MISSING = "n/a"


class _FindMotionInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="dynamic PET as acquired")
    mode = traits.Enum("auto", "on", usedefault=True, desc="auto leaves alone what does not move")
    durations = traits.List(traits.Float, desc="seconds, where known")
    remaining = traits.List(traits.Float, desc="share of the activity that has not decayed")


class _FindMotionOutputSpec(TraitedSpec):
    moves = File(exists=True, desc="(frames, 4, 4) reference_from_frame; none where left alone")
    table = File(exists=True, desc="parameters of each frame; none without a head")
    metadata = traits.Dict(desc="the sidecar's fields MotionCorrection and Notes")


class FindMotion(SimpleInterface):
    """Where the head is in each frame, and whether that is to be corrected."""

    input_spec = _FindMotionInputSpec
    output_spec = _FindMotionOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        from fusionprep.image.io import read_frames
        from fusionprep.image.motion import NoHeadError, find_motion

        affine, frames = read_frames(self.inputs.in_file)
        durations, remaining = (given(self.inputs, name) for name in ("durations", "remaining"))
        try:
            motion = find_motion(frames, affine, durations, remaining)
        except NoHeadError as error:
            note = f"motion between frames was not looked for: {error}"
            self._results["metadata"] = {NOTES: [note]}
            return runtime
        moved, moved_error = motion.largest_movement_mm()
        applied = self.inputs.mode == "on" or motion.moves()
        table = Path(runtime.cwd, "motion.tsv")
        table.write_text(_table(motion), "utf-8")
        self._results["table"] = str(table)
        if applied:
            path = Path(runtime.cwd, "moves.npy")
            np.save(path, motion.reference_from_frame)
            self._results["moves"] = str(path)
        self._results["metadata"] = {
            "MotionCorrection": {
                "Mode": self.inputs.mode,
                "Applied": applied,
                "LargestMovementMillimetres": round(moved, 3),
                "MovementStandardErrorMillimetres": round(moved_error, 3),
                "CarriedFrames": [index + 1 for index in motion.carried],
            },
            **({NOTES: [_carried(motion)]} if motion.carried and applied else {}),
        }
        return runtime


def _carried(motion: "Motion") -> str:
    numbers = ", ".join(str(index + 1) for index in motion.carried)
    return (
        f"frames with too few counts for a place of their own: {numbers} of {len(motion.counts)};"
        " the head is taken to be where it is in the nearest frame"
    )


def _table(motion: "Motion") -> str:
    columns = {
        **motion.parameters(),
        FRAMEWISE_DISPLACEMENT: motion.framewise_displacement(),
        STANDARD_ERROR: motion.standard_errors_mm,
    }
    rows = [
        {name: _number(values[index]) for name, values in columns.items()}
        for index in range(len(motion.counts))
    ]
    return table_text(list(columns), rows)


def _number(value: float) -> str:
    return f"{value:.6f}" if np.isfinite(value) else MISSING


class _ResampleStaticInputSpec(ResampleInputSpec, SmoothedFramesSpec, FramesSpec):
    dynamic = File(exists=True, mandatory=True, desc="PET as acquired")
    chosen = traits.List(traits.Int, [], usedefault=True, desc="numbers from 0; all where empty")


class ResampleStatic(Resample):
    """Resample a static PET or, where the head moved, each of its frames, and average these."""

    input_spec = _ResampleStaticInputSpec

    def _run_interface(self, runtime: Any) -> Any:
        from fusionprep.image.aligned_frames import average_aligned
        from fusionprep.image.io import new_image, read_frames

        if not isdefined(self.inputs.moves):
            return super()._run_interface(runtime)
        affine, frames = read_frames(self.inputs.dynamic)
        grid, moves = self._grid(), load_moves(self.inputs.moves)
        mean = average_aligned(
            smoothed_frames(self.inputs, frames, affine, moves),
            affine,
            moves,
            grid,
            self._transform(),
            durations=given(self.inputs, "durations"),
            factors=given(self.inputs, "frame_factors"),
            chosen=list(self.inputs.chosen) or None,
            n_threads=self.inputs.n_threads,
        )
        moved = new_image(mean * np.float32(self.inputs.factor), grid.affine)
        self._results["out_file"] = save(moved, runtime.cwd, "resampled")
        return runtime


class _KeepFramesInputSpec(SmoothedFramesSpec, FramesSpec):
    in_file = File(exists=True, mandatory=True, desc="dynamic PET as acquired")
    t1w = File(exists=True, mandatory=True, desc="whose field of view and axes are wanted")
    transforms = InputMultiObject(
        File(exists=True), mandatory=True, desc="ITK files that resample the PET onto the T1w"
    )
    count = traits.Int(mandatory=True, desc="frames of the PET")
    n_threads = traits.Int(1, usedefault=True, nohash=True)


class _KeepFramesOutputSpec(TraitedSpec):
    out_file = File(exists=True, desc="4-D, compressed")


class KeepFrames(SimpleInterface):
    """The frames in T1w space at the PET's voxel size, each in one interpolation."""

    input_spec = _KeepFramesInputSpec
    output_spec = _KeepFramesOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        from fusionprep.image.aligned_frames import frames_grid, resample_frames, write_frames
        from fusionprep.image.io import load_image, read_frames
        from fusionprep.image.resample import read_transforms

        affine, frames = read_frames(self.inputs.in_file)
        count = self.inputs.count
        moves = given_moves(self.inputs)
        frames = smoothed_frames(self.inputs, frames, affine, moves)
        moves = np.array([np.eye(4)] * count) if moves is None else moves
        grid = frames_grid(load_image(self.inputs.t1w), affine)
        chain = read_transforms(self.inputs.transforms)
        moved = resample_frames(frames, affine, moves, grid, chain, n_threads=self.inputs.n_threads)
        scales = self.inputs.factor * np.array(given(self.inputs, "frame_factors") or [1.0] * count)
        path = Path(runtime.cwd, "frames.nii.gz")
        scaled = (frame * np.float32(scale) for frame, scale in zip(moved, scales, strict=True))
        write_frames(scaled, count, grid, path)
        self._results["out_file"] = str(path)
        return runtime
