import nibabel as nib
import numpy as np

from fusionprep.image.io import new_image
from fusionprep.interfaces.files import load, save


def test_what_is_saved_is_loaded_again(tmp_path):
    affine = nib.affines.from_matvec(np.diag([1.0, 2.0, 3.0]), [4, 5, 6])
    for dtype in (np.uint8, np.float32):
        array = np.arange(24, dtype=dtype).reshape(2, 3, 4)
        path = save(new_image(array, affine), tmp_path, "image")
        assert path == str(tmp_path / "image.nii")
        data, found = load(path)
        assert data.dtype == dtype
        np.testing.assert_array_equal(data, array)
        np.testing.assert_allclose(found, affine)


def test_loaded_voxels_do_not_hang_on_the_file(tmp_path):
    path = save(new_image(np.ones((2, 2, 2), np.float32), np.eye(4)), tmp_path, "image")
    data, _ = load(path)
    data += 1
    save(new_image(np.zeros((2, 2, 2), np.float32), np.eye(4)), tmp_path, "image")
    assert (data == 2).all()
