"""What the numbers of a CT are."""

import numpy as np
import pytest

from fusionprep.errors import DataError
from fusionprep.image.ct_units import ct_units, to_hounsfield
from fusionprep.image.intensity import ct_scaling

RADIUS = np.hypot(*np.ogrid[-64:64, -64:64])


@pytest.fixture
def head():
    """A slice in Hounsfield units: air, scalp, skull, brain with a ventricle."""
    ct = np.select(
        [RADIUS < 8, RADIUS < 38, RADIUS < 44, RADIUS < 48], [8.0, 35.0, 1200.0, 40.0], -1000.0
    )
    return ct + np.random.default_rng(0).normal(0, 3, ct.shape)


def test_hounsfield_units_stay_as_they_are(head):
    values, units = to_hounsfield(head, "ct")
    assert units.kind == "hounsfield"
    assert not units.note
    np.testing.assert_allclose(values, head, atol=1e-3)


@pytest.mark.parametrize("offset", [1000, 1024])
@pytest.mark.parametrize("clipped", [True, False])
def test_an_offset_is_subtracted(head, offset, clipped):
    stored = np.rint(head + offset)
    stored = np.clip(stored, 0, None) if clipped else stored
    values, units = to_hounsfield(stored, "ct")
    assert (units.kind, units.offset) == ("offset", offset)
    assert f"{offset} was subtracted" in units.note
    np.testing.assert_allclose(values[RADIUS < 48], head[RADIUS < 48], atol=1)


@pytest.mark.parametrize("white", [1, 255])
def test_levels_of_a_window_are_fused_as_they_are(head, white):
    levels = np.clip((head - 0) / 80, 0, 1)
    values, units = to_hounsfield(white * levels, "ct")
    assert units.kind == "window"
    assert "not Hounsfield units" in units.note
    fused_as = ct_scaling("wide").apply(values)
    np.testing.assert_allclose(fused_as[levels > 0.03], levels[levels > 0.03], atol=1e-5)
    assert values[0, 0] == -1000


@pytest.mark.parametrize("padding", [-2000, -3024])
def test_padding_becomes_air(head, padding):
    padded = np.where(RADIUS > 60, padding, head)
    values, units = to_hounsfield(padded, "ct")
    assert units.kind == "hounsfield"
    assert values.min() > -1100
    assert values[0, 0] == -1000


def test_a_stripped_brain_is_in_hounsfield_units(head):
    assert ct_units(np.where(RADIUS < 38, head, 0)).kind == "hounsfield"


@pytest.mark.parametrize("change", [lambda ct: 2.5 * ct + 4000, lambda ct: 0 * ct])
def test_what_is_neither_is_refused(head, change):
    with pytest.raises(DataError, match=r"scan\.nii is not in Hounsfield units"):
        to_hounsfield(change(head), "scan.nii")
