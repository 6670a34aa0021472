"""Draw reader_model.svg from reader_model.tsv: what each design keeps, against what it costs.

Run as ``python benchmarks/reader_model.py``.
"""

import csv
from pathlib import Path

from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

TABLE = Path(__file__).with_suffix(".tsv")
COSTS = {
    "mean_rank": "mean rank over nine metrics of the field",
    "cancelled": "edges cancelled at 2 pixels",
    "white": "share of the brain that is white",
}


def main() -> None:
    """Write the figure beside the table."""
    with TABLE.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    figure = Figure((4.6 * len(COSTS), 4.4), layout="constrained")
    FigureCanvasSVG(figure)
    for axes, (cost, label) in zip(figure.subplots(1, len(COSTS)), COSTS.items(), strict=True):
        for number, row in enumerate(rows):
            if not row[cost]:
                continue
            own = row["kind"] != "other"
            x, y = float(row[cost]), float(row["dominated"])
            axes.plot(x, y, "o", color="tab:red" if own else "tab:gray")
            offset = (5, 5 if number % 2 else -10)
            axes.annotate(row["design"], (x, y), offset, textcoords="offset points", fontsize=8)
        axes.axhline(0.6, color="black", lw=0.8, ls=":")
        axes.set(xlabel=label, ylabel="dominated lesions kept, lower of PET and SPECT")
        axes.margins(0.15)
    figure.savefig(TABLE.with_suffix(".svg"), metadata={"Date": None})


if __name__ == "__main__":
    main()
