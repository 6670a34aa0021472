"""Figures of the participant report as Nipype interfaces."""

from pathlib import Path

from nipype.interfaces.base import (
    File,
    traits,
)

from fusionprep.choices import ColourMapName, choices
from fusionprep.image.io import load_image
from fusionprep.interfaces.figure import Figure, FigureInputSpec
from fusionprep.interfaces.files import given_image
from fusionprep.modalities import APP_FUSED, CONTRASTS, get_modality
from fusionprep.spaces import TemplateSpace


class _PlotTissueInputSpec(FigureInputSpec):
    t1w = File(exists=True, mandatory=True)
    dseg = File(exists=True, mandatory=True)
    mask = File(exists=True, mandatory=True)
    lesion = File(exists=True, desc="none where there is none")


class PlotTissue(Figure):
    """Brain mask and tissue contours on the T1w."""

    input_spec = _PlotTissueInputSpec

    def _draw(self, path: Path) -> None:
        from fusionprep.reports.figures.plots import plot_tissue

        t1w, dseg, mask = (load_image(getattr(self.inputs, n)) for n in ("t1w", "dseg", "mask"))
        lesion = given_image(self.inputs, "lesion")
        plot_tissue(t1w, dseg, mask, path, lesion=lesion)


class _PlotDenoisedInputSpec(FigureInputSpec):
    before = File(exists=True, desc="T1w with its noise, none for no figure")
    after = File(exists=True, mandatory=True)
    mask = File(exists=True, mandatory=True, desc="brain mask")


class PlotDenoised(Figure):
    """The T1w before and after its noise was taken out; where it was not, no figure is left."""

    input_spec = _PlotDenoisedInputSpec
    needed = "before"

    def _draw(self, path: Path) -> None:
        from fusionprep.reports.figures.plots import plot_denoised

        before, after, mask = (
            load_image(getattr(self.inputs, n)) for n in ("before", "after", "mask")
        )
        plot_denoised(before, after, mask, path)


class _PlotCoregistrationInputSpec(FigureInputSpec):
    t1w = File(exists=True, mandatory=True)
    moving = File(exists=True, mandatory=True, desc="on its own grid")
    moved = File(exists=True, mandatory=True, desc="on the T1w grid")
    mask = File(exists=True, mandatory=True)
    dseg = File(exists=True, mandatory=True)
    moving_name = traits.Str(mandatory=True, desc="label of its modality")


class PlotCoregistration(Figure):
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


class _PlotNormalizationInputSpec(FigureInputSpec):
    template = traits.Str(mandatory=True)
    t1w = File(exists=True, mandatory=True, desc="on the template's grid")
    lesion = File(exists=True, desc="there; none where there is none")


class PlotNormalization(Figure):
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
            lesion=given_image(self.inputs, "lesion"),
            template_name=space.name,
            contour_name=name,
        )


class _PlotFusedInputSpec(FigureInputSpec):
    anatomical = File(exists=True, mandatory=True)
    functional = File(exists=True, mandatory=True)
    fused = File(exists=True, mandatory=True)
    colour = File(exists=True, desc="RGB24; left out where there is none")
    colour_map = traits.Enum(*choices(ColourMapName), usedefault=True, desc="of colour")
    mask = File(exists=True, mandatory=True)
    contrast = traits.Enum(*(contrast.name for contrast in CONTRASTS), usedefault=True)
    modality = traits.Enum(*(modality.name for modality in APP_FUSED), mandatory=True)


class PlotFused(Figure):
    """Sources, fused image and colour fusion in three planes."""

    input_spec = _PlotFusedInputSpec

    def _draw(self, path: Path) -> None:
        from fusionprep.reports.figures.plots import plot_fused_mosaic

        modality = get_modality(self.inputs.modality)
        plot_fused_mosaic(
            load_image(self.inputs.anatomical),
            load_image(self.inputs.functional),
            load_image(self.inputs.fused),
            given_image(self.inputs, "colour"),
            load_image(self.inputs.mask),
            path,
            anatomical_name=get_modality(self.inputs.contrast).label,
            functional_name=modality.label,
            colour_map=modality.colour_map if modality.tracer else None,
            key=self.inputs.colour_map,
        )


class _PlotThumbnailInputSpec(FigureInputSpec):
    fused = File(exists=True, mandatory=True)
    colour = File(exists=True, desc="RGB24; left out where there is none")
    colour_map = traits.Enum(*choices(ColourMapName), usedefault=True, desc="of colour")
    functional = File(exists=True, mandatory=True, desc="PET or CT on the same grid")
    mask = File(exists=True, mandatory=True, desc="brain mask")


class PlotThumbnail(Figure):
    """Three small slices of a fused image, for the group report."""

    input_spec = _PlotThumbnailInputSpec

    def _draw(self, path: Path) -> None:
        from fusionprep.reports.figures.thumbnails import draw_thumbnail

        draw_thumbnail(
            load_image(self.inputs.fused),
            load_image(self.inputs.functional),
            load_image(self.inputs.mask),
            path,
            colour=given_image(self.inputs, "colour"),
            colour_map=self.inputs.colour_map,
        )


class _PlotPlanesInputSpec(FigureInputSpec):
    fused = File(exists=True, mandatory=True, desc="on the template's grid")
    colour = File(exists=True, desc="RGB24; left out where there is none")
    template = traits.Str(mandatory=True)


class PlotPlanes(Figure):
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
            colour=given_image(self.inputs, "colour"),
        )
