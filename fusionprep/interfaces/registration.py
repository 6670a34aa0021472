"""Registration and resampling as Nipype interfaces."""

from functools import partial
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

from fusionprep.bids.names import TAKEN_OVER
from fusionprep.choices import Backend, Method, choices
from fusionprep.errors import DataError
from fusionprep.interfaces.earlier import not_taken
from fusionprep.interfaces.files import given_image, save
from fusionprep.modalities import MOVED, get_modality
from fusionprep.spaces import TemplateSpace

if TYPE_CHECKING:
    from collections.abc import Callable

    import nibabel as nib
    import SimpleITK as sitk

    from fusionprep.image.registration import RigidResult
    from fusionprep.image.template import Template, TemplateTransforms


class _RegisterRigidInputSpec(BaseInterfaceInputSpec):
    t1w = File(exists=True, mandatory=True)
    mask = File(exists=True, mandatory=True, desc="brain mask of the T1w")
    moving = File(exists=True, mandatory=True, desc="static PET, CT, FLAIR or T2w")
    method = traits.Enum(*choices(Method), usedefault=True)
    modality = traits.Enum(*(modality.name for modality in MOVED), mandatory=True)
    sloppy = traits.Bool(False, usedefault=True)
    earlier_transform = File(exists=True, desc="ITK file that was found before")
    earlier_from = traits.Dict(desc="Dataset, Software and Files of it")
    n_threads = traits.Int(1, usedefault=True, nohash=True)


class _RegisterRigidOutputSpec(TraitedSpec):
    transform = File(exists=True, desc="ITK text file that resamples moving onto the T1w")
    metadata = traits.Dict(desc="the sidecar's Registration field")


class RegisterRigid(SimpleInterface):
    """Rigid registration to the T1w, with scores and a verdict."""

    input_spec = _RegisterRigidInputSpec
    output_spec = _RegisterRigidOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        from fusionprep.image.io import load_image
        from fusionprep.image.registration_quality import assess_rigid
        from fusionprep.image.resample import itk_from_ras
        from fusionprep.image.transform_files import write_transform

        t1w, moving, mask = (
            load_image(path) for path in (self.inputs.t1w, self.inputs.moving, self.inputs.mask)
        )
        modality = get_modality(self.inputs.modality)
        result, told = self._register(t1w, moving, mask)
        path = Path(runtime.cwd, "t1w_from_moving.txt")
        write_transform(itk_from_ras(result.t1w_from_moving), path)
        self._results["transform"] = str(path)
        scores = assess_rigid(result, moving, mask, modality)
        origin = told.pop(TAKEN_OVER, None)
        if origin is not None:
            scores |= {"Software": origin["Software"], TAKEN_OVER: origin}
        self._results["metadata"] = {"Registration": scores, **told}
        return runtime

    def _register(
        self, t1w: "nib.Nifti1Image", moving: "nib.Nifti1Image", mask: "nib.Nifti1Image"
    ) -> "tuple[RigidResult, dict[str, Any]]":
        """The registration, and the field that says where it is from, or why it is our own."""
        from fusionprep.image.earlier_transforms import read_rigid, score_rigid
        from fusionprep.image.registration import register_rigid

        n_threads, sloppy = self.inputs.n_threads, self.inputs.sloppy
        told: dict[str, Any] = {}
        if isdefined(self.inputs.earlier_transform):
            origin = dict(self.inputs.earlier_from)
            try:
                matrix = read_rigid(Path(self.inputs.earlier_transform))
                result = score_rigid(t1w, moving, mask, matrix, n_threads=n_threads, sloppy=sloppy)
            except DataError as error:
                told = not_taken("transform to the T1w", origin["Dataset"], error)
            else:
                return result, {TAKEN_OVER: origin}
        result = register_rigid(
            t1w,
            moving,
            mask,
            method=self.inputs.method,
            modality=get_modality(self.inputs.modality),
            n_threads=n_threads,
            sloppy=sloppy,
        )
        return result, told


class _RegisterTemplateInputSpec(BaseInterfaceInputSpec):
    t1w_brain = File(exists=True, mandatory=True)
    mask = File(exists=True, mandatory=True)
    gm = File(exists=True, mandatory=True)
    lesion = File(exists=True, desc="filled beforehand, not judged; none where there is none")
    template = traits.Str(mandatory=True, desc="e.g. MNI152NLin2009aSym:res-1")
    backend = traits.Enum(*choices(Backend), usedefault=True)
    seed = traits.Int(0, usedefault=True)
    sloppy = traits.Bool(False, usedefault=True)
    earlier_there = File(exists=True, desc="template_from_t1w that was found before")
    earlier_back = File(exists=True, desc="t1w_from_template that was found before")
    earlier_from = traits.Dict(desc="Dataset, Software and Files of them")
    n_threads = traits.Int(1, usedefault=True, nohash=True)


