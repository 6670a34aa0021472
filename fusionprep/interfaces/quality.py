"""Image quality as Nipype interfaces: the sidecars' field Quality."""

from typing import Any

from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    SimpleInterface,
    TraitedSpec,
    isdefined,
    traits,
)

from fusionprep.bids.names import NOT_COMPUTED, SUV
from fusionprep.interfaces.files import load


class _QualityOutputSpec(TraitedSpec):
    metadata = traits.Dict(desc="the sidecar's Quality field")


class _AssessT1wInputSpec(BaseInterfaceInputSpec):
    t1w = File(exists=True, mandatory=True, desc="corrected for intensity non-uniformity")
    acquired = File(exists=True, mandatory=True, desc="before the correction")
    dseg = File(exists=True, mandatory=True)
    brain = traits.Dict(desc="with the mask's field BrainVolumeMillilitres")
    tissues = traits.Dict(desc="with the segmentation's field TissueVolumesMillilitres")
    age = traits.Float(desc="years, where it is known")


class AssessT1w(SimpleInterface):
    """Contrast to noise, joint variation and signal to noise of a T1w; whether its tissues can be.

    The latter where the volumes are given.
    """

    input_spec = _AssessT1wInputSpec
    output_spec = _QualityOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        from fusionprep.image.quality import t1w_quality
        from fusionprep.image.tissue_checks import check_tissues, verdict_on

        corrected, affine = load(self.inputs.t1w)
        acquired, _ = load(self.inputs.acquired)
        dseg, _ = load(self.inputs.dseg)
        fields: dict[str, Any] = {"Quality": t1w_quality(corrected, acquired, dseg, affine)}
        if isdefined(self.inputs.brain) and isdefined(self.inputs.tissues):
            doubts = check_tissues(
                acquired,
                dseg,
                self.inputs.tissues["TissueVolumesMillilitres"],
                self.inputs.brain["BrainVolumeMillilitres"],
                self.inputs.age if isdefined(self.inputs.age) else None,
            )
            fields["Plausibility"] = verdict_on(doubts).as_fields()
        self._results["metadata"] = fields
        return runtime


class _DoubtRegistrationInputSpec(BaseInterfaceInputSpec):
    registration = traits.Dict(mandatory=True, desc="with the sidecar's Registration field")
    doubts = traits.List(traits.Str, [], usedefault=True, desc="what has to be looked at")


class _DoubtRegistrationOutputSpec(TraitedSpec):
    metadata = traits.Dict(desc="the sidecar's Registration field")


class DoubtRegistration(SimpleInterface):
    """Make the verdict on a registration ``review`` at best where its images are in doubt."""

    input_spec = _DoubtRegistrationInputSpec
    output_spec = _DoubtRegistrationOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        from fusionprep.image.registration_quality import with_doubt

        fields = self.inputs.registration
        doubted = with_doubt(fields["Registration"], "; ".join(self.inputs.doubts))
        self._results["metadata"] = {**fields, "Registration": doubted}
        return runtime


class _AssessPETInputSpec(BaseInterfaceInputSpec):
    pet = File(exists=True, mandatory=True, desc="static PET on the T1w grid")
    static = File(exists=True, mandatory=True, desc="the same on its own grid")
    transform = File(exists=True, mandatory=True, desc="ITK file that resamples it onto the T1w")
    dseg = File(exists=True, mandatory=True)
    registration = traits.Dict(desc="with the sidecar's Registration field")
    doubts = traits.List(
        traits.Str, [], usedefault=True, desc="what the dataset says that has to be looked at"
    )
    found_doubts = traits.List(
        traits.Str, [], usedefault=True, desc="the same of what its frames were found to hold"
    )
    tracer = traits.Str("", usedefault=True, desc="label; empty where it is not known")
    suv_factor = traits.Float(desc="SUV per unit of the PET, where the dataset gives it")


class _AssessPETOutputSpec(_QualityOutputSpec):
    suv_factor = traits.Float(desc="the same; none where the SUV would be implausible")


class AssessPET(SimpleInterface):
    """Uptake of gray and white matter, noise, and whether they can be.

    What is doubtful makes the verdict on the registration ``review`` at best. A mean SUV of the
    brain that cannot be leaves no factor for it.
    """

    input_spec = _AssessPETInputSpec
    output_spec = _AssessPETOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        from fusionprep.image.pet_checks import check_noise, check_slices, check_suv, check_uptake
        from fusionprep.image.quality import pet_noise, pet_quality
        from fusionprep.image.registration_quality import with_doubt
        from fusionprep.image.resample import ras_from_itk, read_transforms

        pet, _ = load(self.inputs.pet)
        dseg, dseg_affine = load(self.inputs.dseg)
        static, affine = load(self.inputs.static)
        t1w_from_pet = ras_from_itk(read_transforms([self.inputs.transform]))
        quality = {
            **pet_quality(pet, dseg),
            "Noise": pet_noise(static, affine, dseg, dseg_affine, t1w_from_pet),
        }
        doubts = [
            *self.inputs.doubts,
            *self.inputs.found_doubts,
            *check_uptake(quality, self.inputs.tracer),
            *filter(None, (check_slices(static), check_noise(quality))),
        ]
        fields: dict[str, Any] = {"Quality": quality}
        if isdefined(self.inputs.suv_factor):
            refused, doubt = check_suv(pet, dseg, self.inputs.suv_factor)
            doubts += [doubt] * bool(doubt)
            if refused:
                fields[NOT_COMPUTED[SUV]] = refused
            else:
                self._results["suv_factor"] = self.inputs.suv_factor
        if isdefined(self.inputs.registration):
            registration = self.inputs.registration["Registration"]
            fields["Registration"] = with_doubt(registration, "; ".join(doubts))
        self._results["metadata"] = fields
        return runtime


class _AssessCTInputSpec(BaseInterfaceInputSpec):
    ct = File(exists=True, mandatory=True, desc="CT on the T1w grid, table removed")
    mask = File(exists=True, mandatory=True, desc="brain mask")
    registration = traits.Dict(desc="with the sidecar's Registration field")
    doubt = traits.Str("", usedefault=True, desc="why it has no Hounsfield units")


class AssessCT(SimpleInterface):
    """Median of the brain and volume of bone, and whether the CT has to be looked at.

    Without Hounsfield units there are neither, and the verdict on its registration is ``review`` at
    best.
    """

    input_spec = _AssessCTInputSpec
    output_spec = _QualityOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        from fusionprep.image.quality import ct_quality
        from fusionprep.image.registration_quality import with_doubt

        mask, _ = load(self.inputs.mask)
        ct, affine = load(self.inputs.ct)
        doubt = self.inputs.doubt
        quality = ct_quality(ct, mask, affine)
        fields: dict[str, Any] = {"Quality": dict.fromkeys(quality) if doubt else quality}
        if isdefined(self.inputs.registration):
            fields["Registration"] = with_doubt(self.inputs.registration["Registration"], doubt)
        self._results["metadata"] = fields
        return runtime
