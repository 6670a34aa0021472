"""PET operations as Nipype interfaces."""

from typing import TYPE_CHECKING, Any

import numpy as np
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    SimpleInterface,
    TraitedSpec,
    isdefined,
    traits,
)

from fusionprep.bids.names import NOT_COMPUTED, NOTES, SUVR
from fusionprep.interfaces.files import given, load, load_moves, save
from fusionprep.interfaces.frames import FramesSpec

if TYPE_CHECKING:
    import nibabel as nib

    from fusionprep.image.frames import FrameMean


class _AverageFramesInputSpec(FramesSpec):
    in_file = File(exists=True, mandatory=True, desc="3-D or 4-D PET")
    # an empty list is part of the node's hash, so that results without all_frames are made again
    chosen = traits.List(traits.Int, [], usedefault=True, desc="numbers from 0; all where empty")


class _AverageFramesOutputSpec(TraitedSpec):
    out_file = File(exists=True, desc="static volume")
    all_frames = File(exists=True, desc="the same over all frames, whichever are chosen")
    metadata = traits.Dict(desc="the sidecar's fields FrameAveraging and Notes")
    doubts = traits.List(traits.Str, desc="what has to be looked at")


class AverageFrames(SimpleInterface):
    """Static PET: the mean over the frames chosen, weighted by their duration.

    Where the head moved, frames are aligned first. Frames without signal are left out, of the times
    as well.
    """

    input_spec = _AverageFramesInputSpec
    output_spec = _AverageFramesOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        mean, static = self._static(list(self.inputs.chosen) or None)
        static_file = save(static, runtime.cwd, "static")
        self._results["out_file"] = self._results["all_frames"] = static_file
        self._results["doubts"] = mean.doubts() if mean.frames > 1 else []
        self._results["metadata"] = {
            "FrameAveraging": self._averaging(mean),
            **({NOTES: mean.notes()} if mean.empty else {}),
        }
        if len(mean.chosen) < mean.frames:
            # not held in memory beside the next
            del mean, static
            _, static = self._static(None)
            self._results["all_frames"] = save(static, runtime.cwd, "all_frames")
        return runtime

    def _static(self, chosen: list[int] | None) -> tuple["FrameMean", "nib.Nifti1Image"]:
        """The mean over some frames, and its image in the output units."""
        import nibabel as nib

        from fusionprep.errors import DataError
        from fusionprep.image.frames import average_frames
        from fusionprep.image.io import new_image, read_frames
        from fusionprep.image.resample import remove_shear

        affine, frames = read_frames(self.inputs.in_file)
        durations, factors = given(self.inputs, "durations"), given(self.inputs, "frame_factors")
        mean = average_frames(frames, durations, factors, chosen)
        static = self._aligned(mean, affine) * np.float32(self.inputs.factor)
        if not static.any():
            which = "PET holds" if chosen is None else "the frames chosen of the PET hold"
            raise DataError(
                f"{which} no finite value above or below 0: {self.inputs.in_file};"
                " reconstruct or copy it again"
            )
        image = nib.as_closest_canonical(nib.Nifti1Image(static, affine))
        return mean, remove_shear(new_image(np.asarray(image.dataobj), image.affine))

    def _aligned(self, mean: "FrameMean", affine: np.ndarray) -> np.ndarray:
        """The mean on the PET's grid, over aligned frames where the head moved."""
        from fusionprep.image.aligned_frames import average_aligned
        from fusionprep.image.io import new_image, read_frames

        if not isdefined(self.inputs.moves):
            return mean.image
        _, frames = read_frames(self.inputs.in_file)
        return average_aligned(
            frames,
            affine,
            load_moves(self.inputs.moves),
            new_image(mean.image, affine),
            durations=given(self.inputs, "durations"),
            factors=given(self.inputs, "frame_factors"),
            chosen=mean.chosen,
        )

    def _averaging(self, mean: "FrameMean") -> dict[str, Any]:
        starts, durations = given(self.inputs, "starts"), given(self.inputs, "durations")
        if len(mean.chosen) == 1:
            weights = "single frame"
        else:
            weights = "equal" if durations is None else "frame duration"
        fields: dict[str, Any] = {
            "Frames": len(mean.kept),
            "Weights": weights,
            "DurationSeconds": sum(durations[i] for i in mean.kept) if durations else None,
        }
        if starts and durations:
            first, last = mean.kept[0], mean.kept[-1]
            fields["StartSeconds"] = starts[first]
            fields["EndSeconds"] = starts[last] + durations[last]
        if mean.empty:
            fields["EmptyFrames"] = [index + 1 for index in mean.empty]
        return fields


