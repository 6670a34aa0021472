"""What a reader can see in fused images: lesions planted in real slices, and ranks.

    python benchmarks/reader.py --shared-data DIR average selfuse=MY.safetensors module:function

A method is a model of the registry, one with your own weights, or a function (anatomical,
functional) to fused of arrays (H, W) in [0, 1]. With ``--ranks`` it is scored by the field's
metrics instead, as the only further method beside nine others.
"""

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from reader_slices import RANKED_FOLDERS, RANKED_PAIRS, Slice, gray_pairs, reader_slices
from scipy.stats import kendalltau
from tables import add_option, record

from fusionprep.evaluation.guards import guards
from fusionprep.evaluation.lesions import Reader, conditions
from fusionprep.evaluation.metrics import RANKED, fusion_metrics, get_metric
from fusionprep.evaluation.observer import efficiency
from fusionprep.evaluation.pairs import to_gray_levels
from fusionprep.evaluation.ranking import Estimate, rank
from fusionprep.evaluation.reader_checks import DEGRADED, ReaderChecks, reader_checks
from fusionprep.evaluation.visibility import (
    Fuse,
    Visibility,
    VisibilitySummary,
    combine,
    visibility,
)
from fusionprep.modalities import FUSED, Modality
from fusionprep.models.entry import ModelEntry
from fusionprep.models.inference import fuse_volume
from fusionprep.models.registry import get_model

COMPETITORS = (
    *("selfuse", "max", "unet", "dmfnet", "ifcnn"),
    *("guided", "laplacian", "densefuse", "average"),
)
METRICS = (*RANKED, "Nabf")
SEED = 0


def main() -> None:
    options = parse()
    if options.ranks:
        print_ranks(options)
    else:
        print_visibility(options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "methods",
        nargs="+",
        metavar="METHOD",
        help="NAME or NAME=WEIGHTS of the registry, or MODULE:FUNCTION",
    )
    parser.add_argument("--shared-data", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--modality",
        nargs="+",
        dest="modalities",
        choices=[modality.name for modality in FUSED],
        default=[modality.name for modality in FUSED],
    )
    parser.add_argument("--repeats", type=int, default=5, help="draws of the lesions' places")
    parser.add_argument("--observer", action="store_true", help="a model observer's opinion too")
    parser.add_argument("--checks", action="store_true", help="what any fusion should pass")
    parser.add_argument("--ranks", action="store_true", help="mean ranks by the field's metrics")
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="folder that keeps the competitors' metrics"
    )
    add_option(parser)
    return parser.parse_args()


def chosen_modalities(options: argparse.Namespace) -> list[Modality]:
    return [modality for modality in FUSED if modality.name in options.modalities]


def method(text: str, modality: Modality) -> tuple[Fuse, ModelEntry | None]:
    """The function that fuses, and the model of the registry that it is."""
    name, _, weights = text.partition("=")
    module, _, function = name.partition(":")
    if function:
        import importlib

        found: Fuse = getattr(importlib.import_module(module), function)
        return found, None
    entry = get_model(name, Path(weights) if weights else None).of(modality)
    network = entry.load()
    return lambda anatomical, functional: fuse_volume(network, anatomical, functional), entry


def print_visibility(options: argparse.Namespace) -> None:
    kept: dict[str, list[str]] = {text: [] for text in options.methods}
    for modality in chosen_modalities(options):
        slices = reader_slices(options.shared_data, modality)
        print(f"\n{modality.label}, {len(slices)} slices, 95 % intervals over slices\n")
        head = ("method", "all", "dominated", "gain", "opposite", "cancelled 2/4 px", "white")
        print_row((*head, *(["observer"] if options.observer else [])), "---")
        retained, observed = [], []
        for text in options.methods:
            fuse, _ = method(text, modality)
            found = lesions_seen(fuse, slices, modality, options.repeats)
            seen = combine(found, [each.name for each in slices] * options.repeats)
            cells = visibility_cells(seen)
            kept[text].append(" / ".join(map(share, (seen.all, seen.dominated))))
            retained.append(np.mean([[each.retention for each in one.lesions] for one in found], 0))
            if options.observer:
                observed.append(efficiencies(fuse, slices, modality, options.repeats))
                cells = (*cells, f"{observed[-1].min():.2f}")
            print_row((text, *cells))
        if len(observed) > 2:
            print_agreement(np.array(retained), np.array(observed))
        if options.checks:
            print_checks(options, slices, modality)
    titles = [modality.label for modality in chosen_modalities(options)]
    lines = [f"| all / dominated | {' | '.join(titles)} |", "|---" * (1 + len(titles)) + "|"]
    lines += [f"| {text} | {' | '.join(cells)} |" for text, cells in kept.items()]
    record("reader", {"lesions": "\n".join(lines)}, options.record)


