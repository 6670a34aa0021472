"""The benchmark: methods run over pairs of images, scored, ranked and shown."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fusionprep.choices import Device
from fusionprep.errors import DataError, NoInputError, UsageError
from fusionprep.evaluation.guards import guards
from fusionprep.evaluation.metrics import fusion_metrics, metric_names
from fusionprep.evaluation.pairs import (
    GrayPair,
    Pair,
    PairSet,
    find_pair_sets,
    read_fused,
    read_pair,
    to_gray_levels,
)
from fusionprep.evaluation.probes import PROBES, Probe
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
from fusionprep.models.inference import fuse_volume, resolve_device
from fusionprep.models.registry import get_model

if TYPE_CHECKING:
    from tqdm import tqdm

GUARDS = ("bA", "bB", "pB", "added_edges", "background", "bone", "bone_lost")
CHECKS = (
    *("identity", "anatomical_alone", "functional_alone"),
    *("outside", "anatomical_kept", "functional_kept"),
)
FLICKER = "through_plane"
TIME = "ms"

MONTAGE_ROWS = 4


@dataclass(frozen=True)
class BenchmarkRequest:
    """What to compare, and on which pairs.

    Attributes
    ----------
    pairs
        One folder for each dataset, with two subfolders of same-named images.
    models
        Names in the registry.
    external
        Name of a method to the folder of its fused images, named like the pairs; a subfolder named
        like the dataset is preferred.
    weights
        Name of a model to the safetensors file of your own weights, used in place of the packaged
        ones.
    anatomical, functional
        Names of the subfolders; None looks for the usual ones.
    stride
        Take every ``stride``-th pair.
    threads
        CPU threads of the models; None leaves the choice to PyTorch.
    metrics
        Names of the metrics; None computes all.
    reader
        Whether to plant lesions, and to check what a reader expects, for which each pair is fused
        fifteen times more.
    """

    pairs: tuple[Path, ...]
    models: tuple[str, ...]
    external: Mapping[str, Path] = field(default_factory=dict)
    weights: Mapping[str, Path] = field(default_factory=dict)
    anatomical: str | None = None
    functional: str | None = None
    stride: int = 1
    device: Device = "auto"
    threads: int | None = None
    metrics: tuple[str, ...] | None = None
    reader: bool = True


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
    """

    pair_set: PairSet
    methods: tuple[Method, ...]
    values: dict[str, np.ndarray]
    shown: tuple[tuple[str, list[np.ndarray]], ...]
    seen: tuple[tuple[Visibility | None, ...], ...] = ()
    lesions: tuple[LesionPicture, ...] = ()


def run_benchmark(request: BenchmarkRequest) -> list[DatasetScores]:
    """Fuse and score every pair with every method and with the probes.

    Raises
    ------
    UsageError
        When the request contradicts itself, or names an unknown model.
    NoInputError, DataError
        When an image or a file of weights is missing or cannot be used.
    """
    pair_sets = find_pair_sets(
        request.pairs,
        anatomical=request.anatomical,
        functional=request.functional,
        stride=request.stride,
    )
    _check_methods(request)
    device = resolve_device(request.device)
    # A missing image must not come to light after an hour.
    external = [
        [_external(name, folder, pair_set) for name, folder in request.external.items()]
        for pair_set in pair_sets
    ]
    probes = [_probe(probe) for probe in PROBES]
    names = metric_names() if request.metrics is None else request.metrics
    with _threads(request.threads):
        methods = [
            (*_models(request, pair_set, device), *others, *probes)
            for pair_set, others in zip(pair_sets, external, strict=True)
        ]
        steps = sum(
            len(rows) * len(pair_set.pairs)
            for rows, pair_set in zip(methods, pair_sets, strict=True)
        )
        from tqdm import tqdm

        # disable=None: a bar only on a terminal
        with tqdm(total=steps, unit="image", dynamic_ncols=True, disable=None) as bar:
            return [
                _score_dataset(pair_set, rows, names, bar, reader=request.reader)
                for pair_set, rows in zip(pair_sets, methods, strict=True)
            ]


def _check_methods(request: BenchmarkRequest) -> None:
    names = [*request.models, *request.external, *(probe.name for probe in PROBES)]
    if len(names) == len(PROBES):
        raise UsageError("there is nothing to compare; name models or give --external NAME=DIR")
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two methods are called {name!r}; each needs its own name")
    for name in request.models:
        if get_model(name).anatomical_input != "image":
            raise UsageError(
                f"{name} needs a map of the gray matter, which the pairs do not have; leave it out"
            )
    for name in request.weights:
        if name not in request.models:
            raise UsageError(f"weights are given for {name!r}, which is not among the models")


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _models(request: BenchmarkRequest, pair_set: PairSet, device: str) -> list[Method]:
    return [
        _model(get_model(name, request.weights.get(name)).of(pair_set.modality), device)
        for name in request.models
    ]


