import numpy as np
import pytest

from fusionprep.reader_study.frames import MARGIN, frames
from fusionprep.reader_study.scenes import Scene


def scene(shape, sizes=(1.0, 1.0, 1.0), *, of_volume=False, low=4):
    """A bright rectangle, one pixel of which is brighter."""
    levels = np.zeros((*shape, 1), np.uint8)
    levels[low:-low, low:-low] = 100
    brain = levels[..., 0] > 0
    return Scene("a", None, (levels, levels), 0, brain, None, sizes, of_volume)


def test_pictures_of_one_study_have_one_size():
    found, pixel = frames([scene((60, 50)), scene((40, 64))])
    assert pixel is None
    assert {frame.size for frame in found} == {(52 + 2 * MARGIN, 56 + 2 * MARGIN)}
    pictures = [
        frame.picture(each.levels[0][..., 0])
        for frame, each in zip(found, [scene((60, 50)), scene((40, 64))], strict=True)
    ]
    assert [picture.shape for picture in pictures] == [found[0].size] * 2
    # nothing of either head is cut off
    assert [np.count_nonzero(picture) for picture in pictures] == [52 * 42, 32 * 56]


@pytest.mark.parametrize("of_volume", [False, True])
def test_a_place_is_found_in_the_picture(of_volume):
    one = scene((60, 50), of_volume=of_volume)
    (frame,), _ = frames([one])
    panel = one.levels[0][..., 0].copy()
    panel[20, 33] = 255
    x, y = frame.position((20, 33), panel.shape)
    assert frame.picture(panel)[int(y), int(x)] == 255


def test_volumes_are_shown_as_radiologists_read_them():
    """The front of the head at the top, the patient's right on the left."""
    one = scene((60, 50), of_volume=True)
    (frame,), _ = frames([one])
    right_front = frame.position((55, 45), (60, 50))
    left_back = frame.position((5, 5), (60, 50))
    assert right_front[0] < left_back[0]
    assert right_front[1] < left_back[1]


def test_one_millimetre_is_as_long_in_every_picture():
    fine = scene((80, 80), (1.0, 1.0, 1.0), of_volume=True)
    coarse = scene((40, 40), (2.0, 1.5, 1.0), of_volume=True)
    (_, frame), pixel = frames([fine, coarse])
    assert pixel == 1.0
    first, second = frame.position((10, 10), (40, 40)), frame.position((20, 20), (40, 40))
    assert first[0] - second[0] == pytest.approx(20, abs=1e-9)
    assert first[1] - second[1] == pytest.approx(15, abs=1e-9)
