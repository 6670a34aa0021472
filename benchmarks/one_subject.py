"""Cost and accuracy of fusionapp on one subject, against a plain antspyx recipe.

Makes a BIDS dataset with one T1w and a simulated FDG PET, runs ``fusionapp`` with one process and
with two and ``antspyx_recipe.py`` on it, one after the other, and compares CPU and wall time,
memory, the error of the PET registration and the overlap of the gray matter with the template's.
Exits with 1 when a limit is missed. Without ``--t1w`` the T1w is the 1 mm MPRAGE of the shared data
(``FUSIONPREP_SHARED_DATA``), or else the demo's phantom.
"""

import argparse
import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

from measure import Usage, run_measured
from score import SPACE, Scores, score
from simulate import Truth, write_subject
from steps import recorded_steps
from tables import add_option, record

HERE = Path(__file__).resolve().parent
APP, TWO, RECIPE = "fusionapp", "fusionapp-2", "recipe"
LIMIT_OPTIONS = (
    ("--max-cpu-ratio", 0.13, "CPU time of fusionapp over that of the recipe"),
    ("--max-wall-ratio", 0.10, "wall time with two processes over that of the recipe"),
    ("--max-memory-ratio", 0.5, "peak memory of fusionapp over that of the recipe"),
    ("--max-error-mm", 0.25, "mean error of PET to T1w, and twice that the largest"),
    ("--min-gm-dice", 0.79, "overlap of fusionapp's GM with the template's"),
    ("--min-warp-dice", 0.655, "the same of one GM for both pipelines"),
)


@dataclasses.dataclass(frozen=True)
class Images:
    """The subject's T1w, and a head template with its brain for the recipe."""

    t1w: Path
    head: Path
    brain: Path


@dataclasses.dataclass(frozen=True)
class Result:
    """One pipeline's cost and quality, and the inputs they hold for."""

    usage: Usage
    scores: Scores
    inputs_sha256: str
    threads: int

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"


def main() -> int:
    options = parse()
    work = options.work.resolve()
    bids = work / "bids"
    images = find_images(work)
    truth = write_subject(options.t1w or images.t1w, bids)
    inputs = sha256_of(sorted(bids.rglob("*.nii.gz")))
    commands = {
        APP: fusionapp_command(bids, work / APP, options.threads, 1),
        TWO: fusionapp_command(bids, work / TWO, options.threads, 2),
        RECIPE: recipe_command(bids, work / RECIPE / "out", images, options.threads),
    }
    results = {}
    for name in [options.only] if options.only else commands:
        if options.reuse and name == RECIPE:
            kept = options.reuse / RECIPE / "result.json"
            results[name] = reuse(kept, inputs, options.threads)
        else:
            results[name] = run(commands[name], work / name, truth, inputs, options.threads)
    print(table(results))
    record("one_subject", {"costs": table(results)}, options.record)
    comparison = compare(results, options)
    document = {name: dataclasses.asdict(result) for name, result in results.items()} | comparison
    (work / "benchmark.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(comparison, indent=2))
    return 1 if comparison["missed"] else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path, help="folder for inputs, outputs and benchmark.json")
    parser.add_argument("--t1w", type=Path, help="a whole-head T1w, about 1 mm")
    parser.add_argument("--threads", type=int, default=1, help="threads of either pipeline")
    parser.add_argument("--only", choices=(APP, TWO, RECIPE), help="run one alone")
    parser.add_argument(
        "--reuse", type=Path, metavar="WORK", help="take the recipe's result from an earlier run"
    )
    for name, value, text in LIMIT_OPTIONS:
        parser.add_argument(name, type=float, default=value, help=f"{text} (default {value})")
    add_option(parser)
    return parser.parse_args()


def find_images(work: Path) -> Images:
    """Whole heads from the shared data if it is there, else the two phantoms of the demo."""
    shared = os.environ.get("FUSIONPREP_SHARED_DATA", HERE.parents[1] / "shared" / "data")
    volumes = Path(shared) / "volumes"
    names = ("prisma_T1w", "colin27_T1w", "colin27_brain")
    images = Images(*(volumes / f"{name}.nii.gz" for name in names))
    if images.t1w.exists():
        return images
    from fusionprep.demo.dataset import read_truth, write_demo_dataset

    demo = work / "demo"
    truth = read_truth(demo) if demo.exists() else write_demo_dataset(demo)
    first, second = (demo / f"sub-{label}" / "anat" / f"sub-{label}_T1w.nii.gz" for label in truth)
    return Images(first, second, truth[second.parents[1].name.removeprefix("sub-")].brain_mask)


def sha256_of(paths: list[Path]) -> str:
    """One digest over the voxels of all images, whatever their compression."""
    import nibabel as nib

    digest = hashlib.sha256()
    for path in paths:
        image = nib.load(path)
        digest.update(image.affine.tobytes())
        digest.update(image.dataobj.get_unscaled().tobytes())
    return digest.hexdigest()


def fusionapp_command(bids: Path, folder: Path, threads: int, processes: int) -> list[str]:
    command = [str(Path(sys.executable).with_name("fusionapp"))]
    command += [str(bids), str(folder / "out"), "participant"]
    command += ["--output-spaces", "T1w", f"{SPACE}:res-1", "-w", str(folder / "work")]
    command += ["--nprocs", str(processes), "--omp-nthreads", str(threads)]
    return [*command, "--skip-bids-validation"]


