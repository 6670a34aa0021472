"""The model card for people, made from the one for programs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def card_text(card: Mapping[str, Any]) -> str:
    """Markdown of a model card.

    Parameters
    ----------
    card
        As :func:`fusionprep.training.cards.model_card` makes it.
    """
    training, data = card["training"], card["training_data"]
    parts = [
        f"# {card['name']} {card['version']}",
        f"{_sentence(card['description'])} {card['parameters']:,} parameters.",
        *_paper(card),
        "## Intended use",
        f"{_sentence(card['task'])} {_sentence(card['intended_use'])}",
        "## Inputs and output",
        _formats(card["network_data_format"]),
        "## Training data",
        f"{_sentence(data['sources'])} Licence: {_sentence(data['licence'])}",
        f"Split {data['split']}.",
        _sets(data["sets"]),
        "## Training",
        f"```sh\n{training['command']}\n```",
        f"{_length(training)}, PyTorch {card['pytorch_version']}. Kept: {training['kept']}.",
        *_earlier(training["before"]),
        _losses(training),
        "## Validation",
        _metrics(card["eval_metrics"]),
        f"Weights: SHA-256 `{card['sha256']}`",
    ]
    return "\n\n".join(parts) + "\n"


def _sentence(text: str) -> str:
    text = text[0].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _formats(formats: Mapping[str, Any]) -> str:
    header = ("name", "modality", "shape", "type", "range", "scaling")
    images = [("inputs", *item) for item in formats["inputs"].items()]
    images += [("outputs", *item) for item in formats["outputs"].items()]
    rows = []
    for _, name, image in images:
        shape = f"(N, {image['num_channels']}, {', '.join(image['spatial_shape'])})"
        limits = "{}..{}".format(*image["value_range"])
        rows.append((name, image["modality"], shape, image["dtype"], limits, image["scaling"]))
    return _table(header, rows)


def _sets(sets: Iterable[Mapping[str, Any]]) -> str:
    rows = (
        (
            *(item["split"], item["dataset"], ", ".join(item["modalities"]), item["pairs"]),
            f"{len(item['patients'])}: {', '.join(item['patients'])}",
        )
        for item in sets
    )
    return _table(("split", "dataset", "modality", "pairs", "patients"), rows)


def _paper(card: Mapping[str, Any]) -> list[str]:
    if card["paper"] is None:
        return [_sentence(card["differences"])]
    return [f"Paper: {card['paper']}", f"What differs from the paper: {card['differences']}"]


def _length(training: Mapping[str, Any]) -> str:
    counts = (_count(training["epochs"], "epoch"), _count(training["batches"], "batch", "batches"))
    return f"{', '.join(counts)}, {training['minutes']} minutes"


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def _earlier(training: Mapping[str, Any] | None) -> list[str]:
    """A paragraph for each training run before the last one, the latest first."""
    if training is None:
        return []
    weights = ", ".join(f"{name} {value:g}" for name, value in training["loss_weights"].items())
    rate = training["options"]["learning_rate"]
    text = (
        f"It began with the weights of an earlier training run: {_length(training)}, "
        f"learning rate {rate:g}, loss weights {weights}. Kept: {training['kept']}."
    )
    return [text, *_earlier(training.get("before"))]


def _losses(training: Mapping[str, Any]) -> str:
    log = training["log"]
    header = ("weighted loss", *(f"{name} ({log[name]['epoch']})" for name in log))
    rows = (
        (name, *(f"{log[epoch]['losses'][name]:.4g}" for epoch in log))
        for name in log["best"]["losses"]
    )
    return _table(header, rows)


def _metrics(measured: Sequence[Mapping[str, Any]] | None) -> str:
    if not measured:
        return "Not measured."
    header = ("metric", *(f"{item['dataset']} ({item['modality']})" for item in measured))
    rows = [("pairs", *(item["pairs"] for item in measured))]
    for name in measured[0]["mean"]:
        values = (item["mean"][name] for item in measured)
        rows.append((name, *("-" if value is None else f"{value:.3f}" for value in values)))
    text = "Means over all validation pairs, fused slices rounded to 8 bit."
    return f"{text}\n\n{_table(header, rows)}"
