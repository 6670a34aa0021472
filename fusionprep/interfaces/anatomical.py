"""T1w operations as Nipype interfaces."""

from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    SimpleInterface,
    TraitedSpec,
    isdefined,
    traits,
)

from fusionprep.bids.names import NOTES, TAKEN_OVER
from fusionprep.choices import Denoising, Device, SkullStrip, choices
from fusionprep.errors import DataError
from fusionprep.image.io import new_image, read_volume
from fusionprep.image.resample import remove_shear
from fusionprep.image.zero_level import from_zero
from fusionprep.interfaces.earlier import TISSUES, not_taken
from fusionprep.interfaces.files import load, save
from fusionprep.modalities import CT

if TYPE_CHECKING:
    from fusionprep.image.segmentation import Tissues


class _ConformInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="T1w as acquired")
    name = traits.Str("T1w", usedefault=True, desc="what the image is, for messages")
    missing = traits.Float(
        0.0, usedefault=True, desc="takes the place of NaN and of what shear leaves empty"
    )
    padding = traits.Float(desc="values up to it are padding and are missing, too")
    from_zero = traits.Bool(False, usedefault=True, desc="bring air to 0, as MRI needs it")


class _ConformOutputSpec(TraitedSpec):
    out_file = File(exists=True, desc="float32, RAS, finite")
    metadata = traits.Dict(desc="the sidecar's field Notes, where intensities were changed")


class Conform(SimpleInterface):
    """Check a 3-D image and bring its axes closest to RAS without resampling."""

    input_spec = _ConformInputSpec
    output_spec = _ConformOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        missing = self.inputs.missing
        volume = read_volume(self.inputs.in_file, self.inputs.name, missing=missing)
        if isdefined(self.inputs.padding):
            data = volume.get_fdata(dtype=np.float32)
            kept = np.where(data > self.inputs.padding, data, np.float32(missing))
            volume = new_image(kept, volume.affine)
        self._results["metadata"] = {}
        if self.inputs.from_zero:
            moved, note = from_zero(volume.get_fdata(dtype=np.float32))
            if note:
                volume = new_image(moved, volume.affine)
                self._results["metadata"] = {NOTES: [note]}
        image = remove_shear(volume, outside=missing)
        self._results["out_file"] = save(image, runtime.cwd, "conformed")
        return runtime


class _RemoveTableInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="CT")


class _RemoveTableOutputSpec(TraitedSpec):
    out_file = File(exists=True, desc="in Hounsfield units, where they are known")
    metadata = traits.Dict(desc="sidecar fields Units, and StoredUnits where they were others")
    doubt = traits.Str(desc="why it has no Hounsfield units; empty where it has")
    scaling = traits.Dict(desc="without Hounsfield units: how it is scaled to be fused")


class RemoveTable(SimpleInterface):
    """Bring a CT to Hounsfield units, and replace what is not the head by air.

    A CT without them goes on, with a doubt that becomes the verdict ``review``, as if its black and
    white were those of the window in which CT are fused.
    """

    input_spec = _RemoveTableInputSpec
    output_spec = _RemoveTableOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        from fusionprep.image.ct_units import ct_units, in_hounsfield
        from fusionprep.image.masks import without_table

        data, affine = load(self.inputs.in_file)
        units = ct_units(data)
        head = without_table(in_hounsfield(data, units), CT.outside)
        stored = {"StoredUnits": units.note} if units.note else {}
        if not units.hounsfield:
            stored["StoredUnits"] += "; spread over {:g} to {:g} here".format(*CT.window or (0, 1))
        known = {"Units": CT.units} if units.hounsfield else {}
        scaling = units.scaling
        self._results["out_file"] = save(new_image(head, affine), runtime.cwd, "head")
        self._results["metadata"] = {**known, **stored}
        self._results["doubt"] = "" if units.hounsfield else f"the CT holds {units.note}"
        self._results["scaling"] = scaling.to_dict() if scaling else {}
        return runtime


