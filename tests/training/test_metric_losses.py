"""The differentiable metrics against those of the evaluation, on images that differ in kind."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from fusionprep.evaluation import information, perception
from fusionprep.evaluation.gradients import fusion_artefacts, gradient_preservation
from fusionprep.evaluation.guards import guards
from fusionprep.evaluation.structure import yang
from fusionprep.training import metric_losses

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def triples():
    """Two sources (N, H, W) in a head with black around, and three fusions of them, 0..255."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[-1:1:96j, -1:1:96j]
    head = rows**2 + columns**2 < 0.8
    texture = [gaussian_filter(rng.standard_normal(head.shape), sigma) for sigma in (1.5, 5)]
    first, second = (
        head * (255 * (image - image.min()) / np.ptp(image)).round() for image in texture
    )
    fused = (np.maximum(first, second), (first + second) / 2, np.clip(1.3 * first, 0, 255))
    return [(first, second, image.round()) for image in fused]


def _tensors(*images):
    return [torch.tensor(image / 255, dtype=torch.float64)[None, None] for image in images]


def test_gradient_preservation_is_the_metric(triples):
    for first, second, fused in triples:
        found = metric_losses.gradient_preservation(*_tensors(fused, first, second))
        assert found.item() == pytest.approx(gradient_preservation(first, second, fused), rel=0.01)


def test_added_gradients_are_none_for_a_source_and_grow_with_sharpening(triples):
    first, second, _ = triples[0]
    source, *sources = _tensors(first, first, second)
    assert metric_losses.added_gradients(source, *sources).item() == pytest.approx(0, abs=1e-6)
    sharpened = [np.clip(gain * first, 0, 255) for gain in (1.1, 1.3)]
    shares = [metric_losses.added_gradients(*_tensors(x, first, second)).item() for x in sharpened]
    artefacts = [fusion_artefacts(first, second, x) for x in sharpened]
    assert 0 < shares[0] < shares[1]
    assert artefacts[0] < artefacts[1]


def test_visual_information_fidelity_is_the_metric(triples):
    for first, second, fused in triples:
        for source in (first, second):
            found = metric_losses.visual_information_fidelity(*_tensors(source, fused))
            expected = perception.visual_information_fidelity(source, fused)
            assert found.item() == pytest.approx(expected, rel=0.01)


def test_visual_information_fidelity_of_small_images_has_the_scales_that_fit(triples):
    first, _, fused = triples[0]
    images = _tensors(first[30:54, 30:54], fused[30:54, 30:54])
    assert 0 < metric_losses.visual_information_fidelity(*images).item() < 1
    assert metric_losses.visual_information_fidelity(images[0], images[0]).item() == pytest.approx(
        1, rel=2e-3
    )
    whole = _tensors(first[20:61, 20:61], fused[20:61, 20:61])
    expected = perception.visual_information_fidelity(first[20:61, 20:61], fused[20:61, 20:61])
    found = metric_losses.visual_information_fidelity(*whole)
    assert found.item() == pytest.approx(expected, rel=0.02)


def test_yang_is_the_metric(triples):
    for first, second, fused in triples:
        found = metric_losses.yang(*_tensors(fused, first, second))
        assert found.item() == pytest.approx(yang(first, second, fused), abs=0.01)


def test_mutual_information_with_256_bins_is_the_metric(triples):
    for first, _, fused in triples:
        found = metric_losses.mutual_information(*_tensors(first, fused), bins=256)
        assert found.item() == pytest.approx(information.mutual_information(first, fused), rel=1e-3)


def test_mutual_information_orders_fusions_with_few_bins_too(triples):
    def of_both(first, second, fused):
        images = _tensors(first, second, fused)
        return sum(metric_losses.mutual_information(x, images[2]).item() for x in images[:2])

    brighter, mean, copy = (of_both(*triple) for triple in triples)
    assert copy > brighter > mean


def test_contrast_preservation_is_the_metric(triples):
    for first, second, fused in triples:
        images = _tensors(fused, first, second)
        found = metric_losses.contrast_preservation(*images, side=len(fused))
        assert found.item() == pytest.approx(perception.chen_blum(first, second, fused), abs=0.01)


def test_contrast_preserved_by_equal_images_is_all(triples):
    (image,) = _tensors(triples[0][0])
    assert metric_losses.contrast_preservation(image, image, image).item() == pytest.approx(1)


def test_feature_mutual_information_is_the_metric(triples):
    for first, second, fused in triples:
        for source in (first, second):
            found = metric_losses.feature_mutual_information(*_tensors(source, fused))
            expected = information.feature_mutual_information(source, fused)
            assert found.item() == pytest.approx(expected, abs=0.02)


def test_regression_weights_are_the_guards(triples):
    for first, second, fused in triples:
        found = metric_losses.regression_weights(*_tensors(fused, first, second))
        expected = guards(first, second, fused)
        assert found[0].item() == pytest.approx(expected["bA"], abs=0.03)
        assert found[1].item() == pytest.approx(expected["bB"], abs=0.03)


@pytest.mark.parametrize(
    "metric",
    [
        metric_losses.gradient_preservation,
        metric_losses.added_gradients,
        metric_losses.yang,
        metric_losses.contrast_preservation,
        lambda fused, first, _: metric_losses.feature_mutual_information(first, fused),
        lambda fused, first, _: metric_losses.visual_information_fidelity(first, fused),
        lambda fused, first, _: metric_losses.mutual_information(first, fused),
        lambda *images: metric_losses.regression_weights(*images)[1],
    ],
)
def test_gradients_are_finite_on_black_constant_and_equal_images(metric):
    black, gray = torch.zeros(1, 1, 48, 48), torch.full((1, 1, 48, 48), 0.5)
    for first, second in ((black, black), (gray, gray), (black, gray)):
        fused = ((first + second) / 2).requires_grad_()
        metric(fused, first, second).sum().backward()
        assert fused.grad.isfinite().all()
