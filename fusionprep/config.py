"""The configuration of a run: frozen groups of options, checked where they are made."""

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, Self

from fusionprep.choices import (
    NO_CORRECTION,
    AnalysisLevel,
    Backend,
    ColourMapName,
    Correction,
    Device,
    Method,
    Planes,
    SkullStrip,
    choices,
)
from fusionprep.config_checks import (
    Checked,
    check_among,
    check_filter_values,
    check_labels,
    check_memory,
    check_names,
)
from fusionprep.config_regions import Regions
from fusionprep.errors import UsageError
from fusionprep.frame_windows import AUTO_FRAMES, parse_frames
from fusionprep.modalities import CONTRASTS, MOVED, PET, T1W, Modality, get_modality
from fusionprep.models.registry import DEFAULT_MODEL, get_model, model_names
from fusionprep.point_spreads import parse_fwhm
from fusionprep.spaces import NATIVE, PACKAGED_TEMPLATE, TemplateSpace, template_spaces
from fusionprep.suvr_regions import AUTO_REGION, NO_REGION, ReferenceRegion, find_region


@dataclasses.dataclass(frozen=True, kw_only=True)
class Selection(Checked):
    """Which images are processed.

    Attributes
    ----------
    participant_label, session_label, tracer_label, rec_label, run_label
        Labels to keep, without prefix; empty keeps all. Session labels restrict all but the T1w.
    bids_filters
        pybids filters by the name of a modality.
    bids_database_dir
        Where the index of the dataset is kept; None keeps none.
    skip_bids_validation
        Accept a dataset whose description is not that of BIDS.
    modalities
        Names of what is brought to the T1w.
    max_day_gap
        Days that may lie between an image and its T1w, of whichever session.
    anat_session
        Session whose T1w is taken; None lets the nearest one decide.
    """

    participant_label: tuple[str, ...] = ()
    session_label: tuple[str, ...] = ()
    tracer_label: tuple[str, ...] = ()
    rec_label: tuple[str, ...] = ()
    run_label: tuple[str, ...] = ()
    bids_filters: Mapping[str, Any] = field(default_factory=dict)
    bids_database_dir: Path | None = None
    skip_bids_validation: bool = False
    modalities: tuple[str, ...] = (PET.name,)
    max_day_gap: int = 365
    anat_session: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names("modalities", self.modalities, [modality.name for modality in MOVED])
        check_filter_values(self.bids_filters)
        if self.anat_session is not None:
            check_labels("anat_session", (self.anat_session,))

    @property
    def moved(self) -> tuple[Modality, ...]:
        """The modalities that are brought to the T1w."""
        return tuple(get_modality(name) for name in self.modalities)


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
    frames
        Frames of dynamic PET that are averaged: ``auto`` takes the usual window of the tracer,
        ``all``, or ``START-END`` in minutes after injection.
    suvr_region
        Name of one of :data:`~fusionprep.suvr_regions.REFERENCE_REGIONS`, ``auto`` for the usual
        one of each tracer, ``none``, or the path of a mask in the first template's space.
    pvc
        Partial-volume corrections of PET beside the uncorrected, or ``none``.
    psf
        Width of the PET's point spread, as :func:`~fusionprep.point_spreads.parse_fwhm` reads it;
        None takes it from the sidecar or a table of scanners.
    random_seed
        Of everything random.
    sloppy
        Fast and inexact, for trying things out.
    """

    output_spaces: tuple[str, ...] = (NATIVE, f"{PACKAGED_TEMPLATE}:res-1")
    pet2anat_method: Method = "rigid"
    registration_backend: Backend = "greedy"
    skull_strip_t1w: SkullStrip = "auto"
    frames: str = AUTO_FRAMES
    suvr_region: str = AUTO_REGION
    pvc: tuple[str, ...] = (NO_CORRECTION,)
    psf: str | None = None
    random_seed: int = 0
    sloppy: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_frames(self.frames)
        check_names("--pvc", self.pvc, (NO_CORRECTION, *choices(Correction)))
        if NO_CORRECTION in self.pvc and len(self.pvc) > 1:
            raise UsageError(f"--pvc {NO_CORRECTION} goes with no other")
        if self.psf is not None:
            parse_fwhm(self.psf)
            if not self.corrections:
                raise UsageError("--psf is for --pvc; leave it out, or add a correction")
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

    @property
    def templates(self) -> list[TemplateSpace]:
        """The templates among the output spaces, in order."""
        return template_spaces(self.output_spaces)

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
    def region(self) -> ReferenceRegion | None:
        """The reference region of SUVR that was named; None for any other."""
        return find_region(self.suvr_region)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fusion(Checked):
    """What is fused by which models, and how.

    Attributes
    ----------
    models
        Names in the model registry.
    weights
        Name of a model to a safetensors file that takes the place of its packaged weights.
    anat_contrast
        What PET and CT are fused with: ``T1w``, or the ``FLAIR`` or ``T2w`` brought to it.
    planes
        Orientations that are fused.
    colour_map
        Colours of fused PET: :data:`fusionprep.image.colour.COLOUR_MAPS`.
    batch_size
        How many slices a model holds in memory at once; None takes 4 on a CPU and on a GPU what
        its memory has room for.
    device
        Where fusion models and the network of the brain mask run; ``auto`` takes a GPU where there
        is one.
    """

    models: tuple[str, ...] = (DEFAULT_MODEL,)
    weights: Mapping[str, Path] = field(default_factory=dict)
    anat_contrast: str = T1W.label
    planes: Planes = "axial"
    colour_map: ColourMapName = "clear"
    batch_size: int | None = None
    device: Device = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names("models", self.models, model_names())
        check_among("anat_contrast", (self.anat_contrast,), [m.label for m in CONTRASTS])
        for name, path in self.weights.items():
            if name not in self.models:
                raise UsageError(
                    f"--fusion-weights {name}={path} does not belong to a model of"
                    f" --fusion-model ({', '.join(self.models)})"
                )

    @property
    def contrast(self) -> Modality:
        """The anatomical image that is fused."""
        return get_modality(self.anat_contrast)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Execution(Checked):
    """How the run uses the machine, and what it reports; no result depends on it.

    Attributes
    ----------
    nprocs, omp_nthreads
        How many processes run side by side, and threads of each.
    mem_gb
        Memory that all processes together may take, and that an image must fit into; None where
        that is not known, so that nothing is refused for its size.
    plugin_file
        YAML with a Nipype plugin and its arguments; None runs on this machine.
    plugin
        What that file held: it may have been a pipe, which can be read only once.
    stop_on_first_crash
        End at the first failure instead of finishing what does not depend on it.
    write_graph, resource_monitor
        Draw the workflow; record what each step uses.
    verbose
        0, 1 or 2: how much is said.
    """

    nprocs: int = 1
    omp_nthreads: int = 1
    mem_gb: float | None = None
    plugin_file: Path | None = None
    plugin: Mapping[str, Any] = field(default_factory=dict)
    stop_on_first_crash: bool = False
    write_graph: bool = False
    resource_monitor: bool = False
    verbose: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mem_gb is not None:
            check_memory(self.mem_gb)
        if self.verbose < 0:
            raise UsageError(f"verbose must be at least 0, not {self.verbose}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Checked):
    """Every option of a run.

    Attributes
    ----------
    bids_dir, output_dir, work_dir
        Absolute paths of the raw dataset, the derivatives and the Nipype cache.
    analysis_level
        Process participants, or gather their outputs.
    ratings_file
        Ratings of scans by people, for the group level.
    selection, processing, regions, fusion, execution
        Groups of options.
    """

    bids_dir: Path
    output_dir: Path
    work_dir: Path
    analysis_level: AnalysisLevel = "participant"
    ratings_file: Path | None = None
    selection: Selection = field(default_factory=Selection)
    processing: Processing = field(default_factory=Processing)
    regions: Regions = field(default_factory=Regions)
    fusion: Fusion = field(default_factory=Fusion)
    execution: Execution = field(default_factory=Execution)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.analysis_level == "group":
            # reads only the output folder, which may be given as the dataset too
            return
        if self.ratings_file is not None:
            raise UsageError("--ratings is for the group level; leave it out")
        self._check_models()
        self._check_folders()

    def _check_models(self) -> None:
        moved, contrast = self.selection.moved, self.fusion.contrast
        for name in self.fusion.models:
            if not get_model(name).takes_image and not any(m.tracer for m in moved):
                raise UsageError(
                    f"--fusion-model {name} fuses {PET.label} only; add {PET.name} to"
                    " --modalities, or leave it out"
                )
        if contrast in MOVED and contrast not in moved:
            raise UsageError(
                f"--anat-contrast {contrast.label} needs {contrast.name} among --modalities"
            )

    def _check_folders(self) -> None:
        bids_dir, output_dir = self.bids_dir, self.output_dir
        if bids_dir == output_dir:
            raise UsageError("the output folder is the dataset itself; choose another")
        derivatives = bids_dir / "derivatives"
        if output_dir.is_relative_to(bids_dir) and not output_dir.is_relative_to(derivatives):
            raise UsageError(
                f"the output folder {output_dir} is inside the dataset; choose one outside,"
                f" or below {derivatives}"
            )
        for folder, name in ((bids_dir, "dataset"), (output_dir, "output folder")):
            if self.work_dir.is_relative_to(folder):
                raise UsageError(
                    f"the work directory {self.work_dir} is inside the {name}; choose another"
                    " with -w"
                )

    @classmethod
    def from_options(cls, **options: Any) -> Self:
        """Make a configuration from options by name, whichever their group.

        The FLAIR or T2w that PET and CT are to be fused with joins the modalities.

        Raises
        ------
        UsageError
            When an option is unknown or cannot have its value.

        Examples
        --------
        >>> here = Path("/data")
        >>> config = Config.from_options(
        ...     bids_dir=here / "raw", output_dir=here / "out", work_dir=here / "work",
        ...     anat_contrast="FLAIR", batch_size=16)
        >>> config.selection.modalities, config.fusion.batch_size
        (('pet', 'flair'), 16)
        """
        contrast = str(options.get("anat_contrast", T1W.label)).lower()
        modalities = tuple(options.get("modalities", Selection.modalities))
        if contrast in [modality.name for modality in MOVED] and contrast not in modalities:
            options["modalities"] = (*modalities, contrast)
        if unknown := sorted(set(options) - set(option_hints())):
            raise UsageError(f"unknown option: {', '.join(unknown)}")
        groups = {
            name: group(**{key: options.pop(key) for key in _fields(group) if key in options})
            for name, group in GROUPS.items()
        }
        return cls(**groups, **options)

    def options(self) -> dict[str, Any]:
        """Every option by name, whichever its group."""
        own = {name: getattr(self, name) for name in _fields(Config) if name not in GROUPS}
        for name in GROUPS:
            group = getattr(self, name)
            own |= {key: getattr(group, key) for key in _fields(type(group))}
        return own

    def with_options(self, **changes: Any) -> Self:
        """The configuration with other values of some options."""
        return self.from_options(**{**self.options(), **changes})


GROUPS: Mapping[str, type] = {
    "selection": Selection,
    "processing": Processing,
    "regions": Regions,
    "fusion": Fusion,
    "execution": Execution,
}


def _fields(group: type) -> list[str]:
    return [item.name for item in dataclasses.fields(group)]


def option_hints() -> dict[str, Any]:
    """The type of every option by name, whichever its group."""
    hints = {k: v for k, v in typing.get_type_hints(Config).items() if k not in GROUPS}
    for group in GROUPS.values():
        hints |= typing.get_type_hints(group)
    return hints
