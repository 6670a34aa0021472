import json
import warnings

import numpy as np
import pytest
from scipy import ndimage

from fusionprep.errors import DataError, UsageError
from fusionprep.evaluation.metrics import METRICS, RANKED, fusion_metrics, get_metric, metric_names
from tests.evaluation.images import noise, sources

# The closest a metric comes where three images are equal.
_OF_EQUAL_IMAGES = {
    "CC": 1,
    "SCD": 0,
    "VIF": 2,
    "VIFmin": 1,
    "Nabf": 0,
    "SSIM": 2,
    "SSIM255": 1,
    "MS_SSIM": 1,
    "PSNR": np.inf,
    "MSE": 0,
    "QMI": 2,
    "FMI_p": 1,
    "QCV": 0,
    "QCB": 1,
    "Q_S": 1,
    "Q_W": 1,
    "Q_E": 1,
    "Q_Y": 1,
    "PETrec": 1,
    "MRIrec": 1,
    "MinSource": 1,
}

_RECIPES = {
    "average": lambda a, b: np.round((a + b) / 2),
    "max": np.maximum,
    "blurred": lambda a, b: np.round(ndimage.gaussian_filter(np.maximum(a, b), 1.5)),
}


def _gray(path):
    from PIL import Image

    return np.asarray(Image.open(path).convert("L"), float)


@pytest.mark.parametrize("index", range(18))
def test_values_are_those_of_the_public_evaluators(shared_data, index):
    reference = json.loads((shared_data.parent / "metrics_reference.json").read_text())
    pair = reference["pairs"][index]
    a, b = (_gray(shared_data.parent / pair[role]) for role in ("anatomical", "functional"))
    fused = _RECIPES[pair["fused"].split(":")[0]](a, b)
    expected = pair["metrics"]
    assert len(expected) == 23
    # Six decimals are given; Q_CB alone hangs on rounding errors of the Fourier transform.
    tight = {name: value for name, value in expected.items() if name != "QCB"}
    assert fusion_metrics(a, b, fused, list(tight)) == pytest.approx(tight, rel=5e-4, abs=2e-6)
    loose = {"QCB": expected["QCB"]}
    assert fusion_metrics(a, b, fused, ["QCB"]) == pytest.approx(loose, rel=5e-3)


def test_three_equal_images():
    image, _ = sources()
    values = fusion_metrics(image, image, image, list(_OF_EQUAL_IMAGES))
    assert values == pytest.approx(_OF_EQUAL_IMAGES, abs=1e-6)


def test_gradient_preservation_of_equal_images_is_the_product_of_its_sigmoids():
    image, _ = sources()
    expected = 0.9994 / (1 + np.exp(-7.5)) * 0.9879 / (1 + np.exp(-4.4))
    assert fusion_metrics(image, image, image, ["Qabf"])["Qabf"] == pytest.approx(expected)


def test_information_of_equal_images_is_their_entropy():
    image, _ = sources()
    values = fusion_metrics(image, image, image, ["EN", "MI"])
    assert values["MI"] == pytest.approx(2 * np.log(2) * values["EN"])


def test_independent_noise_shares_nothing():
    size = 256
    values = fusion_metrics(noise(size, 0), noise(size, 1), noise(size, 2))
    assert values["EN"] == pytest.approx(8, abs=0.01)
    assert values["SD"] == pytest.approx(73.9, abs=0.5)
    for name in ("CC", "SSIM255", "MRIrec", "PETrec", "VIF", "VIFmin"):
        assert abs(values[name]) < 0.05, name
    # F - B correlates with A by nothing, too.
    assert abs(values["SCD"]) < 0.05
    # Uniform levels: E (x - y)^2 = (256^2 - 1) / 6.
    assert values["MSE"] == pytest.approx((256**2 - 1) / 6, rel=0.02)


