"""Image and sidecar of a DICOM series."""

from fusionprep.conversion.dataset import Scan, plain_label
from fusionprep.conversion.dcm2niix import convert_files
from fusionprep.conversion.dicom_files import Series, missing_slices
from fusionprep.conversion.dicom_pet import pet_fields, tracer_name
from fusionprep.conversion.known_fields import kept_fields, private_words
from fusionprep.conversion.pet_fields import TIMES, PETGiven, complete, told_unknown, tracer_fields
from fusionprep.errors import DataError, UsageError
from fusionprep.modalities import Modality
from fusionprep.tracers import find_tracer

_FROM_HEADERS = (*TIMES, "Injected", "Tracer", "DecayCorrection", "AttenuationCorrection")
"""Beginnings of fields that are told by :mod:`fusionprep.conversion.dicom_pet` or not at all."""


def check_slices(series: Series) -> None:
    """Refuse a series of which files are missing.

    Raises
    ------
    DataError
    """
    if problem := missing_slices(series):
        raise DataError(f"series {series.label}: {problem}; export it again")


def scan_of_series(series: Series, modality: Modality, given: PETGiven) -> tuple[Scan, list[str]]:
    """The scan of a series, and what is to be said of it.

    Parameters
    ----------
    modality
        What the series shows.
    given
        What a user knows of a PET, which comes before what headers say.

    Raises
    ------
    DataError, UsageError
        When files are missing, dcm2niix makes no image of them, or nothing names the tracer.
    """
    check_slices(series)
    source = convert_files(series.files, f"series {series.label}")
    fields, _ = kept_fields(source.metadata, modality, private_words(series.first))
    if not modality.tracer:
        units = {"Units": modality.units} if modality.units else {}
        return Scan(modality, source.image, {**fields, **units}), []
    told, notes = pet_fields(series.headers)
    count, n_frames = len(told.get("FrameTimesStart", ())), source.image.n_frames
    if count and count != n_frames:
        notes.append(
            f"not copied: the times, which the headers have of {count} frames and the image has"
            f" {n_frames}"
        )
        told = {name: value for name, value in told.items() if name not in TIMES}
    name = given.tracer or tracer_name(series.first)
    if name is None:
        raise UsageError(f"the headers of series {series.label} name no tracer; give --tracer")
    # dcm2niix knows how manufacturers write filters and methods of reconstruction
    made = {name: value for name, value in fields.items() if name.startswith("Recon")}
    kept = {name: value for name, value in fields.items() if not name.startswith(_FROM_HEADERS)}
    own = {**tracer_fields(name), **kept, **told, **made}
    sidecar, unknown = complete(own, given, n_frames, series.files[0].parent)
    label = plain_label(given.tracer) if given.tracer else _tracer_label(name)
    return (
        Scan(modality, source.image, sidecar, {"trc": label}),
        [*notes, *told_unknown(unknown)],
    )


def _tracer_label(name: str) -> str:
    """E.g. ``18FFDG`` for ``Fluorodeoxyglucose``, so that everybody's files have one label."""
    known = find_tracer(name)
    return plain_label(known.name if known else name)
