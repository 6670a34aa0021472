"""One dataset of a benchmark: every pair with every method, each failure at the cost of its row."""

import dataclasses
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fusionprep.errors import DataError, FusionPrepError
from fusionprep.evaluation.guards import guards
from fusionprep.evaluation.kept import KeptPairs, ScoredPair
from fusionprep.evaluation.metrics import fusion_metrics
from fusionprep.evaluation.pairs import GrayPair, Pair, PairSet, read_pair, to_gray_levels
from fusionprep.evaluation.reader_checks import quick_checks
from fusionprep.evaluation.reading import (
    LesionPicture,
    brain_of,
    lesion_pictures,
    read_by_reader,
)
from fusionprep.evaluation.visibility import Fuse, Visibility
from fusionprep.evaluation.volumes import content_slices, through_plane_inconsistency
from fusionprep.models.entry import ModelEntry

FAILURES = (
    *(FusionPrepError, ArithmeticError, LookupError, MemoryError, OSError, RuntimeError),
    *(TypeError, ValueError),
)
"""With what an image that cannot be used, or a model, fails."""

GUARDS = ("bA", "bB", "pB", "added_edges", "background", "bone", "bone_lost")
CHECKS = (
    *("identity", "anatomical_alone", "functional_alone"),
    *("outside", "anatomical_kept", "functional_kept"),
)
FLICKER = "through_plane"
TIME = "ms"

MONTAGE_ROWS = 4


@dataclass(frozen=True)
class Method:
    """A row of the tables.

    Attributes
    ----------
    fuse
        Pair and its gray levels to the fused image (gray levels 0..255, not rounded) and the wall
        time of the model for one slice in milliseconds (NaN when no model was run).
    entry
        The model with the weights that were loaded; None for a method that is not one of our
        models.
    fuses_like
        From a pair to the function that fuses images like it, in [0, 1]; None where images cannot
        be fused again, so that nobody can tell what would be left of a lesion.
    """

    name: str
    title: str
    kind: Literal["model", "external", "probe"]
    fuse: Callable[[Pair, GrayPair], tuple[np.ndarray, float]]
    entry: ModelEntry | None = None
    fuses_like: Callable[[GrayPair], Fuse] | None = None


@dataclass(frozen=True)
class DatasetScores:
    """All values of one dataset.

    Attributes
    ----------
    values
        Metric, guard, check, ``through_plane`` or ``ms`` to an array (methods, pairs).
    shown
        For the montage: the name of a pair, with its sources and fused images, (H, W) uint8.
    seen
        For each method, what a reader can see in each pair; None where that could not be measured.
    lesions
        Pictures of a pair with lesions.
    lost
        What could not be scored, a line for each; its values are NaN.
    empty
        Names of the pairs that were skipped, since one of their images shows nothing; likewise NaN.
    """

    pair_set: PairSet
    methods: tuple[Method, ...]
    values: dict[str, np.ndarray]
    shown: tuple[tuple[str, list[np.ndarray | None]], ...]
    seen: tuple[tuple[Visibility | None, ...], ...] = ()
    lesions: tuple[LesionPicture, ...] = ()
    lost: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()


class Watch:
    """What a benchmark tells while it runs; this one says on standard error what is lost."""

    def begin(self, images: int) -> None:
        """How many images there will be."""

    def image(self, name: str) -> None:
        """The next image."""

    def pair(self, scores: DatasetScores) -> None:
        """A pair was scored; the scores of the dataset so far."""

    def lost(self, line: str) -> None:
        """Something could not be scored."""
        print(f"warning: {line}", file=sys.stderr, flush=True)


