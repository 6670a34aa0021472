import os

import numpy as np
import pytest
import SimpleITK as sitk

from fusionprep.image.transform_files import without_times, write_transform


@pytest.fixture
def field() -> sitk.Transform:
    vectors = np.random.default_rng(0).standard_normal((4, 5, 6, 3))
    image = sitk.GetImageFromArray(vectors, isVector=True)
    affine = sitk.AffineTransform(3)
    affine.Translate((1, 2, 3))
    return sitk.CompositeTransform([affine, sitk.DisplacementFieldTransform(image)])


def moved(transform: sitk.Transform) -> tuple[float, ...]:
    return transform.TransformPoint((1.3, 2.4, 1.7))


def test_a_file_is_the_same_at_another_time_and_can_be_read(field, tmp_path):
    paths = [tmp_path / name for name in ("one.h5", "two.h5")]
    write_transform(field, paths[0])
    sitk.WriteTransform(field, str(paths[1]))
    content = paths[1].read_bytes()
    assert content != paths[0].read_bytes()
    assert without_times(content) == paths[0].read_bytes()
    assert moved(sitk.ReadTransform(str(paths[0]))) == moved(field)


def test_data_that_look_like_a_header_are_kept():
    content = b"OHDR\x02\x20" + os.urandom(60)
    assert without_times(content) == content
    assert without_times(content[:7]) == content[:7]
    assert without_times(b"OHDR\x02") == b"OHDR\x02"


def test_a_text_file_is_written_as_itk_does(tmp_path):
    affine = sitk.AffineTransform(3)
    write_transform(affine, tmp_path / "affine.txt")
    sitk.WriteTransform(affine, str(tmp_path / "itk.txt"))
    assert (tmp_path / "affine.txt").read_bytes() == (tmp_path / "itk.txt").read_bytes()
