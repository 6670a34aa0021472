"""Partial-volume correction as a Nipype interface."""

from dataclasses import dataclass
from pathlib import Path
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

from fusionprep.bids.names import CORRECTIONS, NOT_COMPUTED, SUVR
from fusionprep.choices import Correction, choices
from fusionprep.files import table_text
from fusionprep.interfaces.files import load, save

if TYPE_CHECKING:
    from fusionprep.image.partial_volume.brain import CorrectedBrain, Reference

TABLE_COLUMNS = ("index", "name", "volume-mm3", "mean", "uncorrected", "variance")
FIELD = "PartialVolumeCorrection"


class BrainInputSpec(BaseInterfaceInputSpec):
    """What every correction of a PET in T1w space takes."""

    pet = File(exists=True, mandatory=True, desc="on the T1w grid")
    static = File(exists=True, mandatory=True, desc="the same on its own grid, RAS")
    transform = File(exists=True, mandatory=True, desc="ITK file that resampled it")
    mask = File(exists=True, mandatory=True)
    gm = File(exists=True, mandatory=True, desc="fraction of gray matter")
    wm = File(exists=True, mandatory=True, desc="fraction of white matter")
    fwhm = traits.List(traits.Float, mandatory=True, minlen=3, maxlen=3, desc="mm, RAS")
    fwhm_source = traits.Str(mandatory=True)
    region = File(exists=True, desc="reference region on the T1w grid; none without SUVR")
    region_name = traits.Str("", usedefault=True)
    region_tissues = traits.List(traits.Str, desc="whose activity in the region counts")
    region_parted = traits.Bool(True, usedefault=True, desc="may differ from the same elsewhere")


class _CorrectInputSpec(BrainInputSpec):
    methods = traits.List(traits.Enum(*choices(Correction)), mandatory=True)
    region_required = traits.Bool(
        True, usedefault=True, desc="a region without uptake is an error, not a SUVR less"
    )


class _CorrectOutputSpec(TraitedSpec):
    out_mg = File(exists=True)
    out_rbv = File(exists=True)
    out_iy = File(exists=True)
    out_table = File(exists=True, desc="means of tissues by the geometric transfer matrix")
    factor_mg = traits.Float(desc="multiply the image by it to get SUVR")
    factor_rbv = traits.Float()
    factor_iy = traits.Float()
    metadata_mg = traits.Dict(desc="sidecar fields")
    metadata_rbv = traits.Dict()
    metadata_iy = traits.Dict()
    metadata_gtm = traits.Dict()
    suvr_metadata_mg = traits.Dict()
    suvr_metadata_rbv = traits.Dict()
    suvr_metadata_iy = traits.Dict()


@dataclass(frozen=True)
class Brain:
    """The arrays that a correction needs, on the T1w grid (X, Y, Z)."""

    pet: np.ndarray
    tissues: dict[str, np.ndarray]
    affine: np.ndarray
    fwhm: tuple[float, float, float]
    field: np.ndarray
    t1w_from_pet: np.ndarray
    reference: "Reference | None"

    @property
    def voxel_sizes(self) -> tuple[float, ...]:
        """Along the axes, mm."""
        return tuple(np.linalg.norm(self.affine[:3, :3], axis=0).tolist())


def load_brain(inputs: Any) -> Brain:
    """Read what inputs as those of :class:`BrainInputSpec` name."""
    from fusionprep.image.field_of_view import field_of_view
    from fusionprep.image.io import load_image
    from fusionprep.image.partial_volume import moved_fwhm
    from fusionprep.image.resample import ras_from_itk, read_transforms

    pet, static = load_image(inputs.pet), load_image(inputs.static)
    t1w_from_pet = ras_from_itk(read_transforms([inputs.transform]))
    gm, wm = (load(getattr(inputs, name))[0] for name in ("gm", "wm"))
    mask, _ = load(inputs.mask)
    return Brain(
        pet=np.asarray(pet.dataobj, np.float32),
        tissues={"GM": gm, "WM": wm, "CSF": np.clip((mask > 0) - gm - wm, 0, 1)},
        affine=pet.affine,
        fwhm=moved_fwhm(inputs.fwhm, static.affine, pet.affine, t1w_from_pet),
        field=field_of_view(static, pet, t1w_from_pet),
        t1w_from_pet=t1w_from_pet,
        reference=_reference(inputs),
    )


