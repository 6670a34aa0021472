import numpy as np
import pytest

from fusionprep.errors import DataError, UsageError
from fusionprep.image.intensity import (
    PET_PERCENTILES,
    Scaling,
    anatomical_scaling,
    ct_scaling,
    functional_scaling,
    mri_scaling,
    pet_scaling,
    tracer_class,
)
from fusionprep.modalities import CT, PET, SPECT
from fusionprep.models.registry import get_model


@pytest.fixture
def ramp():
    """Intensities 0 to 1000 inside the mask, far brighter ones outside."""
    array = np.full((10, 10, 20), 1e6, np.float32)
    mask = np.zeros(array.shape, bool)
    mask[:, :, :10] = True
    mask[0, 0, 10] = True
    array[mask] = np.arange(1001)
    return array, mask


def test_scaling_is_linear_clipped_and_invertible():
    scaling = Scaling("test", 100.0, 300.0)
    scaled = scaling.apply(np.array([50, 100, 150, 300, 400], np.int16))
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, [0, 0, 0.25, 1, 1], atol=1e-6)
    np.testing.assert_allclose(scaling.invert(scaled), [100, 100, 150, 300, 300], rtol=1e-6)
    assert scaling.to_dict() == {"Method": "test", "Low": 100.0, "High": 300.0}


def test_every_modality_comes_back_between_its_limits(ramp):
    array, mask = ramp
    hounsfield = np.where(mask, 2 * array - 500, -1000)
    for image, scaling in (
        (array, mri_scaling(array, mask)),
        *((array, functional_scaling(array, mask, kind, "18FFDG")) for kind in (PET, SPECT)),
        (hounsfield, functional_scaling(hounsfield, mask, CT)),
    ):
        inside = mask & (image >= scaling.low) & (image <= scaling.high)
        assert 700 < inside.sum() < mask.sum()
        restored = scaling.invert(scaling.apply(image))
        np.testing.assert_allclose(restored[inside], image[inside], atol=1e-3)
        clipped = np.clip(image, scaling.low, scaling.high)
        np.testing.assert_allclose(restored, clipped, atol=1e-3)


def test_each_modality_has_its_scaling(ramp):
    array, mask = ramp
    assert functional_scaling(array, mask, CT) == ct_scaling("wide")
    for modality in (PET, SPECT):
        assert functional_scaling(array, mask, modality, "PiB") == pet_scaling(array, mask, "PiB")
    with pytest.raises(UsageError, match="unknown modality 'mri'; there are: pet, spect, ct"):
        get_model("max").check_modality("mri")


def test_probabilities_are_not_scaled(ramp):
    array, mask = ramp
    assert anatomical_scaling(array, mask, "image") == mri_scaling(array, mask)
    # Rounding is no reason to refuse a map.
    probability = np.array([0.3, 0.31, np.nan, 1.0001, -1e-5], np.float32)
    scaling = anatomical_scaling(probability, np.ones(5, bool), "gm_probseg")
    np.testing.assert_allclose(scaling.apply(probability), [0.3, 0.31, 0, 1, 0], atol=1e-7)
    for wrong in ([0, 1.1], [-0.1, 1], [0, np.inf]):
        with pytest.raises(DataError, match="probabilities of gray matter"):
            anatomical_scaling(np.array(wrong), np.ones(2, bool), "gm_probseg")


def test_what_is_not_a_number_becomes_zero():
    scaled = Scaling("test", -1.0, 1.0).apply(np.array([np.nan, np.inf, -np.inf, 0.0]))
    np.testing.assert_allclose(scaled, [0, 1, 0, 0.5])


def test_the_input_is_left_as_it_is():
    array = np.array([5.0, 10.0], np.float32)
    Scaling("test", 0.0, 5.0).apply(array)
    assert array.tolist() == [5.0, 10.0]


def test_mri_limits_are_percentiles_inside_the_mask(ramp):
    scaling = mri_scaling(*ramp)
    assert (scaling.low, scaling.high) == pytest.approx((5, 995))


@pytest.mark.parametrize("tracer", ["18FFDG", "[18F]AV-1451", "11CPiB", "18FDOPA", None])
def test_pet_runs_from_zero_to_the_percentile_of_its_class(ramp, tracer):
    array, mask = ramp
    array[mask.nonzero()[0][:1], 0, 0] = np.nan
    scaling = pet_scaling(array, mask, tracer)
    percentile = PET_PERCENTILES[tracer_class(tracer)]
    assert scaling.low == 0
    assert scaling.high == pytest.approx(10 * percentile, abs=0.2)
    assert f"percentile {percentile:g}" in scaling.method


@pytest.mark.parametrize(
    ("tracer", "kind"),
    [
        ("18FFDG", "glucose"),
        ("FDG", "glucose"),
        ("[11C]PiB", "amyloid"),
        ("18FAV45", "amyloid"),
        ("florbetaben", "amyloid"),
        ("18FAV1451", "tau"),
        ("MK-6240", "tau"),
        ("11CRACLOPRIDE", "dopamine"),
        ("[123I]ioflupane", "dopamine"),
        ("6-[18F]-L-DOPA", "dopamine"),
        ("18FUCBJ", "other"),
        ("", "other"),
    ],
)
def test_tracer_classes(tracer, kind):
    assert tracer_class(tracer) == kind


def test_ct_windows():
    assert ct_scaling("brain").apply(np.array([-1000, 40, 80])).tolist() == [0, 0.5, 1]
    wide = ct_scaling("wide").apply(np.array([-1000, 40, 1500]))
    assert wide[0] == 0
    assert wide[1] < 0.2
    assert wide[2] == 1
    with pytest.raises(UsageError, match="brain, bone, wide"):
        ct_scaling("lung")


@pytest.mark.parametrize("scale", [mri_scaling, pet_scaling])
def test_an_image_without_contrast_is_refused(scale):
    with pytest.raises(DataError, match="constant or empty"):
        scale(np.zeros((4, 4, 4)), np.ones((4, 4, 4)))


@pytest.mark.parametrize("scale", [mri_scaling, pet_scaling])
def test_an_image_without_numbers_is_refused(scale):
    with pytest.raises(DataError, match="no finite voxel"):
        scale(np.full((4, 4, 4), np.nan), np.ones((4, 4, 4)))
