"""What readers' answers are worth: proportion correct, localisation ROC, time.

References
----------
Swensson RG. Unified measurement of observer performance in detecting and localizing target objects
on images. Med Phys 1996;23:1709-1725 (localisation ROC). Popescu LM. Nonparametric ROC and LROC
analysis. Med Phys 2007;34:1556-1564.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fusionprep.choices import ReaderTask
from fusionprep.reader_study.answers import Key, KeyImage, ReaderAnswers

FEWEST_PATIENTS = 8
"""From this number of patients on, intervals say what other patients would show; of fewer, what
other slices of the same patients would."""


@dataclass(frozen=True)
class Answered:
    """All answers of one task, one item for each question that comes in every condition.

    Attributes
    ----------
    task
        What was asked.
    groups
        Of each item, (items,): its patient, or its slice.
    with_lesion
        bool (items,); of alternatives, all.
    right
        bool (conditions, readers, items): the image with the lesion was chosen, or its place found.
    ratings
        (conditions, readers, items); of alternatives, 1 where they are right.
    seconds
        (conditions, readers, items).
    """

    task: ReaderTask
    groups: np.ndarray
    with_lesion: np.ndarray
    right: np.ndarray
    ratings: np.ndarray
    seconds: np.ndarray


@dataclass(frozen=True)
class Measure:
    """A figure of each condition and reader.

    Attributes
    ----------
    name
        In tables.
    title
        For people.
    task
        Whose answers it is worked out from.
    values
        (groups + 1, conditions, readers): of all items, then without each group.
    items
        How many it rests on, at the least.
    chance
        What guessing gives; None where that means nothing.
    better
        ``higher`` or ``lower``.
    logarithmic
        Whether `values` are logarithms, so that differences are ratios.
    """

    name: str
    title: str
    task: ReaderTask
    values: np.ndarray
    items: int
    chance: float | None
    better: str = "higher"
    logarithmic: bool = False


def patients(key: Key) -> int | None:
    """How many there are; None where that is not known of all."""
    subjects = {image.subject for image in key.images.values()}
    return None if None in subjects else len(subjects)


def by_patient(key: Key) -> bool:
    """Whether there are enough patients for intervals over patients."""
    return (patients(key) or 0) >= FEWEST_PATIENTS


def arrange(
    task: ReaderTask, key: Key, readers: Sequence[ReaderAnswers], radius: float
) -> Answered:
    """The answers to one task as arrays.

    Parameters
    ----------
    radius
        Within which a mark has found a lesion, in pixels of pictures.
    """
    by_item: dict[int, dict[str, tuple[str, KeyImage]]] = {}
    for name, trial in key.trials.items():
        if trial.task == task:
            images = [key.images[image] for image in trial.images]
            image = next((each for each in images if each.place is not None), images[0])
            by_item.setdefault(image.case, {})[image.condition] = name, image
    items = [by_item[case] for case in sorted(by_item)]
    shape = len(key.conditions), len(readers), len(items)
    right, ratings, seconds = np.zeros(shape, bool), np.zeros(shape, int), np.zeros(shape)
    for place in np.ndindex(shape):
        name, image = items[place[2]][key.conditions[place[0]]]
        answer = readers[place[1]].answers[name]
        seconds[place] = answer.seconds
        if answer.chosen is not None:
            right[place] = key.images[answer.chosen].place is not None
            ratings[place] = right[place]
        else:
            ratings[place] = answer.rating
            right[place] = _near(answer.place, image.place, radius)
    any_image = [next(iter(item.values()))[1] for item in items]
    grouped = by_patient(key)
    groups = [image.subject if grouped else image.scene for image in any_image]
    with_lesion = np.array([image.place is not None for image in any_image])
    return Answered(task, np.array(groups), with_lesion, right, ratings, seconds)


def _near(
    mark: tuple[float, float] | None, place: tuple[float, float] | None, radius: float
) -> bool:
    if mark is None or place is None:
        return False
    return bool(np.hypot(mark[0] - place[0], mark[1] - place[1]) <= radius)


def share(weights: np.ndarray, what: np.ndarray) -> np.ndarray:
    """Weighted shares (weights, ...) of items (..., items); NaN where no item has weight."""
    with np.errstate(invalid="ignore"):
        found = np.tensordot(weights, what.astype(float), axes=(1, -1))
        return np.asarray(found / weights.sum(axis=1).reshape(-1, *[1] * (what.ndim - 1)))


def lroc_area(
    weights: np.ndarray, ratings: np.ndarray, found: np.ndarray, with_lesion: np.ndarray
) -> np.ndarray:
    """Area under the localisation ROC curve, without a model.

    It is the probability that the lesion is found, and rated above an image without one; a tie
    counts half. A reader who finds every lesion and is never misled has 1.

    Parameters
    ----------
    weights
        Of the items, (n, items).
    ratings, found
        (..., items).
    with_lesion
        bool (items,).

    Returns
    -------
    numpy.ndarray
        (n, ...).
    """
    present, absent = ratings[..., with_lesion, None], ratings[..., None, ~with_lesion]
    order = (present > absent) + 0.5 * (present == absent)
    kernel = found[..., with_lesion, None] * order
    first, second = weights[:, with_lesion], weights[:, ~with_lesion]
    sums = np.einsum("np,...pa,na->n...", first, kernel, second)
    with np.errstate(invalid="ignore"):
        whole = first.sum(axis=1) * second.sum(axis=1)
        return np.asarray(sums / whole.reshape(-1, *[1] * (sums.ndim - 1)))


def curve(answered: Answered, condition: int, ratings: range) -> list[tuple[float, float]]:
    """Points of the localisation ROC of a condition, the answers of all readers together.

    Returns
    -------
    list of tuple
        Share of the images without a lesion that are rated so high or higher, and share of the
        lesions that are found and rated so; from (0, 0) to the lowest rating with a mark.
    """
    rated, right = answered.ratings[condition], answered.right[condition]
    present, absent = answered.with_lesion, ~answered.with_lesion
    points = [(0.0, 0.0)]
    for level in sorted(ratings, reverse=True)[:-1]:
        false = float(np.mean(rated[:, absent] >= level))
        points.append((false, float(np.mean(right[:, present] & (rated[:, present] >= level)))))
    return points


def measures(answered: Answered, weights: np.ndarray, hit_by_chance: float) -> list[Measure]:
    """All figures of a task.

    Parameters
    ----------
    weights
        Of the items: all, then without each group.
    hit_by_chance
        Probability that a mark anywhere in the brain finds a lesion.
    """
    task, items = answered.task, len(answered.groups)
    # an answer takes a tenth of a second at least; none has a logarithm that rules the mean
    times = share(weights, np.log(np.maximum(answered.seconds, 0.1)))
    time = Measure(
        f"seconds_{task}", "seconds for an image", task, times, items, None, "lower", True
    )
    if task == "choose":
        correct = share(weights, answered.right)
        return [
            Measure("proportion_correct", "proportion correct", task, correct, items, 0.5),
            time,
        ]
    present = answered.with_lesion
    area = lroc_area(weights, answered.ratings, answered.right, present)
    found = share(weights[:, present], answered.right[..., present])
    misled = share(weights[:, ~present], answered.ratings[..., ~present] > 0)
    few = int(min(present.sum(), (~present).sum()))
    return [
        Measure("lroc_area", "area under the LROC", task, area, few, hit_by_chance / 2),
        Measure("lesions_found", "lesions found", task, found, few, None),
        Measure("false_marks", "marks where there is none", task, misled, few, None, "lower"),
        time,
    ]