def _model(entry: ModelEntry, device: str) -> Method:
    network = entry.load(device)
    warm: set[tuple[int, ...]] = set()

    def run(
        a: np.ndarray, b: np.ndarray, mask: np.ndarray | None = None, **options: Any
    ) -> np.ndarray:
        # One slice at a time, so that the time measured is that of one slice.
        return fuse_volume(network, a, b, mask, device=device, batch_size=1, **options)

    def fuse(_: Pair, gray: GrayPair) -> tuple[np.ndarray, float]:
        images = gray.unit_images()
        shape = images[0].shape[:2]
        if shape not in warm:
            warm.add(shape)
            empty = np.full(shape, 0.5, np.float32)
            run(empty, empty)
        began = time.perf_counter()
        fused = run(images[0], images[1], gray.mask, voxel_sizes=gray.voxel_sizes)
        seconds = time.perf_counter() - began
        slices = 1 if gray.mask is None else np.count_nonzero(gray.mask.any(axis=(0, 1)))
        return 255 * fused, 1000 * seconds / max(slices, 1)

    def fuses_like(gray: GrayPair) -> Fuse:
        return lambda a, b: run(a, b, gray.mask, voxel_sizes=gray.voxel_sizes)

    return Method(entry.name, entry.title, "model", fuse, entry, fuses_like)


def _external(name: str, folder: Path, pair_set: PairSet) -> Method:
    own = folder / pair_set.name
    folder = own if own.is_dir() else folder
    if not folder.is_dir():
        raise NoInputError(f"there is no folder {folder} (--external {name})")
    missing = [pair.file for pair in pair_set.pairs if not (folder / pair.file).is_file()]
    if missing:
        raise NoInputError(
            f"{folder} (--external {name}) lacks {len(missing)} of the {len(pair_set.pairs)} "
            f"images of {pair_set.name}, e.g. {missing[0]}; name them like the pairs"
        )

    def fuse(pair: Pair, gray: GrayPair) -> tuple[np.ndarray, float]:
        return read_fused(folder / pair.file, gray.anatomical.shape), math.nan

    return Method(name, "images made elsewhere", "external", fuse)


def _probe(probe: Probe) -> Method:
    def fuse(_: Pair, gray: GrayPair) -> tuple[np.ndarray, float]:
        return probe.fuse(gray.anatomical, gray.functional), math.nan

    def fuses_like(_: GrayPair) -> Fuse:
        return lambda a, b: probe.fuse(255 * a, 255 * b) / 255

    return Method(probe.name, probe.title, "probe", fuse, fuses_like=fuses_like)


def _score_dataset(
    pair_set: PairSet,
    methods: tuple[Method, ...],
    names: Sequence[str],
    bar: "tqdm[Any]",
    *,
    reader: bool,
) -> DatasetScores:
    quantities = (*names, *GUARDS, *(CHECKS if reader else ()), FLICKER, TIME)
    values = {name: np.full((len(methods), len(pair_set.pairs)), np.nan) for name in quantities}
    rows = np.linspace(0, len(pair_set.pairs) - 1, min(MONTAGE_ROWS, len(pair_set.pairs)))
    to_show = set(np.rint(rows).astype(int).tolist())
    shown: list[tuple[str, list[np.ndarray]]] = []
    seen: list[list[Visibility | None]] = []
    fullest, most = None, 0
    for column, pair in enumerate(pair_set.pairs):
        gray = read_pair(pair, pair_set.functional_folder)
        pictures = [_picture(image, gray) for image in (gray.anatomical, gray.functional)]
        known: dict[bytes, dict[str, float]] = {}
        for row, method in enumerate(methods):
            bar.set_description_str(f"{pair_set.name} {pair.name} {method.name}")
            fused, milliseconds = method.fuse(pair, gray)
            scores = _scores(pair, gray, fused, names, known) | {TIME: milliseconds}
            if reader and method.fuses_like:
                scores |= quick_checks(method.fuses_like(gray), gray.unit_images())
            for name, value in scores.items():
                values[name][row, column] = value
            if method.kind != "probe":
                pictures.append(_picture(to_gray_levels(fused), gray))
            bar.update()
        if column in to_show:
            shown.append((pair.name, pictures))
        if reader:
            seen.append(read_by_reader(_fusing(methods, gray), gray, pair_set.modality, column))
            brain = int(np.count_nonzero(brain_of(gray, pair_set.modality)))
            fullest, most = (gray, brain) if brain > most else (fullest, most)
    by_method = tuple(zip(*seen, strict=True))
    competing = [method for method in methods if method.kind != "probe"]
    pictured = (
        ()
        if fullest is None
        else lesion_pictures(_fusing(competing, fullest), fullest, pair_set.modality)
    )
    return DatasetScores(pair_set, methods, values, tuple(shown), by_method, tuple(pictured))


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
        images = (gray.anatomical, gray.functional, rounded)
        try:
            each = [_slice_scores(planes, names) for planes in _scored_slices(images, gray.mask)]
        except DataError as error:
            raise DataError(f"{pair.anatomical}: {error}") from error
        known[key] = {name: _mean([scores[name] for scores in each]) for name in each[0]}
    if fused.ndim < 3:
        return known[key]
    sources = (gray.anatomical.astype(np.float64), gray.functional.astype(np.float64))
    flicker = through_plane_inconsistency(fused.astype(np.float64), *sources, gray.mask)
    return {**known[key], FLICKER: flicker}


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
