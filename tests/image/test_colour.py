import nibabel as nib
import numpy as np

from fusionprep.image.colour import rgb24_image


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