def print_agreement(retained: np.ndarray, observed: np.ndarray) -> None:
    """Whether both put the methods (rows) in one order, for each source and size (columns)."""
    each = [kendalltau(*pair).statistic for pair in zip(retained.T, observed.T, strict=True)]
    means = kendalltau(retained.mean(axis=1), observed.mean(axis=1)).statistic
    worst = kendalltau(retained.min(axis=1), observed.min(axis=1)).statistic
    print(
        f"\nKendall's tau of retention and observer: {np.mean(each):.2f} on average over sources "
        f"and sizes ({min(each):.2f} to {max(each):.2f}), {means:.2f} of their means, "
        f"{worst:.2f} of their least"
    )


def lesions_seen(
    fuse: Fuse, slices: list[Slice], modality: Modality, repeats: int
) -> list[Visibility]:
    rng = np.random.default_rng(SEED)
    return [
        visibility(fuse, each.anatomical, each.functional, each.brain, modality, rng=rng)
        for _ in range(repeats)
        for each in slices
    ]


def visibility_cells(found: VisibilitySummary) -> tuple[str, ...]:
    return (
        *map(interval, (found.all, found.dominated, found.gain)),
        f"{found.opposite.mean:.2f}",
        "/".join(f"{each.mean:.2f}" for each in found.cancelled),
        f"{found.white.mean:.3f}",
    )


def efficiencies(fuse: Fuse, slices: list[Slice], modality: Modality, repeats: int) -> np.ndarray:
    """Of the channelised Hotelling observer, for each source and size."""
    rng = np.random.default_rng(SEED)
    pairs = [(each.anatomical, each.functional, Reader(each.brain)) for each in slices] * repeats
    return np.array([efficiency(fuse, pairs, condition, rng) for condition in conditions(modality)])


def print_checks(options: argparse.Namespace, slices: list[Slice], modality: Modality) -> None:
    """Means over the slices; the largest for what should be 0."""
    print(f"\n{modality.label}, checks: gray levels of 255, then shares, then retention\n")
    rows = []
    for text in options.methods:
        fuse, _ = method(text, modality)
        rng = np.random.default_rng(SEED)
        found = [
            reader_checks(fuse, each.anatomical, each.functional, each.brain, modality, rng=rng)
            for each in slices
        ]
        bone = np.nanmean([bone_kept(fuse, each) for each in slices])
        rows.append((text, *check_cells(found), f"{bone:.2f}"))
    names = ("F(A,A)", "F(A,0)", "F(0,B)", "outside", "far", "A kept", "B kept")
    hottest = "bone" if modality.hounsfield else "hottest"
    print_row(("method", *names, *DEGRADED, hottest), "---")
    for row in rows:
        print_row(row)


def bone_kept(fuse: Fuse, pair: Slice) -> float:
    """Mean of the fused over mean of the functional image where that is bone, or hottest."""
    images = (pair.anatomical, pair.functional, fuse(pair.anatomical, pair.functional))
    return guards(*(to_gray_levels(255 * image).astype(np.float64) for image in images))["bone"]


def check_cells(found: list[ReaderChecks]) -> tuple[str, ...]:
    zero = ("identity", "anatomical_alone", "functional_alone", "outside", "far")
    kept = ("anatomical_kept", "functional_kept")
    degraded = np.mean([list(each.degraded.values()) for each in found], axis=0)
    return (
        *(f"{np.nanmax([getattr(each, name) for each in found]):.1f}" for name in zero),
        *(f"{np.nanmean([getattr(each, name) for each in found]):.2f}" for name in kept),
        *(f"{anatomical:.2f}/{functional:.2f}" for anatomical, functional in degraded),
    )