class _ExtractBrainInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True)
    method = traits.Enum(*choices(SkullStrip), usedefault=True)
    source = traits.Str(mandatory=True, desc="file the user knows, for messages")
    earlier = File(exists=True, desc="mask that takes the place of one of our own")
    earlier_from = traits.Dict(desc="sidecar fields that say where it is from")
    device = traits.Enum(*choices(Device), usedefault=True, nohash=True)
    n_threads = traits.Int(1, usedefault=True, nohash=True)


class _ExtractBrainOutputSpec(TraitedSpec):
    out_mask = File(exists=True)
    metadata = traits.Dict(desc="sidecar fields of the mask")
    t1w_metadata = traits.Dict(desc="sidecar field of the T1w: SkullStripped")


class ExtractBrain(SimpleInterface):
    """Brain mask of a T1w; an image that is already skull-stripped gives its own support."""

    input_spec = _ExtractBrainInputSpec
    output_spec = _ExtractBrainOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        from fusionprep.image import masks

        data, affine = load(self.inputs.in_file)
        method, origin = self.inputs.method, {}
        if isdefined(self.inputs.earlier):
            mask = load(self.inputs.earlier)[0] > 0
            stripped = masks.is_taken_as_stripped(data, affine, method)
            origin = dict(self.inputs.earlier_from)
            name = origin[TAKEN_OVER]["Software"]
        else:
            mask, stripped = masks.find_brain(
                data,
                affine,
                method=method,
                device=self.inputs.device,
                n_threads=self.inputs.n_threads,
            )
            name = masks.made_by(stripped=stripped)
        volume = masks.check_brain_volume(mask, affine, self.inputs.source)
        masks.check_coherence(data, mask, self.inputs.source)
        self._results["out_mask"] = save(
            new_image(mask.astype(np.uint8), affine), runtime.cwd, "mask"
        )
        self._results["t1w_metadata"] = {"SkullStripped": bool(stripped)}
        self._results["metadata"] = {
            "Method": name,
            "BrainVolumeMillilitres": round(volume, 1),
            **origin,
        }
        return runtime


class _CorrectBiasInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True)
    mask = File(exists=True, mandatory=True)
    lesion = File(exists=True, desc="left out of the model; none where there is none")
    iterations = traits.List(traits.Int, [50, 50, 30], usedefault=True)
    n_threads = traits.Int(1, usedefault=True, nohash=True)


class _CorrectBiasOutputSpec(TraitedSpec):
    out_file = File(exists=True)
    out_brain = File(exists=True, desc="the same, 0 outside the mask")


class CorrectBias(SimpleInterface):
    """N4 inside the brain mask."""

    input_spec = _CorrectBiasInputSpec
    output_spec = _CorrectBiasOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        from fusionprep.image.bias import correct_bias

        data, affine = load(self.inputs.in_file)
        mask, _ = load(self.inputs.mask)
        corrected = correct_bias(
            data,
            mask if (lesion := _lesion(self.inputs)) is None else (mask > 0) & ~lesion,
            nib.affines.voxel_sizes(affine),
            iterations=tuple(self.inputs.iterations),
            n_threads=self.inputs.n_threads,
        )
        self._results["out_file"] = save(new_image(corrected, affine), runtime.cwd, "corrected")
        brain = new_image(corrected * (mask > 0), affine)
        self._results["out_brain"] = save(brain, runtime.cwd, "brain")
        return runtime


def _lesion(inputs: Any) -> np.ndarray | None:
    """The lesion, bool, on the grid of the images; None where there is none."""
    return load(inputs.lesion)[0] > 0 if isdefined(inputs.lesion) else None


class _DenoiseInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="corrected for intensity non-uniformity")
    in_brain = File(exists=True, mandatory=True, desc="the same, 0 outside the mask")
    mask = File(exists=True, mandatory=True)
    choice = traits.Enum(*choices(Denoising), usedefault=True)


class _DenoiseOutputSpec(TraitedSpec):
    out_file = File(exists=True, desc="the input where no noise was taken out")
    out_brain = File(exists=True, desc="the same, 0 outside the mask")
    before = File(exists=True, desc="the input; none where no noise was taken out")
    metadata = traits.Dict(desc="sidecar fields of the output: why, and how much noise there was")
    t1w_metadata = traits.Dict(desc="sidecar field of any image of the T1w: Denoised")


