import numpy as np
import pytest

from fusionprep.evaluation.recoverability import (
    anatomical_recoverability,
    functional_recoverability,
    source_recoverability,
)
from tests.evaluation.images import sources


def test_any_rising_curve_keeps_the_order_of_uptake():
    _, functional = sources()
    assert functional_recoverability(functional, 0.1 * functional + 20) == pytest.approx(1)
    assert functional_recoverability(functional, 255 - functional) == pytest.approx(-1)


def test_detail_finer_than_pet_does_not_hide_the_uptake():
    _, functional = sources()
    checkers = np.indices(functional.shape).sum(axis=0) % 2 * 60.0
    assert functional_recoverability(functional, functional / 2 + checkers) > 0.999


def test_more_of_the_mri_hides_more_of_the_uptake():
    anatomical, functional = sources()
    blends = [w * anatomical + (1 - w) * functional for w in (0, 0.5, 0.8, 1)]
    values = [functional_recoverability(functional, blend) for blend in blends]
    assert values == sorted(values, reverse=True)


def test_edges_count_whatever_their_sign_and_height():
    anatomical, functional = sources()
    for fused in (0.5 * anatomical + 90, 255 - anatomical):
        value = anatomical_recoverability(anatomical, functional, fused)
        assert value == pytest.approx(1, abs=1e-6)


def test_edges_too_faint_to_see_do_not_count():
    anatomical, functional = sources()
    assert anatomical_recoverability(anatomical, functional, 0.001 * anatomical + 90) == 0


def test_edges_at_right_angles_are_the_opposite():
    y, x = np.mgrid[:64, :64]
    stripes = 128 + 100 * np.sin(x / 3)
    across = 128 + 100 * np.sin(y / 3)
    flat = np.full_like(stripes, 100.0)
    assert anatomical_recoverability(stripes, flat, stripes) == pytest.approx(1)
    value = anatomical_recoverability(stripes, flat, across)
    assert -1 <= value < -0.5


def test_nothing_can_be_lost_of_constant_sources():
    anatomical, functional = sources()
    flat = np.full_like(anatomical, 40.0)
    assert functional_recoverability(flat, anatomical) == 1
    assert anatomical_recoverability(flat, functional, functional) == 1
    black = np.zeros_like(flat)
    assert source_recoverability(black, black, black) == 1


def test_real_copies_are_told_from_real_fusions(shared_data):
    from PIL import Image

    def gray(path):
        return np.asarray(Image.open(path).convert("L"), float)

    folder = shared_data / "slices" / "spect-mri" / "val"
    names = sorted(path.name for path in (folder / "mri").iterdir())[::9]
    assert len(names) >= 4
    fusions = {"average": [], "mri": [], "spect": []}
    for name in names:
        mri, spect = gray(folder / "mri" / name), gray(folder / "spect" / name)
        for recipe, fused in (("average", (mri + spect) / 2), ("mri", mri), ("spect", spect)):
            fusions[recipe].append(source_recoverability(mri, spect, fused))
    means = {recipe: np.mean(values) for recipe, values in fusions.items()}
    assert means["average"] > 0.6 > 0.4 > max(means["mri"], means["spect"])
