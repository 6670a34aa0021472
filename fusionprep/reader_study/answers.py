"""The key of a reader study and its readers' answers, read and checked against each other."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusionprep.choices import ReaderTask
from fusionprep.errors import DataError, NoInputError, UnreadableFileError, UsageError
from fusionprep.given import shown
from fusionprep.reader_study.study import FORMAT
from fusionprep.reading import cell_number, read_json_object, read_text

COLUMNS = (
    "study", "reader", "order", "trial", "task", "left", "right", "chosen", "rating", "x", "y",
    "seconds",
)  # fmt: skip
"""Of an answers file; the page writes them."""

MISSING = "n/a"

RATINGS = range(6)
"""0 says that there is no lesion."""

LONGEST_SECONDS = 86400.0


@dataclass(frozen=True)
class KeyImage:
    """What readers were shown.

    Attributes
    ----------
    case
        Number of the case.
    condition
        How it was shown.
    scene, subject
        Slice, and patient where that is known.
    place
        Column and row of its lesion, in pixels of pictures; None without one.
    """

    case: int
    condition: str
    scene: str
    subject: str | None
    place: tuple[float, float] | None


@dataclass(frozen=True)
class KeyTrial:
    """A question: its task and its images."""

    task: ReaderTask
    images: tuple[str, ...]


@dataclass(frozen=True)
class Key:
    """What the answers are scored with.

    Attributes
    ----------
    told
        All of the file, as JSON values.
    """

    study: str
    conditions: tuple[str, ...]
    images: Mapping[str, KeyImage]
    trials: Mapping[str, KeyTrial]
    told: Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """An answer to one question.

    Attributes
    ----------
    chosen
        The image that was taken for the one with the lesion; None where a place was asked for.
    rating
        One of :data:`RATINGS`; None where an image was to be chosen.
    place
        Column and row of the mark; None without one.
    seconds
        Time taken.
    """

    chosen: str | None
    rating: int | None
    place: tuple[float, float] | None
    seconds: float


@dataclass(frozen=True)
class ReaderAnswers:
    """All answers of a reader, by trial."""

    reader: str
    answers: Mapping[str, Answer]


def read_key(path: Path) -> Key:
    """Read the key of a study.

    Raises
    ------
    NoInputError
        When there is no such file.
    DataError
        When it is something else.
    """
    try:
        told = read_json_object(path)
    except UnreadableFileError as error:
        if error.absent:
            raise NoInputError(f"there is no {path}; name key.json of the study") from error
        raise DataError(f"cannot read the key {path}: {error.reason}") from error
    if told.get("Format") != FORMAT:
        raise DataError(
            f"{path} is not the key of a reader study; name key.json, which was written with the "
            "page"
        )
    try:
        images = {name: _image(image) for name, image in told["Images"].items()}
        trials = {
            name: KeyTrial(trial["Task"], tuple(trial["Images"]))
            for name, trial in told["Trials"].items()
        }
        conditions = tuple(each["Name"] for each in told["Conditions"])
        key = Key(told["Study"], conditions, images, trials, told)
        _check(key)
        return key
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise DataError(
            f"the key {path} is damaged ({error}); take the one that was written with the page"
        ) from error


def _check(key: Key) -> None:
    """Every case of a task comes once in every condition."""
    found: dict[tuple[str, int], list[str]] = {}
    for trial in key.trials.values():
        images = [key.images[name] for name in trial.images]
        case = next((image.case for image in images if image.place is not None), images[0].case)
        found.setdefault((trial.task, case), []).append(images[0].condition)
    if any(sorted(shown) != sorted(key.conditions) for shown in found.values()):
        raise ValueError("an image does not come once in every condition")
    if {task for task, _ in found} != set(key.told["Tasks"]):
        raise ValueError("its tasks are not those of its trials")


def _image(told: Mapping[str, Any]) -> KeyImage:
    lesion = told["Lesion"]
    place = None if lesion is None else (float(lesion["Place"][0]), float(lesion["Place"][1]))
    return KeyImage(told["Case"], told["Condition"], told["Scene"], told["Subject"], place)


def read_answers(paths: Sequence[Path], key: Key) -> list[ReaderAnswers]:
    """Read the answers of all readers, one file for each.

    Raises
    ------
    UsageError
        When a file or a reader is given twice.
    NoInputError
        When a file does not exist.
    DataError
        When a file holds no answers, those of another study, a trial twice, or not all trials.
    """
    readers: dict[str, Path] = {}
    found = []
    for path in paths:
        read = _read(path, key)
        if read.reader in readers:
            raise UsageError(
                f"{readers[read.reader]} and {path} are both of the reader {read.reader}; "
                "give one file for each reader"
            )
        readers[read.reader] = path
        found.append(read)
    return found


def _read(path: Path, key: Key) -> ReaderAnswers:
    answers: dict[str, Answer] = {}
    lines: dict[str, int] = {}
    readers: set[str] = set()
    for line, row in _rows(path):
        where = f"{path.name}, line {line}"
        if row["study"] != key.study:
            raise DataError(
                f"{where}: answers of the study {shown(row['study'])}, but the key is of "
                f"{key.study}; give the key that was written with the page"
            )
        readers.add(row["reader"])
        trial = row["trial"]
        if trial not in key.trials:
            raise DataError(f"{where}: the study has no trial {shown(trial)}; download them again")
        if trial in lines:
            raise DataError(
                f"{where}: trial {trial} is there twice, first in line {lines[trial]}; "
                "download the answers again"
            )
        lines[trial] = line
        answers[trial] = _answer(row, key, where)
    if len(readers) > 1:
        raise DataError(
            f"{path.name} has answers of {', '.join(sorted(readers))}; give a file for each"
        )
    if lacking := [trial for trial in key.trials if trial not in answers]:
        raise DataError(
            f"{path.name} lacks {len(lacking)} of the {len(key.trials)} trials, e.g. {lacking[0]}; "
            "finish the study in the browser in which it was begun, and download the answers again"
        )
    return ReaderAnswers(readers.pop(), answers)


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Line number and cells of each answer."""
    try:
        text = read_text(path)
    except UnreadableFileError as error:
        if error.absent:
            raise NoInputError(f"there is no {path}; name the answers of a reader") from error
        raise DataError(f"cannot read the answers {path}: {error.reason}") from error
    head, *lines = [line.rstrip("\r").split("\t") for line in text.split("\n")]
    if lacking := [name for name in COLUMNS if name not in head]:
        raise DataError(
            f"{path.name} does not hold answers, it has no column {lacking[0]}; give the TSV "
            "file that the page has written, not one saved by a spreadsheet"
        )
    rows = []
    for number, cells in enumerate(lines, start=2):
        if not any(cells):
            continue
        if len(cells) != len(head):
            raise DataError(
                f"{path.name}, line {number}: {len(cells)} cells for {len(head)} columns"
            )
        rows.append((number, dict(zip(head, map(str.strip, cells), strict=True))))
    if not rows:
        raise DataError(f"{path.name} has no answers")
    return rows


