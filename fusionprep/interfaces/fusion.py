"""Applying a fusion model as a Nipype interface."""

import time
from pathlib import Path

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

from fusionprep.errors import DataError
from fusionprep.interfaces.files import load, save


class _FuseInputSpec(BaseInterfaceInputSpec):
    anatomical = File(exists=True, mandatory=True, desc="T1w, or its GM probseg")
    functional = File(exists=True, mandatory=True, desc="PET or CT on the same grid")
    mask = File(exists=True, mandatory=True, desc="brain mask on the same grid")
    reference = File(
        exists=True, desc="what the result is judged by in place of anatomical: T1w, FLAIR or T2w"
    )
    modality = traits.Enum("pet", "ct", mandatory=True)
    tracer = traits.Str(desc="for the scaling of the PET")
    model = traits.Str(mandatory=True, desc="name in the model registry")
    weights_sha256 = traits.Str(desc="makes new weights run again")
    # Nipype looks at size and time of a file alone, and new weights of a model have the same size.
    weights_file = File(
        exists=True, nohash=True, requires=["weights_sha256"], desc="own weights of the model"
    )
    sources = traits.List(traits.Str, desc="BIDS URIs of the two inputs, for the sidecar")
    planes = traits.Enum("axial", "triplanar", usedefault=True)
    batch_size = traits.Range(low=1, value=4, usedefault=True, nohash=True)
    device = traits.Enum("auto", "cpu", "cuda", usedefault=True, nohash=True)
    use_gpu = traits.Bool(False, usedefault=True, nohash=True, desc="read by Nipype's scheduler")
    n_threads = traits.Int(1, usedefault=True, nohash=True)


class _FuseOutputSpec(TraitedSpec):
    out_file = File(exists=True, desc="fused, in [0, 1]")
    out_colour = File(exists=True, desc="RGB24")
    metadata = traits.Dict(desc="the sidecar's fields FusionModel and FusionMetrics")
    colour_metadata = traits.Dict(desc="the field FusionModel alone")


class Fuse(SimpleInterface):
    """Scale both images to [0, 1], fuse them slice by slice, judge and colour the result.

    Every model is judged by the same sources, so that figures of models can be compared. That of
    the gray matter, which is given a probability map, keeps little of the MRI and has low figures.
    """

    input_spec = _FuseInputSpec
    output_spec = _FuseOutputSpec

    def _run_interface(self, runtime):
        import torch

        from fusionprep.evaluation.volumes import volume_metrics
        from fusionprep.image.colour import fuse_colour, rgb24_image
        from fusionprep.image.io import axial_axis, new_image
        from fusionprep.image.masks import head_of_ct

        torch.set_num_threads(self.inputs.n_threads)
        anatomical, affine = load(self.inputs.anatomical)
        functional, _ = load(self.inputs.functional)
        brain = load(self.inputs.mask)[0] > 0.5
        mask = brain | head_of_ct(functional) if self.inputs.modality == "ct" else brain
        reference = self._reference(mask)
        fused, sources, model = self._fuse(anatomical, functional, mask, affine)
        if reference is not None:
            sources = (reference, sources[1])
        metrics = volume_metrics(*sources, fused, mask, brain=brain, axis=axial_axis(affine))
        self._results["out_file"] = save(new_image(fused, affine), runtime.cwd, "fused")
        if self.inputs.modality == "pet":
            colour = rgb24_image(fuse_colour(fused, sources[1], mask), affine)
            self._results["out_colour"] = save(colour, runtime.cwd, "colour")
        self._results["colour_metadata"] = {"FusionModel": model}
        self._results["metadata"] = {"FusionModel": model, "FusionMetrics": metrics}
        return runtime

    def _reference(self, mask: np.ndarray) -> np.ndarray | None:
        """The scaled image that is judged by, where it is not what the model is given."""
        from fusionprep.image.intensity import mri_scaling

        if not isdefined(self.inputs.reference):
            return None
        image, _ = load(self.inputs.reference)
        return mri_scaling(image, mask).apply(image)

    def _fuse(
        self, anatomical: np.ndarray, functional: np.ndarray, mask: np.ndarray, affine: np.ndarray
    ) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray], dict]:
        """The fused volume, the two scaled sources, and the sidecar's field FusionModel."""
        from fusionprep.image.intensity import anatomical_scaling, functional_scaling
        from fusionprep.image.io import axial_axis
        from fusionprep.models.inference import fuse_volume, resolve_device
        from fusionprep.models.registry import get_model

        own = Path(self.inputs.weights_file) if isdefined(self.inputs.weights_file) else None
        entry = get_model(self.inputs.model, own)
        scalings = (
            anatomical_scaling(anatomical, mask, entry.anatomical_input),
            functional_scaling(functional, mask, self.inputs.modality, self.inputs.tracer or None),
        )
        sources = scalings[0].apply(anatomical), scalings[1].apply(functional)
        device = resolve_device(self.inputs.device)
        if own is not None and entry.weights_sha256() != self.inputs.weights_sha256:
            raise DataError(f"the weights {own} have changed since the run began; run it again")
        network = entry.load(device)
        began = time.perf_counter()
        fused = fuse_volume(
            network,
            *sources,
            mask,
            device=device,
            batch_size=self.inputs.batch_size,
            axis=axial_axis(affine),
            planes=self.inputs.planes,
            voxel_sizes=nib.affines.voxel_sizes(affine),
        )
        seconds = time.perf_counter() - began
        uris = self.inputs.sources
        return fused, sources, entry.provenance(device, self.inputs.planes, uris, scalings, seconds)
