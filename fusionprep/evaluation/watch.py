"""A benchmark under way: how far it is, and the rows that are done in a file."""

import sys
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from fusionprep.errors import OutputError
from fusionprep.evaluation.scoring import DatasetScores, Watch
from fusionprep.evaluation.summary import PAIRS, pairs_table
from fusionprep.files import write_bytes
from fusionprep.models.file_pair import check_folder

if TYPE_CHECKING:
    from tqdm import tqdm

SECONDS_BETWEEN_LINES = 30.0
SECONDS_BETWEEN_FILES = 5.0


class SavingWatch(Watch):
    """A bar on a terminal, else a line now and then; the rows so far, also when it is stopped.

    Parameters
    ----------
    out
        Folder whose ``pairs.tsv`` is written.

    Raises
    ------
    OutputError
        When it cannot be written.
    """

    def __init__(self, out: Path) -> None:
        check_folder(out)
        self.out = out
        self.done = 0
        self.images = 0
        self._results: list[DatasetScores] = []
        self._unsaved = False
        self._bar: tqdm[Any] | None = None
        self._began = self._said = self._saved = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        if kind is not None and self._unsaved:
            self._save()
            told = f"{self._rows()} are in {self.out / PAIRS}; --resume goes on with them"
            print(told, file=sys.stderr)

    def begin(self, images: int) -> None:
        from tqdm import tqdm

        self.images = images
        if sys.stderr.isatty():
            self._bar = tqdm(total=images, unit="image", dynamic_ncols=True)

    def image(self, name: str) -> None:
        self.done += 1
        if self._bar is not None:
            self._bar.set_description_str(name)
            self._bar.update()
        elif time.monotonic() - self._said > SECONDS_BETWEEN_LINES:
            self._said = time.monotonic()
            minutes = (self._said - self._began) / 60
            line = f"[{minutes:5.1f} min, {self.done}/{self.images} images] {name}"
            print(line, file=sys.stderr, flush=True)

    def pair(self, scores: DatasetScores) -> None:
        if self._results and self._results[-1].pair_set.name == scores.pair_set.name:
            self._results.pop()
        self._results.append(scores)
        self._unsaved = True
        if time.monotonic() - self._saved > SECONDS_BETWEEN_FILES:
            self._save()

    def _rows(self) -> str:
        rows = sum(len(each.methods) * len(each.pair_set.pairs) for each in self._results)
        return f"{rows} rows"

    def _save(self) -> None:
        try:
            write_bytes(self.out / PAIRS, pairs_table(self._results))
        except OSError as error:
            raise OutputError(f"cannot write into {self.out}: {error}") from error
        self._saved, self._unsaved = time.monotonic(), False
