"""Figures of the participant report as Nipype interfaces."""

from pathlib import Path
from typing import Any

from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    SimpleInterface,
    TraitedSpec,
    isdefined,
    traits,
)

from fusionprep.choices import ColourMapName, choices
from fusionprep.files import write_whole
from fusionprep.image.io import load_image
from fusionprep.interfaces.derivatives import is_of_same_time, take_time
from fusionprep.modalities import APP_FUSED, CONTRASTS, get_modality
from fusionprep.spaces import TemplateSpace


class _FigureInputSpec(BaseInterfaceInputSpec):
    output_dir = traits.Str(mandatory=True, desc="root of the derivatives")
    out_path = traits.Str(mandatory=True, desc="path of the figure below the root")


class _FigureOutputSpec(TraitedSpec):
    out_file = traits.Str(desc="absolute path of the figure")


class _Figure(SimpleInterface):
    """A figure under its final name; drawn again when it is missing or comes from another run."""

    output_spec = _FigureOutputSpec

    @property
    def always_run(self) -> bool:
        newest = self._newest_input()
        return not self._target.is_file() or (
            newest is not None and not is_of_same_time(self._target, newest)
        )

    @property
    def _target(self) -> Path:
        return Path(self.inputs.output_dir, self.inputs.out_path)

    def _run_interface(self, runtime: Any) -> Any:
        write_whole(self._target, self._draw)
        newest = self._newest_input()
        if newest is not None:
            take_time(self._target, newest)
        self._results["out_file"] = str(self._target)
        return runtime

    def _newest_input(self) -> Path | None:
        """The drawn image or table that was written last; None before any is known."""
        files = [name for name, trait in self.inputs.traits().items() if trait.is_trait_type(File)]
        values = [getattr(self.inputs, name) for name in files]
        images = [Path(v) for v in values if isinstance(v, str) and v.endswith((".nii", ".tsv"))]
        return max(images, key=lambda image: image.stat().st_mtime_ns, default=None)

    def _draw(self, path: Path) -> None:
        raise NotImplementedError


class _PlotTissueInputSpec(_FigureInputSpec):
    t1w = File(exists=True, mandatory=True)
    dseg = File(exists=True, mandatory=True)
    mask = File(exists=True, mandatory=True)
    lesion = File(exists=True, desc="none where there is none")


class PlotTissue(_Figure):
    """Brain mask and tissue contours on the T1w."""

    input_spec = _PlotTissueInputSpec

    def _draw(self, path: Path) -> None:
        from fusionprep.reports.figures.plots import plot_tissue

        t1w, dseg, mask = (load_image(getattr(self.inputs, n)) for n in ("t1w", "dseg", "mask"))
        lesion = load_image(self.inputs.lesion) if isdefined(self.inputs.lesion) else None
        plot_tissue(t1w, dseg, mask, path, lesion=lesion)


class _PlotDenoisedInputSpec(_FigureInputSpec):
    before = File(exists=True, desc="T1w with its noise, none for no figure")
    after = File(exists=True, mandatory=True)
    mask = File(exists=True, mandatory=True, desc="brain mask")


class PlotDenoised(_Figure):
    """The T1w before and after its noise was taken out; where it was not, no figure is left."""

    input_spec = _PlotDenoisedInputSpec

    def _run_interface(self, runtime: Any) -> Any:
        if not isdefined(self.inputs.before):
            self._target.unlink(missing_ok=True)
            return runtime
        return super()._run_interface(runtime)

    def _draw(self, path: Path) -> None:
        from fusionprep.reports.figures.plots import plot_denoised

        before, after, mask = (
            load_image(getattr(self.inputs, n)) for n in ("before", "after", "mask")
        )
        plot_denoised(before, after, mask, path)


class _PlotCoregistrationInputSpec(_FigureInputSpec):
    t1w = File(exists=True, mandatory=True)
    moving = File(exists=True, mandatory=True, desc="on its own grid")
    moved = File(exists=True, mandatory=True, desc="on the T1w grid")
    mask = File(exists=True, mandatory=True)
    dseg = File(exists=True, mandatory=True)
    moving_name = traits.Str(mandatory=True, desc="label of its modality")