def interval(found: Estimate) -> str:
    return f"{found.mean:.2f} [{found.low:.2f}, {found.high:.2f}]"


def share(found: Estimate) -> str:
    """Its mean without the 0 in front."""
    return f"{found.mean:.2f}".removeprefix("0")


def print_row(cells: tuple[str, ...], rule: str = "") -> None:
    """One line of a Markdown table, with a rule below the head."""
    print(f"| {' | '.join(cells)} |", flush=True)
    if rule:
        print(f"|{f'{rule}|' * len(cells)}")


def print_ranks(options: argparse.Namespace) -> None:
    candidates = {
        text: mean_metrics(lambda modality, text=text: method(text, modality)[0], options)
        for text in options.methods
    }
    competitors = {name: competitor_metrics(name, options) for name in COMPETITORS}
    names = [folder.modality.label for folder in RANKED_FOLDERS]
    added = f"Nabf {'/'.join(names)}"
    print_row(("method", *(f"rank {name}" for name in names), "mean rank", added), "---")
    lines = [f"| | {' | '.join(names)} | mean rank |", "|---|" + "---:|" * (1 + len(names))]
    for text, means in {**candidates, **competitors}.items():
        ranks = print_candidate(text, means, competitors)
        cells = [f"{each:.1f}" for each in (*ranks, np.mean(ranks))]
        lines.append(f"| {text} | {' | '.join(cells)} |")
    record("reader", {"ranks": "\n".join(lines)}, options.record)


def print_candidate(
    text: str, candidate: dict[str, list[float]], competitors: dict[str, dict[str, list[float]]]
) -> list[float]:
    """Print a candidate's ranks; its mean rank in each folder."""
    rivals = [values for name, values in competitors.items() if name != text]
    ranks, added = [], []
    for folder in RANKED_FOLDERS:
        rows = np.array([each[folder.name] for each in (candidate, *rivals)])
        per_metric = [
            rank(rows[:, column], get_metric(name).better, [True] * len(rows))[0]
            for column, name in enumerate(RANKED)
        ]
        ranks.append(float(np.mean(per_metric)))
        added.append(rows[0, METRICS.index("Nabf")])
    print_row(
        (
            text,
            *(f"{each:.2f}" for each in ranks),
            f"{np.mean(ranks):.2f}",
            "/".join(f"{each:.3f}" for each in added),
        )
    )
    return ranks


def competitor_metrics(name: str, options: argparse.Namespace) -> dict[str, list[float]]:
    """From the cache, unless the model has other weights since."""
    identity = get_model(name).identity()
    path = options.cache / f"{name}.json" if options.cache else None
    if path and path.is_file():
        document = json.loads(path.read_text("utf-8"))
        if document["identity"] == identity and document["metrics"] == list(METRICS):
            return document["means"]
    means = mean_metrics(lambda modality: method(name, modality)[0], options)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        document = {"identity": identity, "metrics": METRICS, "means": means}
        unfinished = path.with_suffix(f".{os.getpid()}")
        unfinished.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
        unfinished.replace(path)
    return means


def mean_metrics(
    fuse_for: Callable[[Modality], Fuse], options: argparse.Namespace
) -> dict[str, list[float]]:
    """Dataset to the mean of each of ``METRICS`` over its pairs."""
    means = {}
    for folder in RANKED_FOLDERS:
        fuse, rows = fuse_for(folder.modality), []
        for number, (_, images) in enumerate(gray_pairs(options.shared_data, folder)):
            if number == RANKED_PAIRS:
                break
            levels = [
                to_gray_levels(255 * image).astype(np.float64) for image in (*images, fuse(*images))
            ]
            found = fusion_metrics(levels[0], levels[1], levels[2], METRICS)
            rows.append([found[name] for name in METRICS])
        means[folder.name] = np.nanmean(rows, axis=0).tolist()
    return means


if __name__ == "__main__":
    main()
