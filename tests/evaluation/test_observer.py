import numpy as np
import pytest

from fusionprep.errors import DataError
from fusionprep.evaluation.lesions import READER_NOISE, Condition, Reader, plant
from fusionprep.evaluation.observer import (
    CHANNELS,
    SURROUND,
    detectability,
    efficiency,
    read_channels,
)

SIZE, NOISE, SIDE = 4.0, 0.2, 384
CONDITION = Condition("anatomical", SIZE, 0.15)


def closed_form() -> float:
    """d' of a Gaussian blob in white noise, from integrals of products of Gaussians."""
    scales = [np.array(CHANNELS) * SIZE, SURROUND * np.array(CHANNELS) * SIZE]
    signal = sum(
        sign * CONDITION.amplitude * SIZE**2 / (SIZE**2 + scale**2)
        for sign, scale in zip((1, -1), scales, strict=True)
    )
    covariance = NOISE**2 * sum(
        one * two / (2 * np.pi * (first[:, None] ** 2 + second**2))
        for one, first in zip((1, -1), scales, strict=True)
        for two, second in zip((1, -1), scales, strict=True)
    )
    covariance += READER_NOISE**2 * np.eye(len(CHANNELS))
    return float(np.sqrt(signal @ np.linalg.solve(covariance, signal)))


def test_detectability_in_white_noise_is_that_of_the_closed_form() -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(0.5, NOISE, (SIDE, SIDE))
    brain = np.zeros(image.shape)
    brain[60:-60, 60:-60] = 1
    reader = Reader(np.ones_like(brain))
    planted = plant(np.full(image.shape, 0.5), Reader(brain), CONDITION, rng)
    reading = read_channels(reader, SIZE, planted, image, planted.image - 0.5)
    assert detectability([reading]) == pytest.approx(closed_form(), rel=0.1)


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray, Reader]:
    rng = np.random.default_rng(1)
    anatomical = 0.5 + 0.1 * rng.standard_normal((128, 128))
    return anatomical.clip(0, 1), np.full((128, 128), 0.9), Reader(np.ones((128, 128)))


@pytest.mark.parametrize(("kept", "expected"), [(0, 1.0), (1, 0.0)])
def test_a_copy_is_as_good_as_its_source_and_blind_to_the_other(pair, kept, expected) -> None:
    found = efficiency(lambda *images: images[kept], [pair], CONDITION, np.random.default_rng(0))
    assert found == pytest.approx(expected)


def test_lesions_that_are_seen_at_some_places_alone_count_less(pair) -> None:
    anatomical, _, reader = pair
    half = np.where(np.arange(128) < 64, 0.0, 1.0) * np.ones((128, 1))
    images = [(anatomical, half, reader)]
    found = efficiency(np.maximum, images, CONDITION, np.random.default_rng(0))
    assert found < 0.6


def test_one_lesion_is_not_enough(pair) -> None:
    with pytest.raises(DataError, match="two lesions"):
        detectability([])
