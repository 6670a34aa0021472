"""Lesions of a T1w as a Nipype interface."""

from typing import Any

import numpy as np
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    InputMultiObject,
    SimpleInterface,
    TraitedSpec,
    traits,
)

from fusionprep.errors import DataError
from fusionprep.interfaces.files import load, save


class _PlaceLesionInputSpec(BaseInterfaceInputSpec):
    in_files = InputMultiObject(File(exists=True), mandatory=True, desc="masks of the dataset")
    names = traits.List(traits.Str, mandatory=True, desc="of them, for messages")
    mask = File(exists=True, mandatory=True, desc="brain mask on the T1w grid")
    brain = traits.Dict(mandatory=True, desc="sidecar fields of the brain mask")


class _PlaceLesionOutputSpec(TraitedSpec):
    out_lesion = File(exists=True, desc="on the T1w grid, uint8")
    out_mask = File(exists=True, desc="brain mask with the lesion in it")
    lesion_metadata = traits.Dict(desc="sidecar fields of the lesion")
    metadata = traits.Dict(desc="sidecar fields of that brain mask")


class PlaceLesion(SimpleInterface):
    """Bring the masks of a lesion to the T1w grid, check them, and keep the lesion in the brain."""

    input_spec = _PlaceLesionInputSpec
    output_spec = _PlaceLesionOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        from fusionprep.image.io import load_image, new_image, read_image
        from fusionprep.image.lesions import lesion_on_grid, place_lesion
        from fusionprep.image.masks import voxel_volume_ml

        images = [read_image(path) for path in self.inputs.in_files]
        brain, affine = load(self.inputs.mask)
        told = " and ".join(self.inputs.names)
        try:
            marked = lesion_on_grid(images, load_image(self.inputs.mask))
            placed = place_lesion(marked, brain > 0, affine)
        except DataError as error:
            raise DataError(
                f"the lesion mask {told} {error}; was it drawn on this T1w? Correct or remove it,"
                " or use --ignore lesions"
            ) from error
        for name, field, array in (
            ("lesion", "out_lesion", placed.mask),
            ("mask", "out_mask", placed.brain),
        ):
            image = new_image(array.astype(np.uint8), affine)
            self._results[field] = save(image, runtime.cwd, name)
        self._results["lesion_metadata"] = {"LesionVolumeMillilitres": round(placed.volume_ml, 2)}
        volume = round(float(placed.brain.sum() * voxel_volume_ml(affine)), 1)
        self._results["metadata"] = {**self.inputs.brain, "BrainVolumeMillilitres": volume}
        return runtime
