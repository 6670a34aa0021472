"""The configuration of a run: frozen groups of options, checked where they are made."""

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, Self

from fusionprep.choices import (
    AnalysisLevel,
    ColourMapName,
    Device,
    Planes,
)
from fusionprep.config_checks import (
    Checked,
    check_among,
    check_dataset_names,
    check_filter_values,
    check_labels,
    check_memory,
    check_names,
)
from fusionprep.config_processing import Processing
from fusionprep.config_regions import Regions
from fusionprep.errors import UsageError
from fusionprep.modalities import CONTRASTS, MOVED, PET, T1W, Modality, get_modality
from fusionprep.models.registry import DEFAULT_MODEL, get_model, model_names


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
    derivatives
        Folders of what was made of the dataset before, by names that sidecars call them by.
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
    derivatives: Mapping[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names("modalities", self.modalities, [modality.name for modality in MOVED])
        check_filter_values(self.bids_filters)
        check_dataset_names(self.derivatives)
        if self.anat_session is not None:
            check_labels("anat_session", (self.anat_session,))

    @property
    def moved(self) -> tuple[Modality, ...]:
        """The modalities that are brought to the T1w."""
        return tuple(get_modality(name) for name in self.modalities)


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
    dicom_reference
        Path of the DICOM series of a T1w, with ``{subject}`` and ``{session}`` for its labels, that
        fused images are written on as DICOM; None writes none.
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
    dicom_reference: str | None = None
    batch_size: int | None = None
    device: Device = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dicom_reference is not None and "{subject}" not in self.dicom_reference:
            raise UsageError(
                f"--dicom-reference {self.dicom_reference} names one series for all subjects: put"
                " {subject}, and {session} where there are sessions, in the place of the labels"
            )
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
        for name, folder in self.selection.derivatives.items():
            if folder == output_dir:
                raise UsageError(
                    f"--derivatives {name}={folder} is the output folder; write to another"
                )
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
