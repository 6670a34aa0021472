"""Which image is shown when: cases, pairs of alternatives, and blocks that balance conditions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fusionprep.choices import ReaderTask

FEWEST_PRACTICE = 3
"""Practice questions with alternatives; more where there are more conditions."""

_FORBIDDEN = 1e6


@dataclass(frozen=True, order=True)
class Shown:
    """A case in a condition, by their numbers."""

    case: int
    condition: int


@dataclass(frozen=True)
class Trial:
    """One question.

    Attributes
    ----------
    task
        What is asked.
    block
        Trials of a block are shown together. A case comes once in a block of a task.
    images
        Two of which one has a lesion, in random order, or one.
    """

    task: ReaderTask
    block: int
    images: tuple[Shown, ...]


def half(count: int, rng: np.random.Generator) -> np.ndarray:
    """Which of an even number of cases have a lesion, bool: a random half."""
    return rng.permutation(np.arange(count) % 2 == 0)


def alternatives(
    diseased: np.ndarray, areas: Sequence[float], scenes: Sequence[int]
) -> list[tuple[int, int]]:
    """A case without a lesion for each with one: of like brain area, and never of the same scene.

    Parameters
    ----------
    diseased
        Which cases have a lesion: half of them, bool.
    areas
        Of the brain of each case.
    scenes
        The scene of each case, by its number.

    Returns
    -------
    list of tuple
        Case with, case without a lesion.
    """
    from scipy.optimize import linear_sum_assignment

    present, absent = np.flatnonzero(diseased), np.flatnonzero(~diseased)
    area, scene = np.asarray(areas, float), np.asarray(scenes)
    cost = np.abs(area[present][:, None] - area[absent]) / area.max()
    cost += _FORBIDDEN * (scene[present][:, None] == scene[absent])
    rows, columns = linear_sum_assignment(cost)
    return [
        (int(present[row]), int(absent[column])) for row, column in zip(rows, columns, strict=True)
    ]


def trials_of(
    task: ReaderTask,
    items: Sequence[Sequence[int]],
    conditions: int,
    rng: np.random.Generator,
) -> list[Trial]:
    """Every item once in every condition, in as many blocks as there are conditions.

    A block has each item once, and all conditions equally often, give or take one (a Latin square).

    Parameters
    ----------
    items
        The cases of each question.
    """
    order = rng.permutation(len(items)).tolist()
    trials = []
    for block in range(conditions):
        for place, item in enumerate(order):
            condition = (place + block) % conditions
            cases = rng.permutation(items[item]).tolist()
            shown = tuple(Shown(case, condition) for case in cases)
            trials.append(Trial(task, block, shown))
    # the order in a file must not tell what belongs together
    return [trials[index] for index in rng.permutation(len(trials))]


def practice_cases(task: ReaderTask, conditions: int) -> list[bool]:
    """Which cases of practice have a lesion.

    There are enough for a question in each condition with alternatives, and for two with one image:
    with a lesion and without.
    """
    if task == "choose":
        return [True, False] * max(FEWEST_PRACTICE, conditions)
    return [True] * conditions + [False] * conditions


def practice_of(
    task: ReaderTask, items: Sequence[Sequence[int]], conditions: int, rng: np.random.Generator
) -> list[Trial]:
    """Practice with some items, each once, in which every condition comes.

    Parameters
    ----------
    items
        The cases of each question, in the order of :func:`practice_cases`.
    """
    trials = []
    for number, cases in enumerate(items):
        ordered = rng.permutation(cases).tolist()
        shown = tuple(Shown(case, number % conditions) for case in ordered)
        trials.append(Trial(task, -1, shown))
    return [trials[index] for index in rng.permutation(len(trials))]
