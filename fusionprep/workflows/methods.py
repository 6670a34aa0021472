"""What the methods text says of each step of a run, in the order of processing."""

import re
from collections.abc import Iterable, Iterator
from enum import IntEnum

from nipype.pipeline import engine as pe

from fusionprep.modalities import MODALITIES

_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9*])")
_LABELS = [modality.label for modality in MODALITIES]
_OF_ONE = re.compile(rf"The ({'|'.join(map(re.escape, _LABELS))}) was (.+)", flags=re.DOTALL)

Passage = tuple["Stage", str]


class Stage(IntEnum):
    """Where in the run a step is."""

    RUN = 0
    ANATOMY = 1
    TEMPLATE = 2
    ATLAS = 3
    RUNS = 4
    FRAMES = 5
    REGISTRATION = 6
    REFINEMENT = 7
    SMOOTHING = 8
    RESAMPLING = 9
    UPTAKE = 10
    PARTIAL_VOLUME = 11
    REGIONS = 12
    FUSION = 13


PARAGRAPHS = (
    *(Stage.RUN, Stage.ANATOMY, Stage.TEMPLATE, Stage.RUNS, Stage.REGISTRATION, Stage.UPTAKE),
    Stage.FUSION,
)
"""Stages with which a paragraph begins."""


def describe(workflow: pe.Workflow, stage: Stage, text: str) -> None:
    """Let the methods text say something of a workflow; an empty text says nothing."""
    if text.strip():
        workflow.passages = [*getattr(workflow, "passages", []), (stage, " ".join(text.split()))]


def passages(workflow: pe.Workflow) -> Iterator[Passage]:
    """What is said of a workflow and of those below it."""
    yield from getattr(workflow, "passages", ())
    for node in pe.utils.topological_sort(workflow._graph)[0]:
        if isinstance(node, pe.Workflow):
            yield from passages(node)


def methods_text(found: Iterable[Passage]) -> str:
    """The methods text: paragraphs in the order of processing, in which no sentence stands twice.

    Sentences that say the same of several modalities become one: "The CT and PET were ...".
    """
    by_paragraph: dict[Stage, list[str]] = {first: [] for first in PARAGRAPHS}
    for stage, text in sorted(found, key=lambda passage: passage[0]):
        first = max(first for first in PARAGRAPHS if first <= stage)
        by_paragraph[first] += _SENTENCE.split(text)
    told: set[str] = set()
    paragraphs = []
    for sentences in by_paragraph.values():
        new = [text for text in _joined(dict.fromkeys(sentences)) if text not in told]
        told.update(new)
        paragraphs += [" ".join(new)] if new else []
    return "\n\n".join(paragraphs)


def _joined(sentences: Iterable[str]) -> list[str]:
    """Sentences of which those on one modality each are put together, where the first stood."""
    alike: dict[str, list[str]] = {}
    for sentence in sentences:
        found = _OF_ONE.fullmatch(sentence)
        if found:
            alike.setdefault(found[2], []).append(found[1])
        else:
            alike[sentence] = []
    return [
        _of(sorted(labels, key=_LABELS.index), rest) if labels else rest
        for rest, labels in alike.items()
    ]


def _of(labels: list[str], rest: str) -> str:
    if len(labels) == 1:
        return f"The {labels[0]} was {rest}"
    return f"The {', '.join(labels[:-1])} and {labels[-1]} were {rest}"
