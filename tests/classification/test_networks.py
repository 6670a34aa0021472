"""Networks learn an easy effect, and know nothing of the subjects they are tested on."""

import numpy as np
import pytest

from fusionprep.classification.folds import assign_folds
from fusionprep.classification.nested import Design
from fusionprep.classification.networks import NETWORKS
from fusionprep.classification.networks.nested import cross_validate_network, require_packages
from fusionprep.errors import UsageError
from fusionprep.evaluation import roc

pytest.importorskip("lightning")
pytest.importorskip("monai")

from fusionprep.classification.networks.loop import Training, build_network

QUICK = Training(epochs=10, patience=3, batch=8, rate=5e-3)
MASK = np.ones((16, 16, 16), bool)


def planted(rng, subjects=30, channels=1, effect=1.5):
    labels = np.arange(subjects) % 2
    volumes = rng.normal(size=(subjects, channels, 16, 16, 16)).astype(np.float32)
    volumes[labels == 1, 0, 4:12, 4:12, 4:12] -= effect
    return volumes, Design(np.arange(subjects), labels, assign_folds(labels, 3, 0))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_learns_an_easy_effect(name):
    volumes, design = planted(np.random.default_rng(0), channels=2)
    found = cross_validate_network(name, volumes, MASK, design, QUICK)
    area = roc.macro_area(found.scores, design.labels, design.folds)
    assert area.value > 0.9
    assert np.mean(found.predicted == design.labels) > 0.8


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("shape", [(16, 16, 16), (48, 57, 48), (17, 20, 16)])
def test_any_size_gives_a_logit_for_each_class(name, shape):
    import torch

    network = build_network(name, 1, 3).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 1, *shape)).shape == (1, 3)


def test_training_is_repeatable_and_without_the_tested_fold():
    volumes, design = planted(np.random.default_rng(1), subjects=24)
    short = Training(epochs=2, rate=3e-3)
    tested = design.folds == 0
    other = volumes.copy()
    other[tested] = 100 * np.random.default_rng(2).normal(size=other[tested].shape)
    weights = []

    def keep(network, standard, who):
        if np.array_equal(who, tested):
            weights.append({k: v.clone() for k, v in network.state_dict().items()})

    one = cross_validate_network("cnn-simple", volumes, MASK, design, short, keep)
    two = cross_validate_network("cnn-simple", volumes, MASK, design, short, keep)
    cross_validate_network("cnn-simple", other, MASK, design, short, keep)
    assert np.array_equal(one.scores, two.scores)
    assert all((weights[0][key] == weights[2][key]).all() for key in weights[0])


def test_without_an_effect_a_network_finds_none():
    volumes, design = planted(np.random.default_rng(3), subjects=48, effect=0)
    found = cross_validate_network("cnn-simple", volumes, MASK, design, QUICK)
    area = roc.macro_area(found.scores, design.labels, design.folds)
    interval = roc.area_interval(area, design.labels, folds=3)
    assert interval.low < 0.5 < interval.high


def test_a_missing_package_is_told():
    with pytest.raises(UsageError, match=r"fusionprep\[classify\]"):
        require_packages(["no_such_package"])
