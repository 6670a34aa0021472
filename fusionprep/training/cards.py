"""Weights and their model card, in the manner of a MONAI bundle's metadata."""

import hashlib
import json
import math
import platform
import shlex
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from fusionprep.errors import OutputError
from fusionprep.files import write_bytes
from fusionprep.models.entry import ModelEntry
from fusionprep.models.inference import fuse_volume
from fusionprep.models.nets.base import FusionModel
from fusionprep.models.registry import get_model
from fusionprep.models.weights import PACKAGED, read_card, read_own_weights
from fusionprep.training.card_text import card_text
from fusionprep.training.datasets import read_pairs
from fusionprep.training.log import EpochRecord, best_record, read_log
from fusionprep.training.options import TrainingOptions, training_options
from fusionprep.training.pairs import SPLITS, SlicePair
from fusionprep.training.recipes import get_recipe
from fusionprep.training.recipes.base import Recipe

ALSO_IN_CARD = ("Nabf", "MinSource")
"""Metrics in the card in addition to those of the benchmark's mean rank."""


def write_weights_and_card(
    model: nn.Module,
    name: str,
    out_dir: Path,
    pairs: Sequence[SlicePair],
    options: TrainingOptions,
    records: Sequence[EpochRecord],
) -> None:
    """Write ``<name>.safetensors`` and its card, each file under its name only when complete.

    Raises
    ------
    OutputError
        When a file cannot be written.
    """
    from safetensors.torch import save

    weights = save({key: value.contiguous() for key, value in model.state_dict().items()})
    try:
        write_bytes(out_dir / f"{name}.safetensors", weights)
    except OSError as error:
        raise OutputError(f"cannot write the weights to {out_dir}: {error}") from error
    _write_card(out_dir, model_card(_entry(name), model, weights, pairs, options, records))


def complete_card(weights_dir: Path, name: str, data_dir: Path) -> None:
    """Write the card of a finished training run again, with the metrics of its validation pairs.

    Parameters
    ----------
    weights_dir
        Folder with ``<name>.safetensors``, ``<name>.toml`` and ``log.csv``, as a training run
        leaves it.
    data_dir
        The data it was trained on.

    Raises
    ------
    UsageError, NoInputError, DataError
        When one of them cannot be read.
    OutputError
        When the card cannot be written.
    """
    options = training_options(weights_dir / f"{name}.toml", {})
    records = read_log(weights_dir / "log.csv")
    finish_card(weights_dir, name, read_pairs(data_dir, options), options, records)


def finish_card(
    weights_dir: Path,
    name: str,
    pairs: Sequence[SlicePair],
    options: TrainingOptions,
    records: Sequence[EpochRecord],
) -> None:
    """Like :func:`complete_card`, with data, options and log that were read already."""
    weights, model = load_trained(weights_dir, name)
    card = model_card(_entry(name), model, weights, pairs, options, records)
    if get_recipe(name).stage_of is None:
        validation = [pair for pair in pairs if pair.split == "val"]
        card["eval_metrics"] = validation_metrics(model, validation)
    _write_card(weights_dir, card)


def _entry(name: str) -> ModelEntry:
    """The model that is trained; for a stage or further weights, the model under their name."""
    recipe = get_recipe(name)
    if recipe.variant_of is not None:
        return replace(get_model(recipe.variant_of), name=name)
    whole = recipe.stage_of
    if whole is None:
        return get_model(name)
    entry = get_model(whole)
    return replace(entry, name=name, title=f"first stage of {entry.label}, which does not fuse yet")


def load_trained(weights_dir: Path, name: str) -> tuple[bytes, FusionModel]:
    """The weights file of a training run, and the model with these weights, for evaluation.

    Raises
    ------
    NoInputError
        When there is no such file.
    DataError
        When its weights are not those of the model.
    """
    path = weights_dir / f"{name}.safetensors"
    model = get_recipe(name).build()
    read_own_weights(path, name, model).load_into(model)
    return path.read_bytes(), model.eval()


def validation_metrics(model: FusionModel, pairs: Sequence[SlicePair]) -> list[dict[str, Any]]:
    """Mean metrics of fused pairs, rounded to whole gray levels, for each dataset and modality.

    Slices that are too small for the metrics, or have no content in one of the images, are left
    out.

    Returns
    -------
    list of dict
        ``dataset``, ``modality``, ``pairs`` (how many were measured) and ``mean``: metric to its
        mean, None where it is defined for none of them.
    """
    from fusionprep.evaluation.metrics import RANKED, SMALLEST_SIDE, fusion_metrics

    names = (*RANKED, *ALSO_IN_CARD)
    results = []
    for dataset, modality in sorted({(pair.dataset, pair.modality) for pair in pairs}):
        rows = []
        for pair in pairs:
            images = pair.anatomical, pair.functional
            usable = min(images[0].shape) >= SMALLEST_SIDE and all(map(np.ptp, images))
            if (pair.dataset, pair.modality) == (dataset, modality) and usable:
                rows.append(fusion_metrics(*images, fused_levels(model, pair), names))
        mean = {name: _mean([row[name] for row in rows]) for name in names}
        results.append({"dataset": dataset, "modality": modality, "pairs": len(rows), "mean": mean})
    return results


