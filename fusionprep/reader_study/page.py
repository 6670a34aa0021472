"""The files of a reader study: a page for the readers, and the key."""

import base64
import io
from pathlib import Path

import numpy as np

from fusionprep.choices import ColourMapName
from fusionprep.errors import OutputError, UsageError
from fusionprep.files import json_text, write_text
from fusionprep.image.colour import colour_table
from fusionprep.image.colour_key import draw_key
from fusionprep.modalities import MODALITIES, Modality
from fusionprep.pages import DATA, embedded, inlined, page_template
from fusionprep.reader_study.study import Study

PAGE, KEY = "study.html", "key.json"

LARGE = 10_000_000
"""Bytes above which a page is awkward to send."""

EASY, HARD = 0.97, 0.65
"""Proportions correct of the model observer beyond which conditions cannot be told apart."""


def check_folder(folder: Path) -> None:
    """Refuse a folder that holds a study: its key must not be lost while it is read.

    Raises
    ------
    UsageError
        When it does.
    """
    for name in (PAGE, KEY):
        if (folder / name).exists():
            raise UsageError(f"{folder} holds a study already ({name}); choose another folder")


def write_study(study: Study, folder: Path) -> list[Path]:
    """Write page and key.

    Raises
    ------
    OutputError
        When that is impossible.
    """
    paths = [folder / PAGE, folder / KEY]
    try:
        for path, text in zip(paths, (html(study), json_text(study.key)), strict=True):
            write_text(path, text)
    except OSError as error:
        raise OutputError(f"cannot write into {folder}: {error}") from error
    return paths


def html(study: Study) -> str:
    """The page, in which everything is inline."""
    modality = _modality(study)
    views = study.contents.views
    tables = [view.colours for view in views if view.colours is not None]
    return page_template("reader-study.tpl", embedded=embedded).render(
        page=study.page,
        modality=modality,
        keys=[_key(name, modality) for name in tables],
        style=inlined(DATA / "reader-study.css"),
        script=inlined(DATA / "reader-study.js"),
    )


def _modality(study: Study) -> Modality:
    return next(each for each in MODALITIES if each.label == study.key["Modality"])


def _key(name: ColourMapName, modality: Modality) -> str:
    from PIL import Image

    key = draw_key(colour_table(name), "MRI", modality.label, side=160)
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(key)).save(stream, format="PNG", optimize=True)
    return base64.b64encode(stream.getvalue()).decode()


def advice(study: Study, size: int) -> list[str]:
    """What whoever makes a study should know about it, a line each.

    Parameters
    ----------
    size
        Of the page, in bytes.
    """
    lines = list(study.lost)
    if (times := study.repeated) > 1:
        lines.append(
            f"{len(study.contents.scenes)} slices suit: each comes up to {times} times with other"
            " lesions; give more images, or ask for fewer"
        )
    if size > LARGE:
        lines.append(f"the page has {size / 1e6:.0f} MB; fewer --images make it easier to send")
    sources = study.contents.request.sources
    for view in study.contents.views:
        if view.alone is not None and {*sources} - {view.alone}:
            lines.append(f"{view.title}: lesions of the other image cannot be seen in it")
    told = study.key["Conditions"]
    expected = [each["ObserverProportionCorrect"] for each in told]
    if min(expected) > EASY:
        lines.append("a model observer hardly ever errs: lower --contrast, or all will be right")
    if max(expected) < HARD:
        lines.append("a model observer sees hardly anything: raise --contrast")
    return lines


def expectations(study: Study) -> list[str]:
    """What the model observer gets right in each condition, a line each."""
    return [
        f"  {each['Title']}: {each['ObserverProportionCorrect']:.2f}"
        for each in study.key["Conditions"]
    ]
