"""The log of a training run: one row of losses for each epoch."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from fusionprep.errors import DataError, NoInputError
from fusionprep.files import write_bytes

VALIDATION_LOSS = "val/loss"


@dataclass(frozen=True)
class EpochRecord:
    """The result of one epoch.

    Attributes
    ----------
    losses
        Mean losses by name: ``train/…`` and ``val/…``, the sums and their weighted terms.
    seconds
        Wall time since the start of the training, not counting the time before it was resumed.
    """

    epoch: int
    learning_rate: float
    seconds: float
    losses: dict[str, float] = field(default_factory=dict)

    @property
    def validation_loss(self) -> float:
        return self.losses[VALIDATION_LOSS]


def best_record(records: Sequence[EpochRecord]) -> EpochRecord:
    """The epoch with the lowest validation loss, the first of equals: its weights are kept."""
    return min(records, key=lambda record: record.validation_loss)


def write_log(path: Path, records: Sequence[EpochRecord]) -> None:
    """Write the records as CSV."""
    rows = [asdict(record) for record in records]
    rows = [row | row.pop("losses") for row in rows]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(path, text.getvalue().encode())


def read_log(path: Path) -> list[EpochRecord]:
    """Read what :func:`write_log` wrote.

    Raises
    ------
    NoInputError
        When there is no such file.
    DataError
        When it is not a training log.
    """
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        records = [_record(row) for row in rows]
    except FileNotFoundError as error:
        raise NoInputError(f"there is no training log {path}") from error
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"cannot read the training log {path}: {error}") from error
    if not records or VALIDATION_LOSS not in records[0].losses:
        raise DataError(f"{path} is not a training log: no epoch, or no {VALIDATION_LOSS}")
    return records


def _record(row: dict[str, str]) -> EpochRecord:
    epoch, rate, seconds = (row.pop(name) for name in ("epoch", "learning_rate", "seconds"))
    losses = {name: float(value) for name, value in row.items()}
    return EpochRecord(int(epoch), float(rate), float(seconds), losses)
