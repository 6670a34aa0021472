"""What a training run can be told, read from and written to TOML. Imports no torch."""

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

from fusionprep.errors import UsageError


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """Settings of a training run.

    Attributes
    ----------
    epochs
        Passes over the training images.
    minutes
        Stop after the epoch in which this time is used up; None never. As the learning rate
        depends on the epoch alone, a run stopped after k epochs equals one of ``epochs = k``.
    crop
        Side of the square training crops in pixels.
    learning_rate, learning_rate_decay
        Adam's rate in the first epoch, and the factor from each epoch to the next.
    ssim_weight
        Weight of 1 - SSIM against the pixel loss in 8-bit gray levels.
    threads
        Threads of the CPU; results repeat exactly for the same number only.
    data_sources, data_licence
        What the training images are and under which terms; copied into the model card.
    """

    epochs: int = 8
    minutes: float | None = None
    seed: int = 0
    batch_size: int = 8
    crop: int = 128
    learning_rate: float = 1e-3
    learning_rate_decay: float = 0.7
    ssim_weight: float = 100.0
    threads: int = 1
    data_sources: str = "not stated"
    data_licence: str = "not stated"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "crop", "learning_rate", "threads"):
            if not getattr(self, name) > 0:
                raise UsageError(f"training option {name} must be greater than 0")

    def to_toml(self) -> str:
        """The options as TOML; unset ones are left out."""
        import tomli_w

        values = dataclasses.asdict(self)
        return tomli_w.dumps({name: value for name, value in values.items() if value is not None})


def training_options(config: Path | None, overrides: dict[str, Any]) -> TrainingOptions:
    """Options from a TOML file, with those given on the command line put above them.

    Parameters
    ----------
    overrides
        Field names to values; a value of None leaves the option as it is in the file.

    Raises
    ------
    UsageError
        When the file cannot be read, or holds an unknown or ill-typed option.
    """
    values = {} if config is None else _read(config)
    values |= {name: value for name, value in overrides.items() if value is not None}
    return TrainingOptions(**values)


def _read(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"cannot read the training configuration {path}: {error}") from error
    fields = {field.name: field.type for field in dataclasses.fields(TrainingOptions)}
    for name, value in values.items():
        if name not in fields:
            raise UsageError(f"unknown training option in {path}: {name}")
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        expected = {int: isinstance(value, int) and number, str: isinstance(value, str)}
        if not expected.get(fields[name], number):
            raise UsageError(f"training option {name} in {path} has the wrong type: {value!r}")
    return values
