"""A training run: from a folder of pairs to weights, card, log and pictures."""

import dataclasses
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from fusionprep.errors import OutputError, UsageError
from fusionprep.files import write_bytes
from fusionprep.models.weights import PACKAGED, Weights, packaged_weights, read_own_weights
from fusionprep.streams import quiet_library
from fusionprep.training.cards import finish_card, write_weights_and_card
from fusionprep.training.datasets import PairSamples, read_pairs
from fusionprep.training.log import EpochRecord, best_record, read_log, write_log
from fusionprep.training.options import TrainingOptions, training_options
from fusionprep.training.pairs import SlicePair
from fusionprep.training.pictures import write_pictures
from fusionprep.training.recipes import get_recipe
from fusionprep.training.recipes.base import AdversarialRecipe, Recipe

if TYPE_CHECKING:
    import lightning

    from fusionprep.training.loop import Records, TrainingModule

VALIDATION_STRIDE = 3
"""Every third validation pair is used after each epoch; neighbours hardly differ."""

CHANGEABLE = frozenset(
    {
        *("epochs", "minutes", "patience", "threads", "devices", "nodes", "tensorboard"),
        *("data_sources", "data_licence"),
    }
)
"""Options that a resumed run may change: how long, on what hardware, and what the card says."""


def train(
    name: str, data_dir: Path, out_dir: Path, options: TrainingOptions, *, resume: bool = False
) -> Path:
    """Train a model; the weights kept are those of the epoch with the lowest validation loss.

    Written to ``out_dir``: ``<name>.safetensors`` with its card (``.json`` and ``.md``),
    ``<name>.toml`` (the options), ``log.csv`` (one row per epoch), pictures of losses and samples,
    and ``checkpoints``, from which an interrupted run continues as if it had not been interrupted.

    Parameters
    ----------
    data_dir
        Folder with ``slices.csv`` or derivatives; see
        :func:`fusionprep.training.datasets.read_pairs`.
    resume
        Resume from the last checkpoint in ``out_dir``, if there is one.

    Returns
    -------
    Path
        The weights file.

    Raises
    ------
    UsageError
        When the model cannot be trained, a package is missing, or ``out_dir`` holds another or an
        unfinished training run.
    NoInputError, DataError
        When the data cannot be used; also when a patient is on both sides of the split.
    OutputError
        When ``out_dir`` cannot be written.
    """
    _require_packages(options)
    recipe = get_recipe(name)
    _check_loss_weights(recipe, options)
    pairs = read_pairs(data_dir, options)
    checkpoint = _prepare(out_dir, name, options, resume=resume)
    try:
        with _process_as_it_was(), _quiet_lightning():
            torch.set_num_threads(options.threads)
            trained_here = _fit(name, recipe, pairs, out_dir, options, checkpoint)
        if trained_here:
            records = read_log(out_dir / "log.csv")
            finish_card(out_dir, name, pairs, options, records)
            write_pictures(out_dir, name, pairs, records)
    except OSError as error:
        raise OutputError(f"cannot write to the training folder {out_dir}: {error}") from error
    return out_dir / f"{name}.safetensors"


def _require_packages(options: TrainingOptions) -> None:
    """Refuse at once what would fail for lack of an optional package."""
    wanted = {"lightning": True, "tensorboard": options.tensorboard}
    missing = [name for name in wanted if wanted[name] and not importlib.util.find_spec(name)]
    if missing:
        raise UsageError(
            f"this training needs {' and '.join(missing)}; install with: "
            "pip install 'fusionprep[train]'"
        )


def _check_loss_weights(recipe: Recipe, options: TrainingOptions) -> None:
    unknown = sorted(set(options.loss_weights) - set(recipe.loss_weights))
    if unknown:
        raise UsageError(
            f"no loss term is named {', '.join(unknown)}; there are: "
            f"{', '.join(recipe.loss_weights)}"
        )


def _prepare(out_dir: Path, name: str, options: TrainingOptions, *, resume: bool) -> Path | None:
    """Write the options; returns the checkpoint to resume from, None to start afresh."""
    checkpoint = out_dir / "checkpoints" / "last.ckpt"
    config = out_dir / f"{name}.toml"
    started = checkpoint.exists()
    if started and not resume:
        raise UsageError(
            f"{out_dir} already holds a training run; add --resume to continue it, or choose "
            "another folder with --out"
        )
    if started:
        if not config.exists():
            raise UsageError(f"{out_dir} holds a training run of another model than {name}")
        _check_unchanged(config, options)
    try:
        write_bytes(config, options.to_toml().encode())
    except OSError as error:
        raise OutputError(f"cannot write to the training folder {out_dir}: {error}") from error
    return checkpoint if started else None


