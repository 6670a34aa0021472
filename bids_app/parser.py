"""The options of fusionapp. Nothing here imports image code, so that --help is quick."""

import argparse
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from bids_app.anat_options import add_anat_options
from bids_app.checks import check
from bids_app.derivative_options import add_derivative_options, completed_derivatives
from bids_app.filter_file import read_filters
from bids_app.motion_options import add_motion_options
from bids_app.pet_options import add_pet_options, complete_region
from bids_app.plugins.plugin_file import check_plugin_settings, read_plugin_file
from bids_app.region_options import add_region_options, completed_regions
from bids_app.resolution_options import add_resolution_options
from fusionprep import __version__
from fusionprep.arguments import NamedPaths, Parser, memory, path, whole_number
from fusionprep.choices import (
    AnalysisLevel,
    Backend,
    ColourMapName,
    Device,
    Ignored,
    Method,
    Planes,
    choices,
)
from fusionprep.config import Config
from fusionprep.config_checks import LIMITS
from fusionprep.config_file import read_options
from fusionprep.errors import AnalysisLevelError, UsageError
from fusionprep.given import shown
from fusionprep.machine import cpus, planned_memory_gb
from fusionprep.modalities import APP_MODALITIES, CONTRASTS, MOVED
from fusionprep.models.registry import DEFAULT_MODEL, model_names

EPILOG = """
fusionapp demo OUT writes a small synthetic dataset to try all this on.
Fusion models: {models}.
Exit codes: 0 success, 1 failure, 16 not a BIDS dataset, 17 unknown analysis level, 18 nothing
selected, 64 usage, 65 bad data, 66 no input, 73 cannot create output, 74 input/output error,
128 and its number for a signal.
"""
ACTIONS = ("clean_workdir", "trust_workdir", "reports_only", "boilerplate_only", "dry_run")
DESCRIPTOR = Path(__file__).parent / "platforms" / "boutiques.json"


