from collections import Counter

import numpy as np
import pytest

from fusionprep.reader_study.design import (
    alternatives,
    half,
    practice_cases,
    practice_of,
    trials_of,
)
from fusionprep.reader_study.scenes import spread


def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("conditions", [2, 3, 5])
def test_every_case_comes_once_in_every_condition_and_once_in_a_block(conditions):
    trials = trials_of("mark", [(case,) for case in range(12)], conditions, rng())
    shown = [each for trial in trials for each in trial.images]
    assert len(shown) == len(set(shown)) == 12 * conditions
    for block in range(conditions):
        of_block = [trial.images[0] for trial in trials if trial.block == block]
        assert sorted(each.case for each in of_block) == list(range(12))
        counts = Counter(each.condition for each in of_block)
        assert max(counts.values()) - min(counts.values()) <= 1


def test_the_lesion_is_on_either_side():
    trials = trials_of("choose", [(case, case + 100) for case in range(100)], 2, rng())
    first = sum(trial.images[0].case < 100 for trial in trials)
    assert 70 < first < 130
    assert all(len({each.condition for each in trial.images}) == 1 for trial in trials)


def test_half_of_the_cases_have_a_lesion():
    assert half(40, rng()).sum() == 20


def test_alternatives_are_of_like_size_and_never_of_one_slice():
    diseased = np.array([True, True, False, False])
    assert alternatives(diseased, [100, 50, 52, 99], [0, 1, 2, 3]) == [(0, 3), (1, 2)]
    # the nearest in size is the same slice
    assert alternatives(diseased, [100, 50, 52, 99], [0, 1, 2, 0]) == [(0, 2), (1, 3)]


@pytest.mark.parametrize("conditions", [2, 4])
def test_practice_shows_every_condition_with_a_lesion(conditions):
    for task, width in (("choose", 2), ("mark", 1)):
        lesions = practice_cases(task, conditions)
        cases = range(len(lesions))
        items = [tuple(cases[at : at + width]) for at in range(0, len(lesions), width)]
        trials = practice_of(task, items, conditions, rng())
        seen = {each.condition for trial in trials for each in trial.images if lesions[each.case]}
        assert seen == set(range(conditions))


def test_patients_take_turns():
    order = spread(["a"] * 8 + ["b"] * 2 + ["c"] * 2, rng())
    names = ["a"] * 8 + ["b"] * 2 + ["c"] * 2
    assert sorted(names[index] for index in order[:3]) == ["a", "b", "c"]
    assert sorted(names[index] for index in order[3:6]) == ["a", "b", "c"]