def _check_unchanged(config: Path, options: TrainingOptions) -> None:
    earlier = training_options(config, {})
    names = [field.name for field in dataclasses.fields(options) if field.name not in CHANGEABLE]
    changed = [name for name in names if getattr(earlier, name) != getattr(options, name)]
    if changed:
        raise UsageError(
            f"cannot resume with another {', '.join(changed)} than in {config}; resume with that "
            "file, or start afresh in another folder with --out"
        )


@contextmanager
def _process_as_it_was() -> Iterator[None]:
    """Undo what a training sets for the whole process: what runs after it would go on with it."""
    threads = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    import lightning.pytorch  # sets the level of its logger

    with quiet_library(lightning.pytorch.__name__, "WARNING", module="lightning"):
        yield


def _fit(
    name: str,
    recipe: Recipe,
    pairs: Sequence[SlicePair],
    out_dir: Path,
    options: TrainingOptions,
    checkpoint: Path | None,
) -> bool:
    """Train until the options' end; True in the one process that writes the results."""
    from fusionprep.training.checkpoints import check_checkpoint
    from fusionprep.training.loop import Records, TrainingModule

    module = TrainingModule(
        recipe,
        options,
        PairSamples(
            [pair for pair in pairs if pair.split == "train"],
            recipe.prepare,
            seed=options.seed,
            count=options.batch_size * options.steps_per_epoch,
            crop=options.crop,
            smallest_gain=options.smallest_gain,
        ),
        PairSamples(
            [pair for pair in pairs if pair.split == "val"][::VALIDATION_STRIDE],
            recipe.prepare,
            seed=options.seed,
        ),
    )

    if options.initial_weights is not None:
        _initial_weights(name, options.initial_weights).load_into(module.model)
    recipe.begin_training(module.model, options)
    if checkpoint is not None:
        check_checkpoint(checkpoint, module)

    def on_epoch(module: "TrainingModule", records: list[EpochRecord]) -> None:
        write_log(out_dir / "log.csv", records)
        if records[-1] is best_record(records):
            write_weights_and_card(module.model, name, out_dir, pairs, options, records)
        print(_progress(records[-1], options), flush=True)

    records = Records(on_epoch, minutes=options.minutes, patience=options.patience)
    trainer = _trainer(out_dir, options, records)
    if isinstance(recipe, AdversarialRecipe) and trainer.num_devices * trainer.num_nodes > 1:
        # Each of the two updates leaves the parameters of the other side unused.
        trainer = _trainer(out_dir, options, records, "ddp_find_unused_parameters_true")
    # The checkpoint holds tensors and plain values only: nothing in it is unpickled.
    trainer.fit(module, ckpt_path=checkpoint, weights_only=True)
    return trainer.is_global_zero


def _initial_weights(name: str, source: str) -> Weights:
    recipe = get_recipe(name)
    if source == PACKAGED:
        return packaged_weights(recipe.stage_of or name)
    return read_own_weights(Path(source), name, recipe.build())


def _trainer(
    out_dir: Path, options: TrainingOptions, records: "Records", strategy: str = "auto"
) -> "lightning.Trainer":
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    try:
        return _new_trainer(out_dir, options, records, strategy)
    except (MisconfigurationException, ImportError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(
            f"Lightning does not train with devices {options.devices}, nodes {options.nodes} and"
            f" precision {options.precision} here: {reason}"
        ) from error


def _new_trainer(
    out_dir: Path, options: TrainingOptions, records: "Records", strategy: str
) -> "lightning.Trainer":
    import lightning
    from lightning.pytorch.callbacks import ModelCheckpoint

    from fusionprep.training.checkpoints import WholeCheckpoints
    from fusionprep.training.progress import SignsOfLife

    terminal = sys.stdout.isatty()
    return lightning.Trainer(
        max_epochs=options.epochs,
        devices=options.devices,
        num_nodes=options.nodes,
        strategy=strategy,
        precision=cast(Any, options.precision),  # checked by Lightning
        deterministic="warn",
        logger=_tensorboard(out_dir) if options.tensorboard else False,
        # Without a quantity to monitor, every epoch is saved. The best weights are kept elsewhere.
        plugins=[WholeCheckpoints()],
        callbacks=[
            records,
            *([] if terminal else [SignsOfLife()]),
            ModelCheckpoint(
                out_dir / "checkpoints",
                filename="last",
                save_on_train_epoch_end=True,
                enable_version_counter=False,
            ),
        ],
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        enable_model_summary=False,
        enable_progress_bar=terminal,
    )


def _tensorboard(out_dir: Path) -> Any:
    from lightning.pytorch.loggers import TensorBoardLogger

    return TensorBoardLogger(out_dir, name="tensorboard", version="")


def _progress(record: EpochRecord, options: TrainingOptions) -> str:
    return (
        f"epoch {record.epoch}/{options.epochs}  {record.seconds / 60:.1f} min  "
        f"rate {record.learning_rate:.1e}  loss {record.losses['train/loss']:.4f}  "
        f"validation {record.validation_loss:.4f}"
    )
