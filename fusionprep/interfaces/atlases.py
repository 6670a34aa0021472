"""Atlases and the uptake of their regions as Nipype interfaces."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    SimpleInterface,
    TraitedSpec,
    traits,
)

from fusionprep.bids.region_tables import COLUMNS, MISSING, number, region_row
from fusionprep.files import table_text
from fusionprep.interfaces.files import given, given_moves, load, save
from fusionprep.interfaces.frames import FramesSpec
from fusionprep.interfaces.smoothing import SmoothedFramesSpec, smoothed_frames
from fusionprep.reading import read_table

if TYPE_CHECKING:
    from fusionprep.image.region_values import RegionCurves


def region_names(path: str | Path) -> dict[int, str]:
    """Names of the regions of an atlas on the T1w grid, by label."""
    from fusionprep.image.atlases import read_names

    return read_names(path)


class _BringAtlasInputSpec(BaseInterfaceInputSpec):
    name = traits.Str(mandatory=True, desc="of the atlas and its version, so that another runs")
    in_file = File(exists=True, desc="labels; the packaged atlas where there is none")
    names = File(exists=True, desc="table of index and name")
    freesurfer = traits.Bool(False, usedefault=True, desc="labels are named as FreeSurfer's")
    t1w = File(exists=True, mandatory=True)
    mask = File(exists=True, mandatory=True, desc="brain mask on the T1w grid")
    transform = File(exists=True, desc="ITK file that resamples template space onto the T1w")
    gm = File(exists=True, desc="probability of GM, to which labels of the cortex are confined")
    wm = File(exists=True, desc="likewise of WM; both or none")
    n_threads = traits.Int(1, usedefault=True, nohash=True)


class _BringAtlasOutputSpec(TraitedSpec):
    out_file = File(exists=True, desc="labels on the T1w grid")
    table = File(exists=True, desc="table of index and name, of the labels that the atlas has")


class BringAtlas(SimpleInterface):
    """The labels of an atlas on the T1w grid, in one nearest-neighbour resampling."""

    input_spec = _BringAtlasInputSpec
    output_spec = _BringAtlasOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        from fusionprep.image import atlases
        from fusionprep.image.io import load_image
        from fusionprep.image.resample import read_transforms

        file, names_file = (given(self.inputs, name) for name in ("in_file", "names"))
        atlas = atlases.packaged_labels() if file is None else atlases.read_labels(file)
        names = {} if names_file is None else atlases.read_names(names_file)
        if file is None or self.inputs.freesurfer:
            names = atlases.freesurfer_names()
        transform, gm, wm = (given(self.inputs, name) for name in ("transform", "gm", "wm"))
        labels = atlases.labels_in_t1w(
            atlas,
            load_image(self.inputs.t1w),
            load_image(self.inputs.mask),
            None if transform is None else read_transforms([Path(transform)]),
            tissues=(load_image(gm), load_image(wm)) if gm and wm else None,
            n_threads=self.inputs.n_threads,
        )
        named = atlases.named_labels(np.asarray(atlas.dataobj), names)
        rows = [{"index": str(index), "name": name} for index, name in named.items()]
        table = Path(runtime.cwd, "labels.tsv")
        table.write_text(table_text(["index", "name"], rows), "utf-8")
        self._results["out_file"] = save(labels, runtime.cwd, "labels")
        self._results["table"] = str(table)
        return runtime


class _MeasureRegionsInputSpec(BaseInterfaceInputSpec):
    pet = File(exists=True, mandatory=True, desc="static PET on the T1w grid")
    labels = File(exists=True, mandatory=True, desc="atlas on the T1w grid")
    table = File(exists=True, mandatory=True, desc="its table of index and name")
    suv_factor = traits.Float(desc="turns PET into SUV")
    suvr_factor = traits.Float(desc="turns PET into SUVR")
    corrected = File(exists=True, desc="table of index and of further columns, of the same regions")


class _MeasureRegionsOutputSpec(TraitedSpec):
    out_file = File(exists=True, desc="table of regions")


class MeasureRegions(SimpleInterface):
    """Volume and uptake of each region of an atlas in a static PET."""

    input_spec = _MeasureRegionsInputSpec
    output_spec = _MeasureRegionsOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        from fusionprep.image.masks import voxel_volume_ml
        from fusionprep.image.region_values import region_values

        names = region_names(self.inputs.table)
        labels, affine = load(self.inputs.labels)
        pet, _ = load(self.inputs.pet)
        values = region_values(pet, labels, indices=list(names))
        voxel_mm3 = 1000 * voxel_volume_ml(affine)
        factors = {
            f"{kind}_factor": given(self.inputs, f"{kind}_factor") for kind in ("suv", "suvr")
        }
        rows = [
            region_row(value, names[value.index], value.voxels * voxel_mm3, **factors)
            for value in values
        ]
        columns = list(COLUMNS)
        if (further := given(self.inputs, "corrected")) is not None:
            corrected = {row["index"]: row for row in read_table(Path(further))}
            rows = [corrected[row["index"]] | row for row in rows]
            columns += [name for name in rows[0] if name not in columns] if rows else []
        path = Path(runtime.cwd, "morph.tsv")
        path.write_text(table_text(columns, rows), "utf-8")
        self._results["out_file"] = str(path)
        return runtime


class _MeasureFramesInputSpec(SmoothedFramesSpec, FramesSpec):
    in_file = File(exists=True, mandatory=True, desc="dynamic PET as acquired")
    static = File(exists=True, mandatory=True, desc="its mean on the T1w grid")
    transform = File(exists=True, mandatory=True, desc="ITK file that resamples it onto the T1w")
    labels = File(exists=True, mandatory=True, desc="atlas on the T1w grid")
    table = File(exists=True, mandatory=True, desc="its table of index and name")
    region = File(exists=True, desc="mask of SUVR's reference region on the T1w grid")
    suv_factor = traits.Float(desc="turns activity into SUV")


class _MeasureFramesOutputSpec(TraitedSpec):
    tacs = File(exists=True, desc="mean of each region and frame")
    sd = File(exists=True, desc="standard deviation")
    suv = File(exists=True, desc="SUV; none without its factor")
    suvr = File(exists=True, desc="ratio to the reference region in the same frame; none without")


class MeasureFrames(SimpleInterface):
    """Time-activity curves of the regions of an atlas."""

    input_spec = _MeasureFramesInputSpec
    output_spec = _MeasureFramesOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        names = region_names(self.inputs.table)
        curves = self._measure(list(names))
        kinds = {"tacs": curves.means, "sd": curves.sds}
        suv = given(self.inputs, "suv_factor")
        if suv is not None:
            kinds["suv"] = curves.means * suv
        if curves.reference is not None:
            reference = np.where(curves.reference > 0, curves.reference, np.nan)
            kinds["suvr"] = curves.means / reference[:, None]
        for kind, values in kinds.items():
            path = Path(runtime.cwd, f"{kind}.tsv")
            path.write_text(self._table(curves.indices, values, names), "utf-8")
            self._results[kind] = str(path)
        return runtime

    def _measure(self, indices: list[int]) -> "RegionCurves":
        from fusionprep.image.io import read_frames
        from fusionprep.image.region_values import region_curves, region_values
        from fusionprep.image.resample import ras_from_itk, read_transforms

        labels, affine = load(self.inputs.labels)
        static, _ = load(self.inputs.static)
        values = region_values(static, labels, indices=indices)
        measured = [value.index for value in values if not value.absent]
        pet_affine, frames = read_frames(self.inputs.in_file)
        t1w_from_pet = ras_from_itk(read_transforms([Path(self.inputs.transform)]))
        if (moves := given_moves(self.inputs)) is not None:
            t1w_from_pet = t1w_from_pet @ moves
        frames = smoothed_frames(self.inputs, frames, pet_affine, moves)
        scales = given(self.inputs, "frame_factors")
        factor = self.inputs.factor
        region = given(self.inputs, "region")
        return region_curves(
            (frame * np.float32(factor) for frame in frames),
            np.linalg.inv(t1w_from_pet @ pet_affine) @ affine,
            labels,
            measured,
            inside=np.isfinite(static) & (static != 0),
            reference=None if region is None else load(region)[0],
            factors=scales,
        )

    def _table(self, indices: Sequence[int], values: np.ndarray, names: dict[int, str]) -> str:
        starts, durations = (given(self.inputs, name) for name in ("starts", "durations"))
        return curves_table(names, indices, values, starts, durations)


def curves_table(
    names: dict[int, str],
    indices: Sequence[int],
    values: np.ndarray,
    starts: Sequence[float] | None,
    durations: Sequence[float] | None,
) -> str:
    """A table of time-activity curves.

    Parameters
    ----------
    names
        Of all regions by label, the columns.
    indices
        Labels of those that have values, and ...
    values
        ... these, (T, R); NaN where there is none.
    starts, durations
        Of the T frames in seconds; None where they are not known.
    """
    columns = list(names.values())
    rows = []
    for frame, line in enumerate(values):
        start = None if starts is None else starts[frame]
        end = None if start is None or durations is None else start + durations[frame]
        cells = dict.fromkeys(columns, MISSING)
        cells |= {names[index]: number(value) for index, value in zip(indices, line, strict=True)}
        rows.append({"frame_start": number(start), "frame_end": number(end)} | cells)
    return table_text(["frame_start", "frame_end", *columns], rows)
