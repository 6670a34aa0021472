"""Training of DenseFuse as an auto-encoder on single slices (Li & Wu 2019, section III-B)."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from fusionprep.errors import DataError, OutputError
from fusionprep.image.io import write_bytes
from fusionprep.models.densefuse import DenseFuse, densefuse_l1
from fusionprep.training.cards import write_weights_and_card
from fusionprep.training.datasets import SingleSlices, SliceGroup, read_slice_table
from fusionprep.training.loop import EpochRecord, fit
from fusionprep.training.losses import reconstruction_loss, ssim
from fusionprep.training.options import TrainingOptions

VALIDATION_STRIDE = 3
"""Every third validation image is reconstructed after each epoch; neighbours hardly differ."""


def train_densefuse(data_dir: Path, out_dir: Path, options: TrainingOptions) -> Path:
    """Train the auto-encoder and write ``densefuse.safetensors`` with its card.

    Every image of the training split is used on its own, whatever its modality. Also written:
    ``log.csv`` (one row per epoch) and ``densefuse.toml`` (the options).

    Parameters
    ----------
    data_dir
        Folder with ``slices.csv``; see :func:`fusionprep.training.datasets.read_slice_table`.

    Returns
    -------
    Path
        The weights file.

    Raises
    ------
    NoInputError, DataError
        When the data cannot be used; also when a patient is on both sides of the split.
    OutputError
        When ``out_dir`` cannot be written.
    """
    groups = read_slice_table(data_dir)
    train_set = SingleSlices(_paths(groups, "train"), crop=options.crop, seed=options.seed)
    validation_set = SingleSlices(_paths(groups, "val")[::VALIDATION_STRIDE])
    out_dir = _prepared(out_dir, options)

    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    model = densefuse_l1().to(memory_format=torch.channels_last)

    def on_epoch(records: list[EpochRecord]) -> None:
        _write_log(out_dir / "log.csv", records)
        write_weights_and_card(model, "densefuse", out_dir, groups, options, records)
        print(_progress(records[-1], options), flush=True)

    fit(
        model,
        batches=lambda epoch: _batches(train_set, epoch, options),
        loss=lambda network, batch: reconstruction_loss(
            network.reconstruct(batch), batch, ssim_weight=options.ssim_weight
        ),
        validate=lambda network: reconstruction_metrics(network, validation_set),
        options=options,
        on_epoch=on_epoch,
    )
    return out_dir / "densefuse.safetensors"


def reconstruction_metrics(model: DenseFuse, images: Sequence[torch.Tensor]) -> dict[str, float]:
    """Mean SSIM and PSNR (dB, dynamic range 1) of reconstructions clipped to [0, 1]."""
    similarities, ratios = [], []
    for index in range(len(images)):
        image = images[index][None]
        output = model.reconstruct(image).clamp(0, 1)
        similarities.append(ssim(output, image).item())
        ratios.append(-10 * torch.log10((output - image).square().mean()).item())
    return {
        "ReconstructionSSIM": sum(similarities) / len(similarities),
        "ReconstructionPSNR": sum(ratios) / len(ratios),
    }


def _paths(groups: Sequence[SliceGroup], split: str) -> list[Path]:
    paths = [path for group in groups if group.split == split for path in group.images.values()]
    if not paths:
        raise DataError(f"slices.csv lists no {split} slice; training needs train and val")
    return paths


def _batches(images: SingleSlices, epoch: int, options: TrainingOptions) -> Iterator[torch.Tensor]:
    images.epoch = epoch
    order = torch.Generator().manual_seed(options.seed * 100_003 + epoch)
    loader = DataLoader(
        images, batch_size=options.batch_size, shuffle=True, generator=order, drop_last=True
    )
    for batch in loader:
        yield batch.contiguous(memory_format=torch.channels_last)


def _prepared(out_dir: Path, options: TrainingOptions) -> Path:
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        (out_dir / "densefuse.toml").write_text(options.to_toml(), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write to the training folder {out_dir}: {error}") from error
    return out_dir


def _write_log(path: Path, records: Sequence[EpochRecord]) -> None:
    rows = [asdict(record) | record.validation for record in records]
    columns = [name for name in rows[0] if name != "validation"]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(path, text.getvalue().encode())


def _progress(record: EpochRecord, options: TrainingOptions) -> str:
    metrics = "  ".join(f"{name} {value:.4f}" for name, value in record.validation.items())
    return (
        f"epoch {record.epoch}/{options.epochs}  {record.seconds / 60:.1f} min  "
        f"rate {record.learning_rate:.1e}  loss {record.loss:.4f}  {metrics}"
    )