def recipe_command(bids: Path, out: Path, images: Images, threads: int) -> list[str]:
    t1w = bids / "sub-01" / "anat" / "sub-01_T1w.nii.gz"
    pet = bids / "sub-01" / "pet" / "sub-01_trc-18FFDG_pet.nii.gz"
    command = [sys.executable, str(HERE / "antspyx_recipe.py"), str(t1w), str(pet), str(out)]
    command += ["--head", str(images.head), "--brain", str(images.brain)]
    return [*command, "--threads", str(threads)]


def run(command: list[str], folder: Path, truth: Truth, inputs: str, threads: int) -> Result:
    """Run a pipeline from scratch, score it, and keep the result beside its outputs."""
    if folder.exists():
        raise SystemExit(f"{folder} exists from an earlier run; remove it or name a new folder")
    folder.mkdir(parents=True)
    libraries = ("OMP", "OPENBLAS", "MKL")
    environment = dict(os.environ) | {f"{name}_NUM_THREADS": str(threads) for name in libraries}
    environment["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = str(threads)
    try:
        usage = run_measured(command, folder / "log.txt", environment)
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"{error}; see {folder / 'log.txt'}") from error
    # workers let the kernel forget their largest memory after each step, and record it
    largest = [step.peak_gb or 0.0 for step in recorded_steps(folder / "out")]
    largest_mb = max([usage.max_process_rss_mb, *(1000 * peak for peak in largest)])
    usage = dataclasses.replace(usage, max_process_rss_mb=largest_mb)
    result = Result(usage, score(folder / "out", truth), inputs, threads)
    (folder / "result.json").write_text(result.to_json(), encoding="utf-8")
    return result


def reuse(path: Path, inputs: str, threads: int) -> Result:
    """Read a result, provided it was measured on these inputs with as many threads."""
    if not path.exists():
        raise SystemExit(f"nothing to reuse: {path} does not exist")
    kept = json.loads(path.read_text(encoding="utf-8"))
    if (kept["inputs_sha256"], kept["threads"]) != (inputs, threads):
        raise SystemExit(f"{path} was measured on other inputs or with other threads; run it again")
    return Result(Usage(**kept["usage"]), Scores(**kept["scores"]), inputs, threads)


def table(results: dict[str, Result]) -> str:
    """A Markdown table, one row per figure and one column per pipeline."""
    rows = (
        ("CPU time, s", "usage", "cpu_s", ".0f"),
        ("wall time, s", "usage", "wall_s", ".0f"),
        ("peak memory (PSS), MB", "usage", "peak_pss_mb", ".0f"),
        ("peak memory (RSS), MB", "usage", "peak_rss_mb", ".0f"),
        ("largest process, MB", "usage", "max_process_rss_mb", ".0f"),
        ("PET→T1w error, mean mm", "scores", "tre_mean_mm", ".2f"),
        ("PET→T1w error, max mm", "scores", "tre_max_mm", ".2f"),
        ("GM Dice in template space", "scores", "gm_dice", ".3f"),
        ("the same, one GM for all", "scores", "gm_dice_same_tissue", ".3f"),
    )
    lines = [f"| | {' | '.join(results)} |", f"|---|{'---:|' * len(results)}"]
    for label, part, field, form in rows:
        values = [getattr(getattr(result, part), field) for result in results.values()]
        lines.append(f"| {label} | {' | '.join(format(value, form) for value in values)} |")
    return "\n".join(lines)


def compare(results: dict[str, Result], options: argparse.Namespace) -> dict:
    """Ratios of fusionapp over the recipe, and the limits that were missed."""
    if APP not in results:
        return {"missed": []}
    app = results[APP]
    most, error = options.max_error_mm, (app.scores.tre_mean_mm, app.scores.tre_max_mm)
    dices = app.scores.gm_dice, app.scores.gm_dice_same_tissue
    checks = {
        f"PET→T1w error {error[0]:.2f} / {error[1]:.2f} mm > {most:g} / {2 * most:g}": (
            error[0] > most or error[1] > 2 * most
        ),
        f"GM Dice {dices[0]:.3f} < {options.min_gm_dice}": dices[0] < options.min_gm_dice,
        f"GM Dice of one GM {dices[1]:.3f} < {options.min_warp_dice}": (
            dices[1] < options.min_warp_dice
        ),
    }
    ratios = {}
    if RECIPE in results:
        recipe = results[RECIPE]
        ratios["cpu"] = app.usage.cpu_s / recipe.usage.cpu_s
        ratios["memory"] = _peak_mb(app.usage) / _peak_mb(recipe.usage)
        if TWO in results:
            ratios["wall"] = results[TWO].usage.wall_s / recipe.usage.wall_s
        others = recipe.scores.tre_mean_mm, recipe.scores.tre_max_mm
        checks[f"PET→T1w error above the recipe's {others[0]:.2f} / {others[1]:.2f} mm"] = (
            error[0] > others[0] or error[1] > others[1]
        )
    for name, ratio in ratios.items():
        limit = getattr(options, f"max_{name}_ratio")
        checks[f"{name} ratio {ratio:.3f} > {limit}"] = ratio > limit
    return {"ratios": ratios, "missed": [line for line, missed in checks.items() if missed]}


def _peak_mb(usage: Usage) -> float:
    """The sampled peak of all processes, or the kernel's of the largest, which misses nothing."""
    return max(usage.peak_pss_mb, usage.max_process_rss_mb)


if __name__ == "__main__":
    sys.exit(main())
