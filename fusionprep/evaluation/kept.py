"""Pairs of a benchmark that were scored before it was stopped, from which it resumes."""

import dataclasses
import hashlib
import io
import json
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionprep._version import __version__
from fusionprep.errors import FusionPrepError, OutputError
from fusionprep.evaluation.lesions import Condition
from fusionprep.evaluation.visibility import LesionScore, Visibility
from fusionprep.files import write_bytes

if TYPE_CHECKING:
    from fusionprep.evaluation.benchmark import BenchmarkRequest
    from fusionprep.evaluation.pairs import GrayPair, Pair
    from fusionprep.evaluation.scoring import Method

UNFINISHED = "unfinished"
_SUFFIX = ".npz"
DAMAGES = (
    *(OSError, ValueError, LookupError, TypeError, EOFError),
    *(zipfile.BadZipFile, zlib.error),
)
"""What reading a damaged file raises."""


@dataclass(frozen=True)
class ScoredPair:
    """What was found of a pair.

    Attributes
    ----------
    values
        Each quantity, one number for each method.
    pictures
        The sources and the fused images as they are shown, (H, W) uint8; empty where they are not.
    seen
        What a reader can see, for each method; empty where that was not asked.
    brain
        Voxels or pixels of the brain.
    """

    values: dict[str, np.ndarray]
    pictures: Sequence[np.ndarray | None] = ()
    seen: Sequence[Visibility | None] = ()
    brain: int = 0


class KeptPairs:
    """Scored pairs in a folder, each under a name that tells what it was scored with.

    Parameters
    ----------
    folder
        Is created with the first pair.
    options
        What the scores depend on besides the pair and the methods, as JSON values.
    """

    def __init__(self, folder: Path, options: Sequence[Any] = ()) -> None:
        self._folder = folder
        self._options = list(options)

    def name_of(
        self, pair: "Pair", gray: "GrayPair", methods: Sequence["Method"], place: Sequence[object]
    ) -> str | None:
        """Of a pair: a digest of its images and of all that its scores depend on.

        Parameters
        ----------
        place
            In the benchmark: the dataset, the number of the pair, whether it is shown, and what is
            measured.

        Returns
        -------
        str or None
            None where an image that was fused elsewhere cannot be read.
        """
        told: list[Any] = [self._options, __version__, list(map(str, place))]
        told += [list(map(float, gray.voxel_sizes)), _digest(gray.anatomical)]
        told += [_digest(gray.functional), gray.mask is not None and _digest(gray.mask)]
        for method in methods:
            told.append([method.name, method.kind, method.entry and method.entry.identity()])
            if method.kind == "external":
                try:
                    told.append(_digest(method.fuse(pair, gray)[0]))
                except (FusionPrepError, OSError, ValueError):
                    return None
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    def find(self, name: str) -> ScoredPair | None:
        """A pair that was kept; None where there is none, or the file is damaged."""
        try:
            with np.load(self._folder / f"{name}{_SUFFIX}", allow_pickle=False) as stored:
                return _scored({key: stored[key] for key in stored.files})
        except DAMAGES:
            return None

    def keep(self, name: str, scored: ScoredPair) -> None:
        """Write a pair.

        Raises
        ------
        OutputError
            When that is impossible.
        """
        stream = io.BytesIO()
        np.savez_compressed(stream, **_arrays(scored))
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_bytes(self._folder / f"{name}{_SUFFIX}", stream.getvalue())
        except OSError as error:
            with suppress(OSError):
                self._folder.rmdir()
            raise OutputError(f"cannot write into {self._folder}: {error}") from error

    def clear(self) -> None:
        """Delete all pairs."""
        shutil.rmtree(self._folder, ignore_errors=True)


@contextmanager
def keeping_pairs(out: Path, request: "BenchmarkRequest", *, resume: bool) -> Iterator[KeptPairs]:
    """Keep the pairs of a benchmark below its folder until the block ends without an error.

    Parameters
    ----------
    resume
        Take those that are there, instead of deleting them.
    """
    kept = KeptPairs(out / UNFINISHED, [request.device, request.threads])
    if not resume:
        kept.clear()
    yield kept
    kept.clear()


def _digest(image: np.ndarray) -> str:
    plain = np.ascontiguousarray(image)
    return hashlib.sha256(f"{plain.shape}{plain.dtype}".encode() + plain.tobytes()).hexdigest()


def _arrays(scored: ScoredPair) -> dict[str, Any]:
    seen = [each and dataclasses.asdict(each) for each in scored.seen]
    shown = [number for number, image in enumerate(scored.pictures) if image is not None]
    told = {
        "seen": seen,
        "brain": scored.brain,
        "pictures": len(scored.pictures),
        "quantities": list(scored.values),
    }
    pictures = {f"picture{number}": np.asarray(scored.pictures[number]) for number in shown}
    values = np.array(list(scored.values.values()))
    return {"told": np.array(json.dumps(told)), "values": values, **pictures}


def _scored(stored: dict[str, np.ndarray]) -> ScoredPair:
    told = json.loads(str(stored["told"]))
    return ScoredPair(
        dict(zip(told["quantities"], stored["values"], strict=True)),
        [stored.get(f"picture{number}") for number in range(told["pictures"])],
        [each and _visibility(each) for each in told["seen"]],
        int(told["brain"]),
    )


def _visibility(told: dict[str, Any]) -> Visibility:
    lesions = tuple(
        LesionScore(**{**each, "condition": Condition(**each["condition"])})
        for each in told["lesions"]
    )
    return Visibility(**{**told, "lesions": lesions, "cancelled": tuple(told["cancelled"])})
