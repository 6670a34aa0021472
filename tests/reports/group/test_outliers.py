"""Robust z and what is called an outlier."""

import numpy as np
import pytest

from fusionprep.reports.group.outliers import (
    ENOUGH,
    common_outliers,
    distributions,
    metric_distributions,
    outliers_by_scan,
    robust_z,
)
from fusionprep.reports.group.rows import FusedEntry, ScanEntry


def test_robust_z_is_the_closed_form():
    # Median 3, deviations 2 1 0 1 97: their median is 1.
    z = robust_z(np.array([1.0, 2.0, 3.0, 4.0, 100.0]))
    assert z == pytest.approx(np.array([-2, -1, 0, 1, 97]) / 1.4826)


def test_robust_z_of_a_normal_sample_is_its_z():
    sample = np.random.default_rng(0).normal(10, 2, 20001)
    assert robust_z(sample) == pytest.approx((sample - 10) / 2, abs=0.15)


def test_where_most_values_are_the_same_the_mean_deviation_counts():
    # Mean deviation 0.5: 5 / 10.
    z = robust_z(np.array([0.0] * 9 + [5.0]))
    assert z[:9] == pytest.approx(0)
    assert z[9] == pytest.approx(5 / (1.2533 * 0.5))


def test_values_that_are_all_the_same_are_no_outliers():
    assert (robust_z(np.full(20, 7.0)) == 0).all()
    assert robust_z(np.array([7.0, 6.0]), np.full(20, 7.0)).tolist() == [0, -np.inf]


def test_differences_that_mean_nothing_are_none():
    values = np.array([1.0] * 19 + [0.999])
    assert robust_z(values, least_spread=0.02)[-1] == pytest.approx(-0.05)


def _scan(number: int, tracer: str = "FDG", session: str = "", **values) -> ScanEntry:
    return ScanEntry(
        values={
            "participant_id": f"sub-{number:02}",
            "session_id": session,
            "modality": "PET",
            "tracer": tracer,
            "registration_verdict": "pass",
            **values,
        },
        anatomy=f"sub-{number:02}_desc-preproc_T1w.nii.gz",
        reason="",
        fused=values.pop("fused", ()),
    )


def _found(scans, column, left_out=()):
    return [item for item in distributions(scans, left_out) if item.measure.column == column]


def test_too_few_scans_have_no_outliers():
    scans = [_scan(i, mi_after=1.0 + i / 100) for i in range(ENOUGH - 2)] + [
        _scan(50, mi_after=9.0)
    ]
    (found,) = _found(scans, "mi_after")
    assert found.z is None
    assert not found.outliers()
    (found,) = _found([*scans, _scan(51, mi_after=1.0)], "mi_after")
    assert found.outliers() == [ENOUGH - 2]


def test_a_small_group_is_compared_with_its_modality():
    scans = [_scan(i, mi_after=0.8 + i / 1000) for i in range(15)]
    scans += [_scan(20, "PIB", mi_after=0.81), _scan(21, "PIB", mi_after=0.2)]
    fdg, pib = _found(scans, "mi_after")
    assert (fdg.group, pib.group) == ("PET FDG", "PET PIB")
    assert not fdg.outliers()
    assert pib.outliers() == [1]
    assert outliers_by_scan([fdg, pib], len(scans))[16][0].value == 0.2


def test_a_t1w_counts_once_and_its_outlier_is_of_all_its_scans():
    scans = [_scan(i, t1w_cnr=3.0 + i / 100) for i in range(12)]
    scans += [_scan(30, t1w_cnr=0.1), _scan(30, "PIB", t1w_cnr=0.1)]
    (found,) = _found(scans, "t1w_cnr")
    assert found.values.size == 13
    lists = outliers_by_scan([found], len(scans))
    assert [len(items) for items in lists] == [0] * 12 + [1, 1]


def test_excluded_scans_are_no_part_of_the_distribution():
    scans = [_scan(i, mi_after=1.0 + i / 100) for i in range(12)] + [_scan(50, mi_after=9.0)]
    (found,) = _found(scans, "mi_after", left_out={12})
    assert found.values.size == 12
    assert not found.outliers()


def _fused(title: str, mutual_information: float) -> FusedEntry:
    return FusedEntry(title, {"space": "T1w"}, {"MI": mutual_information}, None, None)


def test_a_metric_that_is_off_with_one_model_is_not_of_the_scan():
    scans = [
        _scan(i, fused=tuple(_fused(title, 2 + i / 100) for title in "abc")) for i in range(15)
    ]
    scans.append(_scan(20, fused=(_fused("a", 0.1), _fused("b", 2.05), _fused("c", 2.05))))
    scans.append(_scan(21, fused=(_fused("a", 0.1), _fused("b", 0.2), _fused("c", 2.05))))
    lists = outliers_by_scan(metric_distributions(scans), len(scans))
    assert [len(lists[15]), len(lists[16])] == [1, 2]
    assert not common_outliers(lists[15], 3)
    (shared,) = common_outliers(lists[16], 3)
    assert shared.value == 0.1