class _RegisterTemplateOutputSpec(TraitedSpec):
    template_from_t1w = File(exists=True, desc="ITK composite, resamples T1w space to the template")
    t1w_from_template = File(exists=True, desc="its inverse")
    metadata = traits.Dict(desc="the sidecar's Registration field")


class RegisterTemplate(SimpleInterface):
    """Affine and diffeomorphic registration to a template, scored by overlaps."""

    input_spec = _RegisterTemplateInputSpec
    output_spec = _RegisterTemplateOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        from fusionprep.image import template as tpl
        from fusionprep.image.io import load_image
        from fusionprep.image.template_quality import assess_template
        from fusionprep.image.transform_files import write_transform

        brain = load_image(self.inputs.t1w_brain)
        template = tpl.load_template(TemplateSpace.parse(self.inputs.template))
        lesion = given_image(self.inputs, "lesion")
        assess = partial(
            assess_template,
            template,
            brain,
            load_image(self.inputs.mask),
            load_image(self.inputs.gm),
            lesion=lesion,
        )
        told: dict[str, Any] = {}
        found = scores = None
        if isdefined(self.inputs.earlier_there):
            origin = dict(self.inputs.earlier_from)
            try:
                found, scores = self._earlier(template, assess)
            except DataError as error:
                told = not_taken(f"transform to {self.inputs.template}", origin["Dataset"], error)
        if found is None or scores is None:
            found = tpl.register_template(
                template.brain,
                brain,
                backend=self.inputs.backend,
                seed=self.inputs.seed,
                n_threads=self.inputs.n_threads,
                sloppy=self.inputs.sloppy,
                lesion=lesion,
            )
            method = {"Method": self.inputs.backend, "Software": found.software}
            scores = method | assess(found.template_from_t1w)
        self._results["metadata"] = {"Registration": scores, **told}
        for direction in ("template_from_t1w", "t1w_from_template"):
            path = Path(runtime.cwd, f"{direction}.h5")
            write_transform(getattr(found, direction), path)
            self._results[direction] = str(path)
        return runtime

    def _earlier(
        self, template: "Template", assess: "Callable[[Any], dict[str, Any]]"
    ) -> "tuple[TemplateTransforms, dict[str, Any]]":
        """Transforms that others found, with their scores as the sidecar has them."""
        from fusionprep.image.earlier_transforms import read_pair
        from fusionprep.image.template import TemplateTransforms

        paths = Path(self.inputs.earlier_there), Path(self.inputs.earlier_back)
        origin = dict(self.inputs.earlier_from)
        software = origin["Software"]
        found = TemplateTransforms(*read_pair(*paths, template), software)
        scores = assess(found.template_from_t1w)
        if scores["Verdict"] == "fail":
            raise DataError(str(scores["VerdictReason"]))
        method = {"Method": "taken over", "Software": software}
        return found, {**method, **scores, TAKEN_OVER: origin}


class ResampleInputSpec(BaseInterfaceInputSpec):
    """Of :class:`Resample`."""

    in_file = File(exists=True, mandatory=True)
    reference = File(exists=True, desc="image whose grid is wanted")
    template = traits.Str(desc="or the template whose grid is wanted", xor=["reference"])
    transforms = InputMultiObject(
        File(exists=True), desc="ITK files, in the order in which output points go through them"
    )
    interpolation = traits.Enum("linear", "cubic", "nearest", usedefault=True)
    outside = traits.Float(0.0, usedefault=True, desc="value outside the field of view")
    n_threads = traits.Int(1, usedefault=True, nohash=True)


class _ResampleOutputSpec(TraitedSpec):
    out_file = File(exists=True)


class Resample(SimpleInterface):
    """Resample once through a chain of transforms; masks (uint8, nearest) stay uint8."""

    input_spec = ResampleInputSpec
    output_spec = _ResampleOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        from fusionprep.image.io import load_image, new_image
        from fusionprep.image.resample import resample

        moved = resample(
            load_image(self.inputs.in_file),
            self._grid(),
            self._transform(),
            interpolation=self.inputs.interpolation,
            outside=self.inputs.outside,
            n_threads=self.inputs.n_threads,
        )
        if self.inputs.interpolation == "nearest":
            moved = new_image(np.asarray(moved.dataobj).astype(np.uint8), moved.affine)
        self._results["out_file"] = save(moved, runtime.cwd, "resampled")
        return runtime

    def _grid(self) -> "nib.Nifti1Image":
        """An image with the grid that is wanted."""
        from fusionprep.image.io import load_image
        from fusionprep.image.template import load_template

        if isdefined(self.inputs.reference):
            return load_image(self.inputs.reference)
        return load_template(TemplateSpace.parse(self.inputs.template)).brain

    def _transform(self) -> "sitk.Transform":
        from fusionprep.image.resample import read_transforms

        return read_transforms(self.inputs.transforms if isdefined(self.inputs.transforms) else [])
