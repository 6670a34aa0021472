"""Checks of options that need the machine: files that they name, folders to be deleted."""

from pathlib import Path

from fusionprep.bids.earlier import check_folder
from fusionprep.bids.odd_names import unusable
from fusionprep.config import Config
from fusionprep.dicom import require_pydicom
from fusionprep.errors import DataError, NoInputError, UsageError
from fusionprep.models.registry import get_model
from fusionprep.suvr_regions import region_names


def check(config: Config, *, clean_workdir: bool) -> None:
    """Refuse a configuration that this machine cannot run.

    Parameters
    ----------
    clean_workdir
        Whether what is in the work directory is to be deleted.

    Raises
    ------
    UsageError
        Naming the option to change.
    """
    _check_names(config)
    _check_weights(config)
    _check_region(config)
    if config.analysis_level == "participant":
        config.regions.find(config.processing.templates)
        if config.fusion.dicom_reference is not None:
            require_pydicom("--dicom-reference")
        for name, folder in config.selection.derivatives.items():
            check_folder(name, folder)
    if clean_workdir and config.analysis_level == "participant":
        _check_cleaning(config)


def _check_names(config: Config) -> None:
    """Refuse folders whose names cannot be written to files, or that libraries misread."""
    index = config.selection.bids_database_dir
    # to the library that opens an index, its path is part of an address
    for folder, what, misread in (
        (config.bids_dir, "dataset", ""),
        (config.output_dir, "output folder", ""),
        (config.work_dir, "work directory", ""),
        *([(index, "folder for the index", "%?")] if index is not None else []),
    ):
        reasons = [unusable(part) for part in folder.parts[1:]]
        reasons += [f"holds {character!r}" for character in misread if character in str(folder)]
        if reason := next(filter(None, reasons), ""):
            raise UsageError(f"the path of the {what} {reason}: {folder}; rename it")


def _check_weights(config: Config) -> None:
    for name, path in config.fusion.weights.items():
        try:
            get_model(name, path)
        except (NoInputError, DataError) as error:
            raise UsageError(f"--fusion-weights: {error}") from error


def _check_region(config: Config) -> None:
    region = config.processing.suvr_region
    if region not in region_names() and not _is_file(Path(region)):
        raise UsageError(
            f"--suvr-region {region} is not one of {', '.join(region_names())},"
            " and no such file exists"
        )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        # too long for a name, or in a folder that is closed
        return False


def _check_cleaning(config: Config) -> None:
    for folder, name in ((config.bids_dir, "dataset"), (config.output_dir, "output folder")):
        if folder.is_relative_to(config.work_dir):
            raise UsageError(
                f"--clean-workdir would delete the {name} {folder}, which is inside the work"
                f" directory {config.work_dir}; choose another with -w"
            )
