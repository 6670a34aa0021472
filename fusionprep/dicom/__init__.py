"""Fused images as DICOM, for the viewer that the images came from."""

from fusionprep.errors import UsageError


def require_pydicom(option: str) -> None:
    """Refuse an option that needs pydicom where it is not installed.

    Raises
    ------
    UsageError
    """
    try:
        import pydicom  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"{option} needs pydicom, which is not installed: pip install 'fusionprep[dicom]'"
        ) from error
