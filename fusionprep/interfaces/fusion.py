"""Applying a fusion model as a Nipype interface."""

from pathlib import Path
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

from fusionprep.choices import ColourMapName, Device, Planes, choices
from fusionprep.errors import DataError
from fusionprep.interfaces.files import load, save
from fusionprep.modalities import APP_FUSED, get_modality
from fusionprep.models.entry import ModelEntry
from fusionprep.models.registry import get_model

if TYPE_CHECKING:
    from fusionprep.image.intensity import Scaling
    from fusionprep.models.pair import Fused


class _FuseInputSpec(BaseInterfaceInputSpec):
    anatomical = File(exists=True, mandatory=True, desc="T1w, or its GM probseg")
    functional = File(exists=True, mandatory=True, desc="PET or CT on the same grid")
    mask = File(exists=True, mandatory=True, desc="brain mask on the same grid")
    reference = File(
        exists=True, desc="what the result is judged by in place of anatomical: T1w, FLAIR or T2w"
    )
    lesion = File(exists=True, desc="left out where the scale of an MRI is looked for")
    modality = traits.Enum(*(modality.name for modality in APP_FUSED), mandatory=True)
    tracer = traits.Str(desc="for the scaling of the PET")
    model = traits.Str(mandatory=True, desc="name in the model registry")
    weights_sha256 = traits.Str(desc="so that new weights run again")
    # Nipype looks only at a file's size and time, and new weights of a model have the same size.
    weights_file = File(
        exists=True,
        nohash=True,
        requires=["weights_sha256"],
        desc="the user's own weights of the model",
    )
    sources = traits.List(traits.Str, desc="BIDS URIs of the two inputs, for the sidecar")
    scaling = traits.Dict(desc="of a CT without Hounsfield units, for the sidecar")
    planes = traits.Enum(*choices(Planes), usedefault=True)
    colour_map = traits.Enum(*choices(ColourMapName), usedefault=True)
    batch_size = traits.Range(low=1, nohash=True, desc="what fits, where it is not given")
    device = traits.Enum(*choices(Device), usedefault=True, nohash=True)
    use_gpu = traits.Bool(False, usedefault=True, nohash=True, desc="read by Nipype's scheduler")
    n_threads = traits.Int(1, usedefault=True, nohash=True)


class _FuseOutputSpec(TraitedSpec):
    out_file = File(exists=True, desc="fused, in [0, 1]")
    out_colour = File(exists=True, desc="RGB24")
    metadata = traits.Dict(desc="the sidecar's fields FusionModel and FusionMetrics")
    colour_metadata = traits.Dict(desc="the fields FusionModel and ColourMap")


class Fuse(SimpleInterface):
    """Scale both images to [0, 1], fuse them slice by slice, judge and colour the result.

    Every model is judged by the same sources, so that figures of models can be compared. A model
    of gray matter, which is given a probability map, keeps little of the MRI and scores low. The
    image in colour shows these sources, the same for every model, and for one of gray matter the
    uptake there.
    """

    input_spec = _FuseInputSpec
    output_spec = _FuseOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        import torch

        from fusionprep.evaluation.volumes import volume_metrics
        from fusionprep.image.colour import describe_colours, fuse_colour, rgb24_image
        from fusionprep.image.io import axial_axis, new_image
        from fusionprep.image.masks import with_head
        from fusionprep.models.pair import fuse_pair

        torch.set_num_threads(self.inputs.n_threads)
        modality = get_modality(self.inputs.modality)
        anatomical, affine = load(self.inputs.anatomical)
        functional, _ = load(self.inputs.functional)
        brain = load(self.inputs.mask)[0] > 0.5
        mask, axis = with_head(brain, functional, modality), axial_axis(affine)
        entry, healthy = self._entry(), self._healthy(mask)
        reference = self._reference(healthy)
        fused = fuse_pair(
            anatomical,
            functional,
            mask,
            entry,
            modality=modality,
            tracer=self.inputs.tracer or None,
            anatomical_mask=healthy,
            axis=axis,
            planes=self.inputs.planes,
            voxel_sizes=nib.affines.voxel_sizes(affine),
            batch_size=self.inputs.batch_size if isdefined(self.inputs.batch_size) else None,
            device=self.inputs.device,
        )
        first, second = fused.scaled.images
        judged_by = first if reference is None else reference
        metrics = volume_metrics(judged_by, second, fused.image, mask, brain=brain, axis=axis)
        self._results["out_file"] = save(new_image(fused.image, affine), runtime.cwd, "fused")
        if modality.tracer:
            shown = _shown(fused, reference)
            rgb = fuse_colour(*shown, mask, self.inputs.colour_map)
            self._results["out_colour"] = save(rgb24_image(rgb, affine), runtime.cwd, "colour")
        model = fused.entry.provenance(
            fused.device,
            self.inputs.planes,
            self.inputs.sources,
            self._told(fused.scaled.scalings),
            fused.seconds,
        )
        colours = describe_colours(self.inputs.colour_map)
        self._results["colour_metadata"] = {"FusionModel": model, "ColourMap": colours}
        self._results["metadata"] = {"FusionModel": model, "FusionMetrics": metrics}
        return runtime

    def _told(self, scalings: "tuple[Scaling, Scaling]") -> "tuple[Scaling, Scaling]":
        """How both images were scaled from what they were before the App read them."""
        from fusionprep.image.intensity import Scaling

        if not isdefined(self.inputs.scaling) or not self.inputs.scaling:
            return scalings
        return scalings[0], Scaling.from_dict(self.inputs.scaling)

    def _healthy(self, mask: np.ndarray) -> np.ndarray:
        """What tells the scale of an MRI: a mask without the lesion, if any."""
        if not isdefined(self.inputs.lesion):
            return mask
        return mask & (load(self.inputs.lesion)[0] == 0)

    def _reference(self, mask: np.ndarray) -> np.ndarray | None:
        """The scaled image that is judged by, where it is not what the model is given."""
        from fusionprep.image.intensity import mri_scaling

        if not isdefined(self.inputs.reference):
            return None
        image, _ = load(self.inputs.reference)
        return mri_scaling(image, mask).apply(image)

    def _entry(self) -> ModelEntry:
        """The model, with the user's own weights, if any, which must be those of the plan."""
        own = Path(self.inputs.weights_file) if isdefined(self.inputs.weights_file) else None
        entry = get_model(self.inputs.model, own)
        if own is not None and entry.weights_sha256() != self.inputs.weights_sha256:
            raise DataError(f"the weights {own} have changed since the run began; run it again")
        return entry


def _shown(fused: "Fused", reference: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """What lightness and hue tell: both sources, or the uptake of the gray matter over the T1w."""
    if fused.entry.takes_image:
        return fused.scaled.images
    return fused.image if reference is None else reference, fused.image