def fused_levels(model: FusionModel, pair: SlicePair) -> np.ndarray:
    """The fused slice of a pair in gray levels, (H, W) uint8."""
    images = (image / np.float32(255) for image in (pair.anatomical, pair.functional))
    return np.rint(255 * fuse_volume(model, *images)).astype(np.uint8)


def _mean(values: Sequence[float]) -> float | None:
    finite = [value for value in values if math.isfinite(value)]
    return round(float(np.mean(finite)), 4) if finite else None


def model_card(
    entry: ModelEntry,
    model: nn.Module,
    weights: bytes,
    pairs: Sequence[SlicePair],
    options: TrainingOptions,
    records: Sequence[EpochRecord],
) -> dict[str, Any]:
    """What a user must know about a set of weights, as JSON values.

    ``weights`` are the bytes of the file that the card describes; their SHA-256 ties the two.
    """
    recipe = get_recipe(entry.name)
    functional = ", ".join(sorted({pair.modality.upper() for pair in pairs}))
    return {
        "name": entry.name,
        "version": entry.version,
        "task": "fusion of an aligned anatomical and functional brain image, slice by slice",
        "description": entry.title,
        "paper": entry.paper,
        "differences": recipe.differences,
        "intended_use": "visualisation in research; not for diagnosis and not for quantification",
        "network_data_format": {
            "inputs": {
                "anatomical": _image_format("MRI", "scaled to 0..1 inside the brain"),
                "functional": _image_format(functional, "scaled to 0..1, CT by a window"),
            },
            "outputs": {"fused": _image_format("fused", "0 black, 1 white")},
        },
        "training_data": {
            "sources": options.data_sources,
            "licence": options.data_licence,
            "split": "by patient: no patient is in both training and validation",
            "sets": _training_sets(pairs),
        },
        "training": _training(entry.name, recipe, options, records),
        "eval_metrics": None,
        "python_version": platform.python_version(),
        "pytorch_version": torch.__version__,
        "numpy_version": np.__version__,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "sha256": hashlib.sha256(weights).hexdigest(),
    }


def _image_format(modality: str, scaling: str) -> dict[str, Any]:
    return {
        "type": "image",
        "format": "gray level",
        "modality": modality,
        "num_channels": 1,
        "spatial_shape": ["H", "W"],
        "dtype": "float32",
        "value_range": [0, 1],
        "scaling": scaling,
    }


def _training_sets(pairs: Sequence[SlicePair]) -> list[dict[str, Any]]:
    sets = []
    for dataset, split in sorted({(pair.dataset, pair.split) for pair in pairs}):
        members = [pair for pair in pairs if (pair.dataset, pair.split) == (dataset, split)]
        sets.append(
            {
                "dataset": dataset,
                "split": split,
                "pairs": len(members),
                "modalities": sorted({pair.modality for pair in members}),
                "patients": sorted({pair.subject for pair in members}),
            }
        )
    return sorted(sets, key=lambda item: (SPLITS.index(item["split"]), item["dataset"]))


def _training(
    name: str, recipe: Recipe, options: TrainingOptions, records: Sequence[EpochRecord]
) -> dict[str, Any]:
    last, best = records[-1], best_record(records)
    chosen = {
        key: value
        for key, value in asdict(options).items()
        if value is not None and not key.startswith("data_")
    }
    for key in {"initial_weights", "perceptual_weights"} & set(chosen):
        # The folder of the file says nothing, and may hold people's names.
        chosen[key] = Path(chosen[key]).name
    return {
        "command": _command(name, options, epochs=last.epoch),
        "options": chosen,
        "loss_weights": dict(recipe.loss_weights) | dict(options.loss_weights),
        "before": _earlier_training(name, options.initial_weights),
        "epochs": last.epoch,
        "batches": last.epoch * options.steps_per_epoch,
        "minutes": round(last.seconds / 60, 1),
        "kept": f"the epoch with the lowest validation loss, {best.epoch} of {last.epoch}",
        "log": {"first": _summary(records[0]), "best": _summary(best), "last": _summary(last)},
    }


def _earlier_training(name: str, initial_weights: str | None) -> dict[str, Any] | None:
    """The training run that led to the initial weights, from their card; None without one."""
    if initial_weights is None:
        return None
    if initial_weights == PACKAGED:
        return read_card(get_recipe(name).stage_of or name)["training"]
    card = Path(initial_weights).with_suffix(".json")
    return json.loads(card.read_text(encoding="utf-8"))["training"] if card.is_file() else None


def _summary(record: EpochRecord) -> dict[str, Any]:
    losses = {name: float(f"{value:.6g}") for name, value in sorted(record.losses.items())}
    return {"epoch": record.epoch, "losses": losses}


def _command(name: str, options: TrainingOptions, *, epochs: int) -> str:
    """The command that repeats a run, even one that ``minutes`` or ``patience`` ended early."""
    words = ["fusionprep", "train", name, "--data", "DIR", "--config", f"{name}.toml"]
    words += ["--epochs", str(epochs), "--seed", str(options.seed)]
    if options.minutes is not None:
        words += ["--minutes", "inf"]
    return shlex.join(words)


def _write_card(out_dir: Path, card: dict[str, Any]) -> None:
    name = card["name"]
    text = json.dumps(card, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        write_bytes(out_dir / f"{name}.json", text.encode())
        write_bytes(out_dir / f"{name}.md", card_text(card).encode())
    except OSError as error:
        raise OutputError(f"cannot write the model card to {out_dir}: {error}") from error
