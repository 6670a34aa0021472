"""What options may be: choices, and values that only show to be wrong when looked at together."""

from collections.abc import Mapping
from pathlib import Path

from fusionprep.config import ATLAS_REGIONS, TISSUE_REGIONS, Config
from fusionprep.errors import DataError, NoInputError, UsageError
from fusionprep.models.registry import get_model, model_names

# A configuration file does not pass through argparse, so that both look up the choices here.
CHOICES = {
    "modalities": ("pet", "ct", "flair", "t2w"),
    "anat_contrast": ("T1w", "FLAIR", "T2w"),
    "pet2anat_method": ("rigid", "identity", "auto"),
    "registration_backend": ("greedy", "ants"),
    "skull_strip_t1w": ("auto", "skip", "force"),
    "fusion_models": model_names(),
    "planes": ("axial", "triplanar"),
    "device": ("auto", "cpu", "cuda"),
}
SMALLEST = {"max_day_gap": 0, "batch_size": 1, "random_seed": 0, "nprocs": 1, "omp_nthreads": 1}
SUVR_REGIONS = (*TISSUE_REGIONS, *ATLAS_REGIONS, "none")


def check(config: Config, *, clean_workdir: bool) -> None:
    """Refuse a configuration that cannot be run.

    Parameters
    ----------
    clean_workdir
        Whether what is in the work directory is to be deleted.

    Raises
    ------
    UsageError
        Naming the option to change.
    """
    _check_values(config)
    _check_models(config)
    _check_weights(config)
    _check_spaces(config)
    _check_folders(config, clean_workdir)


def _check_values(config: Config) -> None:
    if config.ratings_file is not None and config.analysis_level != "group":
        raise UsageError("--ratings is for the group level; leave it out")
    for name, allowed in CHOICES.items():
        value = getattr(config, name)
        values = value if isinstance(value, tuple) else (value,)
        for item in values:
            if item not in allowed:
                raise UsageError(f"{name} cannot be {item!r}; choose from {', '.join(allowed)}")
        if not values or len(set(values)) < len(values):
            raise UsageError(f"{name} must name one or more, each once: {', '.join(values)}")
    for name, smallest in SMALLEST.items():
        if getattr(config, name) < smallest:
            raise UsageError(f"{name} must be at least {smallest}, not {getattr(config, name)}")
    if config.mem_gb is not None and not config.mem_gb > 0:
        raise UsageError(f"mem_gb must be above 0, not {config.mem_gb}")
    if not all(isinstance(entities, Mapping) for entities in config.bids_filters.values()):
        raise UsageError('a BIDS filter must be an object of objects, e.g. {"pet": {"run": 1}}')


def _check_models(config: Config) -> None:
    for name in config.fusion_models:
        if "pet" not in config.modalities and not get_model(name).fuses("ct"):
            raise UsageError(
                f"--fusion-model {name} fuses PET alone; add pet to --modalities, or leave it out"
            )


def _check_weights(config: Config) -> None:
    for name, path in config.fusion_weights.items():
        if name not in config.fusion_models:
            raise UsageError(
                f"--fusion-weights {name}={path} is for no model of --fusion-model"
                f" ({', '.join(config.fusion_models)})"
            )
        try:
            get_model(name, path)
        except (NoInputError, DataError) as error:
            raise UsageError(f"--fusion-weights: {error}") from error


def _check_spaces(config: Config) -> None:
    from fusionprep.image.template import PACKAGED_TEMPLATE, TemplateSpace

    templates = [TemplateSpace.parse(space) for space in config.output_spaces if space != "T1w"]
    if len(set(templates)) < len(templates):
        raise UsageError("--output-spaces names a space twice")
    if config.suvr_region in ATLAS_REGIONS and all(t.name != PACKAGED_TEMPLATE for t in templates):
        raise UsageError(
            f"--suvr-region {config.suvr_region} is of an atlas in {PACKAGED_TEMPLATE}; add it to"
            " --output-spaces"
        )
    if config.suvr_region not in SUVR_REGIONS:
        if not Path(config.suvr_region).is_file():
            raise UsageError(
                f"--suvr-region {config.suvr_region} is none of {', '.join(SUVR_REGIONS)},"
                " and no such file exists"
            )
        if not templates:
            raise UsageError("--suvr-region with a mask needs a template in --output-spaces")


def _check_folders(config: Config, clean_workdir: bool) -> None:
    if config.analysis_level == "group":
        # reads the output folder alone, which may be given as the dataset too
        return
    if config.bids_dir == config.output_dir:
        raise UsageError("the output folder is the dataset itself; choose another")
    if config.output_dir.is_relative_to(config.bids_dir) and not config.output_dir.is_relative_to(
        config.bids_dir / "derivatives"
    ):
        raise UsageError(
            f"the output folder {config.output_dir} is inside the dataset; choose one outside,"
            f" or below {config.bids_dir / 'derivatives'}"
        )
    for folder, name in ((config.bids_dir, "dataset"), (config.output_dir, "output folder")):
        if config.work_dir.is_relative_to(folder):
            raise UsageError(
                f"the work directory {config.work_dir} is inside the {name}; choose another with -w"
            )
        if clean_workdir and folder.is_relative_to(config.work_dir):
            raise UsageError(
                f"--clean-workdir would delete the {name} {folder}, which is inside the work"
                f" directory {config.work_dir}; choose another with -w"
            )
