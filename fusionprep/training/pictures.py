"""Pictures of a training run: its losses, and what the model makes of validation pairs."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fusionprep.evaluation.montage import montage
from fusionprep.files import write_bytes
from fusionprep.training.cards import fused_levels, load_trained
from fusionprep.training.log import EpochRecord, best_record
from fusionprep.training.pairs import SlicePair
from fusionprep.training.recipes import get_recipe

SAMPLES = 6
"""Pairs shown, spread over the datasets."""

CURVES = (("train", "training", "tab:blue"), ("val", "validation", "tab:orange"))
"""Stages of a training run with label and colour."""


def write_pictures(
    out_dir: Path, name: str, pairs: Sequence[SlicePair], records: Sequence[EpochRecord]
) -> None:
    """Write ``losses.png`` and ``samples.png`` of a finished training run."""
    _, model = load_trained(out_dir, name)
    write_bytes(out_dir / "losses.png", draw_losses(records))
    picture = get_recipe(name).picture(model)
    if picture is not None:
        write_bytes(out_dir / "samples.png", picture)
        return
    rows = []
    for pair in sample_pairs([pair for pair in pairs if pair.split == "val"]):
        images = [pair.anatomical, pair.functional, fused_levels(model, pair)]
        rows.append((f"{pair.dataset}\n{pair.modality}", images))
    write_bytes(out_dir / "samples.png", montage(("anatomical", "functional", name), rows))


def sample_pairs(pairs: Sequence[SlicePair]) -> list[SlicePair]:
    """A few pairs from the fuller half of each dataset, evenly spaced."""
    datasets = sorted({(pair.dataset, pair.modality) for pair in pairs})[:SAMPLES]
    count = max(SAMPLES // len(datasets), 1)
    chosen = []
    for dataset in datasets:
        members = [pair for pair in pairs if (pair.dataset, pair.modality) == dataset]
        content = np.array([np.count_nonzero(pair.functional) for pair in members])
        fuller = np.flatnonzero(content >= np.median(content))
        places = np.linspace(0, len(fuller) - 1, min(count, len(fuller)) + 2)[1:-1]
        chosen += [members[fuller[place]] for place in np.unique(np.rint(places).astype(int))]
    return chosen


def draw_losses(records: Sequence[EpochRecord]) -> bytes:
    """Curves of the loss and of its weighted terms over the epochs, as a PNG.

    The axis is logarithmic where all values are positive.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    names = sorted({name.split("/", 1)[1] for name in records[0].losses} - {"loss"})
    names = ["loss", *(names if len(names) > 1 else [])]
    figure = Figure((3.4 * len(names), 3.2), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    epochs = [record.epoch for record in records]
    for axes, term in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        # Terms that need opponents are not validated.
        curves = {
            (label, colour): [record.losses[f"{stage}/{term}"] for record in records]
            for stage, label, colour in CURVES
            if f"{stage}/{term}" in records[0].losses
        }
        for (label, colour), values in curves.items():
            axes.plot(epochs, values, ".-", color=colour, label=label)
        if min(map(min, curves.values())) > 0:
            axes.set_yscale("log")
        axes.axvline(best_record(records).epoch, color="gray", lw=0.8, ls=":", label="kept")
        axes.set(title="total" if term == "loss" else f"{term}, weighted", xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3, which="both")
    figure.axes[0].legend(frameon=False, fontsize="small")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