class _PrintDescriptor(argparse.Action):
    """Asked for without positional arguments, by the BIDS Apps execution specification."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        print(DESCRIPTOR.read_text(encoding="utf-8"), end="")
        parser.exit()


def build_parser() -> Parser:
    """Declare every option; defaults are those of :class:`~fusionprep.config.Config`."""
    parser = Parser(
        prog="fusionapp",
        description="Preprocess brain PET, MRI and CT of a BIDS dataset and fuse them.",
        epilog=EPILOG.format(models=", ".join(model_names())),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("bids_dir", type=path, help="raw BIDS dataset")
    parser.add_argument("output_dir", type=path, help="where the derivatives go")
    # not by choices, which would end with the exit code for any other wrong use
    levels = choices(AnalysisLevel)
    parser.add_argument("analysis_level", help=" or ".join(levels))
    parser.add_argument("--version", action="version", version=f"fusionapp {__version__}")
    parser.add_argument(
        "--bids-exec-spec", action=_PrintDescriptor, nargs=0, help="show the Boutiques descriptor"
    )
    parser.add_argument("-v", "--verbose", action="count", help="say more; twice says everything")
    _add_selection(parser.add_argument_group("which images"))
    _add_processing(parser.add_argument_group("processing"))
    add_region_options(parser.add_argument_group("regions"))
    _add_fusion(parser.add_argument_group("fusion"))
    _add_performance(parser.add_argument_group("performance"))
    _add_running(parser.add_argument_group("running"))
    return parser


def _add_selection(group: argparse._ArgumentGroup) -> None:
    for name, what in (
        ("participant", "subjects"),
        ("session", "sessions"),
        ("tracer", "PET tracers; where a PET names none, the one label given is its tracer"),
        ("rec", "PET reconstructions"),
        ("run", "PET runs"),
    ):
        group.add_argument(
            f"--{name}-label",
            f"--{name}_label",
            dest=f"{name}_label",
            nargs="+",
            metavar="LABEL",
            help=f"{what}, with or without prefix",
        )
    group.add_argument(
        "--bids-filter-file",
        type=path,
        metavar="FILE",
        help=f"JSON of pybids filters for {_listed(modality.name for modality in APP_MODALITIES)}",
    )
    group.add_argument(
        "--bids-database-dir",
        type=path,
        metavar="DIR",
        help="keep the index of a large dataset here; delete it when files are added",
    )
    group.add_argument(
        "--skip-bids-validation",
        action="store_true",
        help="do not run the BIDS validator, and accept a bad dataset_description.json",
    )
    group.add_argument(
        "--modalities",
        nargs="+",
        choices=[modality.name for modality in MOVED],
        help="what to bring to the T1w (default: pet)",
    )
    group.add_argument(
        "--max-day-gap",
        type=whole_number(*LIMITS["max_day_gap"]),
        metavar="DAYS",
        help="largest gap between a PET and its T1w, of whichever session (default: 365)",
    )
    group.add_argument("--anat-session", metavar="LABEL", help="take the T1w from this session")
    group.add_argument(
        "--ignore",
        nargs="+",
        choices=choices(Ignored),
        help="do not use what the dataset has: lesions, masks of them beside the T1w or in"
        " derivatives",
    )
    add_derivative_options(group)


def _add_processing(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--output-spaces",
        nargs="+",
        metavar="SPACE",
        help="T1w (always written) and templates: MNI152NLin2009aSym[:res-1|2], or any of"
        " TemplateFlow whose files are on this machine"
        " (default: T1w MNI152NLin2009aSym:res-1)",
    )
    group.add_argument(
        "--pet2anat-method",
        choices=choices(Method),
        help="PET only: identity trusts the header, auto keeps it when as good (default: rigid)",
    )
    group.add_argument(
        "--registration-backend",
        choices=choices(Backend),
        help="non-linear registration to the template (default: greedy)",
    )
    add_anat_options(group)
    add_pet_options(group)
    add_motion_options(group)
    add_resolution_options(group)
    group.add_argument(
        "--random-seed",
        type=whole_number(*LIMITS["random_seed"]),
        metavar="N",
        help=f"seed of everything random, up to {LIMITS['random_seed'][1]} (default: 0)",
    )
    group.add_argument(
        "--sloppy", action="store_true", help="fast and inexact, for trying things out"
    )


def _add_fusion(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--fusion-model",
        dest="models",
        nargs="+",
        choices=model_names(),
        metavar="NAME",
        help=f"one or more of those listed below (default: {DEFAULT_MODEL})",
    )
    group.add_argument(
        "--anat-contrast",
        choices=[contrast.label for contrast in CONTRASTS],
        help="what PET and CT are fused with: the T1w, or the FLAIR or T2w brought to it"
        " (default: T1w)",
    )
    group.add_argument(
        "--fusion-weights",
        dest="weights",
        action=NamedPaths,
        metavar="NAME=FILE",
        help="safetensors file of your own training of a model, in place of the packaged weights"
        " (repeatable)",
    )
    group.add_argument(
        "--planes",
        choices=choices(Planes),
        help="axial slices, or the mean of all three orientations, without flicker between"
        " slices (default: axial)",
    )
    group.add_argument(
        "--colour-map",
        choices=choices(ColourMapName),
        help="colours of fused PET: clear, in which both images are read best, or vivid"
        " (default: clear)",
    )
    group.add_argument(
        "--dicom-reference",
        metavar="SERIES",
        help="also write fused images as DICOM, on the grid and under the study of each T1w's"
        " series; the path of its folder, with {subject} and {session} for the labels",
    )
    group.add_argument(
        "--batch-size",
        type=whole_number(*LIMITS["batch_size"]),
        metavar="N",
        help="slices in memory at once (default: 4 on a CPU, what fits on a GPU)",
    )
    group.add_argument(
        "--device",
        choices=choices(Device),
        help="auto takes a GPU when there is one; in a container it must be exposed"
        " (docker run --gpus all, apptainer run --nv) (default: auto)",
    )


def _add_performance(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--nprocs",
        type=whole_number(*LIMITS["nprocs"]),
        metavar="N",
        help="processes side by side (default: the CPUs that this process may use)",
    )
    group.add_argument(
        "--omp-nthreads",
        type=whole_number(*LIMITS["omp_nthreads"]),
        metavar="N",
        help="threads of each (default: 1)",
    )
    group.add_argument(
        "--mem",
        dest="mem_gb",
        type=memory,
        metavar="GB",
        help="memory to plan with, e.g. 8 or 8000M (default: 90%% of what this process may use)",
    )
    group.add_argument(
        "--use-plugin",
        dest="plugin_file",
        type=path,
        metavar="FILE",
        help="YAML with a Nipype plugin and its plugin_args, e.g. for SLURM",
    )


def _add_running(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "-w",
        "--work-dir",
        type=path,
        metavar="DIR",
        help="intermediate results, kept to resume from (default: ./work)",
    )
    for flag, text in (
        ("--clean-workdir", "delete the earlier results in the work directory first"),
        ("--trust-workdir", "use a work directory that belongs to somebody else"),
        ("--stop-on-first-crash", "end the run at the first failure"),
        ("--reports-only", "write the reports again from the derivatives"),
        ("--boilerplate-only", "write the methods text, process nothing"),
        ("--dry-run", "say who would be processed, with what, and why others are not"),
        ("--write-graph", "draw the workflow into logs/"),
        ("--resource-monitor", "record memory and CPU use of each step"),
    ):
        group.add_argument(flag, action="store_true", help=text)
    group.add_argument(
        "--ratings",
        dest="ratings_file",
        type=path,
        metavar="FILE",
        help="group level only: ratings.tsv, downloaded from an earlier group report; scans rated"
        " fail are left out of its distributions, means and comparisons",
    )
    group.add_argument(
        "--config-file",
        type=path,
        metavar="FILE",
        help="options from the TOML file of an earlier run; the command line takes precedence",
    )


def parse(argv: Sequence[str]) -> tuple[Config, argparse.Namespace]:
    """Read the command line and the configuration file it may name.

    Returns
    -------
    config
        Everything that decides the results.
    actions
        ``clean_workdir``, ``trust_workdir``, ``reports_only``, ``boilerplate_only``, ``dry_run``;
        ``own_workdir``, whether the work directory was named.

    Raises
    ------
    UsageError
        For values that turn out to be wrong only in combination.
    AnalysisLevelError
        For another level of analysis than those there are.
    SystemExit
        With 64 for what argparse itself refuses.
    """
    given = vars(build_parser().parse_args(argv))
    if given["analysis_level"] not in choices(AnalysisLevel):
        raise AnalysisLevelError(
            f"unknown analysis level {shown(given['analysis_level'])}; choose from"
            f" {', '.join(choices(AnalysisLevel))}"
        )
    actions = argparse.Namespace(**{name: given.pop(name, False) for name in ACTIONS})
    file = given.pop("config_file", None)
    options = {} if file is None else read_options(file)
    options |= _read_files(given, options)
    options |= {
        name: tuple(value) if isinstance(value, list) else value for name, value in given.items()
    }
    actions.own_workdir = "work_dir" in options
    try:
        config = Config.from_options(**_completed(options))
    except UsageError as error:
        raise error if file is None else UsageError(f"{error} (see also {file})") from error
    check(config, clean_workdir=actions.clean_workdir)
    return config, actions


def _read_files(given: dict[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """What the files hold that the command line, or a configuration file, names.

    Takes the option of a file whose name need not be kept from `given`.
    """
    read: dict[str, Any] = {}
    if "bids_filter_file" in given:
        read["bids_filters"] = read_filters(given.pop("bids_filter_file"))
    plugin_file = given.get("plugin_file")
    if plugin_file is None and "plugin" not in options:
        # an earlier version kept the name alone
        plugin_file = options.get("plugin_file")
    if plugin_file is not None:
        read["plugin"] = read_plugin_file(plugin_file)
    elif options.get("plugin"):
        read["plugin"] = check_plugin_settings("plugin in the configuration", options["plugin"])
    return read


def _completed(options: dict[str, Any]) -> dict[str, Any]:
    """Options as the configuration has them: plain labels, absolute paths, what is not given."""
    for name, prefix in (
        ("participant_label", "sub-"),
        ("session_label", "ses-"),
        ("tracer_label", "trc-"),
        ("rec_label", "rec-"),
        ("run_label", "run-"),
    ):
        options[name] = tuple(label.removeprefix(prefix) for label in options.get(name, ()))
    if options.get("anat_session"):
        options["anat_session"] = options["anat_session"].removeprefix("ses-")
    options.setdefault("work_dir", Path("work"))
    options.setdefault("nprocs", cpus())
    options.setdefault("mem_gb", planned_memory_gb())
    for name in ("bids_dir", "output_dir", "work_dir", "bids_database_dir"):
        if options.get(name) is not None:
            # pathlib's raises where a link leads to itself
            options[name] = Path(os.path.realpath(options[name]))
    for name in ("plugin_file", "ratings_file"):
        if options.get(name) is not None:
            # what a shell's <(…) is a link to cannot be opened by that name
            options[name] = options[name].absolute()
    if options.get("dicom_reference"):
        options["dicom_reference"] = str(Path(options["dicom_reference"]).absolute())
    weights = options.get("weights", {})
    options["weights"] = {name: Path(os.path.realpath(file)) for name, file in weights.items()}
    completed_derivatives(options)
    completed_regions(options)
    complete_region(options)
    return options


def _listed(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}"