def _reference(inputs: Any) -> "Reference | None":
    from fusionprep.image.partial_volume.brain import Reference

    if not isdefined(inputs.region):
        return None
    region, _ = load(inputs.region)
    tissues = tuple(inputs.region_tissues)
    return Reference(inputs.region_name, region > 0.5, tissues, inputs.region_parted)


def spread_told(inputs: Any, fwhm: tuple[float, float, float]) -> dict[str, Any]:
    """Sidecar fields of the point spread, which is `fwhm` on the T1w grid."""
    return {
        "PointSpreadFWHM": list(inputs.fwhm),
        "PointSpreadSource": inputs.fwhm_source,
        "PointSpreadFWHMOnGrid": [round(width, 3) for width in fwhm],
    }


class CorrectPartialVolume(SimpleInterface):
    """Correct a PET on the T1w grid for partial volume, by the T1w's tissues."""

    input_spec = _CorrectInputSpec
    output_spec = _CorrectOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        from fusionprep.image.io import new_image
        from fusionprep.image.partial_volume.brain import correct_brain

        brain = load_brain(self.inputs)
        methods = self.inputs.methods
        found = correct_brain(
            brain.pet,
            brain.tissues,
            brain.voxel_sizes,
            brain.fwhm,
            methods=methods,
            field=brain.field,
            reference=brain.reference,
        )
        for method, image in found.images.items():
            saved = save(new_image(image, brain.affine), runtime.cwd, method)
            self._results[f"out_{method}"] = saved
        if "gtm" in methods:
            path = Path(runtime.cwd, "gtm.tsv")
            path.write_text(_table(found), "utf-8")
            self._results["out_table"] = str(path)
        for method in methods:
            self._results[f"metadata_{method}"] = {FIELD: self._told(method, found, brain.fwhm)}
        self._set_suvr(found)
        return runtime

    def _told(
        self, method: str, found: "CorrectedBrain", fwhm: tuple[float, float, float]
    ) -> dict[str, Any]:
        from fusionprep.image.partial_volume.methods import GRAY_THRESHOLD, YANG_ITERATIONS

        own: dict[str, dict[str, Any]] = {
            "mg": {
                "Threshold": GRAY_THRESHOLD,
                "ThresholdOf": "fraction of gray matter, blurred",
                "ValueElsewhere": 0,
                "OtherTissuesBy": CORRECTIONS["gtm"],
            },
            "rbv": {"ValueOutsideBrain": 0, "MeansBy": CORRECTIONS["gtm"]},
            "iy": {"ValueOutsideBrain": 0, "Iterations": YANG_ITERATIONS},
        }
        means = found.means.by_name()
        return {
            "Method": CORRECTIONS[method],
            **spread_told(self.inputs, fwhm),
            **own.get(method, {}),
            "TransferMatrixMeans": {name: float(f"{mean:.6g}") for name, mean in means.items()},
        }

    def _set_suvr(self, found: "CorrectedBrain") -> None:
        from fusionprep.errors import DataError

        for method, mean in found.references.items():
            name = self.inputs.region_name
            if not mean > 0:
                problem = (
                    f"mean uptake in the reference region {name} is {mean:.3g} once it is corrected"
                    f" for partial volume ({method})"
                )
                if self.inputs.region_required:
                    raise DataError(f"{problem}; choose another --suvr-region or none")
                self._results[f"metadata_{method}"][NOT_COMPUTED[SUVR]] = problem
                continue
            by = CORRECTIONS["gtm" if method == "mg" else method]
            self._results[f"factor_{method}"] = 1 / mean
            self._results[f"suvr_metadata_{method}"] = {
                **self._results[f"metadata_{method}"],
                "SUVR": {"Region": name, "Reference": mean, "CorrectedBy": by},
            }


def _table(found: "CorrectedBrain") -> str:
    means = found.means
    columns = (means.names, found.volumes_ml, means.values, means.observed, means.variance)
    rows = [
        {
            "index": str(index),
            "name": name,
            "volume-mm3": f"{1000 * volume:.0f}",
            "mean": f"{mean:.6g}",
            "uncorrected": f"{observed:.6g}",
            "variance": f"{variance:.6g}",
        }
        for index, (name, volume, mean, observed, variance) in enumerate(
            zip(*columns, strict=True), 1
        )
    ]
    return table_text(TABLE_COLUMNS, rows)
