"""Nested cross-validation of linear models: against scikit-learn, and against leaks."""

import numpy as np
import pytest
from scipy import stats

from fusionprep.classification.calibration import Platt
from fusionprep.classification.folds import assign_folds, permuted_labels
from fusionprep.classification.kernels import (
    JoinedFeatures,
    TableFeatures,
    VoxelFeatures,
    check_alike,
)
from fusionprep.classification.linear import STRENGTHS, fit
from fusionprep.classification.linear_models import LINEAR_MODELS
from fusionprep.classification.nested import (
    Design,
    cross_validate,
    mean_areas,
    permutation_p,
    permuted_areas,
)
from fusionprep.errors import DataError
from fusionprep.evaluation import roc


def planted(rng, subjects=60, voxels=300, effect=1.2, classes=2):
    labels = np.arange(subjects) % classes
    images = rng.normal(size=(subjects, voxels))
    images[:, :40] += effect * 0.4 * labels[:, None]
    return images, labels


def design_of(labels, folds=5, seed=0):
    return Design(np.arange(len(labels)), labels, assign_folds(labels, folds, seed))


@pytest.mark.parametrize("model", LINEAR_MODELS)
def test_dual_models_are_those_of_scikit_learn_on_voxels(model):
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.svm import SVC

    rng = np.random.default_rng(0)
    images, labels = planted(rng)
    train, test = np.arange(40), np.arange(40, 60)
    kernel, cross = VoxelFeatures.of(images).split(train, test)
    targets = 2.0 * labels[train] - 1
    found = cross @ fit(model, kernel, targets[:, None])
    centred = images - images[train].mean(axis=0)
    centred /= np.sqrt((centred[train] ** 2).sum() / 40)
    for strength, scores in zip(STRENGTHS[model], found[:, :, 0], strict=True):
        if model == "ridge":
            known = Ridge(alpha=strength).fit(centred[train], targets)
        elif model == "logistic":
            known = LogisticRegression(C=strength, class_weight="balanced", tol=1e-8, max_iter=5000)
            known.fit(centred[train], targets)
        else:
            known = SVC(C=strength, kernel="linear", class_weight="balanced", tol=1e-6)
            known.fit(centred[train], targets)
        expected = centred[test] @ np.ravel(known.coef_)
        assert scores == pytest.approx(expected, abs=0.02 * np.abs(expected).max() + 1e-9)


@pytest.mark.parametrize("model", LINEAR_MODELS)
def test_an_effect_is_found(model):
    images, labels = planted(np.random.default_rng(1))
    design = design_of(labels)
    found = cross_validate(VoxelFeatures.of(images), model, design)
    area = roc.macro_area(found.scores, labels, design.folds)
    interval = roc.area_interval(area, labels, folds=5)
    assert interval.low > 0.5
    assert found.probabilities.sum(axis=1) == pytest.approx(1)
    assert np.mean(found.predicted == labels) > 0.7
    assert roc.brier(found.probabilities, labels).value < 0.2


def test_three_classes():
    rng = np.random.default_rng(2)
    images, labels = planted(rng, subjects=90, classes=3)
    images[:, 50:90] += 0.8 * (labels == 1)[:, None]
    design = design_of(labels)
    features = VoxelFeatures.of(images)
    found = cross_validate(features, "ridge", design)
    assert roc.macro_area(found.scores, labels, design.folds).value > 0.8
    assert np.mean(found.predicted == labels) > 0.6
    permuted = permuted_labels(labels, design.folds, 40, seed=0)
    assert permutation_p(features, "ridge", design, permuted) == 1 / 41


def test_the_area_of_unpermuted_labels_is_that_of_the_cross_validation():
    images, labels = planted(np.random.default_rng(3), effect=0.5)
    design, features = design_of(labels), VoxelFeatures.of(images)
    found = cross_validate(features, "ridge", design)
    expected = roc.macro_area(found.scores, labels, design.folds).value
    assert permuted_areas(features, "ridge", design, labels[:, None])[0] == pytest.approx(expected)


