"""What the numbers of a CT are."""

import numpy as np
import pytest

from fusionprep.errors import DataError
from fusionprep.image.ct_units import CTUnits, ct_units, in_hounsfield, to_hounsfield
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


@pytest.mark.parametrize("padding", [-2000, -3024])
def test_padding_is_not_taken_for_the_air_of_stored_values(head, padding):
    stored = np.where(RADIUS > 60, padding, np.clip(head + 1024, 0, None))
    values, units = to_hounsfield(stored, "ct")
    assert (units.kind, units.offset) == ("offset", 1024)
    assert values[RADIUS > 60].tolist() == [-1000] * np.count_nonzero(RADIUS > 60)


def test_a_small_head_in_a_large_field_of_view_is_enough(head):
    values = np.full((512, 512), -1000.0)
    values[200:232, 200:232] = head[48:80, 48:80]
    assert ct_units(values).kind == "hounsfield"
    assert ct_units(values + 1000) == CTUnits("offset", offset=1000)


@pytest.mark.parametrize("brain", [28, 35, 43])
@pytest.mark.parametrize("offset", [1000, 1024])
def test_the_brain_tells_which_offset_it_is(head, brain, offset):
    stored = np.clip(np.where(RADIUS < 38, head - 35 + brain, head) + offset, 0, None)
    assert ct_units(stored) == CTUnits("offset", offset=offset)


def test_levels_in_between_two_offsets_are_refused(head):
    between = np.where(RADIUS < 48, head + 1012, 0)
    assert ct_units(between).kind == "unknown"


@pytest.mark.parametrize("background", [0, -150, -500])
def test_what_stands_for_air_round_a_head_in_hounsfield_units_becomes_air(head, background):
    cut = np.where(RADIUS < 48, np.maximum(head, background), background)
    values, units = to_hounsfield(cut, "ct")
    assert units.kind == "hounsfield"
    assert f"{background} stood for air" in units.note
    assert (values[RADIUS > 50] == -1000).all()
    np.testing.assert_allclose(values[RADIUS < 36], cut[RADIUS < 36])


def test_a_stripped_brain_is_in_hounsfield_units(head):
    for brightest in (100.0, 230.0):  # a calcification
        stripped = np.where(RADIUS < 38, head, 0)
        stripped[60:62, 60:62] = brightest
        values, units = to_hounsfield(stripped, "ct")
        assert units.kind == "hounsfield"
        assert values[0, 0] == -1000
        np.testing.assert_allclose(values[RADIUS < 36], stripped[RADIUS < 36], rtol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        lambda ct: 2.5 * ct + 4000,
        lambda ct: 0.5 * ct,
        lambda ct: ct / 1000,
        lambda ct: ct - 500,
        lambda ct: 0 * ct,
        lambda ct: np.where(RADIUS < 38, ct + 1300, ct),
    ],
    ids=["slope and offset", "half", "thousandths", "offset", "constant", "no brain"],
)
def test_what_is_neither_is_refused(head, change):
    with pytest.raises(DataError, match=r"scan\.nii is not in Hounsfield units"):
        to_hounsfield(change(head), "scan.nii")


def test_an_mri_is_no_ct():
    rng = np.random.default_rng(0)
    mri = np.select([RADIUS < 8, RADIUS < 38, RADIUS < 44, RADIUS < 48], [250, 1040, 60, 1400], 0)
    mri = np.abs(mri + rng.normal(0, 150, mri.shape))
    assert ct_units(mri).kind == "unknown"


def test_a_window_without_bone_is_not_taken_for_a_stripped_brain(head):
    blurred = np.where((RADIUS >= 38) & (RADIUS < 44), 500 + 20 * (head - 1200), head)
    levels = np.rint(255 * np.clip((blurred + 150) / 1500, 0, 1))
    assert ct_units(levels).kind == "unknown"


def test_only_hounsfield_units_are_scaled_by_a_window_of_them(head):
    assert ct_units(head).scaling is None
    assert ct_units(head + 1024).scaling is None
    unknown = ct_units(head / 2).scaling
    assert "neither Hounsfield units" in unknown.method
    assert -450 < unknown.low < 0
    assert 550 < unknown.high < 610
    levels = np.clip((head + 150) / 1500, 0, 1)
    scaling = ct_units(255 * levels).scaling
    assert (scaling.low, scaling.high) == (0, 255)
    assert "not Hounsfield units" in scaling.method
    assert ct_units(1.02 * levels - 0.01).kind == "window"  # interpolation overshoots


def test_tissues_in_unknown_units_are_told_apart(head):
    stretched = np.where(RADIUS > 60, np.nan, 2.6 * head + 1600)
    moved = in_hounsfield(stretched, ct_units(stretched))
    assert (moved[RADIUS > 50] == -1000).all()
    shown = ct_scaling("wide").apply(moved)
    brain, bone = shown[(RADIUS > 10) & (RADIUS < 36)], shown[(RADIUS > 40) & (RADIUS < 43)]
    assert 0.2 < brain.mean() < 0.6
    assert bone.mean() > 0.95
