"""Reference regions of SUVR as Nipype interfaces."""

from typing import Any

from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    SimpleInterface,
    TraitedSpec,
    isdefined,
    traits,
)

from fusionprep.interfaces.files import save


class _AtlasRegionInputSpec(BaseInterfaceInputSpec):
    name = traits.Str(mandatory=True, desc="of a region that is from the atlas")
    atlas = traits.Str(mandatory=True, desc="name and version, so that another version runs again")


class _AtlasRegionOutputSpec(TraitedSpec):
    out_file = File(exists=True, desc="mask in the packaged template's space")


class AtlasRegion(SimpleInterface):
    """A reference region of the atlas, in template space."""

    input_spec = _AtlasRegionInputSpec
    output_spec = _AtlasRegionOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        from fusionprep.image.regions import atlas_region

        region = atlas_region(self.inputs.name)
        self._results["out_file"] = save(region, runtime.cwd, "region")
        return runtime


class _SubjectRegionInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="mask or probability on the T1w grid")
    gm = File(exists=True, desc="probability of GM; where given, the region stays inside it")
    name = traits.Str(mandatory=True, desc="name of the region")
    required = traits.Bool(True, usedefault=True, desc="fail where hardly anything is left of it")


class _SubjectRegionOutputSpec(TraitedSpec):
    out_file = File(exists=True, desc="mask on the T1w grid")
    metadata = traits.Dict(desc="the sidecar's fields Voxels and VolumeMillilitres")


class SubjectRegion(SimpleInterface):
    """The mask in which the mean uptake is taken."""

    input_spec = _SubjectRegionInputSpec
    output_spec = _SubjectRegionOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        from fusionprep.image.io import load_image
        from fusionprep.image.masks import voxel_volume_ml
        from fusionprep.image.regions import check_volume, subject_region

        gm = load_image(self.inputs.gm) if isdefined(self.inputs.gm) else None
        region = subject_region(load_image(self.inputs.in_file), gm)
        if self.inputs.required:
            check_volume(region, self.inputs.name)
        voxels = int(region.get_fdata().sum())
        self._results["out_file"] = save(region, runtime.cwd, "region")
        self._results["metadata"] = {
            "Voxels": voxels,
            "VolumeMillilitres": round(voxels * voxel_volume_ml(region.affine), 2),
        }
        return runtime
