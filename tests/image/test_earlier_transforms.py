"""Transforms as ITK, ANTs and petprep write them, right and wrong ones."""

import h5py
import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from fusionprep.errors import DataError
from fusionprep.image.earlier_transforms import read_pair, read_rigid, score_rigid
from fusionprep.image.io import new_image
from fusionprep.image.resample import compose, itk_from_ras, to_sitk
from fusionprep.image.template import Template

SHAPE = (40, 46, 38)
AFFINE = nib.affines.from_matvec(np.diag([4.0, 4.0, 4.0]), [-80, -110, -70])


@pytest.fixture(scope="module")
def template() -> Template:
    places = np.indices(SHAPE) - (np.array(SHAPE)[:, None, None, None] - 1) / 2
    mask = (places / (np.array(SHAPE)[:, None, None, None] * 0.4)) ** 2
    brain = (mask.sum(axis=0) < 1).astype(np.float32)
    return Template(new_image(brain, AFFINE), new_image(brain, AFFINE), None)


def pair_of(
    millimetres: float, affine=AFFINE, waves: int = 1
) -> tuple[sitk.Transform, sitk.Transform]:
    """An affine and a smooth warp, and their inverse."""
    grid = to_sitk(new_image(np.zeros(SHAPE, np.float32), affine))
    wave = np.sin(np.linspace(0, 2 * np.pi * waves, SHAPE[0]))[:, None, None, None]
    field = np.broadcast_to(wave * [0, 0, millimetres], (*SHAPE, 3)).transpose(2, 1, 0, 3)
    warp = sitk.GetImageFromArray(np.ascontiguousarray(field), isVector=True)
    warp.CopyInformation(grid)
    inverse = sitk.InvertDisplacementField(warp, 20, 0.0, 0.0, False)
    there, back = (sitk.DisplacementFieldTransform(each) for each in (warp, inverse))
    turn = itk_from_ras(nib.affines.from_matvec(np.diag([1.1, 1.05, 1.0]), [3, -5, 20]))
    return compose([there, turn]), compose([turn.GetInverse(), back])


def write(folder, there: sitk.Transform, back: sitk.Transform):
    paths = folder / "there.h5", folder / "back.h5"
    for transform, path in zip((there, back), paths, strict=True):
        sitk.WriteTransform(transform, str(path))
    return paths


def in_single_precision(path) -> None:
    """As antsRegistration --float writes it, which fMRIPrep has it do."""
    with h5py.File(path, "r+") as file:
        for group in file["TransformGroup"].values():
            kind = group["TransformType"][0].replace(b"double", b"float")
            del group["TransformType"]
            group["TransformType"] = np.array([kind.decode()], dtype=h5py.string_dtype("ascii"))
            for name in ("TransformParameters", "TransformFixedParameters"):
                if name in group:
                    values = group[name][:].astype(np.float32 if "Fixed" not in name else float)
                    del group[name]
                    group[name] = values


@pytest.mark.parametrize("single", [False, True])
def test_a_composite_and_its_inverse(tmp_path, template, single):
    there, back = pair_of(6.0)
    paths = write(tmp_path, there, back)
    if single:
        for path in paths:
            in_single_precision(path)
    found = read_pair(*paths, template)
    for point in ((0.0, 0.0, 0.0), (31.0, -42.0, 17.0)):
        for transform, expected in zip(found, (there, back), strict=True):
            np.testing.assert_allclose(
                transform.TransformPoint(point), expected.TransformPoint(point), atol=1e-3
            )
    # as the outputs are written again
    write(tmp_path, *found)


def test_wrong_pairs_are_refused(tmp_path, template):
    there, _ = pair_of(6.0)
    with pytest.raises(DataError, match="the files do not belong together"):
        read_pair(*write(tmp_path, there, pair_of(-6.0)[1]), template)
    # as far apart as MNI152NLin2009cAsym and MNI152NLin6Asym
    other = AFFINE.copy()
    other[:3, 3] += [6, 6, 6]
    with pytest.raises(DataError, match="6 mm off the template's grid: it is of another template"):
        read_pair(*write(tmp_path, *pair_of(6.0, other)), template)
    with pytest.raises(DataError, match="bends the brain by"):
        read_pair(*write(tmp_path, *pair_of(60.0, waves=3)), template)
    broken = tmp_path / "there.h5"
    broken.write_bytes(b"none")
    with pytest.raises(DataError, match="not an ITK transform"):
        read_pair(broken, broken, template)


PETPREP = """#Insight Transform File V1.0
#Transform 0
Transform: AffineTransform_float_3_3
Parameters: 0.999092 -0.01195 0.040894 0.017818 0.98908 -0.1463 -0.0387 0.1469 0.9884 2.6 -24.7 -21
FixedParameters: 0 0 0
"""


def test_a_matrix_as_petprep_writes_it(tmp_path):
    path = tmp_path / "xfm.txt"
    path.write_text(PETPREP)
    matrix = read_rigid(path)
    point = sitk.ReadTransform(str(path)).TransformPoint((10.0, 20.0, 30.0))
    expected = np.array(point) * [-1, -1, 1]
    np.testing.assert_allclose((np.linalg.inv(matrix) @ [-10, -20, 30, 1])[:3], expected, atol=1e-4)
    path.write_text(PETPREP.replace("0.999092", "1.3"))
    with pytest.raises(DataError, match="it is not rigid"):
        read_rigid(path)


def test_a_rigid_transform_is_taken_where_it_fits(person):
    folder, truth = person.folder, person.truth
    t1w, pet = (
        nib.load(folder / name)
        for name in ("anat/sub-01_T1w.nii.gz", "pet/sub-01_trc-18FFDG_pet.nii.gz")
    )
    mask = nib.load(truth.brain_mask)
    found = score_rigid(t1w, pet, mask, truth.t1w_from_pet, sloppy=True)
    assert found.method == "taken over"
    assert found.off_optimum_mm < 3
    np.testing.assert_array_equal(found.t1w_from_moving, truth.t1w_from_pet)
    wrong = nib.affines.from_matvec(np.eye(3), [0, 8, 0]) @ truth.t1w_from_pet
    with pytest.raises(DataError, match="the images fit better"):
        score_rigid(t1w, pet, mask, wrong, sloppy=True)
