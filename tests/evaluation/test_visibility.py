import numpy as np
import pytest
from scipy import ndimage

from fusionprep.errors import DataError
from fusionprep.evaluation.lesions import (
    APART,
    READER_NOISE,
    Condition,
    Reader,
    conditions,
    plant,
)
from fusionprep.evaluation.visibility import (
    LesionScore,
    Visibility,
    cancelled_edges,
    combine,
    visibility,
)
from fusionprep.modalities import CT, PET
from tests.evaluation.images import sources

SIZE = 128


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """MRI, PET and brain; the PET is brighter in the left half alone."""
    anatomical, functional = (image / 255 for image in sources(SIZE))
    brain = anatomical + functional > 0
    left = np.arange(SIZE) < SIZE // 2
    return 0.5 * anatomical, functional * np.where(left, 1.0, 0.1), brain


def look(fuse, images, modality=PET) -> Visibility:
    return visibility(fuse, *images, modality, rng=np.random.default_rng(0))


def of(found: Visibility, source: str) -> list[LesionScore]:
    return [score for score in found.lesions if score.condition.source == source]


@pytest.mark.parametrize("kept", [0, 1])
def test_a_copy_keeps_its_source_and_nothing_of_the_other(pair, kept) -> None:
    for score in look(lambda *images: images[kept], pair).lesions:
        expected = 1.0 if score.condition.index == kept else 0.0
        assert score.retention == pytest.approx(expected)
        assert score.gain == pytest.approx(expected)


def test_average_with_a_flat_image_keeps_half_of_the_signal_and_of_the_clutter(pair) -> None:
    anatomical, _, brain = pair
    flat = np.full_like(anatomical, 0.3)
    found = look(lambda a, b: (a + b) / 2, (anatomical, flat, brain))
    for score in of(found, "anatomical"):
        reader, size = Reader(brain), score.condition.size
        clutter = reader.response(anatomical, size)[reader.inside].std()
        # Half of the signal over half of the clutter, but the reader's own noise stays.
        expected = np.hypot(clutter, READER_NOISE) / np.hypot(clutter, 2 * READER_NOISE)
        assert score.retention == pytest.approx(expected, rel=1e-3)
        assert score.gain == pytest.approx(0.5, rel=1e-3)


def test_maximum_loses_lesions_under_the_brighter_source(pair) -> None:
    _, functional, brain = pair
    flat = np.full_like(functional, 0.9)
    found = look(np.maximum, (0.5 * pair[0], flat, brain))
    dominated = [score.dominated for score in of(found, "anatomical")]
    assert dominated == pytest.approx([0.0] * 3)
    assert np.isnan([score.dominated for score in of(found, "functional")]).all()


def test_opposite_lesions_of_equal_sources_cancel_in_their_average(pair) -> None:
    anatomical, _, brain = pair
    equal = (anatomical, anatomical.copy(), brain)
    assert look(lambda a, b: (a + b) / 2, equal).opposite == pytest.approx(0, abs=0.05)
    assert look(lambda a, _: a, equal).opposite == pytest.approx(1, abs=0.05)


def test_a_faint_copy_is_not_as_visible(pair) -> None:
    found = look(lambda a, _: 0.05 * a, pair)
    assert max(score.retention for score in of(found, "anatomical")) < 0.5


def test_inverted_lesions_are_not_seen(pair) -> None:
    found = look(lambda a, _: 1 - a, pair)
    assert [score.retention for score in of(found, "anatomical")] == pytest.approx([0.0] * 3)


