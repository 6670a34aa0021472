import warnings

import numpy as np
import pytest

from fusionprep.evaluation.guards import guards
from tests.evaluation.images import sources


def test_average_of_two_sources():
    anatomical, functional = sources()
    fused = (anatomical + functional) / 2
    values = guards(anatomical, functional, fused)
    head = np.maximum(anatomical, functional) > 10
    assert values["pB"] == pytest.approx(0.5)
    expected = 0.5 * anatomical[head].std() / fused[head].std()
    assert values["bA"] == pytest.approx(expected, rel=1e-3)
    assert values["added_edges"] == values["background"] == 0


def test_a_copy_drops_the_other_source():
    anatomical, functional = sources()
    copy = guards(anatomical, functional, anatomical)
    assert copy["bA"] == pytest.approx(1)
    assert copy["bB"] == pytest.approx(0, abs=1e-9)
    assert copy["pB"] == pytest.approx(0, abs=1e-9)


def test_haze_and_added_edges_show():
    anatomical, functional = sources()
    hazy = np.maximum(anatomical, functional) + 25
    assert guards(anatomical, functional, hazy)["background"] == 25
    assert guards(anatomical, functional, 2 * anatomical)["added_edges"] > 0.1


def test_bone():
    mri, ct = sources()
    ct = np.minimum(ct, 150)
    ct[40:50, 40:50] = 240
    fused = ct / 2 + 60
    fused[40:45, 40:50] = 60
    values = guards(mri, ct, fused)
    assert values["bone"] == pytest.approx((180 + 60) / 2 / 240)
    assert values["bone_lost"] == 0.5


def test_constant_images_and_missing_regions():
    anatomical, _ = sources()
    flat = np.full_like(anatomical, 50.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = guards(anatomical, flat, flat)
        black = guards(flat * 0, flat * 0, flat * 0)
    assert values["bA"] == values["bB"] == values["pB"] == values["added_edges"] == 0
    assert np.isnan([values["background"], values["bone"], values["bone_lost"]]).all()
    assert black["bA"] == black["background"] == 0
