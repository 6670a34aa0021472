import nibabel as nib
import numpy as np
import pytest

from fusionprep.errors import DataError
from fusionprep.image.colour import load_colour, rgb24_image


def test_rgb24_survives_a_file(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (4, 5, 6, 3), np.uint8)
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    rgb24_image(rgb, affine).to_filename(tmp_path / "colour.nii.gz")
    image = nib.load(tmp_path / "colour.nii.gz")
    assert image.shape == (4, 5, 6)
    assert image.header["datatype"] == 128
    assert image.header.get_xyzt_units()[0] == "mm"
    voxels = np.asarray(image.dataobj)
    for index, channel in enumerate("RGB"):
        assert np.array_equal(voxels[channel], rgb[..., index])


def test_a_file_in_colour_becomes_an_array_that_other_programs_take(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (5, 6, 7, 3), np.uint8)
    path = tmp_path / "colour.nii.gz"
    nib.save(rgb24_image(rgb, np.diag([2.0, 2, 2, 1])), path)
    loaded = load_colour(path)
    assert np.array_equal(loaded, rgb)
    voxels = np.asarray(nib.load(path).dataobj)
    assert np.array_equal(np.stack([voxels["R"], voxels["G"], voxels["B"]], axis=-1), rgb)
    nilearn = pytest.importorskip("nilearn.image")
    with pytest.raises(TypeError):
        nilearn.load_img(path).get_fdata()
    red = nilearn.new_img_like(str(path), loaded[..., 0].astype(np.float32))
    assert np.array_equal(red.get_fdata(), rgb[..., 0])


def test_a_file_without_colour_is_not_taken_for_one(tmp_path):
    nib.save(nib.Nifti1Image(np.zeros((3, 3, 3), np.float32), np.eye(4)), tmp_path / "gray.nii")
    with pytest.raises(DataError, match="not an image in colour"):
        load_colour(tmp_path / "gray.nii")
