"""What a benchmark found, as tables and files."""

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fusionprep._version import __version__
from fusionprep.devices import resolve_device
from fusionprep.errors import OutputError
from fusionprep.evaluation.benchmark import BenchmarkRequest
from fusionprep.evaluation.benchmark_report import html_page, markdown_page
from fusionprep.evaluation.comparison import (
    DatasetSummary,
    lesions_file,
    montage_file,
    patient_count,
    summarise,
)
from fusionprep.evaluation.metrics import RANKED
from fusionprep.evaluation.montage import montage
from fusionprep.evaluation.ranking import RESAMPLES, SEED, Estimate
from fusionprep.evaluation.reading import SEEN, figures
from fusionprep.evaluation.scoring import DatasetScores
from fusionprep.files import write_bytes
from fusionprep.models.entry import ModelEntry

MISSING = "n/a"
PAIRS = "pairs.tsv"


def write_benchmark(
    out: Path, request: BenchmarkRequest, results: Sequence[DatasetScores]
) -> list[Path]:
    """Write the tables, the pages, the montages and ``benchmark.json`` into a folder.

    Returns
    -------
    list of pathlib.Path
        The files written.

    Raises
    ------
    OutputError
        When the folder cannot be written.
    """
    summaries = [summarise(scores) for scores in results]
    contents = {
        PAIRS: pairs_table(results),
        "summary.tsv": _tsv(_summary_rows(summaries)).encode(),
        "benchmark.json": (json.dumps(_provenance(request, results), indent=2) + "\n").encode(),
        "summary.md": markdown_page(summaries).encode(),
        "summary.html": html_page(summaries).encode(),
    }
    for scores in results:
        labels = [scores.pair_set.anatomical_folder, scores.pair_set.functional_folder]
        labels += [method.name for method in scores.methods if method.kind != "probe"]
        contents[montage_file(scores.pair_set.name)] = montage(labels, scores.shown)
        if scores.lesions:
            folders = dict(zip(("anatomical", "functional"), labels, strict=False))
            rows = [(f"in {folders[each.source]}", each.images) for each in scores.lesions]
            contents[lesions_file(scores.pair_set.name)] = montage(labels, rows)
    try:
        for name, content in contents.items():
            write_bytes(Path(out) / name, content)
    except OSError as error:
        raise OutputError(f"cannot write into {out}: {error}") from error
    return [Path(out) / name for name in contents]


def pairs_table(results: Iterable[DatasetScores]) -> bytes:
    """All values, a row for each pair and method."""
    return _tsv(_pair_rows(results)).encode()


def _pair_rows(results: Iterable[DatasetScores]) -> Iterable[dict[str, Any]]:
    for scores in results:
        for column, pair in enumerate(scores.pair_set.pairs):
            for row, method in enumerate(scores.methods):
                seen = scores.seen[row][column] if scores.seen else None
                yield {
                    "dataset": scores.pair_set.name,
                    "pair": pair.name,
                    "subject": pair.subject,
                    "method": method.name,
                    "kind": method.kind,
                    **{name: array[row, column] for name, array in scores.values.items()},
                    **({} if seen is None else figures(seen)),
                }


def _summary_rows(summaries: Iterable[DatasetSummary]) -> Iterable[dict[str, Any]]:
    """A row per dataset, method and quantity; ``mean_rank`` is a quantity too."""
    for summary in summaries:
        for row in summary.order():
            method = summary.methods[row]
            same = {"dataset": summary.name, "method": method.name, "kind": method.kind}
            mean_rank = Estimate(summary.mean_ranks[row], math.nan, math.nan)
            estimates = {name: found[row] for name, found in summary.estimates.items()}
            seen = summary.seen[row]
            if seen is not None:
                named = {name.replace(" ", "_"): read(seen) for name, read in SEEN.items()}
                estimates = {**estimates, **named}
            for name, found in {"mean_rank": mean_rank, **estimates}.items():
                position = summary.ranks[name][row] if name in summary.ranks else math.nan
                yield {
                    **same,
                    "metric": name,
                    "mean": found.mean,
                    "low": found.low,
                    "high": found.high,
                    "rank": position,
                    "in_mean_rank": name in summary.ranks and name in RANKED,
                }


def _tsv(rows: Iterable[dict[str, Any]]) -> str:
    rows = list(rows)
    # Datasets differ in what was measured.
    columns = list(dict.fromkeys(name for row in rows for name in row))
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row.get(name)) for name in columns] for row in rows)
    return stream.getvalue()


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else MISSING
    return MISSING if value is None else str(value)


def _provenance(request: BenchmarkRequest, results: Sequence[DatasetScores]) -> dict[str, Any]:
    """What is needed to repeat the benchmark; no paths, which hold on one machine only."""
    import platform
    from importlib.metadata import version

    import scipy
    import torch

    entries: list[ModelEntry] = []
    for entry in (method.entry for scores in results for method in scores.methods):
        # A model may have weights of its own for a modality.
        if entry is not None and entry not in entries:
            entries.append(entry)
    return {
        "Versions": {
            "fusionprep": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "scikit-image": version("scikit-image"),
        },
        "Machine": {
            "Processor": platform.machine(),
            "Device": resolve_device(request.device),
            "Threads": request.threads or torch.get_num_threads(),
        },
        "Models": [{**entry.identity(), "Parameters": entry.parameters()} for entry in entries],
        "External": list(request.external),
        "Probes": [m.name for m in results[0].methods if m.kind == "probe"],
        "Datasets": [
            {
                "Name": scores.pair_set.name,
                "Anatomical": scores.pair_set.anatomical_folder,
                "Functional": scores.pair_set.functional_folder,
                "Pairs": len(scores.pair_set.pairs),
                "Patients": patient_count(scores),
                "Stride": request.stride,
                **({"Lost": len(scores.lost)} if scores.lost else {}),
                **({"Empty": len(scores.empty)} if scores.empty else {}),
            }
            for scores in results
        ],
        "Bootstrap": {"Resamples": RESAMPLES, "Seed": SEED},
        "MeanRankOver": list(RANKED),
    }
