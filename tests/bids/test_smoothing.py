"""By how much a PET is smoothed."""

from pathlib import Path

import pytest

from fusionprep.bids.smoothing import decide_smoothing
from fusionprep.bids.types import ImageFile
from fusionprep.config_processing import Processing
from fusionprep.errors import DataError

NAME = "sub-01_trc-18FFDG_pet.nii.gz"


def of(voxel: float = 2.0, **options: object):
    image = ImageFile(Path(NAME), {"sub": "01"}, "pet", {})
    return decide_smoothing(image, Processing(**options), (voxel,) * 3)


def test_nothing_is_smoothed_by_default():
    assert of() is None


def test_what_is_missing_to_a_resolution():
    found = of(target_resolution=8.0, psf="6x6x5")
    assert found.kernel == pytest.approx((4.93, 4.93, 5.94), abs=0.01)
    assert found.resolution == pytest.approx((8, 8, 8))
    assert found.notes == ()


def test_a_resolution_that_interpolation_alone_misses_is_said():
    found = of(4.0, target_resolution=7.0, psf="7")
    assert found.kernel == (0, 0, 0)
    (note,) = found.notes
    assert note.startswith("its resolution is 7.99 mm, not 7 mm: linear interpolation alone")
    assert "--target-resolution 7.99 or more" in note
    assert of(4.0, target_resolution=7.99, psf="7").notes == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"target_resolution": 5.0, "psf": "6x6x7"},
            "cannot be brought to --target-resolution 5: .* 6 x 6 x 7 mm: .* give one of 7 mm or"
            r" more \(point spread: given with --psf\)",
        ),
        ({"target_resolution": 8.0}, "--psf FWHM in mm.* or leave out --target-resolution"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(options, message):
    with pytest.raises(DataError, match=message) as caught:
        of(**options)
    assert NAME in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_kernel_needs_no_point_spread():
    found = of(smooth=6.0)
    assert found.kernel == (6, 6, 6)
    assert found.resolution is None
    assert of(smooth=6.0, psf="5").resolution == pytest.approx((8.043,) * 3, abs=0.001)