class Denoise(SimpleInterface):
    """Measure the noise of a T1w, and take it out where that is wanted."""

    input_spec = _DenoiseInputSpec
    output_spec = _DenoiseOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        from fusionprep.image.denoising import decide, denoise, estimate_noise

        data, affine = load(self.inputs.in_file)
        mask, _ = load(self.inputs.mask)
        noise = estimate_noise(data, mask)
        wanted, reason = decide(self.inputs.choice, noise)
        self._results["t1w_metadata"] = {"Denoised": wanted}
        self._results["metadata"] = {
            "DenoisingReason": reason,
            "NoiseEstimate": noise.as_fields(),
        }
        self._results["out_file"] = self.inputs.in_file
        self._results["out_brain"] = self.inputs.in_brain
        if wanted:
            clean = denoise(data, mask, noise.sd)
            self._results["before"] = self.inputs.in_file
            self._results["out_file"] = save(new_image(clean, affine), runtime.cwd, "denoised")
            brain = new_image(clean * (mask > 0), affine)
            self._results["out_brain"] = save(brain, runtime.cwd, "brain")
        return runtime


class _SegmentInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True)
    mask = File(exists=True, mandatory=True)
    lesion = File(exists=True, desc="none of the tissues; none where there is none")
    seed = traits.Int(0, usedefault=True)
    earlier = File(exists=True, desc="fractions (X, Y, Z, 3) that take the place of our own")
    earlier_from = traits.Dict(desc="sidecar fields that say where they are from")
    rest_is_fluid = traits.Bool(False, usedefault=True, desc="of a mask that they do not fill")


class _SegmentOutputSpec(TraitedSpec):
    out_dseg = File(exists=True)
    out_gm = File(exists=True)
    out_wm = File(exists=True)
    out_csf = File(exists=True)
    metadata = traits.Dict(desc="sidecar fields of the segmentation")
    origin = traits.Dict(desc="those of them that say what was taken over")
    notes = traits.Dict(desc="field Notes of the T1w, where earlier tissues were refused")


class Segment(SimpleInterface):
    """Tissue fractions and labels inside the brain mask."""

    input_spec = _SegmentInputSpec
    output_spec = _SegmentOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        from fusionprep.image.masks import voxel_volume_ml
        from fusionprep.image.segmentation import segment_tissues

        data, affine = load(self.inputs.in_file)
        mask, _ = load(self.inputs.mask)
        lesion = _lesion(self.inputs)
        tissues = self._earlier(data, mask > 0)
        if tissues is None:
            sizes = nib.affines.voxel_sizes(affine)
            tissues = segment_tissues(data, mask, sizes, seed=self.inputs.seed, lesion=lesion)
        elif lesion is not None:
            tissues = tissues.without((mask > 0) & lesion)
        volumes = {}
        for name, fraction in tissues.fraction.items():
            out = save(new_image(fraction, affine), runtime.cwd, name)
            self._results[f"out_{name.lower()}"] = out
            volumes[name] = round(float(fraction.sum() * voxel_volume_ml(affine)), 1)
        self._results["out_dseg"] = save(new_image(tissues.labels, affine), runtime.cwd, "dseg")
        origin = self._results["origin"]
        self._results["metadata"] = {"TissueVolumesMillilitres": volumes, **origin}
        return runtime

    def _earlier(self, t1w: np.ndarray, mask: np.ndarray) -> "Tissues | None":
        """Tissues that others found, where they fit the mask and the T1w."""
        from fusionprep.image.earlier import confined

        self._results |= {"origin": {}, "notes": {}}
        if not isdefined(self.inputs.earlier):
            return None
        fractions = np.moveaxis(load(self.inputs.earlier)[0], -1, 0)
        origin = dict(self.inputs.earlier_from)
        try:
            tissues = confined(fractions, t1w, mask, rest_is_fluid=self.inputs.rest_is_fluid)
        except DataError as error:
            self._results["notes"] = not_taken(TISSUES, origin[TAKEN_OVER]["Dataset"], error)
            return None
        self._results["origin"] = origin
        return tissues