def test_areas_of_columns_are_areas():
    rng = np.random.default_rng(0)
    scores, labels = (
        np.round(rng.normal(size=(20, 4)), 1),
        rng.permuted(np.tile([[0], [1]], (10, 4)), axis=0),
    )
    both = np.stack([-scores, scores], axis=-1)
    expected = [roc.auc(scores[:, c], labels[:, c] == 1) for c in range(4)]
    assert mean_areas(both, labels) == pytest.approx(expected)


def test_folds_are_stratified_and_keep_groups_whole():
    labels = np.repeat([0, 1], [33, 17])
    folds = assign_folds(labels, 5, seed=4)
    counts = np.stack([np.bincount(labels[folds == fold]) for fold in range(5)])
    assert np.ptp(counts, axis=0).max() <= 1
    assert np.ptp(counts.sum(axis=1)) <= 1
    assert np.array_equal(folds, assign_folds(labels, 5, seed=4))
    labels = np.arange(100) % 2
    sites = np.repeat(np.arange(20), 5)
    folds = assign_folds(labels, 5, 0, sites)
    assert all(len(set(folds[sites == site])) == 1 for site in range(20))


def test_too_few_subjects_are_refused():
    with pytest.raises(DataError, match="fewer --folds"):
        assign_folds(np.repeat([0, 1], [30, 7]), 5, 0)
    with pytest.raises(DataError, match="2 groups"):
        assign_folds(np.arange(20) % 2, 5, 0, np.repeat([0, 1], 10))


def test_permutations_stay_within_strata():
    labels = np.arange(60) % 2
    strata = np.repeat(np.arange(4), 15)
    permuted = permuted_labels(labels, strata, 30, seed=0)
    for stratum in range(4):
        inside = strata == stratum
        assert (permuted[inside].sum(axis=0) == labels[inside].sum()).all()
    assert len({tuple(column) for column in permuted.T}) == 30


def test_p_is_uniform_without_an_effect():
    rng = np.random.default_rng(7)
    found = []
    for seed in range(60):
        labels = np.arange(40) % 2
        features = VoxelFeatures.of(rng.normal(size=(40, 30)))
        design = design_of(labels, 4, seed)
        permuted = permuted_labels(labels, design.folds, 99, seed)
        found.append(permutation_p(features, "ridge", design, permuted))
    assert stats.kstest(found, "uniform").pvalue > 0.01


@pytest.mark.parametrize("model", LINEAR_MODELS)
def test_what_is_trained_does_not_know_the_images_it_is_tested_on(model):
    """Whatever the tested images are, scores of the others by a model without them are the same."""
    rng = np.random.default_rng(8)
    images, labels = planted(rng, subjects=30)
    table = np.where(rng.uniform(size=(30, 5)) < 0.1, np.nan, rng.normal(size=(30, 5)))
    tested = np.arange(30) % 3 == 0
    other_images = np.where(tested[:, None], 1e3 * rng.normal(size=images.shape), images)
    other_table = np.where(tested[:, None], np.nan, table)
    train, test = np.flatnonzero(~tested)[:12], np.flatnonzero(~tested)[12:]
    both = [
        JoinedFeatures((VoxelFeatures.of(voxels), TableFeatures(columns))).split(train, test)
        for voxels, columns in ((images, table), (other_images, other_table))
    ]
    targets = 2.0 * labels[train, None] - 1
    scores = [cross @ fit(model, kernel, targets) for kernel, cross in both]
    assert scores[0] == pytest.approx(scores[1], rel=1e-6, abs=1e-8)


