"""Figures of PET as Nipype interfaces: its reference region, corrections, frames and regions."""

from pathlib import Path

from nipype.interfaces.base import (
    File,
    isdefined,
    traits,
)

from fusionprep.image.io import load_image
from fusionprep.interfaces.figure import Figure, FigureInputSpec
from fusionprep.interfaces.files import load_moves
from fusionprep.interfaces.frames import FramesSpec


class _PlotReferenceRegionInputSpec(FigureInputSpec):
    t1w = File(exists=True, mandatory=True)
    pet = File(exists=True, mandatory=True, desc="on the T1w grid")
    region = File(exists=True, desc="mask on the T1w grid, none for no figure")
    mask = File(exists=True, mandatory=True, desc="brain mask")
    region_name = traits.Str(mandatory=True)


class PlotReferenceRegion(Figure):
    """The reference region of SUVR on the T1w and on the PET."""

    input_spec = _PlotReferenceRegionInputSpec
    needed = "region"

    def _draw(self, path: Path) -> None:
        from fusionprep.reports.figures.plots import plot_region

        plot_region(
            load_image(self.inputs.t1w),
            load_image(self.inputs.pet),
            load_image(self.inputs.region),
            load_image(self.inputs.mask),
            path,
            region_name=self.inputs.region_name,
        )


class _PlotCorrectedInputSpec(FigureInputSpec):
    t1w = File(exists=True, mandatory=True)
    pet = File(exists=True, mandatory=True, desc="on the T1w grid")
    corrected = File(exists=True, mandatory=True, desc="the same, corrected for partial volume")
    mask = File(exists=True, mandatory=True, desc="brain mask")
    method = traits.Str(mandatory=True)


class PlotCorrected(Figure):
    """A PET before and after its correction for partial volume."""

    input_spec = _PlotCorrectedInputSpec

    def _draw(self, path: Path) -> None:
        from fusionprep.reports.figures.plots import plot_corrected

        plot_corrected(
            load_image(self.inputs.t1w),
            load_image(self.inputs.pet),
            load_image(self.inputs.corrected),
            load_image(self.inputs.mask),
            path,
            method=self.inputs.method,
        )


class _PlotFramesInputSpec(FigureInputSpec, FramesSpec):
    pet = File(exists=True, mandatory=True, desc="dynamic PET as acquired")
    mask = File(exists=True, mandatory=True, desc="brain mask of the T1w")
    dseg = File(exists=True, mandatory=True, desc="tissue labels of the T1w")
    transform = File(exists=True, mandatory=True, desc="ITK file that resamples it onto the T1w")
    units = traits.Str("arbitrary", usedefault=True)
    chosen = traits.List(traits.Int, desc="frames from 0 that are averaged; all where absent")


class PlotFrames(Figure):
    """Frames of a dynamic PET and activity over time."""

    input_spec = _PlotFramesInputSpec

    def _draw(self, path: Path) -> None:
        from fusionprep.image.resample import ras_from_itk, read_transforms
        from fusionprep.reports.figures.frames import Timing, plot_frames

        # A compressed file is then decompressed once, not from its start for every frame.
        pet = load_image(self.inputs.pet, keep_file_open=True)
        mask, dseg = (load_image(getattr(self.inputs, name)) for name in ("mask", "dseg"))
        times = [getattr(self.inputs, name) for name in ("starts", "durations")]
        factors, chosen = self.inputs.frame_factors, self.inputs.chosen
        transform = ras_from_itk(read_transforms([self.inputs.transform]))
        moves = self.inputs.moves
        plot_frames(
            pet,
            mask,
            dseg,
            transform @ load_moves(moves) if isdefined(moves) else transform,
            Timing.from_seconds(*(time if isdefined(time) else None for time in times)),
            path,
            factor=self.inputs.factor,
            frame_factors=factors if isdefined(factors) else None,
            units=self.inputs.units,
            chosen=chosen if isdefined(chosen) else None,
        )


class _PlotMotionInputSpec(FigureInputSpec):
    table = File(exists=True, desc="parameters of each frame, none for no figure")
    starts = traits.List(traits.Float, desc="seconds")
    durations = traits.List(traits.Float, desc="seconds")
    moves = File(exists=True, desc="where the head is in each frame, if that is corrected")


class PlotMotion(Figure):
    """Motion of the head between frames."""

    input_spec = _PlotMotionInputSpec
    needed = "table"

    def _draw(self, path: Path) -> None:
        from fusionprep.reading import read_table
        from fusionprep.reports.figures.frames import Timing
        from fusionprep.reports.figures.motion import plot_motion

        times = [getattr(self.inputs, name) for name in ("starts", "durations")]
        timing = Timing.from_seconds(*(time if isdefined(time) else None for time in times))
        rows = read_table(Path(self.inputs.table))
        plot_motion(rows, timing, path, corrected=isdefined(self.inputs.moves))


class _PlotAtlasInputSpec(FigureInputSpec):
    t1w = File(exists=True, mandatory=True)
    labels = File(exists=True, mandatory=True, desc="atlas on the T1w grid")
    mask = File(exists=True, mandatory=True, desc="brain mask")
    atlas_name = traits.Str(mandatory=True)


class PlotAtlas(Figure):
    """The regions of an atlas on the T1w."""

    input_spec = _PlotAtlasInputSpec

    def _draw(self, path: Path) -> None:
        from fusionprep.reports.figures.regional import plot_atlas

        t1w, labels, mask = (load_image(getattr(self.inputs, n)) for n in ("t1w", "labels", "mask"))
        plot_atlas(t1w, labels, mask, path, atlas_name=self.inputs.atlas_name)


class _PlotRegionsInputSpec(FigureInputSpec):
    values = File(exists=True, mandatory=True, desc="table of regions")
    curves = File(exists=True, desc="table of time-activity curves")
    atlas_name = traits.Str(mandatory=True)
    units = traits.Str("arbitrary", usedefault=True)


class PlotRegions(Figure):
    """Uptake of the regions of an atlas, and its course in a dynamic PET."""

    input_spec = _PlotRegionsInputSpec

    def _draw(self, path: Path) -> None:
        from fusionprep.reading import read_table
        from fusionprep.reports.figures.regional import plot_regions

        curves = self.inputs.curves
        plot_regions(
            read_table(Path(self.inputs.values)),
            path,
            curves=read_table(Path(curves)) if isdefined(curves) else (),
            atlas_name=self.inputs.atlas_name,
            units=self.inputs.units,
        )
