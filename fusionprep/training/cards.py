"""Weights and their model card, in the manner of a MONAI bundle's metadata."""

import hashlib
import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fusionprep.errors import OutputError
from fusionprep.image.io import write_bytes
from fusionprep.models.registry import ModelEntry, get_model
from fusionprep.training.datasets import SPLITS, SliceGroup
from fusionprep.training.loop import EpochRecord
from fusionprep.training.options import TrainingOptions


def write_weights_and_card(
    model: nn.Module,
    name: str,
    out_dir: Path,
    groups: Sequence[SliceGroup],
    options: TrainingOptions,
    records: Sequence[EpochRecord],
) -> None:
    """Write ``<name>.safetensors`` and ``<name>.json``, each under its name only when complete.

    Raises
    ------
    OutputError
        When a file cannot be written.
    """
    from safetensors.torch import save

    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    weights = save(state)
    card = model_card(get_model(name), model, weights, groups, options, records)
    try:
        write_bytes(out_dir / f"{name}.safetensors", weights)
        write_bytes(out_dir / f"{name}.json", (json.dumps(card, indent=2) + "\n").encode())
    except OSError as error:
        raise OutputError(f"cannot write the weights to {out_dir}: {error}") from error


def model_card(
    entry: ModelEntry,
    model: nn.Module,
    weights: bytes,
    groups: Sequence[SliceGroup],
    options: TrainingOptions,
    records: Sequence[EpochRecord],
) -> dict[str, Any]:
    """What a user must know of a set of weights, as JSON values.

    ``weights`` are the bytes of the file that the card describes; their SHA-256 ties the two.
    """
    last = records[-1]
    slice_format = {
        "type": "image",
        "format": "gray level",
        "shape": "(N, 1, H, W)",
        "dtype": "float32",
        "range": [0, 1],
    }
    return {
        "name": entry.name,
        "version": entry.version,
        "paper": entry.paper,
        "task": "fusion of an aligned anatomical and functional brain image, slice by slice",
        "intended_use": "visualisation in research; not for diagnosis and not for quantification",
        "inputs": {
            "anatomical": slice_format | {"modality": "MRI"},
            "functional": slice_format | {"modality": "PET, SPECT or CT"},
        },
        "outputs": {"fused": slice_format},
        "training_data": {
            "sources": options.data_sources,
            "licence": options.data_licence,
            "split": "by patient",
            "sets": _training_sets(groups),
        },
        "training": {
            "command": _command(entry.name, options, epochs=last.epoch),
            "options": {key: value for key, value in asdict(options).items() if "data_" not in key},
            "epochs": last.epoch,
            "minutes": round(last.seconds / 60, 1),
            "final_loss": round(last.loss, 4),
            "torch": torch.__version__,
        },
        "validation": {key: round(value, 4) for key, value in last.validation.items()},
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "sha256": hashlib.sha256(weights).hexdigest(),
    }


def _training_sets(groups: Sequence[SliceGroup]) -> list[dict[str, Any]]:
    sets = []
    for dataset, split in sorted({(group.dataset, group.split) for group in groups}):
        members = [group for group in groups if (group.dataset, group.split) == (dataset, split)]
        sets.append(
            {
                "dataset": dataset,
                "split": split,
                "slices": len(members),
                "modalities": sorted({name for group in members for name in group.images}),
                "patients": sorted({group.subject for group in members}),
            }
        )
    return sorted(sets, key=lambda item: (SPLITS.index(item["split"]), item["dataset"]))


def _command(name: str, options: TrainingOptions, *, epochs: int) -> str:
    """The command that repeats a run, also one that ``minutes`` ended early."""
    words = ["fusionprep", "train", name, "--data", "DIR", "--config", f"{name}.toml"]
    words += ["--epochs", str(epochs), "--seed", str(options.seed)]
    return shlex.join(words)