class PlotCoregistration(_Figure):
    """The T1w with the other modality as its header places it, and as registered."""

    input_spec = _PlotCoregistrationInputSpec

    def _draw(self, path: Path) -> None:
        from fusionprep.reports.figures.plots import plot_coregistration

        plot_coregistration(
            load_image(self.inputs.t1w),
            load_image(self.inputs.moving),
            load_image(self.inputs.moved),
            load_image(self.inputs.mask),
            path,
            dseg=load_image(self.inputs.dseg),
            moving_name=self.inputs.moving_name,
        )


class _PlotNormalizationInputSpec(_FigureInputSpec):
    template = traits.Str(mandatory=True)
    t1w = File(exists=True, mandatory=True, desc="on the template's grid")
    lesion = File(exists=True, desc="there; none where there is none")


class PlotNormalization(_Figure):
    """The template and the T1w brought to it."""

    input_spec = _PlotNormalizationInputSpec

    def _draw(self, path: Path) -> None:
        from fusionprep.image.template import load_template
        from fusionprep.reports.figures.plots import plot_normalization

        space = TemplateSpace.parse(self.inputs.template)
        template = load_template(space)
        contour, name = (
            (template.mask, "template brain mask")
            if template.gm is None
            else (template.gm, "template gray matter")
        )
        plot_normalization(
            template.brain,
            load_image(self.inputs.t1w),
            contour,
            path,
            mask=template.mask,
            lesion=load_image(self.inputs.lesion) if isdefined(self.inputs.lesion) else None,
            template_name=space.name,
            contour_name=name,
        )


class _PlotReferenceRegionInputSpec(_FigureInputSpec):
    t1w = File(exists=True, mandatory=True)
    pet = File(exists=True, mandatory=True, desc="on the T1w grid")
    region = File(exists=True, desc="mask on the T1w grid, none for no figure")
    mask = File(exists=True, mandatory=True, desc="brain mask")
    region_name = traits.Str(mandatory=True)


class PlotReferenceRegion(_Figure):
    """The reference region of SUVR on the T1w and on the PET."""

    input_spec = _PlotReferenceRegionInputSpec

    def _run_interface(self, runtime: Any) -> Any:
        if not isdefined(self.inputs.region):
            self._target.unlink(missing_ok=True)
            return runtime
        return super()._run_interface(runtime)

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


class _PlotCorrectedInputSpec(_FigureInputSpec):
    t1w = File(exists=True, mandatory=True)
    pet = File(exists=True, mandatory=True, desc="on the T1w grid")
    corrected = File(exists=True, mandatory=True, desc="the same, corrected for partial volume")
    mask = File(exists=True, mandatory=True, desc="brain mask")
    method = traits.Str(mandatory=True)


class PlotCorrected(_Figure):
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


class _PlotFusedInputSpec(_FigureInputSpec):
    anatomical = File(exists=True, mandatory=True)
    functional = File(exists=True, mandatory=True)
    fused = File(exists=True, mandatory=True)
    colour = File(exists=True, desc="RGB24; left out where there is none")
    colour_map = traits.Enum(*choices(ColourMapName), usedefault=True, desc="of colour")
    mask = File(exists=True, mandatory=True)
    contrast = traits.Enum(*(contrast.name for contrast in CONTRASTS), usedefault=True)
    modality = traits.Enum(*(modality.name for modality in APP_FUSED), mandatory=True)


class PlotFused(_Figure):
    """Sources, fused image and colour fusion in three planes."""

    input_spec = _PlotFusedInputSpec

    def _draw(self, path: Path) -> None:
        from fusionprep.reports.figures.plots import plot_fused_mosaic

        modality = get_modality(self.inputs.modality)
        plot_fused_mosaic(
            load_image(self.inputs.anatomical),
            load_image(self.inputs.functional),
            load_image(self.inputs.fused),
            load_image(self.inputs.colour) if isdefined(self.inputs.colour) else None,
            load_image(self.inputs.mask),
            path,
            anatomical_name=get_modality(self.inputs.contrast).label,
            functional_name=modality.label,
            colour_map=modality.colour_map if modality.tracer else None,
            key=self.inputs.colour_map,
        )


