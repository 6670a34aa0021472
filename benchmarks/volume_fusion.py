"""Cost of fusing a whole volume, model by model, each in a process of its own.

Writes a synthetic 256 x 256 x 180 MRI and PET (an ellipsoid of 1.8 l with structure of several
scales, 0 outside), runs ``fusionprep fuse`` on them with every model, and prints CPU time, wall
time and peak memory, and their ratio to the first model. Start of Python, reading and writing are
included. Linux only.
"""

import argparse
import dataclasses
import json
import os
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
from measure import Usage, run_measured
from tables import add_option, record

SHAPE = (256, 256, 180)
SEMI_AXES = (70, 88, 70)
FIGURES = (
    ("CPU s", "cpu_s", ".1f"),
    ("wall s", "wall_s", ".1f"),
    ("peak MB", "max_process_rss_mb", ".0f"),
)


def main() -> None:
    options = parse()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    write_volumes(work)
    rows = {}
    for model in options.models:
        for planes in options.planes:
            for batch_size in options.batch_sizes:
                arguments = ["--planes", planes, "--batch-size", str(batch_size)]
                rows[f"{model}, {planes}, batches of {batch_size}"] = run(
                    work, model, arguments, options.threads
                )
    print(table(rows))
    record("volume_fusion", {"costs": table(rows)}, options.record)
    document = {name: dataclasses.asdict(usage) for name, usage in rows.items()}
    (work / "volume_fusion.json").write_text(json.dumps(document, indent=2) + "\n", "utf-8")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path, help="folder for the volumes and volume_fusion.json")
    parser.add_argument("--models", nargs="+", default=["average", "densefuse"], metavar="NAME")
    parser.add_argument("--planes", nargs="+", default=["axial"], choices=("axial", "triplanar"))
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[4], metavar="N")
    parser.add_argument("--threads", type=int, default=2)
    add_option(parser)
    return parser.parse_args()


def write_volumes(work: Path) -> None:
    """Write ``mri.nii`` and ``pet.nii``, the same for every run."""
    from scipy import ndimage

    rng = np.random.default_rng(0)
    grid = np.ogrid[tuple(slice(side) for side in SHAPE)]
    radius = sum(
        ((axis - side / 2) / semi_axis) ** 2
        for axis, side, semi_axis in zip(grid, SHAPE, SEMI_AXES, strict=True)
    )
    noise = rng.standard_normal(SHAPE, dtype=np.float32)
    for name, scales, unit in (("mri", (1, 3, 8), 300.0), ("pet", (3, 10), 9000.0)):
        texture = sum(scale**1.5 * ndimage.gaussian_filter(noise, scale) for scale in scales)
        image = np.where(radius < 1, unit * np.exp(texture), 0).astype(np.float32)
        nib.save(nib.Nifti1Image(image, np.eye(4)), work / f"{name}.nii")


def run(work: Path, model: str, arguments: list[str], threads: int) -> Usage:
    """Fuse with one model and measure the process."""
    command = [str(Path(sys.executable).with_name("fusionprep")), "fuse"]
    command += [str(work / "mri.nii"), str(work / "pet.nii"), "--model", model, "--device", "cpu"]
    command += [*arguments, "-o", str(work / f"{model}.nii")]
    libraries = ("OMP", "OPENBLAS", "MKL")
    environment = dict(os.environ) | {f"{name}_NUM_THREADS": str(threads) for name in libraries}
    return run_measured(command, work / f"{model}.log", environment)


def table(rows: dict[str, Usage]) -> str:
    """A Markdown table with the ratio to the first row behind every figure."""
    first = next(iter(rows.values()))
    labels = " | ".join(label for label, *_ in FIGURES)
    lines = [f"| | {labels} |", f"|---|{'---:|' * len(FIGURES)}"]
    for name, usage in rows.items():
        cells = []
        for _, field, form in FIGURES:
            value = getattr(usage, field)
            cells.append(f"{value:{form}} ({value / getattr(first, field):.1f}×)")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