def test_share_of_white(pair) -> None:
    brain = pair[2]
    white = np.where(np.arange(SIZE) < SIZE // 2, 1.0, 0.5) * np.ones((SIZE, 1))
    found = look(lambda *_: white, pair)
    assert found.white == pytest.approx(white[brain].mean() * 2 - 1)


def test_edges_of_a_constant_image_are_all_lost_and_of_a_source_none(pair) -> None:
    anatomical, _, brain = pair
    images = (anatomical, np.zeros_like(anatomical))
    assert cancelled_edges(images, np.full_like(anatomical, 0.4), brain, 2) == 1
    assert cancelled_edges(images, anatomical, brain, 2) == 0
    assert cancelled_edges((anatomical, 1 - anatomical), np.full_like(anatomical, 0.5), brain, 2)


def test_response_of_the_reader_to_a_blob_far_from_the_edge_is_that_of_the_formula() -> None:
    size, wide = 3.0, 7.5
    y, x = np.mgrid[:161, :161] - 80.0
    blob = np.exp(-(y**2 + x**2) / (2 * size**2))
    response = Reader(np.ones_like(blob)).response(blob, size)
    # The convolution of two Gaussians has the sum of their variances.
    expected = size**2 / (2 * size**2) - size**2 / (size**2 + wide**2)
    assert response[80, 80] == pytest.approx(expected, rel=1e-3)


def test_lesions_lie_inside_and_apart_alternate_and_have_the_stated_height() -> None:
    brain = np.zeros((SIZE, SIZE))
    brain[10:120, 10:120] = 1
    reader, condition = Reader(brain), Condition("functional", 4.0, amplitude=0.15)
    planted = plant(np.full(brain.shape, 0.5), reader, condition, np.random.default_rng(1))
    assert reader.inside[planted.at].all()
    assert sorted(set(planted.signs)) == [-1, 1]
    distances = np.linalg.norm(planted.places[:, None] - planted.places, axis=-1)
    assert distances[distances > 0].min() >= APART * 4
    assert planted.image[planted.at] == pytest.approx(0.5 + 0.15 * planted.signs, abs=1e-6)


def test_sizes_of_lesions_follow_the_modality() -> None:
    sizes = {
        modality.label: [(c.source[0], c.size) for c in conditions(modality)]
        for modality in (PET, CT)
    }
    assert sizes == {
        "PET": [("a", 2), ("a", 4), ("a", 7), ("f", 4), ("f", 7)],
        "CT": [("a", 2), ("a", 4), ("a", 7), ("f", 2), ("f", 4)],
    }


def test_lesions_of_a_volume_are_in_millimetres() -> None:
    """A coarser slice axis leaves the visibility of a copy at 1, and lesions round in mm."""
    rng = np.random.default_rng(0)
    image = 0.5 + 0.1 * ndimage.gaussian_filter(rng.standard_normal((60, 60, 30)), 2)
    brain = np.ones(image.shape, bool)
    reader = Reader(brain, (1.0, 1.0, 2.0))
    planted = plant(image, reader, Condition("anatomical", 4.0, 0.2), rng)
    place, change = planted.places[0], np.abs(planted.image - image)
    along = change[place[0], place[1], place[2] + 1]
    across = change[place[0], place[1] + 2, place[2]]
    assert along == pytest.approx(across, rel=0.05)
    found = visibility(lambda a, _: a, image, image, brain, PET, rng=rng, voxel_sizes=(1, 1, 2))
    assert of(found, "anatomical")[0].retention == pytest.approx(1)


def test_a_brain_without_room_is_refused() -> None:
    with pytest.raises(DataError, match="too small"):
        Reader(np.pad(np.ones((9, 9)), 20))


def score(retention: float, dominated: float) -> LesionScore:
    return LesionScore(Condition("anatomical", 2.0), retention, dominated, retention)


def test_combined_are_means_over_images_of_the_worst_lesions() -> None:
    images = [
        Visibility((score(0.2, np.nan), score(0.9, 0.5)), 0.1, (0.0, 0.2), 0.0),
        Visibility((score(0.6, 0.8), score(0.5, 0.5)), 0.3, (0.2, 0.2), 0.1),
    ]
    found = combine(images)
    assert found.all.mean == pytest.approx(0.4)
    assert found.dominated.mean == pytest.approx(0.5)
    assert [each.mean for each in found.cancelled] == pytest.approx([0.1, 0.2])
    assert (found.all.low, found.all.high) == pytest.approx((0.2, 0.5))
    assert np.isnan(combine(images, ["same", "same"]).all.low)
    with pytest.raises(DataError, match="no image"):
        combine([])
