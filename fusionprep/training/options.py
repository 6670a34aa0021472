"""The options of a training run, read from and written to TOML. Imports no torch."""

import dataclasses
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fusionprep.config_file import read_toml
from fusionprep.errors import UsageError
from fusionprep.given import check_path, check_text, outside, shown

MOST = 10**6
LARGEST_WHOLE = 2**63
LIMITS: Mapping[str, tuple[int, int] | tuple[float, float]] = {
    "epochs": (1, MOST),
    "steps_per_epoch": (1, MOST),
    "minutes": (0.0, 1e6),
    "patience": (1, MOST),
    "seed": (0, 2**32 - 1),
    "batch_size": (1, 10**5),
    "crop": (1, 2**14),
    "learning_rate": (0.0, 1e3),
    "learning_rate_decay": (0.0, 1e3),
    "slice_step": (1, 10**4),
    "threads": (1, 1024),
    "nodes": (1, 10**4),
}
"""Smallest and largest value of whole numbers; others lie above the smallest."""

PRECISIONS = (
    *("32-true", "32", "64-true", "64", "16-mixed", "16-true", "16", "bf16-mixed", "bf16-true"),
    *("bf16", "transformer-engine", "transformer-engine-float16"),
)
"""Lightning's."""

_DEVICES = re.compile(r"auto|-1|[1-9][0-9]{0,2}|[0-9]{1,3}(?:,[0-9]{1,3})+")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """Settings of a training run.

    Attributes
    ----------
    epochs, steps_per_epoch
        Length of the training; after each epoch the model is validated and saved. Crops are drawn
        at random, all datasets equally often, so an epoch is not a pass over the images. Several
        devices share the batches of an epoch.
    minutes
        Stop after the epoch in which this time is used up; None never. As the learning rate
        depends on the epoch alone, a run stopped after k epochs equals one of ``epochs = k``.
    patience
        Stop after that many epochs without a lower validation loss; None never.
    crop
        Side of the square training crops in pixels.
    smallest_gain
        The gray levels of each image are multiplied by a random gain between this and 1.
    learning_rate, learning_rate_decay
        Adam's rate in the first epoch, and the factor from each epoch to the next.
    loss_weights
        Weights of the loss terms by name, where they differ from the recipe's.
    functional_levels
        How pseudo-colour is read: ``luminance`` (BT.601), or ``colormap`` for the level in the
        table ``colormap``, a CSV file of R,G,B rows beside ``slices.csv``.
    validation_subjects, validation_share
        With a dataset of derivatives: the subjects to validate on, or the share drawn at random.
    slice_step
        With a dataset of derivatives: take every n-th slice in each orientation.
    initial_weights
        Safetensors file to start from instead of random weights, e.g. to tune a model to a cohort;
        ``packaged`` for the weights shipped with the package.
    perceptual_weights
        Safetensors file of a VGG-16 for recipes that compare features; None takes the encoder of
        the DenseFuse shipped with the package.
    threads
        CPU threads; results repeat exactly only with the same number.
    devices, nodes, precision
        As in :class:`lightning.Trainer`.
    tensorboard
        Also write a log that TensorBoard can show.
    data_sources, data_licence
        What the training images are and under which terms; copied into the model card.
    """

    epochs: int = 8
    steps_per_epoch: int = 100
    minutes: float | None = None
    patience: int | None = None
    seed: int = 0
    batch_size: int = 8
    crop: int = 128
    smallest_gain: float = 0.6
    learning_rate: float = 1e-3
    learning_rate_decay: float = 0.7
    loss_weights: Mapping[str, float] = dataclasses.field(default_factory=dict)
    functional_levels: str = "luminance"
    colormap: str = "pet_colormap128.csv"
    validation_subjects: tuple[str, ...] = ()
    validation_share: float = 0.2
    slice_step: int = 4
    initial_weights: str | None = None
    perceptual_weights: str | None = None
    threads: int = 1
    devices: int | str = "auto"
    nodes: int = 1
    precision: str = "32-true"
    tensorboard: bool = False
    data_sources: str = "not stated"
    data_licence: str = "not stated"

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in LIMITS and value is not None:
                _check_range(field.name, value)
        for name, value in self.loss_weights.items():
            if not math.isfinite(value):
                raise UsageError(f"the weight of the loss {shown(name)} must be a number")
        if self.functional_levels not in ("luminance", "colormap"):
            raise UsageError("training option functional_levels must be luminance or colormap")
        if not 0 < self.smallest_gain <= 1:
            raise UsageError("training option smallest_gain must lie between 0 and 1")
        if not 0 < self.validation_share < 1:
            raise UsageError("training option validation_share must lie between 0 and 1")
        if self.precision not in PRECISIONS:
            raise UsageError(
                f"training option precision cannot be {shown(self.precision)}; choose from"
                f" {', '.join(PRECISIONS)}"
            )
        if not _DEVICES.fullmatch(str(self.devices)):
            raise UsageError(
                f"training option devices cannot be {shown(self.devices)}; give a number, auto, or"
                " the numbers of GPUs such as 0,1"
            )
        for name in ("colormap", "initial_weights", "perceptual_weights"):
            if (path := getattr(self, name)) is not None:
                check_text(f"training option {name}", path)
                check_path(f"training option {name}", Path(path))

    def to_toml(self) -> str:
        """The options as TOML; unset ones are left out."""
        import tomli_w

        values = dataclasses.asdict(self)
        return tomli_w.dumps({name: value for name, value in values.items() if value is not None})


def training_options(config: Path | None, overrides: dict[str, Any]) -> TrainingOptions:
    """Options from a TOML file, overridden by those given on the command line.

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
    try:
        return TrainingOptions(**values)
    except UsageError as error:
        raise error if config is None else UsageError(f"{error} (see also {config})") from error


def _check_range(name: str, value: float) -> None:
    smallest, largest = LIMITS[name]
    if isinstance(smallest, float):
        if not smallest < value <= largest:
            raise UsageError(
                f"training option {name} must be greater than {smallest:g}, at most {largest:g},"
                f" not {shown(value)}"
            )
    elif problem := outside(int(value), smallest, int(largest)):
        raise UsageError(f"training option {name} {problem}")


def _read(path: Path) -> dict[str, Any]:
    values = read_toml(path, "training configuration")
    fields = {field.name: field.type for field in dataclasses.fields(TrainingOptions)}
    for name, value in values.items():
        if name not in fields:
            raise UsageError(f"unknown training option in {path}: {name}")
        if not _is_a(value, fields[name]):
            raise UsageError(f"training option {name} in {path} has the wrong type: {shown(value)}")
        if isinstance(value, list):
            values[name] = tuple(value)
    return values


def _is_a(value: Any, expected: Any) -> bool:
    if expected == tuple[str, ...]:
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if expected == Mapping[str, float]:
        return isinstance(value, dict) and all(_is_a(item, float) for item in value.values())
    members = getattr(expected, "__args__", (expected,))
    if isinstance(value, bool) or bool in members:
        return isinstance(value, bool) and bool in members
    if isinstance(value, int) and abs(value) > LARGEST_WHOLE:
        return False
    return isinstance(value, members) or (float in members and isinstance(value, int))
