"""The benchmark: methods run over pairs of images, scored, ranked and shown."""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fusionprep.choices import Device
from fusionprep.devices import resolve_device
from fusionprep.errors import DataError, NoInputError, UsageError
from fusionprep.evaluation.kept import KeptPairs
from fusionprep.evaluation.metrics import metric_names
from fusionprep.evaluation.pairs import GrayPair, Pair, PairSet, find_pair_sets, read_fused
from fusionprep.evaluation.probes import PROBES, Probe
from fusionprep.evaluation.scoring import DatasetScores, Method, Watch, score_dataset
from fusionprep.evaluation.visibility import Fuse
from fusionprep.models.entry import ModelEntry
from fusionprep.models.inference import fuse_volume
from fusionprep.models.registry import get_model


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


def run_benchmark(
    request: BenchmarkRequest, watch: Watch | None = None, kept: KeptPairs | None = None
) -> list[DatasetScores]:
    """Fuse and score every pair with every method and with the probes.

    A pair that cannot be read, or that a method fails on, costs that row; see
    :attr:`DatasetScores.lost`.

    Parameters
    ----------
    watch
        Is told how far it is and what is lost; None says the latter on standard error.
    kept
        Pairs that were scored by an earlier run, to which this one adds its own.

    Raises
    ------
    UsageError
        When the request contradicts itself, or names an unknown model.
    NoInputError, DataError
        When an image or a file of weights is missing, or no pair of a dataset can be used.
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
    watch = watch or Watch()
    with _threads(request.threads):
        methods = [
            (*_models(request, pair_set, device), *others, *probes)
            for pair_set, others in zip(pair_sets, external, strict=True)
        ]
        steps = sum(
            len(rows) * len(pair_set.pairs)
            for rows, pair_set in zip(methods, pair_sets, strict=True)
        )
        watch.begin(steps)
        results = [
            score_dataset(pair_set, rows, names, watch, reader=request.reader, kept=kept)
            for pair_set, rows in zip(pair_sets, methods, strict=True)
        ]
    for scores in results:
        if not any(np.isfinite(array).any() for array in scores.values.values()):
            raise DataError(f"no pair of {scores.pair_set.name} could be scored")
    return results


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
    try:
        network = entry.load(device)
    except DataError as error:
        return _broken(entry, error)
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


def _broken(entry: ModelEntry, error: DataError) -> Method:
    """A model that cannot be loaded, which costs its rows."""

    def fuse(_pair: Pair, _gray: GrayPair) -> tuple[np.ndarray, float]:
        raise error

    return Method(entry.name, entry.title, "model", fuse, entry)


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
