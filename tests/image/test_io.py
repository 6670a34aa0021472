import os
import stat
import struct

import nibabel as nib
import numpy as np
import pytest

from fusionprep.errors import DataError
from fusionprep.files import write_whole
from fusionprep.image.io import axial_axis, new_image, read_image, read_volume


def ramp(shape=(4, 5, 6)) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def world_to_value(image: nib.Nifti1Image) -> dict[tuple, float]:
    data = np.asarray(image.dataobj)
    points = nib.affines.apply_affine(image.affine, np.argwhere(np.ones(data.shape)))
    return dict(zip(map(tuple, points.round(3)), data.ravel(), strict=True))


@pytest.mark.parametrize("axes", ["LPI", "PSR", "ASL"])
def test_axes_are_flipped_and_no_value_leaves_its_place(tmp_path, axes):
    original = nib.Nifti1Image(ramp(), nib.affines.from_matvec(np.diag([1, 2, 3]), [7, -8, 9]))
    transform = nib.orientations.ornt_transform(
        nib.io_orientation(original.affine), nib.orientations.axcodes2ornt(axes)
    )
    stored = original.as_reoriented(transform)
    assert "".join(nib.aff2axcodes(stored.affine)) == axes
    nib.save(stored, tmp_path / "stored.nii.gz")
    image = read_image(tmp_path / "stored.nii.gz")
    assert nib.aff2axcodes(image.affine) == ("R", "A", "S")
    assert image.get_data_dtype() == np.float32
    assert world_to_value(image) == world_to_value(original)


@pytest.mark.parametrize(("axes", "axis"), [("RAS", 2), ("LPI", 2), ("PSR", 1), ("SLA", 0)])
def test_the_axis_across_axial_slices(axes, axis):
    orientation = nib.orientations.axcodes2ornt(axes)
    turned = nib.eulerangles.euler2mat(0.3, -0.2, 0.5) @ np.diag([1.0, 2.0, 3.0])
    affine = nib.affines.from_matvec(turned, [7, -8, 9])
    affine = affine @ nib.orientations.inv_ornt_aff(
        nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), orientation),
        (4, 5, 6),
    )
    assert nib.aff2axcodes(affine) == tuple(axes)
    assert axial_axis(affine) == axis


def test_scaling_of_the_header_is_applied(tmp_path):
    image = nib.Nifti1Image(ramp() / 10, np.eye(4))
    image.set_data_dtype(np.int16)
    nib.save(image, tmp_path / "a.nii")
    slope = nib.load(tmp_path / "a.nii").dataobj.slope
    assert slope < 1
    read = np.asarray(read_image(tmp_path / "a.nii").dataobj)
    np.testing.assert_allclose(read, ramp() / 10, atol=slope)


@pytest.mark.parametrize("shape", [(3, 4, 5, 1), (3, 4, 5, 1, 1)])
def test_trailing_axes_of_length_one_are_dropped(tmp_path, shape):
    nib.save(nib.Nifti1Image(ramp(shape), np.eye(4)), tmp_path / "a.nii.gz")
    assert read_image(tmp_path / "a.nii.gz").shape == (3, 4, 5)


def test_frames_are_kept_but_refused_where_one_volume_is_needed(tmp_path):
    path = tmp_path / "a.nii.gz"
    nib.save(nib.Nifti1Image(ramp((3, 4, 5, 2)), np.eye(4)), path)
    assert read_image(path).shape == (3, 4, 5, 2)
    with pytest.raises(DataError, match=r"T1w is 4-D with 2 volumes: .*a\.nii\.gz"):
        read_volume(path, "T1w")


def test_nan_and_infinity_become_the_missing_value(tmp_path):
    data = ramp()
    data[0, 0, :3] = np.nan, np.inf, -np.inf
    nib.save(nib.Nifti1Image(data, np.eye(4)), tmp_path / "a.nii.gz")
    assert np.isnan(np.asarray(read_image(tmp_path / "a.nii.gz").dataobj)[0, 0, 0])
    volume = np.asarray(read_volume(tmp_path / "a.nii.gz", "CT", missing=-1000).dataobj)
    np.testing.assert_array_equal(volume[0, 0], [-1000, -1000, -1000, 3, 4, 5])