class _ReferenceMeanInputSpec(BaseInterfaceInputSpec):
    pet = File(exists=True, mandatory=True, desc="PET on the T1w grid")
    region = File(exists=True, mandatory=True, desc="mask on the T1w grid")
    name = traits.Str(mandatory=True, desc="name of the region")
    reason = traits.Str("", usedefault=True, desc="why that region")
    required = traits.Bool(True, usedefault=True, desc="fail where there is no such mean")
    registration = traits.Dict(desc="the PET's field Registration")
    template_registration = traits.Dict(desc="the same of the T1w in the region's template")


class _ReferenceMeanOutputSpec(TraitedSpec):
    factor = traits.Float(desc="multiply PET by it to get SUVR; none where that cannot be")
    region = File(exists=True, desc="the region; none without a factor")
    metadata = traits.Dict(desc="the sidecar's SUVR field, where there is a factor")
    missing = traits.Dict(desc="else its SUVRNotComputed field")


class ReferenceMean(SimpleInterface):
    """Mean uptake of the reference region, where its mask is above one half.

    Without one there is an error or, where the region is not required, no factor.
    """

    input_spec = _ReferenceMeanInputSpec
    output_spec = _ReferenceMeanOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        from fusionprep.errors import DataError
        from fusionprep.image.io import load_image
        from fusionprep.image.regions import check_volume
        from fusionprep.image.suv import reference_mean

        self._results["metadata"], self._results["missing"] = {}, {}
        pet, _ = load(self.inputs.pet)
        region, _ = load(self.inputs.region)
        try:
            if not self.inputs.required:
                check_volume(load_image(self.inputs.region), self.inputs.name)
            found = reference_mean(pet, region, self.inputs.name)
        except DataError as error:
            if self.inputs.required:
                raise
            self._results["missing"] = {NOT_COMPUTED[SUVR]: str(error)}
            return runtime
        self._results["region"] = self.inputs.region
        self._results["factor"] = 1.0 / found.mean
        self._results["metadata"] = {
            "SUVR": {
                "Region": self.inputs.name,
                **({"RegionReason": self.inputs.reason} if self.inputs.reason else {}),
                **({"RegionDoubt": doubt} if (doubt := self._doubt()) else {}),
                "Reference": found.mean,
                "Voxels": found.voxels,
                "RegionVoxels": found.region_voxels,
            }
        }
        return runtime

    def _doubt(self) -> str:
        """Which registrations that the region's place rests on are not to be trusted unseen."""
        from fusionprep.image.suv import region_doubt

        given = {
            "the T1w to the template": self.inputs.template_registration,
            "the PET to the T1w": self.inputs.registration,
        }
        return region_doubt(
            {
                name: fields.get("Registration", {})
                for name, fields in given.items()
                if isdefined(fields)
            }
        )


class _ScaleInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True)
    factor = traits.Float(desc="none where there is to be no image")


class _ScaleOutputSpec(TraitedSpec):
    out_file = File(exists=True, desc="none without a factor")


class Scale(SimpleInterface):
    """Multiply an image by a number, where there is one."""

    input_spec = _ScaleInputSpec
    output_spec = _ScaleOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        from fusionprep.image.io import new_image

        if not isdefined(self.inputs.factor):
            return runtime
        data, affine = load(self.inputs.in_file)
        scaled = (data * self.inputs.factor).astype(np.float32)
        self._results["out_file"] = save(new_image(scaled, affine), runtime.cwd, "scaled")
        return runtime
