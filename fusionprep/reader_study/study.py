"""A reader study put together: scenes, lesions, pictures, trials, and the key."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fusionprep.choices import ReaderTask
from fusionprep.errors import DataError
from fusionprep.evaluation.pairs import find_pair_sets
from fusionprep.modalities import Modality
from fusionprep.reader_study import design
from fusionprep.reader_study.contents import (
    JSON,
    Contents,
    draw_pictures,
    key_contents,
    page_contents,
)
from fusionprep.reader_study.design import Trial
from fusionprep.reader_study.frames import frames
from fusionprep.reader_study.lesions import draw_lesion, suited_places
from fusionprep.reader_study.observer import observe
from fusionprep.reader_study.request import Case, StudyRequest
from fusionprep.reader_study.scenes import (
    Found,
    Scene,
    Wanted,
    scenes_of_derivatives,
    scenes_of_pairs,
)
from fusionprep.reader_study.views import View, neighbours

FORMAT = "fusionprep reader study 1"

FEWEST_SCENES = 4


@dataclass(frozen=True)
class Study:
    """A study, ready to be written.

    Attributes
    ----------
    identity
        Of page, key and answers.
    page, key
        What they hold, as JSON values.
    contents
        What is shown.
    lost
        A line for each image that could not be used.
    """

    identity: str
    page: JSON
    key: JSON
    contents: Contents
    lost: tuple[str, ...]

    @property
    def repeated(self) -> int:
        """How many times at most a slice comes in the images of the study, in one condition."""
        request = self.contents.request
        used = [case.scene for case in self.contents.cases[: request.images]]
        return int(np.bincount(used).max())


def make_study(request: StudyRequest) -> Study:
    """Choose scenes, plant lesions, and show them in every condition.

    Raises
    ------
    UsageError
        When the conditions cannot be compared on these images.
    NoInputError, DataError
        When images or weights are missing, or there are too few slices with room for a lesion.
    """
    rng = np.random.default_rng(request.seed)
    modality, views, found = _find(request, rng)
    scenes = found.scenes
    cases = _cases(request, scenes, len(views), rng)
    trials, practice = _trials(request, cases, scenes, len(views), rng)
    framed, pixel = frames(scenes)
    shown = sorted({each for trial in (*trials, *practice) for each in trial.images})
    pictures = draw_pictures(shown, cases, scenes, framed, views, rng)
    seen = observe(views, scenes, request.sources, request.kind, rng)
    contents = Contents(request, scenes, framed, cases, views, pixel, pictures)
    page = page_contents(contents, trials, practice, [rng.bytes(4).hex() for _ in trials])
    identity = hashlib.sha256(json.dumps(page, sort_keys=True).encode()).hexdigest()[:12]
    key = key_contents(contents, page, modality, seen)
    return Study(
        identity,
        {"study": identity, **page},
        {"Format": FORMAT, "Study": identity, **key},
        contents,
        found.lost,
    )


def _find(
    request: StudyRequest, rng: np.random.Generator
) -> tuple[Modality, tuple[View, ...], Found]:
    pair_set = None
    if request.pairs is not None:
        pair_set, *_ = find_pair_sets(
            [request.pairs], anatomical=request.anatomical, functional=request.functional
        )
    modality = request.modality if pair_set is None else pair_set.modality
    views = request.conditions.views(modality)
    practice = (design.practice_cases(task, len(views)) for task in request.tasks)
    count = request.images + sum(map(len, practice))
    wanted = Wanted(count, neighbours(views), lambda scene: _fits(scene, request))
    if pair_set is not None:
        found = scenes_of_pairs(pair_set, wanted, rng)
    else:
        found = scenes_of_derivatives(Path(request.derivatives or ""), modality, wanted, rng)
    if len(found.scenes) < FEWEST_SCENES:
        raise DataError(
            f"{len(found.scenes)} slice(s) have room for a lesion, and a study needs "
            f"{FEWEST_SCENES} or more; give more images, or smaller or fainter lesions"
        )
    return modality, views, found


def _fits(scene: Scene, request: StudyRequest) -> bool:
    return all(suited_places(scene, source, request.kind).any() for source in request.sources)


def _cases(
    request: StudyRequest, scenes: Sequence[Scene], conditions: int, rng: np.random.Generator
) -> list[Case]:
    """Those of the study, then those of practice, which use other scenes where there are any."""
    with_lesion = design.half(request.images, rng).tolist()
    for task in request.tasks:
        with_lesion += design.practice_cases(task, conditions)
    cases: list[Case] = []
    planted = 0
    for number, diseased in enumerate(with_lesion):
        scene, lesion = number % len(scenes), None
        if diseased:
            source = request.sources[planted % len(request.sources)]
            lesion = draw_lesion(scenes[scene], source, request.kind, rng)
            planted += 1
        cases.append(Case(scene, lesion))
    return cases


def _trials(
    request: StudyRequest,
    cases: Sequence[Case],
    scenes: Sequence[Scene],
    conditions: int,
    rng: np.random.Generator,
) -> tuple[list[Trial], list[Trial]]:
    """Trials, and practice."""
    trials: list[Trial] = []
    practice: list[Trial] = []
    first = request.images
    for task in request.tasks:
        end = first + len(design.practice_cases(task, conditions))
        items = _items(task, range(request.images), cases, scenes)
        trials += design.trials_of(task, items, conditions, rng)
        items = _items(task, range(first, end), cases, scenes)
        practice += design.practice_of(task, items, conditions, rng)
        first = end
    return trials, practice


def _items(
    task: ReaderTask, numbers: range, cases: Sequence[Case], scenes: Sequence[Scene]
) -> list[tuple[int, ...]]:
    """The cases of each question."""
    if task == "mark":
        return [(number,) for number in numbers]
    chosen = [cases[number] for number in numbers]
    found = design.alternatives(
        np.array([case.lesion is not None for case in chosen]),
        [float(scenes[case.scene].brain.sum()) for case in chosen],
        [case.scene for case in chosen],
    )
    return [(numbers[first], numbers[second]) for first, second in found]
