"""Headers that can be used, and files that cannot."""

import gzip
import os

import nibabel as nib
import numpy as np
import pytest

from fusionprep.bids.headers import check_header
from fusionprep.errors import DataError
from tests.bids.skeleton import write_image


def damage(path, how):
    content = path.read_bytes()
    if how == "empty":
        path.write_bytes(b"")
    elif how == "garbage":
        path.write_bytes(os.urandom(500))
    elif how == "header cut":
        path.write_bytes(gzip.compress(gzip.decompress(content)[:200]))
    elif how == "gzip cut":
        path.write_bytes(content[: len(content) // 2])
    elif how == "data cut":
        path.write_bytes(gzip.compress(gzip.decompress(content)[:-100]))
    elif how == "link":
        path.unlink()
        path.symlink_to("../.git/annex/objects/absent")
    elif how == "pointer":
        path.write_text(
            "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "utf-8"
        )
    elif how == "absent":
        path.unlink()


@pytest.mark.parametrize(
    "how", ["empty", "garbage", "header cut", "gzip cut", "data cut", "link", "pointer", "absent"]
)
def test_damaged_files_are_one_clear_line(tmp_path, how):
    path = tmp_path / "x_T1w.nii.gz"
    affine = np.eye(4)
    noise = np.random.default_rng(0).integers(0, 1000, (16, 16, 16)).astype(np.int16)
    nib.save(nib.Nifti1Image(noise, affine), path)
    check_header(path)
    damage(path, how)
    with pytest.raises(DataError) as error:
        check_header(path, kind="T1w")
    assert str(path) in str(error.value)
    assert "T1w" in str(error.value)
    assert ("not fetched yet?" in str(error.value)) == (how in ("link", "pointer"))
    assert "\n" not in str(error.value)


def test_truncated_plain_nifti(tmp_path):
    path = write_image(tmp_path / "x.nii")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match="truncated"):
        check_header(path)


def test_gzip_of_several_members_is_sound(tmp_path):
    path = write_image(tmp_path / "x.nii.gz", (8, 8, 8))
    content = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(content[:400]) + gzip.compress(content[400:]))
    assert check_header(path).shape == (8, 8, 8)


@pytest.mark.parametrize("case", ["zero sform", "singular", "nan", "no codes", "zero quaternion"])
def test_affines_that_cannot_be_used(tmp_path, case):
    path = tmp_path / "x.nii.gz"
    image = nib.Nifti1Image(np.zeros((4, 4, 4), np.float32), np.eye(4))
    header = image.header
    rows = {"zero sform": 0.0, "nan": np.nan}
    if case in rows:
        for name in ("srow_x", "srow_y", "srow_z"):
            header[name] = rows[case]
    elif case == "singular":
        header["srow_z"] = header["srow_y"]
    header["qform_code"] = 1 if case == "zero quaternion" else 0
    header["sform_code"] = 0 if case in ("no codes", "zero quaternion") else 1
    if case == "zero quaternion":
        header["pixdim"][1:4] = 0
    with gzip.open(path, "wb") as stream:
        header["magic"], header["vox_offset"] = b"n+1", 352
        stream.write(header.binaryblock + bytes(4) + bytes(4 * 64))
    with pytest.raises(DataError) as error:
        check_header(path)
    assert any(word in str(error.value) for word in ("affine", "orientation", "voxel sizes"))


def test_shapes_and_types(tmp_path):
    assert check_header(write_image(tmp_path / "a.nii", (4, 5, 6, 1))).shape == (4, 5, 6)
    assert check_header(write_image(tmp_path / "b.nii", (4, 5, 6, 7)), (3, 4)).shape[3] == 7
    for shape in ((4, 5), (4, 5, 1), (4, 5, 6, 7, 8)):
        with pytest.raises(DataError):
            check_header(write_image(tmp_path / "c.nii", shape), (3, 4))
    colours = np.zeros((4, 4, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.save(nib.Nifti1Image(colours, np.eye(4)), tmp_path / "d.nii")
    with pytest.raises(DataError, match="not hold plain numbers"):
        check_header(tmp_path / "d.nii")
