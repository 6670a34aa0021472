import numpy as np
import pytest

from fusionprep.image.bias import correct_bias

ITERATIONS = (50, 50, 30)


def field(shape) -> np.ndarray:
    """A smooth multiplicative field, stronger than that of most scanners."""
    x, y, z = (np.linspace(-1, 1, size) for size in shape)
    log = 0.4 * x[:, None, None] + 0.3 * np.cos(2 * y)[:, None] - 0.3 * z**2
    return np.exp(log - log.mean()).astype(np.float32)


@pytest.fixture(scope="module")
def brain(person):
    """Noise-free T1w signal of the simulated brain, its tissues, mask and a known field."""
    tissues = person.tissues()
    signal = np.choose(tissues, [0.0, 0.63, 0.90, 0.24]).astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 0.02, signal.shape).astype(np.float32)
    return signal + noise * (tissues > 0), tissues


def test_a_known_field_is_recovered(brain):
    signal, tissues = brain
    mask = tissues > 0
    true = field(signal.shape)
    data = 500 * signal * true
    corrected = correct_bias(data, mask, (2.0, 2.0, 2.0), iterations=ITERATIONS)
    found = (data / np.maximum(corrected, 1e-6))[tissues == 2]
    true = true[tissues == 2]
    assert np.corrcoef(np.log(found), np.log(true))[0, 1] > 0.95
    residual = np.log(found / true)
    assert np.log(true).std() > 0.12
    assert residual.std() < 0.045


def test_white_matter_becomes_uniform(brain):
    signal, tissues = brain
    data = 500 * signal * field(signal.shape)
    corrected = correct_bias(data, tissues > 0, (2.0, 2.0, 2.0), iterations=ITERATIONS)

    def variation(image):
        values = image[tissues == 2]
        return values.std() / values.mean()

    assert variation(data) > 0.10
    assert variation(corrected) < 0.05


def test_mean_scale_and_sign(brain):
    signal, tissues = brain
    mask = tissues > 0
    data = 500 * signal * field(signal.shape)
    data[0, 0, 0] = -50
    corrected = correct_bias(data, mask, (2.0, 2.0, 2.0), iterations=(5, 5))
    assert corrected.shape == data.shape
    assert corrected.dtype == np.float32
    assert corrected.min() >= 0
    assert corrected[mask].mean() == pytest.approx(data[mask].mean(), rel=1e-5)


def test_the_result_repeats_exactly(brain):
    signal, tissues = brain
    data = 500 * signal * field(signal.shape)
    first, second = (
        correct_bias(data, tissues > 0, (2.0, 2.0, 2.0), iterations=(5, 5)) for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("shape", [(61, 47, 53), (80, 90, 14)])
def test_grids_that_do_not_divide_keep_the_field_aligned(shape):
    """Shrinking drops the last voxels of an axis; the field must still lie where it belongs."""
    x, y, z = (np.linspace(-1, 1, size) for size in shape)
    mask = x[:, None, None] ** 2 + y[:, None] ** 2 + z**2 < 0.9
    pattern = np.where(np.indices(shape).sum(axis=0) % 2, 1.0, 0.6)
    true = field(shape)
    data = (100 * pattern * true * mask).astype(np.float32)
    corrected = correct_bias(data, mask, (2.0, 2.0, 2.0), iterations=ITERATIONS)
    residual = np.log(corrected[mask] / (100 * pattern[mask]))
    assert residual.std() < 0.4 * np.log(true[mask]).std()
