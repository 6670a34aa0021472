"""Gradients, structure, statistics and perception on images with known answers."""

import numpy as np
import pytest

from fusionprep.evaluation import gradients, perception, statistics, structure
from tests.evaluation.images import sources


def test_differences_of_a_ramp():
    ramp = np.tile(3.0 * np.arange(10), (6, 1))
    assert statistics.spatial_frequency(ramp) == pytest.approx(3)
    assert statistics.average_gradient(ramp) == pytest.approx(3 / np.sqrt(2))
    assert statistics.standard_deviation(np.array([[0.0, 4.0]])) == 2


def test_correlation_of_differences_of_the_sum_of_both_sources():
    a, b = sources()
    assert statistics.sum_of_correlations_of_differences(a, b, a + b) == pytest.approx(2)


def test_signal_to_noise_has_the_fused_maximum_as_its_peak():
    a, b = np.full((4, 4), 10.0), np.full((4, 4), 30.0)
    fused = np.full((4, 4), 20.0)
    assert statistics.peak_signal_to_noise_ratio(a, b, fused) == pytest.approx(10 * np.log10(4))
    black = np.zeros((4, 4))
    assert statistics.peak_signal_to_noise_ratio(a, b, black) == -np.inf


def test_gradients_are_preserved_by_an_edge_that_keeps_half_its_height():
    a = np.zeros((32, 32))
    a[:, 16:] = 200
    flat = np.zeros_like(a)
    # Every gradient of A has a partner of half its strength and the same orientation.
    expected = 0.9994 / 2 * 0.9879 / (1 + np.exp(-22 * 0.2))
    inner = gradients.gradient_preservation(a, flat, a / 2)
    assert inner == pytest.approx(expected)
    assert gradients.gradient_preservation(a, flat, flat) < 1e-3


def test_sharpening_adds_artefacts_and_blending_none():
    a, b = sources()
    assert gradients.fusion_artefacts(a, b, a) == 0
    assert gradients.fusion_artefacts(a, b, b) == 0
    assert gradients.fusion_artefacts(a, b, np.clip(3 * a, 0, 255)) > 0.1


def test_artefacts_are_those_of_literal_loops():
    rng = np.random.default_rng(0)
    a, b, f = rng.integers(0, 256, (3, 12, 11)).astype(float)
    f[3:6] = 7
    kernel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])

    def gradient(image, y, x):
        patch = np.pad(image, 1)[y : y + 3, x : x + 3]
        return (patch * kernel).sum(), (patch * kernel.T).sum()

    lost = total = 0.0
    for y in range(12):
        for x in range(11):
            vectors = [gradient(image, y, x) for image in (a, b, f)]
            g_a, g_b, g_f = (np.hypot(*vector) for vector in vectors)
            for (across, down), g in zip(vectors[:2], (g_a, g_b), strict=True):
                weight = g**1.5 if g >= 2 else 0.001
                total += weight
                if g_f <= max(g_a, g_b):
                    continue
                cosine = abs(across * vectors[2][0] + down * vectors[2][1]) / max(g * g_f, 1e-9)
                turned = np.arccos(min(cosine, 1)) / (np.pi / 2)
                strength = 0.9999 / (1 + np.exp(-19 * (g / g_f - 0.5)))
                orientation = 0.9995 / (1 + np.exp(-22 * (1 - turned - 0.5)))
                lost += weight * (1 - np.sqrt(strength * orientation))
    assert gradients.fusion_artefacts(a, b, f) == pytest.approx(lost / total, rel=1e-6)


def test_multiscale_similarity_falls_with_noise_and_fits_small_images():
    image, _ = sources(192)
    noise = np.random.default_rng(0).standard_normal(image.shape)
    values = [structure.ms_ssim(image, image + sigma * noise) for sigma in (0, 10, 40)]
    assert values[0] == pytest.approx(1)
    assert values[0] > values[1] > values[2] > 0
    assert 0 < structure.ms_ssim(image[:12, :12] + 50, image[:12, :12] + 60) < 1


def test_multiscale_similarity_agrees_with_torchmetrics():
    import torch
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

    image, other = sources(192)
    tensors = [torch.from_numpy(levels)[None, None] for levels in (image, (image + other) / 2)]
    expected = multiscale_structural_similarity_index_measure(*tensors, data_range=255.0)
    # torchmetrics pads by reflection instead of leaving out windows at the border.
    value = structure.ms_ssim(image, (image + other) / 2)
    assert value == pytest.approx(float(expected), abs=0.03)


def test_piella_follows_the_source_with_detail():
    a, b = sources()
    flat = np.full_like(a, 100.0)
    assert structure.piella_weighted(a, flat, a) == pytest.approx(1, abs=1e-3)
    assert structure.piella_weighted(a, flat, flat) < 0.3
    assert structure.piella_edge(a, b, a) > structure.piella_edge(a, b, b)


def test_yang_takes_the_better_source_where_they_differ():
    a, b = sources()
    assert structure.yang(a, 255 - a, a) == pytest.approx(1, abs=0.01)
    assert structure.yang(a, b, (a + b) / 2) < 0.9


@pytest.mark.parametrize("gain", [0.5, 1.0, 2.0])
def test_visual_information_grows_with_contrast(gain):
    image = np.random.default_rng(0).normal(100, 30, (64, 64))
    value = perception.visual_information_fidelity(image, 100 + gain * (image - 100))
    assert np.sign(round(value, 6) - 1) == np.sign(gain - 1)


def test_perceived_error_stretches_the_levels_first():
    image = np.zeros((64, 64))
    image[20:40, 20:40] = 255
    assert perception.chen_varshney(image, image, image * 0.5) == pytest.approx(0, abs=1e-9)
    assert perception.chen_varshney(image, image, 255 - image) > 1000


def test_perceived_error_of_a_grating_is_the_sensitivity_at_its_frequency():
    x = np.arange(64)
    source = np.tile(np.rint(127.5 + 127.5 * np.cos(2 * np.pi * 4 * x / 64)), (64, 1))
    # 4 cycles per image are 2 * 4 / 8 = 1 in the filter's unit; flat images are stretched to 0.
    sensitivity = 2.6 * (0.0192 + 0.144) * np.exp(-(0.144**1.1))
    offset = 2.6 * 0.0192 * source.mean()
    expected = (sensitivity * 127.5) ** 2 / 2 + offset**2
    value = perception.chen_varshney(source, source, np.zeros_like(source))
    assert value == pytest.approx(expected, rel=0.01)


def test_contrast_preservation_is_between_0_and_1_and_highest_for_a_copy_of_equal_sources():
    a, b = sources()
    assert perception.chen_blum(a, a, a) == pytest.approx(1)
    assert 0 < perception.chen_blum(a, b, (a + b) / 2) < 0.9
