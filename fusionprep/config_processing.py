"""Options of what is done to the images before they are fused."""

import dataclasses

from fusionprep.choices import (
    NO_CORRECTION,
    Backend,
    Correction,
    Denoising,
    Ignored,
    Method,
    MotionCorrection,
    SkullStrip,
    choices,
)
from fusionprep.config_checks import Checked, check_names
from fusionprep.errors import UsageError
from fusionprep.frame_windows import AUTO_FRAMES, parse_frames
from fusionprep.point_spreads import check_fwhm, parse_fwhm
from fusionprep.spaces import NATIVE, PACKAGED_TEMPLATE, TemplateSpace, template_spaces
from fusionprep.suvr_regions import AUTO_REGION, NO_REGION, ReferenceRegion, find_region


@dataclasses.dataclass(frozen=True, kw_only=True)
class Processing(Checked):
    """How images are brought to the output spaces.

    Attributes
    ----------
    output_spaces
        ``T1w`` and templates with resolution, e.g. ``MNI152NLin2009aSym:res-1``.
    pet2anat_method
        Registration of PET to the T1w; other modalities are always registered.
    registration_backend
        Software of the registration to templates.
    skull_strip_t1w
        Extract the brain: where it is not done yet, never, or always.
    denoise_t1w
        Take noise out of the T1w: where there is much of it, always, or never.
    ignore
        What is found in the dataset and not to be used: ``lesions`` are masks of the T1w's.
    frames
        Frames of dynamic PET that are averaged: ``auto`` takes the usual window of the tracer,
        ``all``, or ``START-END`` in minutes after injection.
    hmc
        Correction of motion of the head between frames of dynamic PET; ``auto`` leaves scans alone
        in which it does not move.
    keep_frames
        Write the frames too.
    suvr_region
        Name of one of :data:`~fusionprep.suvr_regions.REFERENCE_REGIONS`, ``auto`` for the usual
        one of each tracer, ``none``, or the path of a mask in the first template's space.
    pvc
        Partial-volume corrections of PET beside the uncorrected, or ``none``.
    psf
        Width of the PET's point spread, as :func:`~fusionprep.point_spreads.parse_fwhm` reads it;
        None takes it from the sidecar or a table of scanners.
    smooth
        FWHM in mm of a Gaussian that PET is smoothed by, in the brain without loss at its edge.
    target_resolution
        FWHM in mm that PET is brought to.
    combine_runs
        Make one scan of the runs of one injection.
    random_seed
        Of everything random.
    sloppy
        Fast and inexact, for trying things out.
    """

    output_spaces: tuple[str, ...] = (NATIVE, f"{PACKAGED_TEMPLATE}:res-1")
    pet2anat_method: Method = "rigid"
    registration_backend: Backend = "greedy"
    skull_strip_t1w: SkullStrip = "auto"
    denoise_t1w: Denoising = "auto"
    ignore: tuple[str, ...] = ()
    frames: str = AUTO_FRAMES
    hmc: MotionCorrection = "auto"
    keep_frames: bool = False
    suvr_region: str = AUTO_REGION
    pvc: tuple[str, ...] = (NO_CORRECTION,)
    psf: str | None = None
    smooth: float | None = None
    target_resolution: float | None = None
    combine_runs: bool = False
    random_seed: int = 0
    sloppy: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ignore:
            check_names("--ignore", self.ignore, choices(Ignored))
        parse_frames(self.frames)
        check_names("--pvc", self.pvc, (NO_CORRECTION, *choices(Correction)))
        if NO_CORRECTION in self.pvc and len(self.pvc) > 1:
            raise UsageError(f"--pvc {NO_CORRECTION} goes with no other")
        self._check_resolution()
        templates = self.templates
        if len(set(templates)) < len(templates):
            raise UsageError("--output-spaces names a space twice")
        if self.own_region and not templates:
            raise UsageError(
                f"--suvr-region {self.suvr_region} is not the name of a region, and a mask needs a"
                " template in --output-spaces"
            )
        of_atlas = self.region is not None and self.region.of_atlas
        if of_atlas and not self.with_atlas:
            raise UsageError(
                f"--suvr-region {self.suvr_region} is from an atlas in {PACKAGED_TEMPLATE}; add it"
                " to --output-spaces"
            )

    def _check_resolution(self) -> None:
        wanted = {"--smooth": self.smooth, "--target-resolution": self.target_resolution}
        given = {name: width for name, width in wanted.items() if width is not None}
        for name, width in given.items():
            check_fwhm(name, width)
        if len(given) > 1:
            raise UsageError(
                "--target-resolution says how smooth PET is in the end: leave out --smooth"
            )
        if self.psf is not None:
            parse_fwhm(self.psf)
            if not self.corrections and not given:
                raise UsageError(f"--psf is for --pvc, {' and '.join(wanted)}; leave it out")

    @property
    def templates(self) -> list[TemplateSpace]:
        """The templates among the output spaces, in order."""
        return template_spaces(self.output_spaces)

    @property
    def with_lesions(self) -> bool:
        """Whether masks of lesions are looked for."""
        return "lesions" not in self.ignore

    @property
    def with_suvr(self) -> bool:
        """Whether there is to be a SUVR."""
        return self.suvr_region != NO_REGION

    @property
    def with_atlas(self) -> bool:
        """Whether the T1w is registered to the template that regions of the atlas are in."""
        return any(template.name == PACKAGED_TEMPLATE for template in self.templates)

    @property
    def region_by_tracer(self) -> bool:
        """Whether each PET has the reference region that is usual for its tracer."""
        return self.suvr_region == AUTO_REGION

    @property
    def own_region(self) -> bool:
        """Whether the reference region is a mask of the user's."""
        return self.with_suvr and not self.region_by_tracer and self.region is None

    @property
    def corrections(self) -> tuple[str, ...]:
        """The partial-volume corrections asked for."""
        return tuple(method for method in self.pvc if method != NO_CORRECTION)

    @property
    def smoothed(self) -> bool:
        """Whether PET is smoothed."""
        return self.smooth is not None or self.target_resolution is not None

    @property
    def region(self) -> ReferenceRegion | None:
        """The reference region of SUVR that was named; None for any other."""
        return find_region(self.suvr_region)