def test_the_strength_for_a_fold_is_chosen_without_its_labels():
    rng = np.random.default_rng(9)
    images, labels = planted(rng, effect=0.6)
    design = design_of(labels)
    swapped = labels.copy()
    members = np.flatnonzero(design.folds == 2)
    swapped[members] = rng.permutation(labels[members])
    features = VoxelFeatures.of(images)
    one = cross_validate(features, "ridge", design)
    other = cross_validate(features, "ridge", Design(design.subjects, swapped, design.folds))
    assert not np.array_equal(swapped, labels)
    assert one.chosen[2] == other.chosen[2]
    assert one.scores[members] == pytest.approx(other.scores[members])
    assert one.probabilities[members] == pytest.approx(other.probabilities[members])


class Selected:
    """A leak on purpose: the voxels that separate the classes best in all subjects."""

    def __init__(self, images, labels):
        t = np.abs(images[labels == 1].mean(axis=0) - images[labels == 0].mean(axis=0))
        self.features = VoxelFeatures.of(images[:, np.argsort(t)[-20:]])

    def split(self, train, test):
        return self.features.split(train, test)


def test_choosing_voxels_in_all_subjects_would_show():
    """The same cohorts give chance by the honest way, and a clear leak by the other."""
    rng = np.random.default_rng(10)
    honest, leaking = [], []
    for seed in range(12):
        labels = np.arange(60) % 2
        images = rng.normal(size=(60, 800))
        design = design_of(labels, seed=seed)
        for found, features in (
            (honest, VoxelFeatures.of(images)),
            (leaking, Selected(images, labels)),
        ):
            scores = cross_validate(features, "ridge", design).scores
            found.append(roc.macro_area(scores, labels, design.folds).value)
    assert np.mean(honest) == pytest.approx(0.5, abs=0.06)
    assert np.mean(leaking) > 0.8


def test_sessions_of_a_subject_are_tested_together():
    rng = np.random.default_rng(11)
    labels = np.arange(30) % 2
    subjects = np.sort(np.concatenate([np.arange(30), np.arange(15)]))
    # two sessions of a subject are nearly one image: apart, they would give the class away
    person = rng.normal(size=(30, 200))
    images = person[subjects] + 0.1 * rng.normal(size=(45, 200))
    areas = []
    for seed in range(15):
        design = Design(subjects, labels, assign_folds(labels, 3, seed))
        found = cross_validate(VoxelFeatures.of(images), "ridge", design)
        areas.append(roc.macro_area(found.scores, labels, design.folds).value)
    assert np.mean(areas) == pytest.approx(0.5, abs=0.12)


def test_one_image_under_two_names_is_refused():
    rng = np.random.default_rng(12)
    images = rng.normal(size=(20, 100)) + 50
    images[7] = 1.0001 * images[3] + 1e-4 * rng.normal(size=100)
    names = [f"sub-{n}" for n in range(20)]
    with pytest.raises(DataError, match="sub-3 and sub-7 are almost the same"):
        check_alike(VoxelFeatures.of(images), names, np.arange(20))
    subjects = np.arange(20)
    subjects[7] = 3
    check_alike(VoxelFeatures.of(images), names, subjects)


def test_an_input_that_never_varies_is_refused():
    with pytest.raises(DataError, match="leave it out"):
        VoxelFeatures.of(np.ones((6, 5))).split(np.arange(4), np.arange(4, 6))


def test_calibration_of_scores_that_separate_stays_finite():
    labels = np.repeat([0, 1], 20)
    scores = np.stack([-np.arange(40.0), np.arange(40.0)], axis=1)
    found = Platt.fit(scores, labels).probabilities(scores)
    assert (found[labels == 1, 1] > 0.4).all()
    assert np.isfinite(found).all()


def test_calibration_does_not_turn_scores_around():
    labels = np.repeat([1, 0], 20)
    scores = np.stack([-np.arange(40.0), np.arange(40.0)], axis=1)
    found = Platt.fit(scores, labels).probabilities(scores)
    assert found == pytest.approx(0.5, abs=1e-3)
