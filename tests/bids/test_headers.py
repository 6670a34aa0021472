"""Headers that can be used, and files that cannot."""

import bz2
import gzip
import lzma
import os

import nibabel as nib
import numpy as np
import pytest

from fusionprep.bids.headers import check_header
from fusionprep.errors import DataError
from fusionprep.image.io import load_image, read_image
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


def with_lengths(path, unit, voxel_size, shape=(64, 64, 50)):
    image = nib.Nifti1Image(np.zeros(shape, np.uint8), np.diag([*[voxel_size] * 3, 1]))
    image.header.set_xyzt_units(unit)
    nib.save(image, path)
    return path


@pytest.mark.parametrize(
    ("unit", "voxel_size", "note"),
    [
        ("mm", 3.0, ""),
        ("unknown", 3.0, ""),
        ("micron", 3000.0, "brought to millimetres"),
        ("meter", 0.003, "brought to millimetres"),
        ("micron", 3.0, "but they are millimetres: a longest side of 192 mm, not 0.192 mm"),
        ("meter", 3.0, "but they are millimetres"),
    ],
)
def test_lengths_are_brought_to_millimetres(tmp_path, unit, voxel_size, note):
    path = with_lengths(tmp_path / "x.nii.gz", unit, voxel_size)
    found = check_header(path)
    assert found.voxel_sizes == pytest.approx((3, 3, 3))
    assert [note in told for told in found.notes] == [True] * bool(note)
    assert nib.affines.voxel_sizes(read_image(path).affine) == pytest.approx([3, 3, 3])
    assert nib.affines.voxel_sizes(load_image(path).affine) == pytest.approx([3, 3, 3])


@pytest.mark.parametrize(
    ("unit", "voxel_size"), [("mm", 3000), ("unknown", 0.003), ("micron", 1e8)]
)
def test_lengths_that_no_unit_explains_are_refused(tmp_path, unit, voxel_size):
    path = with_lengths(tmp_path / "x.nii.gz", unit, voxel_size)
    with pytest.raises(DataError, match="lengths in an unknown unit, as the longest side"):
        check_header(path)


@pytest.mark.parametrize(
    ("qform", "note"),
    [
        (np.diag([-2, 2, 2, 1]), "differ in handedness"),
        (np.diag([2, -2, 2, 1]), "differ in handedness"),
        (np.diag([-2, -2, 2, 1]), "point left and right the opposite way"),
        (np.diag([2, 2, 2, 1]), ""),
        (np.diag([2, -2, -2, 1]), ""),
    ],
)
@pytest.mark.parametrize("code", [0, 1, 4])
def test_sform_and_qform_that_swap_sides_are_a_note(tmp_path, qform, note, code):
    image = nib.Nifti1Image(np.zeros((8, 8, 8), np.uint8), np.diag([2, 2, 2, 1]))
    image.set_sform(image.affine, code=1)
    image.set_qform(qform, code=code)
    nib.save(image, tmp_path / "x.nii.gz")
    notes = check_header(tmp_path / "x.nii.gz").notes
    assert len(notes) == bool(note and code)
    assert not notes or note in notes[0]


def test_what_is_wrong_with_an_extension_is_said(tmp_path):
    plain = write_image(tmp_path / "x.nii", (8, 8, 8)).read_bytes()
    cases = {
        "a.nii.gz": (plain, "not compressed: rename it to a.nii"),
        "b.nii": (gzip.compress(plain), "compressed: rename it to b.nii.gz"),
        "c.nii.gz": (gzip.compress(gzip.compress(plain)), "compressed twice"),
        "d.nii.gz": (bz2.compress(plain), "compressed by bzip2"),
        "e.nii": (lzma.compress(plain), "compressed by xz"),
    }
    for name, (content, message) in cases.items():
        (tmp_path / name).write_bytes(content)
        for read in (check_header, read_image):
            with pytest.raises(DataError, match=message) as error:
                read(tmp_path / name)
            assert name in str(error.value)
            assert "copy it again" not in str(error.value)
