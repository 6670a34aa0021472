"""Two images, one of MRI and one of PET or CT, as a dataset of one subject."""

from pathlib import Path

from fusionprep.conversion.dataset import Origin, Scan, plain_label
from fusionprep.conversion.dicom_files import find_series
from fusionprep.conversion.dicom_scan import scan_of_series
from fusionprep.conversion.known_fields import kept_fields, private_words
from fusionprep.conversion.pet_fields import (
    TIMES,
    PETGiven,
    complete,
    times_from_injection,
    told_unknown,
)
from fusionprep.conversion.requests import Outcome, Target
from fusionprep.conversion.sources import Source, read_source
from fusionprep.errors import UsageError
from fusionprep.modalities import PET, T1W, Modality

ORIGIN = Origin(
    "pair",
    "Each subject was made of two images, NIfTI files or DICOM series, whose voxels and positions"
    " are as they were.",
)


def convert_pair(
    anatomical: Path, functional: Path, target: Target, given: PETGiven, modality: Modality = PET
) -> Outcome:
    """Write two images as a subject of a BIDS dataset.

    Parameters
    ----------
    anatomical
        T1-weighted MRI: a NIfTI file, or a folder with a DICOM series.
    functional
        PET or CT; neither need lie on the grid of the other.
    given
        What is known of a PET, which comes before what its own sidecar or headers say.
    modality
        Of the second image.

    Raises
    ------
    DataError, NoInputError, UsageError, OutputError
        When a file cannot be read, an option cannot be, or nothing can be written.
    """
    if not modality.tracer and given != PETGiven():
        raise UsageError(f"options of a PET were given, but the second image is {modality.label}")
    t1w, notes = _scan(anatomical, T1W, PETGiven())
    other, more = _scan(functional, modality, given)
    return target.add((t1w, other), ORIGIN, [*notes, *more])


def _scan(path: Path, modality: Modality, given: PETGiven) -> tuple[Scan, list[str]]:
    if not path.is_dir():
        return scan_of_file(read_source(path), modality, given)
    series, _ = find_series(path)
    if len(series) > 1:
        listed = "; ".join(one.label for one in series)
        raise UsageError(f"{path} holds {len(series)} series, not one: {listed}")
    return scan_of_series(series[0], modality, given)


def scan_of_file(source: Source, modality: Modality, given: PETGiven) -> tuple[Scan, list[str]]:
    """The scan of a NIfTI file, and what is to be said of it.

    Raises
    ------
    DataError, UsageError
        When the times of a PET cannot be, or its tracer is not known.
    """
    private = private_words(source.metadata)
    fields, dropped = kept_fields(source.metadata, modality, private)
    name = source.path.name
    notes = [f"not copied from the sidecar of {name}: {', '.join(dropped)}"] * bool(dropped)
    if not modality.tracer:
        return Scan(modality, source.image, {"Modality": modality.dicom} | fields), notes
    tracer = plain_label(given.tracer or str(fields.get("TracerName") or ""))
    if not tracer:
        raise UsageError(f"the tracer of {source.path} is not known; give it with --tracer")
    n_frames = source.image.n_frames
    own = {name: value for name, value in fields.items() if name not in TIMES}
    own |= times_from_injection(fields, n_frames, source.path)
    sidecar, unknown = complete(own, given, n_frames, source.path)
    return Scan(modality, source.image, sidecar, {"trc": tracer}), [*notes, *told_unknown(unknown)]
