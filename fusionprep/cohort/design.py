"""Who is in a cohort, how ill they are, and how well that could be told at best.

Everybody has two severities, of atrophy and of hypometabolism. Within a class each has a standard
deviation of 1 and the two a correlation; classes differ in their means alone. An observer who read
both without error would still take some people for others: people differ, not images.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fusionprep.cohort.options import CLASSES, MOST_SUBJECTS, STRONGEST
from fusionprep.cohort.scanners import SCANNERS, Scanner
from fusionprep.errors import UsageError
from fusionprep.given import outside

AGE_MEAN, AGE_SD, AGES = 74.0, 7.0, (55, 90)
SEXES = ("F", "M")


@dataclass(frozen=True)
class Strengths:
    """By how much patients differ from controls.

    Attributes
    ----------
    mri, pet
        Difference of mean severity, of atrophy and of hypometabolism, in standard deviations: the
        detectability d' of each.
    correlation
        Of the two severities within a class.

    Examples
    --------
    >>> strengths = Strengths(1.0, 1.0, 0.0)
    >>> round(strengths.both, 3)
    1.414
    >>> round(area_of(strengths.mri), 3), round(area_of(strengths.both), 3)
    (0.76, 0.841)
    """

    mri: float = 1.0
    pet: float = 1.0
    correlation: float = 0.0

    def __post_init__(self) -> None:
        for name, value in (("MRI", self.mri), ("PET", self.pet)):
            if not 0.0 <= value <= STRONGEST:
                raise UsageError(
                    f"the strength in the {name} must be between 0 and {STRONGEST:g}, not {value:g}"
                )
        if not -1.0 < self.correlation < 1.0:
            raise UsageError(
                f"the correlation must be between -1 and 1, not {self.correlation:g}: severities"
                " that are one and the same have no two strengths"
            )

    @property
    def both(self) -> float:
        """The detectability of both severities together, by the best linear observer."""
        square = self.mri**2 + self.pet**2 - 2 * self.correlation * self.mri * self.pet
        return math.sqrt(square / (1 - self.correlation**2))


def area_of(detectability: float) -> float:
    """The area under the ROC curve, 0.5 to 1, of a normal score with that d'."""
    return 0.5 * (1 + math.erf(detectability / 2))


@dataclass(frozen=True)
class Design:
    """What a cohort is to be.

    Attributes
    ----------
    subjects
        How many, in equal shares of the classes.
    strengths
        Of patients against controls.
    classes
        Those of :mod:`fusionprep.cohort.options`.
    seed
        Same seed, same bytes.
    """

    subjects: int
    strengths: Strengths = Strengths()
    classes: tuple[str, ...] = CLASSES
    seed: int = 0

    def __post_init__(self) -> None:
        least = len(self.classes) * len(SCANNERS)
        if problem := outside(self.subjects, least, MOST_SUBJECTS):
            raise UsageError(f"the number of subjects {problem}")


@dataclass(frozen=True)
class Person:
    """A subject.

    Attributes
    ----------
    label
        Without ``sub-``.
    diagnosis
        Of the classes.
    scanner
        Of MRI and PET.
    atrophy, hypometabolism
        Severities in standard deviations of healthy people, 0 on average in these.
    """

    label: str
    age: int
    sex: str
    diagnosis: str
    scanner: Scanner
    atrophy: float
    hypometabolism: float


def draw_people(design: Design) -> list[Person]:
    """The subjects of a cohort, in random order.

    Age, sex and scanner have nothing to do with the class: each class has as many of either
    scanner, give or take one.
    """
    count, classes = design.subjects, design.classes
    rng = np.random.default_rng([design.seed, 0])
    order = rng.permutation(count)
    number = (np.arange(count) % len(classes))[order]
    scanner = (np.arange(count) // len(classes) % len(SCANNERS))[order]
    ages = np.clip(np.rint(rng.normal(AGE_MEAN, AGE_SD, count)), *AGES).astype(int)
    sexes = rng.integers(len(SEXES), size=count)
    severities = draw_severities(design.strengths, number / (len(classes) - 1), rng)
    width = max(3, len(str(count)))
    return [
        Person(
            label=f"{index + 1:0{width}}",
            age=int(ages[index]),
            sex=SEXES[sexes[index]],
            diagnosis=classes[number[index]],
            scanner=SCANNERS[scanner[index]],
            atrophy=float(severities[index, 0]),
            hypometabolism=float(severities[index, 1]),
        )
        for index in range(count)
    ]


def draw_severities(
    strengths: Strengths, ill: Sequence[float] | np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Severities of atrophy and hypometabolism.

    Parameters
    ----------
    ill
        (n,), 0 for controls, 1 for patients, between them for those half as far.

    Returns
    -------
    numpy.ndarray
        (n, 2).
    """
    spread = np.linalg.cholesky([[1.0, strengths.correlation], [strengths.correlation, 1.0]])
    drawn = rng.standard_normal((len(ill), 2)) @ spread.T
    return drawn + np.outer(ill, [strengths.mri, strengths.pet])
