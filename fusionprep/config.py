"""The configuration of a run: one frozen dataclass, read from and written to TOML."""

import dataclasses
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fusionprep.errors import UsageError
from fusionprep.models.registry import DEFAULT_MODEL

# Reference regions of SUVR: what the option calls them, and the label of the mask's file.
TISSUE_REGIONS = {"whole-brain": "WholeBrain", "gm": "GM", "wm": "WM"}
ATLAS_REGIONS = {"cerebellar-gm": "CerebellarGM", "cerebellum": "Cerebellum", "pons": "Pons"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Every option of a run.

    Attributes
    ----------
    bids_dir, output_dir, work_dir
        Absolute paths of the raw dataset, the derivatives and the Nipype cache.
    participant_label, session_label, tracer_label, rec_label, run_label
        Labels to keep, without prefix; empty keeps all.
    bids_filters
        pybids filters by query (``t1w``, ``pet``, ``ct``, ``flair``, ``t2w``).
    modalities
        Which of ``pet``, ``ct``, ``flair``, ``t2w`` are brought to the T1w.
    output_spaces
        ``T1w`` and templates with resolution, e.g. ``MNI152NLin2009aSym:res-1``.
    fusion_models
        Names in the model registry.
    fusion_weights
        Name of a model to the safetensors file of an own training, in place of packaged weights.
    planes, batch_size
        ``axial`` or ``triplanar``, and how many slices a model holds in memory at once.
    anat_contrast
        What PET and CT are fused with: ``T1w``, or the ``FLAIR`` or ``T2w`` brought to it.
    suvr_region
        One of :data:`TISSUE_REGIONS` or :data:`ATLAS_REGIONS`, ``none``, or the path of a mask in
        the first template's space.
    mem_gb
        Upper bound for Nipype's scheduler; None takes 90% of the machine's memory.
    omp_nthreads
        Threads of one process; nprocs is how many processes run side by side.
    ratings_file
        Ratings of scans by people, for the group level.
    """

    bids_dir: Path
    output_dir: Path
    work_dir: Path
    analysis_level: str = "participant"
    participant_label: tuple[str, ...] = ()
    session_label: tuple[str, ...] = ()
    tracer_label: tuple[str, ...] = ()
    rec_label: tuple[str, ...] = ()
    run_label: tuple[str, ...] = ()
    bids_filters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    bids_database_dir: Path | None = None
    skip_bids_validation: bool = False
    modalities: tuple[str, ...] = ("pet",)
    output_spaces: tuple[str, ...] = ("T1w", "MNI152NLin2009aSym:res-1")
    fusion_models: tuple[str, ...] = (DEFAULT_MODEL,)
    fusion_weights: Mapping[str, Path] = dataclasses.field(default_factory=dict)
    planes: str = "axial"
    batch_size: int = 4
    device: str = "auto"
    pet2anat_method: str = "rigid"
    registration_backend: str = "greedy"
    max_day_gap: int = 365
    anat_session: str | None = None
    skull_strip_t1w: str = "auto"
    anat_contrast: str = "T1w"
    suvr_region: str = "whole-brain"
    nprocs: int = 1
    omp_nthreads: int = 1
    mem_gb: float | None = None
    plugin_file: Path | None = None
    ratings_file: Path | None = None
    stop_on_first_crash: bool = False
    write_graph: bool = False
    resource_monitor: bool = False
    random_seed: int = 0
    sloppy: bool = False
    verbose: int = 0

    def to_toml(self) -> str:
        """The configuration as TOML; unset options are left out."""
        import tomli_w

        values = {
            name: _plain(value)
            for name, value in dataclasses.asdict(self).items()
            if value is not None
        }
        return tomli_w.dumps(values)


def _plain(value: Any) -> Any:
    if value is None:
        # TOML has no null; in a filter it stands for "without this entity"
        return "Query.NONE"
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value


def read_options(path: Path) -> dict[str, Any]:
    """Read options from a TOML file written by :meth:`Config.to_toml`.

    Returns
    -------
    dict
        Field names to values of the fields' types; only those the file holds.

    Raises
    ------
    UsageError
        When the file is missing, is not TOML, or holds an unknown or ill-typed option.
    """
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"cannot read the configuration file {path}: {error}") from error
    hints = typing.get_type_hints(Config)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise UsageError(f"unknown option in {path}: {', '.join(unknown)}")
    return {name: _typed(name, value, hints[name], path) for name, value in values.items()}


def _typed(name: str, value: Any, hint: Any, path: Path) -> Any:
    if isinstance(hint, types.UnionType):
        hint = next(kind for kind in typing.get_args(hint) if kind is not types.NoneType)
    if typing.get_origin(hint) is tuple and isinstance(value, list):
        return tuple(str(item) for item in value)
    if typing.get_origin(hint) is Mapping and isinstance(value, dict):
        kind = typing.get_args(hint)[1]
        return {key: _typed(f"{name}.{key}", item, kind, path) for key, item in value.items()}
    if hint is Any:
        return value
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    expected = typing.get_origin(hint) or hint
    if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
        raise UsageError(f"option {name} in {path} has the wrong type: {value!r}")
    return value