@pytest.mark.parametrize("level", [0.0, 128.0])
def test_constant_images_give_numbers_and_no_warnings(level):
    flat = np.full((64, 64), level)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = fusion_metrics(flat, flat, flat)
    equal = _OF_EQUAL_IMAGES | {"CC": 0, "QMI": 0, "EN": 0, "SD": 0, "SF": 0, "AG": 0, "MI": 0}
    # Zero padding lends a gray image an edge all around, which is preserved.
    qabf = 0.974794 if level else 0
    assert values == pytest.approx(equal | {"Qabf": qabf}, abs=1e-6)


@pytest.mark.parametrize("constant", ["anatomical", "functional", "fused"])
@pytest.mark.parametrize("level", [0.0, 77.0])
def test_one_constant_image_gives_numbers_and_no_warnings(constant, level):
    anatomical, functional = sources()
    images = {"anatomical": anatomical, "functional": functional, "fused": anatomical}
    images[constant] = np.full_like(anatomical, level)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = fusion_metrics(**images)
    assert not np.isnan(list(values.values())).any()
    if constant == "fused":
        assert values["PETrec"] == values["MRIrec"] == values["VIF"] == values["MI"] == 0


def test_a_copy_of_one_source_wins_sums_but_not_minima():
    anatomical, functional = sources()
    names = ["VIF", "VIFmin", "PETrec", "MRIrec", "MinSource"]
    average = fusion_metrics(anatomical, functional, (anatomical + functional) // 2, names)
    mri = fusion_metrics(anatomical, functional, anatomical, names)
    pet = fusion_metrics(anatomical, functional, functional, names)
    assert mri["VIF"] > average["VIF"]
    assert mri["VIFmin"] < 0.1 < average["VIFmin"]
    assert pet["PETrec"] == mri["MRIrec"] == pytest.approx(1)
    for copy in (mri, pet):
        assert copy["MinSource"] < 0.4 < 0.6 < average["MinSource"]
        assert copy["MinSource"] == min(copy["PETrec"], copy["MRIrec"])


def test_sources_swapped_judge_alike():
    anatomical, functional = sources()
    fused = np.maximum(anatomical, functional)
    names = [name for name in metric_names() if name not in {"PETrec", "MRIrec", "MinSource"}]
    swapped = fusion_metrics(functional, anatomical, fused, names)
    assert swapped == pytest.approx(fusion_metrics(anatomical, functional, fused, names))


def test_an_image_of_any_size():
    anatomical, functional = (image[:53, :71] for image in sources())
    values = fusion_metrics(anatomical, functional, np.maximum(anatomical, functional))
    assert np.isfinite(list(values.values())).all()


def test_selected_metrics_come_in_the_order_asked():
    image, _ = sources()
    assert list(fusion_metrics(image, image, image, ["SF", "EN"])) == ["SF", "EN"]


def test_the_table_of_metrics():
    names = metric_names()
    assert len(set(names)) == len(names) == len(METRICS) == 27
    assert set(RANKED) <= {metric.name for metric in METRICS if metric.better == "higher"}
    assert all(get_metric(name).name == name for name in names)
    sharpening = {metric.name for metric in METRICS if metric.better == "neither"}
    assert sharpening == {"EN", "SD", "SF", "AG", "SSIM"}
    assert {m.name for m in METRICS if m.better == "lower"} == {"Nabf", "MSE", "QCV"}


def test_an_unknown_metric_is_named():
    with pytest.raises(UsageError, match="unknown fusion metric 'FID'; there are: EN, SD"):
        get_metric("FID")


@pytest.mark.parametrize(
    ("fused", "message"),
    [
        (np.zeros((64, 65)), r"the fused image is \(64, 65\), the anatomical one \(64, 64\)"),
        (np.full((64, 64), 256.0), "scale it to gray levels 0..255"),
        (np.full((64, 64), np.nan), "scale it to gray levels 0..255"),
    ],
)
def test_images_that_cannot_be_judged(fused, message):
    image = np.zeros((64, 64))
    with pytest.raises(DataError, match=message):
        fusion_metrics(image, image, fused)


@pytest.mark.parametrize("shape", [(47, 64), (64, 64, 3)])
def test_images_that_are_no_slices(shape):
    image = np.zeros(shape)
    with pytest.raises(DataError, match="at least 48 x 48"):
        fusion_metrics(image, image, image)
