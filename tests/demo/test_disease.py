"""A disease in the demo's heads: less gray matter where it should be, and less uptake."""

from dataclasses import replace

import numpy as np
import pytest

from fusionprep.demo.disease import Severities, atrophied, load_patterns
from fusionprep.demo.subject import Traits, load_template, make_subject

TRAITS = Traits((1.0, 1.0, 1.0), 1.4, 0.0, peak_mm=0.0)


@pytest.fixture(scope="module")
def template():
    plain = load_template()
    return replace(plain, patterns=load_patterns(plain.affine, plain.t1w.shape))


def subject(template, severities):
    traits = replace(TRAITS, severities=severities)
    return make_subject(template, traits, 3.0, np.random.default_rng(0))


def test_each_severity_changes_its_own_images(template):
    healthy, thin, dim = (
        subject(template, Severities(*each)) for each in ((0.0, 0.0), (2.0, 0.0), (0.0, 2.0))
    )
    assert thin.fractions[0].sum() < 0.999 * healthy.fractions[0].sum()
    assert np.allclose(sum(thin.fractions), sum(healthy.fractions), atol=1e-5)
    assert np.array_equal(dim.signals["t1w"], healthy.signals["t1w"])
    assert not np.array_equal(thin.signals["t1w"], healthy.signals["t1w"])
    inside = healthy.mask
    assert dim.signals["pet"][inside].mean() < 0.97 * healthy.signals["pet"][inside].mean()


def test_nobody_is_ill_without_severities(template):
    young = make_subject(template, TRAITS, 3.0, np.random.default_rng(0))
    plain = make_subject(replace(template, patterns=None), TRAITS, 3.0, np.random.default_rng(0))
    assert np.array_equal(young.signals["pet"], plain.signals["pet"])


def test_gray_matter_never_falls_below_0():
    left = atrophied(np.ones(2, np.float32), np.array([0.14, 0.0], np.float32), 9.0)
    assert left.tolist() == [0.0, 1.0]
