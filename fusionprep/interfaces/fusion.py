"""Applying a fusion model as a Nipype interface."""

from pathlib import Path

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
    metadata = traits.Dict(desc="the sidecar's FusionModel field")


class Fuse(SimpleInterface):
    """Scale both images to [0, 1], fuse them slice by slice, and colour the result."""

    input_spec = _FuseInputSpec
    output_spec = _FuseOutputSpec

    def _run_interface(self, runtime):
        import nibabel as nib
        import torch

        from fusionprep.image.colour import fuse_colour, rgb24_image
        from fusionprep.image.intensity import anatomical_scaling, functional_scaling
        from fusionprep.image.io import axial_axis, new_image
        from fusionprep.image.masks import head_of_ct
        from fusionprep.models.inference import fuse_volume, resolve_device
        from fusionprep.models.registry import get_model

        torch.set_num_threads(self.inputs.n_threads)
        anatomical, affine = load(self.inputs.anatomical)
        functional, _ = load(self.inputs.functional)
        mask, _ = load(self.inputs.mask)
        mask = mask > 0.5
        if self.inputs.modality == "ct":
            mask |= head_of_ct(functional)
        own = Path(self.inputs.weights_file) if isdefined(self.inputs.weights_file) else None
        entry = get_model(self.inputs.model, own)
        scalings = (
            anatomical_scaling(anatomical, mask, entry.anatomical_input),
            functional_scaling(functional, mask, self.inputs.modality, self.inputs.tracer or None),
        )
        anatomical, functional = scalings[0].apply(anatomical), scalings[1].apply(functional)
        device = resolve_device(self.inputs.device)
        if own is not None and entry.weights_sha256() != self.inputs.weights_sha256:
            raise DataError(f"the weights {own} have changed since the run began; run it again")
        fused = fuse_volume(
            entry.load(device),
            anatomical,
            functional,
            mask,
            device=device,
            batch_size=self.inputs.batch_size,
            axis=axial_axis(affine),
            planes=self.inputs.planes,
            voxel_sizes=nib.affines.voxel_sizes(affine),
        )
        self._results["out_file"] = save(new_image(fused, affine), runtime.cwd, "fused")
        if self.inputs.modality == "pet":
            colour = rgb24_image(fuse_colour(fused, functional, mask), affine)
            self._results["out_colour"] = save(colour, runtime.cwd, "colour")
        self._results["metadata"] = {
            "FusionModel": entry.provenance(
                device, self.inputs.planes, self.inputs.sources, scalings
            )
        }
        return runtime
