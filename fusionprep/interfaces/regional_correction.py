"""Partial-volume correction of the regions of an atlas as a Nipype interface."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from nipype.interfaces.base import File, SimpleInterface, TraitedSpec, traits

from fusionprep.bids.names import CORRECTIONS, corrected
from fusionprep.bids.region_tables import MISSING, number
from fusionprep.choices import Correction, choices
from fusionprep.errors import DataError
from fusionprep.files import table_text
from fusionprep.interfaces.atlases import curves_table, region_names
from fusionprep.interfaces.files import given, given_moves, load
from fusionprep.interfaces.frames import FramesSpec
from fusionprep.interfaces.partial_volume import (
    FIELD,
    Brain,
    BrainInputSpec,
    load_brain,
    spread_told,
)

if TYPE_CHECKING:
    from fusionprep.image.partial_volume.regional import CorrectedRegions, RegionCorrection

GTM = "gtm"
MEASURES = ("mean", "suv", "suvr")
TISSUE = "tissue_pvc"
SMALLEST_COVERAGE = 0.5
"""Of a region that must have a value in a corrected image: MG has none where little gray matter is
seen."""


def column(measure: str, method: str) -> str:
    """Column of a corrected measure.

    Examples
    --------
    >>> column("suvr", "gtm")
    'suvr_pvcGTM'
    """
    return f"{measure}_{corrected(method)}"


def columns_of(methods: Sequence[str]) -> list[str]:
    """Columns of corrected values, in their order."""
    found = [TISSUE] if GTM in methods else []
    for method in methods:
        found += [column(measure, method) for measure in MEASURES]
        if method == GTM:
            found.append(column("variance", method))
    return found


class _CorrectRegionsInputSpec(BrainInputSpec, FramesSpec):
    labels = File(exists=True, mandatory=True, desc="atlas on the T1w grid")
    table = File(exists=True, mandatory=True, desc="its table of index and name")
    freesurfer = traits.Bool(False, usedefault=True, desc="labels are FreeSurfer's")
    methods = traits.List(traits.Enum(*choices(Correction)), mandatory=True)
    image_mg = File(exists=True, desc="corrected PET on the T1w grid")
    image_rbv = File(exists=True)
    image_iy = File(exists=True)
    factor_mg = traits.Float(desc="turns it into SUVR")
    factor_rbv = traits.Float()
    factor_iy = traits.Float()
    suv_factor = traits.Float(desc="turns activity into SUV")
    in_file = File(exists=True, desc="dynamic PET as acquired, for curves")


class _CorrectRegionsOutputSpec(TraitedSpec):
    out_file = File(exists=True, desc="table of index and of the corrected columns")
    metadata = traits.Dict(desc="sidecar fields")
    tacs = File(exists=True, desc="corrected mean of each region and frame")
    variance = File(exists=True, desc="its variance by noise")
    suv = File(exists=True, desc="SUV; none without its factor")
    suvr = File(exists=True, desc="ratio to the corrected reference in the same frame")


class CorrectRegions(SimpleInterface):
    """Means of an atlas' regions, corrected for partial volume, of a static and a dynamic PET."""

    input_spec = _CorrectRegionsInputSpec
    output_spec = _CorrectRegionsOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        from fusionprep.image.region_values import region_values

        names = region_names(self.inputs.table)
        labels, _ = load(self.inputs.labels)
        brain = load_brain(self.inputs)
        values = region_values(brain.pet, labels, indices=list(names))
        measured = [value.index for value in values if not value.absent]
        cells: dict[int, dict[str, str]] = {index: {} for index in names}
        told: dict[str, Any] = spread_told(self.inputs, brain.fwhm)
        for method in self.inputs.methods:
            if method != GTM:
                self._add_image(method, labels, measured, cells)
                told.setdefault("Methods", []).append(CORRECTIONS[method])
        if GTM in self.inputs.methods:
            told.setdefault("Methods", []).append(CORRECTIONS[GTM])
            told |= self._add_transfer(runtime.cwd, brain, labels, names, measured, cells)
        columns = columns_of(self.inputs.methods)
        rows = [
            {"index": str(index), **dict.fromkeys(columns, MISSING), **row}
            for index, row in cells.items()
        ]
        path = Path(runtime.cwd, "corrected.tsv")
        path.write_text(table_text(["index", *columns], rows), "utf-8")
        self._results["out_file"] = str(path)
        self._results["metadata"] = {FIELD: told}
        return runtime

    def _add_image(
        self,
        method: str,
        labels: np.ndarray,
        measured: Sequence[int],
        cells: dict[int, dict[str, str]],
    ) -> None:
        """Means of an image that was corrected voxel by voxel."""
        from fusionprep.image.region_values import region_values

        image, _ = load(getattr(self.inputs, f"image_{method}"))
        ratio = given(self.inputs, f"factor_{method}")
        for value in region_values(
            image, labels, indices=measured, smallest_coverage=SMALLEST_COVERAGE
        ):
            cells[value.index] |= self._measures(method, value.mean, ratio)

    def _measures(self, method: str, mean: float | None, ratio: float | None) -> dict[str, str]:
        factors = (1.0, given(self.inputs, "suv_factor"), ratio)
        return {
            column(measure, method): number(None if None in (mean, factor) else mean * factor)
            for measure, factor in zip(MEASURES, factors, strict=True)
        }

    def _add_transfer(
        self,
        folder: str,
        brain: Brain,
        labels: np.ndarray,
        names: dict[int, str],
        measured: Sequence[int],
        cells: dict[int, dict[str, str]],
    ) -> dict[str, Any]:
        """Means by the transfer matrix, and curves; sidecar fields."""
        from fusionprep.image.atlases import freesurfer_tissues
        from fusionprep.image.partial_volume.regional import RegionCorrection

        try:
            correction = RegionCorrection.of_brain(
                brain.tissues,
                labels,
                brain.voxel_sizes,
                brain.fwhm,
                kinds=freesurfer_tissues() if self.inputs.freesurfer else None,
                field=brain.field,
                reference=brain.reference,
            )
        except DataError as error:
            # an atlas can be finer than the resolution; what is not corrected keeps its values
            return {"NotComputed": f"{CORRECTIONS[GTM]}: {error}"}
        found = correction.means(brain.pet[correction.box])
        usable = _positive(found.reference)
        for index in measured:
            if index in found.values:
                ratio = None if usable is None else 1 / usable
                cells[index] |= {
                    TISSUE: correction.tissues[index],
                    **self._measures(GTM, found.values[index], ratio),
                    column("variance", GTM): number(found.variances[index]),
                }
        self._write_curves(folder, brain, correction, names, measured)
        if found.reference is None:
            return {}
        return {"SUVR": {"Region": self.inputs.region_name, "Reference": found.reference}}

    def _write_curves(
        self,
        folder: str,
        brain: Brain,
        correction: "RegionCorrection",
        names: dict[int, str],
        measured: Sequence[int],
    ) -> None:
        from fusionprep.image.io import read_frames
        from fusionprep.image.partial_volume.regional import curves

        file = given(self.inputs, "in_file")
        if file is None:
            return
        pet_affine, frames = read_frames(file)
        t1w_from_pet = brain.t1w_from_pet
        if (moves := given_moves(self.inputs)) is not None:
            t1w_from_pet = t1w_from_pet @ moves
        found = curves(
            correction,
            (frame * np.float32(self.inputs.factor) for frame in frames),
            np.linalg.inv(t1w_from_pet @ pet_affine) @ brain.affine,
            factors=given(self.inputs, "frame_factors"),
        )
        indices = [index for index in measured if index in correction.labels]
        for kind, values in _by_kind(found, indices, given(self.inputs, "suv_factor")).items():
            times = (given(self.inputs, name) for name in ("starts", "durations"))
            path = Path(folder, f"{kind}.tsv")
            path.write_text(curves_table(names, indices, values, *times), "utf-8")
            self._results[kind] = str(path)


def _positive(reference: float | None) -> float | None:
    return reference if reference is not None and reference > 0 else None


def _by_kind(
    found: "Sequence[CorrectedRegions]", indices: Sequence[int], suv_factor: float | None
) -> Mapping[str, np.ndarray]:
    """What is written of each frame: (T, R) by the name of the output."""
    shape = len(found), len(indices)
    means, variances = (
        np.array([[side[index] for index in indices] for side in sides]).reshape(shape)
        for sides in ([f.values for f in found], [f.variances for f in found])
    )
    kinds = {"tacs": means, "variance": variances}
    if suv_factor is not None:
        kinds["suv"] = suv_factor * means
    if found and found[0].reference is not None:
        usable = [_positive(frame.reference) or np.nan for frame in found]
        kinds["suvr"] = means / np.array(usable)[:, None]
    return kinds