def _why(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


class _Tally:
    """Scores of a dataset, pair after pair."""

    def __init__(self, pair_set: PairSet, methods: tuple[Method, ...], watch: Watch) -> None:
        self.pair_set = pair_set
        self.methods = methods
        self.watch = watch
        self.values: dict[str, np.ndarray] = {}
        self.shown: list[tuple[str, list[np.ndarray | None]]] = []
        self.seen: list[list[Visibility | None]] = []
        self.lost: list[str] = []
        self.empty: list[str] = []

    def lose(self, what: str, error: BaseException) -> None:
        """Remember and say what could not be scored."""
        self.lost.append(f"{self.pair_set.name} {what}: {_why(error)}")
        self.watch.lost(self.lost[-1])

    def lose_methods(self, pair: str, failed: Mapping[int, BaseException]) -> None:
        """Likewise of a pair with some methods; once where all fail for one reason."""
        if len(failed) == len(self.methods) and len(set(map(_why, failed.values()))) == 1:
            self.lose(pair, failed[0])
            return
        for row, error in failed.items():
            self.lose(f"{pair} {self.methods[row].name}", error)

    def take(self, column: int, scored: ScoredPair, *, shown: bool) -> None:
        """Add what was found of a pair."""
        for name, found in scored.values.items():
            self.values[name][:, column] = found
        if shown:
            self.shown.append((self.pair_set.pairs[column].name, list(scored.pictures)))
        if scored.seen:
            self.seen.append(list(scored.seen))

    def scores(self, done: int, lesions: Sequence[LesionPicture] = ()) -> DatasetScores:
        """Those of the first pairs."""
        return DatasetScores(
            dataclasses.replace(self.pair_set, pairs=self.pair_set.pairs[:done]),
            self.methods,
            {name: array[:, :done] for name, array in self.values.items()},
            tuple(self.shown),
            tuple(zip(*self.seen, strict=True)),
            tuple(lesions),
            tuple(self.lost),
            tuple(self.empty),
        )


def score_dataset(
    pair_set: PairSet,
    methods: tuple[Method, ...],
    names: Sequence[str],
    watch: Watch,
    *,
    reader: bool,
    kept: KeptPairs | None = None,
) -> DatasetScores:
    """Fuse and score every pair; what fails costs its own row, or its own pair.

    Parameters
    ----------
    names
        Of the metrics.
    reader
        As in :class:`~fusionprep.evaluation.benchmark.BenchmarkRequest`.
    kept
        Pairs that are scored already, to which those are added that lost nothing.
    """
    tally, count = _Tally(pair_set, methods, watch), len(pair_set.pairs)
    quantities = (*names, *GUARDS, *(CHECKS if reader else ()), FLICKER, TIME)
    tally.values = {name: np.full((len(methods), count), np.nan) for name in quantities}
    rows = np.linspace(0, count - 1, min(MONTAGE_ROWS, count))
    to_show = set(np.rint(rows).astype(int).tolist())
    fullest, most = None, 0
    for column, pair in enumerate(pair_set.pairs):
        gray = _read(tally, pair)
        if gray is None:
            if reader:
                tally.seen.append([None] * len(methods))
            watch.pair(tally.scores(column + 1))
            continue
        place = (pair_set.name, column, column in to_show, quantities, reader)
        name = None if kept is None else kept.name_of(pair, gray, methods, place)
        scored = kept.find(name) if kept is not None and name is not None else None
        if scored is None:
            scored, lost = _score_pair(tally, column, gray, names, reader=reader)
            if kept is not None and name is not None and not lost:
                kept.keep(name, scored)
        else:
            for method in methods:
                watch.image(f"{pair_set.name} {pair.name} {method.name}, scored earlier")
        tally.take(column, scored, shown=column in to_show)
        if scored.brain > most:
            fullest, most = gray, scored.brain
        watch.pair(tally.scores(column + 1))
    pictured: list[LesionPicture] = []
    if fullest is not None:
        competing = [method for method in methods if method.kind != "probe"]
        try:
            pictured = lesion_pictures(_fusing(competing, fullest), fullest, pair_set.modality)
        except FAILURES as error:
            tally.lose("picture of lesions", error)
    return tally.scores(count, pictured)


def _read(tally: _Tally, pair: Pair) -> GrayPair | None:
    """A pair to score; None where it cannot be read or one image shows nothing."""
    try:
        gray = read_pair(pair, tally.pair_set.functional_folder)
    except FAILURES as error:
        tally.lose(pair.name, error)
        return None
    if not gray.empty:
        return gray
    tally.empty.append(pair.name)
    return None


def _score_pair(
    tally: _Tally, column: int, gray: GrayPair, names: Sequence[str], *, reader: bool
) -> tuple[ScoredPair, bool]:
    """Score a pair with every method; what was found, and whether something was lost."""
    pair, before = tally.pair_set.pairs[column], len(tally.lost)
    pictures: list[np.ndarray | None] = [
        _picture(image, gray) for image in (gray.anatomical, gray.functional)
    ]
    values = {name: np.full(len(tally.methods), np.nan) for name in tally.values}
    known: dict[bytes, dict[str, float]] = {}
    fusing = _fusing(tally.methods, gray)
    failed: dict[int, BaseException] = {}
    for row, method in enumerate(tally.methods):
        tally.watch.image(f"{tally.pair_set.name} {pair.name} {method.name}")
        picture = None
        try:
            fused, milliseconds = method.fuse(pair, gray)
            scores = _scores(pair, gray, fused, names, known) | {TIME: milliseconds}
            if reader and method.fuses_like:
                scores |= quick_checks(method.fuses_like(gray), gray.unit_images())
            for name, value in scores.items():
                values[name][row] = value
            picture = _picture(to_gray_levels(fused), gray)
        except FAILURES as error:
            failed[row], fusing[row] = error, None
        if method.kind != "probe":
            pictures.append(picture)
    tally.lose_methods(pair.name, failed)
    seen: list[Visibility | None] = []
    brain = 0
    if reader:
        seen = _read_by_reader(tally, column, gray, fusing)
        brain = int(np.count_nonzero(brain_of(gray, tally.pair_set.modality)))
    return ScoredPair(values, pictures, seen, brain), len(tally.lost) > before


def _read_by_reader(
    tally: _Tally, column: int, gray: GrayPair, fusing: Sequence[Fuse | None]
) -> list[Visibility | None]:
    modality = tally.pair_set.modality
    try:
        return read_by_reader(fusing, gray, modality, column)
    except FAILURES:
        # one after the other, to find out which one it is
        return [_read_one(tally, row, column, gray, fuse) for row, fuse in enumerate(fusing)]


def _read_one(
    tally: _Tally, row: int, column: int, gray: GrayPair, fuse: Fuse | None
) -> Visibility | None:
    try:
        return read_by_reader([fuse], gray, tally.pair_set.modality, column)[0]
    except FAILURES as error:
        pair, method = tally.pair_set.pairs[column], tally.methods[row]
        tally.lose(f"{pair.name} {method.name}, lesions", error)
        return None


def _fusing(methods: Sequence[Method], gray: GrayPair) -> list[Fuse | None]:
    return [method.fuses_like and method.fuses_like(gray) for method in methods]


def _scores(
    pair: Pair,
    gray: GrayPair,
    fused: np.ndarray,
    names: Sequence[str],
    known: dict[bytes, dict[str, float]],
) -> dict[str, float]:
    """Every metric and guard; `known` saves the work for images that are equal."""
    rounded = to_gray_levels(fused)
    key = rounded.tobytes()
    if key not in known:
        try:
            known[key], _ = mean_scores(gray, rounded, names)
        except DataError as error:
            raise DataError(f"{pair.anatomical}: {error}") from error
    if fused.ndim < 3:
        return known[key]
    sources = (gray.anatomical.astype(np.float64), gray.functional.astype(np.float64))
    flicker = through_plane_inconsistency(fused.astype(np.float64), *sources, gray.mask)
    return {**known[key], FLICKER: flicker}


def mean_scores(
    gray: GrayPair, fused: np.ndarray, names: Sequence[str]
) -> tuple[dict[str, float], int]:
    """Metrics and guards of a fused image, and of how many slices they are means.

    Parameters
    ----------
    fused
        Whole gray levels, uint8, of the shape of the sources.
    names
        Of the metrics.

    Raises
    ------
    DataError
        When a slice is smaller than the metrics need.
    """
    images = (gray.anatomical, gray.functional, fused)
    each = [_slice_scores(planes, names) for planes in _scored_slices(images, gray.mask)]
    return {name: _mean([scores[name] for scores in each]) for name in each[0]}, len(each)


def _slice_scores(planes: Sequence[np.ndarray], names: Sequence[str]) -> dict[str, float]:
    anatomical, functional, fused = (plane.astype(np.float64) for plane in planes)
    found = guards(anatomical, functional, fused)
    metrics = fusion_metrics(anatomical, functional, fused, names)
    return {**metrics, **{name: found[name] for name in GUARDS}}


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return float(np.mean(finite)) if finite else math.nan


def _scored_slices(
    images: Sequence[np.ndarray], mask: np.ndarray | None
) -> list[tuple[np.ndarray, ...]]:
    if mask is None:
        return [tuple(images)]
    return [tuple(image[:, :, z] for image in images) for z in content_slices(mask)]


def _picture(image: np.ndarray, gray: GrayPair) -> np.ndarray:
    """The slice itself, or a volume's middle scored slice with the front of the head at the top."""
    if gray.mask is None:
        return image
    indices = content_slices(gray.mask)
    return np.rot90(image[:, :, indices[len(indices) // 2]])