def truncated(path):
    rng = np.random.default_rng(0)
    nib.save(nib.Nifti1Image(rng.random((20, 20, 20)).astype("f4"), np.eye(4)), path)
    path.write_bytes(path.read_bytes()[:2000])


def patched(offset, *values, kind):
    """A writer of a valid image with other values at a byte of its header."""

    def save(path):
        nib.save(nib.Nifti1Image(ramp(), np.eye(4)), path)
        content = bytearray(path.read_bytes())
        struct.pack_into(f"<{len(values)}{kind}", content, offset, *values)
        path.write_bytes(content)

    return save


@pytest.mark.parametrize(
    ("make", "name", "message"),
    [
        (lambda _: None, "a.nii.gz", "does not exist"),
        (lambda path: path.write_bytes(b""), "a.nii.gz", "corrupt or not a NIfTI"),
        (lambda path: path.write_text("no image"), "a.nii", "corrupt or not a NIfTI"),
        (truncated, "a.nii.gz", "corrupt or not a NIfTI"),
        (truncated, "a.nii", "corrupt or not a NIfTI"),
        (patched(280, *[0.0] * 12, kind="f"), "a.nii", "singular affine"),
        (patched(280, *[np.nan] * 12, kind="f"), "a.nii", "singular affine"),
        (patched(70, 9999, kind="h"), "a.nii", "corrupt or not a NIfTI"),
        (patched(40, 12, kind="h"), "a.nii", "corrupt or not a NIfTI"),
        (patched(344, 0x78787878, kind="I"), "a.nii", "corrupt or not a NIfTI"),
        (
            lambda path: nib.save(nib.Nifti1Image(ramp((3, 4)), np.eye(4)), path),
            "a.nii.gz",
            "2 dimensions",
        ),
    ],
)
def test_unusable_files_are_refused_by_name(tmp_path, make, name, message):
    make(tmp_path / name)
    with pytest.raises(DataError, match=message) as caught:
        read_image(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_colour_image_is_refused(tmp_path):
    colour = np.zeros((3, 3, 3), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.save(nib.Nifti1Image(colour, np.eye(4)), tmp_path / "a.nii.gz")
    with pytest.raises(DataError, match=r"a\.nii\.gz"):
        read_image(tmp_path / "a.nii.gz")


def test_a_constant_image_is_refused(tmp_path):
    nib.save(nib.Nifti1Image(np.full((3, 3, 3), 7.0), np.eye(4)), tmp_path / "a.nii.gz")
    with pytest.raises(DataError, match="T1w holds one value everywhere"):
        read_volume(tmp_path / "a.nii.gz", "T1w")


def test_new_image_is_in_millimetres_of_scanner_space():
    affine = nib.affines.from_matvec(np.diag([2.0, 3.0, 4.0]), [1, 2, 3])
    header = new_image(ramp(), affine).header
    assert header.get_xyzt_units() == ("mm", "sec")
    np.testing.assert_allclose(header.get_sform(coded=True)[0], affine)
    np.testing.assert_allclose(header.get_qform(), affine, atol=1e-5)
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 1)


def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "new" / "sub-01_T1w.nii.gz"
    write_whole(path, lambda p: p.write_text("old"))

    def fail(temporary):
        temporary.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(path, fail)
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_the_writer_sees_the_suffixes_of_the_final_name(tmp_path):
    names = []
    for name in ("a.nii.gz", "b.json", ".bidsignore"):
        write_whole(tmp_path / name, lambda p: (names.append(p.name), p.write_text("x")))
    assert names[0].endswith(".nii.gz")
    assert names[1].endswith(".json")
    assert "." not in names[2].removeprefix(".")
    assert sorted(p.name for p in tmp_path.iterdir()) == [".bidsignore", "a.nii.gz", "b.json"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_follow_the_umask(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        write_whole(tmp_path / "a.txt", lambda p: p.write_text("x"))
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == mode
