"""Scores of a registration against a known truth, and ITK transform files."""

from pathlib import Path

import nibabel as nib
import numpy as np

from fusionprep.errors import DataError, NoInputError, OutputError
from fusionprep.files import write_bytes
from fusionprep.image.resample import LPS_FROM_RAS

_HEADER = "#Insight Transform File V1.0"
_AFFINE_TYPES = ("AffineTransform", "MatrixOffsetTransformBase")


def target_registration_error(
    t1w_from_moving: np.ndarray,
    true_t1w_from_moving: np.ndarray,
    mask_image: nib.spatialimages.SpatialImage,
) -> np.ndarray:
    """Distance by which each brain voxel of the T1w is misplaced.

    For a voxel at x in T1w space, the anatomy found there lies at ``inv(true) @ x`` in the moving
    image, which the estimate brings to ``estimate @ inv(true) @ x``; the error is the distance of
    the two (target registration error; Fitzpatrick and West, IEEE Trans Med Imaging
    2001;20(9):917-927).

    Parameters
    ----------
    t1w_from_moving, true_t1w_from_moving
        Estimated and true transforms (4, 4) of world coordinates, RAS mm.
    mask_image
        Image (X, Y, Z) in T1w space; voxels above zero are evaluated.

    Returns
    -------
    float64 array (voxels,), mm, in the C order of the mask's voxels.

    Raises
    ------
    DataError
        When the mask is empty.
    """
    voxels = np.argwhere(np.asarray(mask_image.dataobj) > 0)
    if not len(voxels):
        raise DataError("the mask holds no voxel, so no registration error can be computed")
    points = nib.affines.apply_affine(mask_image.affine, voxels)
    misplacement = t1w_from_moving @ np.linalg.inv(true_t1w_from_moving)
    return np.linalg.norm(nib.affines.apply_affine(misplacement, points) - points, axis=1)


def read_itk_affine(path: Path) -> np.ndarray:
    """Read a linear transform from an ITK text file.

    ITK resamples by mapping each point of the output (fixed) grid to the input (moving) image, so
    the file that resamples a PET onto its T1w holds ``pet_from_t1w``; invert what is returned to
    get ``t1w_from_pet``.

    Parameters
    ----------
    path
        ``#Insight Transform File V1.0`` with one AffineTransform, MatrixOffsetTransformBase or
        Euler3DTransform in three dimensions.

    Returns
    -------
    ndarray (4, 4), float64
        ``moving_from_fixed`` in RAS mm, with ITK's LPS convention and centre resolved.

    Raises
    ------
    NoInputError
        When the file does not exist.
    DataError
        When it holds anything else.
    """
    fields = _read_fields(Path(path))
    kind = fields["Transform"].split("_")[0]
    try:
        parameters = np.array(fields["Parameters"].split(), np.float64)
        fixed = np.array(fields["FixedParameters"].split(), np.float64)
        linear, translation = _linear_part(kind, parameters, fixed)
    except ValueError as error:
        raise DataError(f"cannot use the transform in {path}: {error}") from error
    centre = fixed[:3]
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = translation + centre - linear @ centre
    return LPS_FROM_RAS @ matrix @ LPS_FROM_RAS


def write_itk_affine(path: Path, moving_from_fixed: np.ndarray) -> None:
    """Write a linear transform as an ITK text file (AffineTransform_double_3_3).

    Parameters
    ----------
    moving_from_fixed
        (4, 4), RAS mm. To let ITK or ANTs resample a PET onto its T1w this is ``pet_from_t1w``;
        see :func:`read_itk_affine`.

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    lps = LPS_FROM_RAS @ np.asarray(moving_from_fixed, np.float64) @ LPS_FROM_RAS
    numbers = [*lps[:3, :3].ravel(), *lps[:3, 3]]
    lines = [
        _HEADER,
        "#Transform 0",
        "Transform: AffineTransform_double_3_3",
        "Parameters: " + " ".join(repr(float(number)) for number in numbers),
        "FixedParameters: 0 0 0",
    ]
    text = "\n".join(lines) + "\n"
    try:
        write_bytes(Path(path), text.encode())
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error


def _read_fields(path: Path) -> dict[str, str]:
    try:
        text = path.read_text(encoding="ascii")
    except FileNotFoundError as error:
        raise NoInputError(f"transform file not found: {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the transform file {path}: {error}") from error
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines or lines[0] != _HEADER:
        raise DataError(f"{path} is not an ITK text transform (first line is not {_HEADER!r})")
    pairs = [line.split(":", 1) for line in lines if not line.startswith("#") and ":" in line]
    names = [name for name, _ in pairs]
    if sorted(names) != ["FixedParameters", "Parameters", "Transform"]:
        raise DataError(f"{path} does not hold exactly one transform; give a single linear one")
    return {name: value.strip() for name, value in pairs}


def _linear_part(
    kind: str, parameters: np.ndarray, fixed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Matrix (3, 3) and translation about the centre, as ITK defines each type."""
    if kind in _AFFINE_TYPES and parameters.size == 12 and fixed.size == 3:
        return parameters[:9].reshape(3, 3), parameters[9:]
    if kind == "Euler3DTransform" and parameters.size == 6 and fixed.size in (3, 4):
        x, y, z = (_axis_rotation(axis, parameters[axis]) for axis in range(3))
        # The fourth fixed parameter is ITK's ComputeZYX flag; its default order is Z X Y.
        zyx = fixed.size == 4 and fixed[3] != 0
        return (z @ y @ x if zyx else z @ x @ y), parameters[3:]
    raise ValueError(
        f"{kind} with {parameters.size} parameters is not a three-dimensional affine or Euler "
        "transform"
    )


def _axis_rotation(axis: int, radians: float) -> np.ndarray:
    cosine, sine = np.cos(radians), np.sin(radians)
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = cosine
    matrix[first, second], matrix[second, first] = -sine, sine
    return matrix
