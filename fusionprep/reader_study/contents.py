"""What a reader study shows, and what it keeps to itself: pictures, page and key."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fusionprep._version import __version__
from fusionprep.modalities import Modality
from fusionprep.reader_study.design import Shown, Trial
from fusionprep.reader_study.frames import Frame
from fusionprep.reader_study.lesions import with_lesions
from fusionprep.reader_study.observer import Detectability
from fusionprep.reader_study.request import Case, StudyRequest
from fusionprep.reader_study.scenes import Scene
from fusionprep.reader_study.views import View

RADIUS = 2.5
"""A mark this near to a lesion's centre, in its standard deviations, has found it: where a Gaussian
has faded from sight."""

JSON = dict[str, Any]


@dataclass(frozen=True)
class Picture:
    """A case in a condition as it is shown: its name in page and key, and PNG files."""

    name: str
    panels: tuple[bytes, ...]


@dataclass(frozen=True)
class Contents:
    """All that a study shows.

    Attributes
    ----------
    request
        What it was made for.
    scenes, frames
        A frame for each scene.
    cases
        Those of the study, then those of practice.
    views
        The conditions.
    pixel
        Side of a picture's pixel in mm; None where the images do not say.
    pictures
        Every case in every condition in which it is shown.
    """

    request: StudyRequest
    scenes: Sequence[Scene]
    frames: Sequence[Frame]
    cases: Sequence[Case]
    views: Sequence[View]
    pixel: float | None
    pictures: dict[Shown, Picture]

    @property
    def size(self) -> float:
        """Of a lesion, as a standard deviation in pixels of pictures."""
        return self.request.kind.size / (self.pixel or 1.0)

    @property
    def of_volumes(self) -> bool:
        return any(scene.of_volume for scene in self.scenes)

    def place(self, case: Case) -> tuple[float, float] | None:
        """Column and row of a case's lesion in its pictures."""
        if case.lesion is None:
            return None
        rows, columns = self.scenes[case.scene].brain.shape
        x, y = self.frames[case.scene].position(case.lesion.place, (rows, columns))
        return round(x, 2), round(y, 2)


def draw_pictures(
    wanted: Sequence[Shown],
    cases: Sequence[Case],
    scenes: Sequence[Scene],
    frames: Sequence[Frame],
    views: Sequence[View],
    rng: np.random.Generator,
) -> dict[Shown, Picture]:
    """Show cases in conditions, each under a name that says nothing."""
    found = {}
    for shown in wanted:
        case = cases[shown.case]
        scene, frame = scenes[case.scene], frames[case.scene]
        images = with_lesions(scene, [] if case.lesion is None else [case.lesion])
        panels = views[shown.condition].render(scene, images)
        files = tuple(_png(frame.picture(panel)) for panel in panels)
        found[shown] = Picture(rng.bytes(5).hex(), files)
    return found


def _png(picture: np.ndarray) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def page_contents(
    contents: Contents, trials: Sequence[Trial], practice: Sequence[Trial], names: Sequence[str]
) -> JSON:
    """What the page holds, as JSON values: neither conditions nor, but for practice, lesions.

    Parameters
    ----------
    names
        Of the trials.
    """
    rows, columns = contents.frames[0].size
    pictures = sorted(contents.pictures.values(), key=lambda picture: picture.name)
    asked = [*zip(names, trials, strict=True)]
    return {
        "width": columns,
        "height": rows,
        "pixel": contents.pixel,
        "turned": contents.of_volumes,
        "panels": max(len(picture.panels) for picture in pictures),
        "tasks": list(contents.request.tasks),
        "radius": RADIUS * contents.size,
        "dark": contents.request.kind.sign < 0,
        "images": {
            picture.name: [base64.b64encode(panel).decode() for panel in picture.panels]
            for picture in pictures
        },
        "trials": [_trial(name, trial, contents) for name, trial in asked],
        "examples": _examples(contents, practice),
        "practice": [
            _trial(f"practice-{number}", trial, contents)
            | {"lesions": [contents.place(contents.cases[shown.case]) for shown in trial.images]}
            for number, trial in enumerate(practice, start=1)
        ],
    }


def _examples(contents: Contents, practice: Sequence[Trial]) -> list[int]:
    """Numbers of the first practice trial of each condition whose lesion can be seen in it."""
    found: dict[int, int] = {}
    for number, trial in enumerate(practice):
        for shown in trial.images:
            lesion, alone = contents.cases[shown.case].lesion, contents.views[shown.condition].alone
            if lesion is not None and alone in (None, lesion.source):
                found.setdefault(shown.condition, number)
    return sorted(found.values())


def _trial(name: str, trial: Trial, contents: Contents) -> JSON:
    images = [contents.pictures[shown].name for shown in trial.images]
    return {"trial": name, "task": trial.task, "block": trial.block, "images": images}


def key_contents(
    contents: Contents,
    page: JSON,
    modality: Modality,
    seen: Sequence[Detectability],
) -> JSON:
    """What the answers are scored with, as JSON values.

    Parameters
    ----------
    page
        What the page holds.
    seen
        What the model observer sees in each condition.
    """
    request = contents.request
    real = [item for item in contents.pictures.items() if item[0].case < request.images]
    return {
        "GeneratedBy": f"fusionprep {__version__}",
        "Modality": modality.label,
        "Tasks": page["tasks"],
        "Seed": request.seed,
        "Lesions": {
            "Sources": list(request.sources),
            "Size": request.kind.size,
            "Contrast": request.kind.contrast,
        },
        "Units": "pixels" if contents.pixel is None else "mm",
        "PixelSize": contents.pixel or 1.0,
        "PictureSize": [page["width"], page["height"]],
        "Radius": page["radius"],
        "HitByChance": _hit_by_chance(contents),
        "Conditions": [
            {
                "Name": view.name,
                "Title": view.title,
                "ObserverDetectability": found.by_source,
                "ObserverProportionCorrect": found.proportion,
            }
            for view, found in zip(contents.views, seen, strict=True)
        ],
        "Images": {
            picture.name: _image(shown, contents)
            for shown, picture in sorted(real, key=lambda item: item[1].name)
        },
        "Trials": {
            trial["trial"]: {"Task": trial["task"], "Images": trial["images"]}
            for trial in page["trials"]
        },
    }


def _image(shown: Shown, contents: Contents) -> JSON:
    case = contents.cases[shown.case]
    scene = contents.scenes[case.scene]
    place, lesion = contents.place(case), None
    if case.lesion is not None and place is not None:
        lesion = {"Source": case.lesion.source, "Place": list(place), "Height": case.lesion.height}
    return {
        "Case": shown.case,
        "Condition": contents.views[shown.condition].name,
        "Scene": scene.name,
        "Subject": scene.subject,
        "Lesion": lesion,
    }


def _hit_by_chance(contents: Contents) -> float:
    """Probability that a mark anywhere in the brain finds the lesion, over the cases with one."""
    shares = []
    for case in contents.cases[: contents.request.images]:
        if case.lesion is not None:
            scene = contents.scenes[case.scene]
            apart = np.argwhere(scene.brain) - np.array(case.lesion.place)
            distances = np.linalg.norm(apart * np.array(scene.voxel_sizes[:2]), axis=1)
            shares.append(np.mean(distances <= RADIUS * case.lesion.size))
    return float(np.mean(shares))