class _PlotThumbnailInputSpec(_FigureInputSpec):
    fused = File(exists=True, mandatory=True)
    colour = File(exists=True, desc="RGB24; left out where there is none")
    colour_map = traits.Enum(*choices(ColourMapName), usedefault=True, desc="of colour")
    functional = File(exists=True, mandatory=True, desc="PET or CT on the same grid")
    mask = File(exists=True, mandatory=True, desc="brain mask")


class PlotThumbnail(_Figure):
    """Three small slices of a fused image, for the group report."""

    input_spec = _PlotThumbnailInputSpec

    def _draw(self, path: Path) -> None:
        from fusionprep.reports.figures.thumbnails import draw_thumbnail

        draw_thumbnail(
            load_image(self.inputs.fused),
            load_image(self.inputs.functional),
            load_image(self.inputs.mask),
            path,
            colour=load_image(self.inputs.colour) if isdefined(self.inputs.colour) else None,
            colour_map=self.inputs.colour_map,
        )


class _PlotPlanesInputSpec(_FigureInputSpec):
    fused = File(exists=True, mandatory=True, desc="on the template's grid")
    colour = File(exists=True, desc="RGB24; left out where there is none")
    template = traits.Str(mandatory=True)


class PlotPlanes(_Figure):
    """Fixed planes of a template through a fused image, for the means of the group report."""

    input_spec = _PlotPlanesInputSpec

    def _draw(self, path: Path) -> None:
        from fusionprep.image.template import load_template
        from fusionprep.reports.figures.thumbnails import draw_planes

        template = load_template(TemplateSpace.parse(self.inputs.template))
        draw_planes(
            load_image(self.inputs.fused),
            template.mask,
            path,
            colour=load_image(self.inputs.colour) if isdefined(self.inputs.colour) else None,
        )


class _PlotFramesInputSpec(_FigureInputSpec):
    pet = File(exists=True, mandatory=True, desc="dynamic PET as acquired")
    mask = File(exists=True, mandatory=True, desc="brain mask of the T1w")
    dseg = File(exists=True, mandatory=True, desc="tissue labels of the T1w")
    transform = File(exists=True, mandatory=True, desc="ITK file that resamples it onto the T1w")
    starts = traits.List(traits.Float, desc="seconds")
    durations = traits.List(traits.Float, desc="seconds")
    factor = traits.Float(1.0, usedefault=True, desc="multiplies intensities into the units")
    frame_factors = traits.List(traits.Float, desc="corrects each frame for decay")
    units = traits.Str("arbitrary", usedefault=True)
    chosen = traits.List(traits.Int, desc="frames from 0 that are averaged; all where absent")


class PlotFrames(_Figure):
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
        plot_frames(
            pet,
            mask,
            dseg,
            ras_from_itk(read_transforms([self.inputs.transform])),
            Timing.from_seconds(*(time if isdefined(time) else None for time in times)),
            path,
            factor=self.inputs.factor,
            frame_factors=factors if isdefined(factors) else None,
            units=self.inputs.units,
            chosen=chosen if isdefined(chosen) else None,
        )


class _PlotAtlasInputSpec(_FigureInputSpec):
    t1w = File(exists=True, mandatory=True)
    labels = File(exists=True, mandatory=True, desc="atlas on the T1w grid")
    mask = File(exists=True, mandatory=True, desc="brain mask")
    atlas_name = traits.Str(mandatory=True)


class PlotAtlas(_Figure):
    """The regions of an atlas on the T1w."""

    input_spec = _PlotAtlasInputSpec

    def _draw(self, path: Path) -> None:
        from fusionprep.reports.figures.regional import plot_atlas

        t1w, labels, mask = (load_image(getattr(self.inputs, n)) for n in ("t1w", "labels", "mask"))
        plot_atlas(t1w, labels, mask, path, atlas_name=self.inputs.atlas_name)


class _PlotRegionsInputSpec(_FigureInputSpec):
    values = File(exists=True, mandatory=True, desc="table of regions")
    curves = File(exists=True, desc="table of time-activity curves")
    atlas_name = traits.Str(mandatory=True)
    units = traits.Str("arbitrary", usedefault=True)


class PlotRegions(_Figure):
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