def _answer(row: Mapping[str, str], key: Key, where: str) -> Answer:
    trial = key.trials[row["trial"]]
    images = {row[side] for side in ("left", "right") if row[side] != MISSING}
    if row["task"] != trial.task or images != set(trial.images):
        raise DataError(f"{where}: task or images are not those of trial {row['trial']}")
    seconds = cell_number(row["seconds"])
    if not 0 <= seconds <= LONGEST_SECONDS:
        raise DataError(f"{where}: {shown(row['seconds'])} is not a time in seconds")
    if trial.task == "choose":
        if row["chosen"] not in trial.images:
            raise DataError(f"{where}: {shown(row['chosen'])} is not one of the two images")
        return Answer(row["chosen"], None, None, seconds)
    if row["rating"] not in map(str, RATINGS):
        raise DataError(
            f"{where}: rating {shown(row['rating'])} is not one of {RATINGS[0]} to {RATINGS[-1]}"
        )
    rating = int(row["rating"])
    return Answer(None, rating, _place(row, key, where) if rating else None, seconds)


def _place(row: Mapping[str, str], key: Key, where: str) -> tuple[float, float]:
    x, y = cell_number(row["x"]), cell_number(row["y"])
    width, height = key.told["PictureSize"]
    if not (math.isfinite(x) and math.isfinite(y) and 0 <= x < width and 0 <= y < height):
        raise DataError(f"{where}: {shown((row['x'], row['y']))} is not a place in the image")
    return x, y
