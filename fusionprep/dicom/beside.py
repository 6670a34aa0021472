"""The DICOM of ``fusionprep fuse``, in a folder beside the fused image."""

import json
from pathlib import Path

from fusionprep.dicom import require_pydicom
from fusionprep.dicom.series import check_same_image, read_series
from fusionprep.dicom.writing import write_series
from fusionprep.errors import UsageError
from fusionprep.image.io import load_image
from fusionprep.models.file_pair import sidecar_path, stem

OPTION = "--dicom-reference"


def check_reference(output: Path, reference: Path, anatomical: Path) -> None:
    """Refuse, before anything is fused, what could not be written afterwards.

    Raises
    ------
    UsageError
        When pydicom is missing or the output is not a NIfTI file.
    NoInputError, DataError
        When the series cannot be used, or does not show the anatomical image.
    """
    require_pydicom(OPTION)
    if not output.name.endswith((".nii", ".nii.gz")):
        raise UsageError(f"{OPTION} needs a fused volume: give -o the name of a NIfTI file")
    check_same_image(read_series(reference), load_image(anatomical), anatomical.name)


def write_beside(output: Path, reference: Path) -> Path:
    """Write a fused image that was just written as DICOM, too.

    Returns
    -------
    pathlib.Path
        The folder, ``<name>_dicom``.
    """
    folder = output.with_name(f"{stem(output)}_dicom")
    sidecar = json.loads(sidecar_path(output).read_text("utf-8"))
    model = sidecar.get("FusionModel") or {}
    named = model.get("Label") or model.get("Name")
    what = f"fused by {named}" if named else "fused in colour"
    write_series(output, reference, folder, what=what, details=json.dumps(model or sidecar))
    return folder
