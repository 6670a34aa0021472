"""Whether fusionapp got slower, larger or less exact than the profile in the repository.

Runs the App on the demo's first subject, whose truth is known, and compares CPU time and memory of
each step, and accuracy, with ``profile.json``. CPU time is counted in references: a fixed piece of
work (``reference.py``) that is timed again and again beside the run, so that a step is compared
with what the machine could do at that moment. Exits with 1 when a figure got worse by more than its
limit (``profiles.py``). Linux only.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measure import Usage, run_measured
from profiles import (
    LIMITS,
    Figures,
    best,
    compare,
    differing,
    failures,
    read_profile,
    table,
    write_profile,
)
from reference import THREADS, Reference
from score import SPACE, only, score
from simulate import Truth, write_subject
from steps import recorded_steps
from tables import measured_now, record

from bids_app.step_record import MAIN, STEPS, StepUsage
from fusionprep.evaluation.metrics import RANKED
from fusionprep.modalities import PET

if TYPE_CHECKING:
    import nibabel as nib
    import numpy as np

HERE = Path(__file__).resolve().parent
PROFILE = HERE / "profile.json"
DEMO = "demo"
LOWER_IS_BETTER = ("Nabf",)
MAIN_TITLE = "main process"
WHOLE = "whole run"
SHORTEST_S = 0.3
SECONDS_BETWEEN_LOOKS = 0.1


def main() -> int:
    options = parse()
    work = options.work.resolve()
    if work.exists():
        raise SystemExit(f"{work} exists; name a new folder")
    stored = read_profile(options.profile)
    subjects: list[Subject] = [DemoSubject(work / DEMO, options.modalities)]
    if options.t1w is not None:
        subjects.append(SimulatedSubject(work / "t1w", options.t1w))
    passed = True
    for subject in subjects:
        found = repeated(subject, options.repeats)
        (subject.folder / "regression.json").write_text(json.dumps(found, indent=1), "utf-8")
        print(f"\n## {subject.name}\n\n{runs_table(found)}\n")
        figures = best([run["figures"] for run in found])
        passed &= passes(stored.get(subject.name), figures)
        if options.update is not None:
            stored[subject.name] = {**measured_now(options.update), "figures": figures}
            write_profile(options.profile, stored)
        if subject.name == f"{DEMO} {PET.name}":
            record("regression", {"runs": runs_table(found)}, options.update)
    return 0 if passed or options.update is not None else 1


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path, help="folder for inputs and outputs; must not exist")
    parser.add_argument(
        "--modalities", nargs="+", default=[PET.name], help="of the demo's subject; default: pet"
    )
    parser.add_argument(
        "--t1w", type=Path, help="a whole-head T1w besides, with an FDG PET simulated from it"
    )
    parser.add_argument("--repeats", type=int, default=2, help="runs, of which the best counts")
    parser.add_argument("--profile", type=Path, default=PROFILE, help="stored figures")
    parser.add_argument(
        "--update",
        metavar="NOTE",
        help="store what is measured; NOTE says what the machine was, e.g. 'otherwise idle'",
    )
    return parser.parse_args()


def passes(stored: Mapping[str, Any] | None, measured: Figures) -> bool:
    """Print a subject's table; whether there is something to compare with and nothing is worse."""
    if stored is None:
        print("no figures are stored of this subject; --update NOTE stores these")
        return False
    rows = compare(stored["figures"], measured)
    print(table(rows))
    worse = failures(rows)
    for row in worse:
        print(f"\n{row.verdict}: {LIMITS[row.kind].title}: {row.name}", end="")
    print()
    return not worse


def runs_table(found: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table of the repeated runs: how far they differ, and from what."""
    rows = {
        "reference, CPU s, smallest to largest": [
            f"{min(run['reference_cpu_s']):.2f} to {max(run['reference_cpu_s']):.2f}"
            for run in found
        ],
        "whole run, CPU s": [f"{run['cpu_s']:.1f}" for run in found],
        "whole run, references": [f"{run['figures']['whole'][WHOLE]:.2f}" for run in found],
    }
    for name in differing([run["figures"] for run in found]):
        rows[f"{name}, CPU s"] = [f"{run['step_cpu_s'][name]:.2f}" for run in found]
        rows[f"{name}, references"] = [f"{run['figures']['cpu'][name]:.2f}" for run in found]
    lines = [
        f"| | {' | '.join(f'run {number}' for number, _ in enumerate(found, 1))} |",
        f"|---|{'---:|' * len(found)}",
        *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items()),
    ]
    return "\n".join(lines)


class DemoSubject:
    """The demo's first subject at 1 mm; its truth is known."""

    def __init__(self, folder: Path, modalities: Sequence[str]) -> None:
        from fusionprep.demo.dataset import write_demo_dataset

        self.folder = folder
        self.name = " ".join([DEMO, *modalities])
        self.options = ("--modalities", *modalities)
        self._others = [name for name in modalities if name != PET.name]
        self._truth = write_demo_dataset(folder / "bids", subjects=["01"])["01"]

    def accuracy(self, output: Path) -> Figures:
        """Errors against what was simulated, and the fusion's metrics."""
        import nibabel as nib

        truth = self._truth
        mask, tissues = nib.load(truth.brain_mask), ("gm", "wm", "csf")
        found = accuracy(output, Truth(truth.t1w_from_pet, mask, nib.load(truth.gm)))
        for modality in self._others:
            true = getattr(truth, f"t1w_from_{modality}")
            found["mm"] |= rigid_error(output / "sub-01", modality, true, mask)
        images = {tissue.upper(): nib.load(getattr(truth, tissue)) for tissue in tissues}
        found["overlap"] |= tissue_errors(output, images)
        return found


class SimulatedSubject:
    """A real T1w with a PET simulated from it; tissues found by thresholds stand for the truth."""

    options = ()

    def __init__(self, folder: Path, t1w: Path) -> None:
        self.folder = folder
        self._truth = write_subject(t1w, folder / "bids")
        self.name = f"T1w {digest(t1w)}"

    def accuracy(self, output: Path) -> Figures:
        """Errors against what was simulated, and the fusion's metrics."""
        found = accuracy(output, self._truth)
        found["overlap"] |= tissue_errors(output, {"GM": self._truth.gm})
        return found


def digest(image: Path) -> str:
    """The first digits of the SHA-256 of an image's voxels, whatever their compression."""
    import nibabel as nib

    return hashlib.sha256(nib.load(image).dataobj.get_unscaled().tobytes()).hexdigest()[:12]


def accuracy(output: Path, truth: Truth) -> dict[str, dict[str, float]]:
    """What can be said of any subject with a known displacement and brain."""
    import nibabel as nib
    import numpy as np

    from fusionprep.image.masks import dice

    scores = score(output, truth)
    found = nib.load(only(output / "sub-01" / "anat", "*_desc-brain_mask.nii.gz"))
    brain = dice(np.asarray(found.dataobj) > 0, np.asarray(truth.mask.dataobj) > 0)
    figures: dict[str, dict[str, float]] = {
        "mm": {"PET→T1w, mean": scores.tre_mean_mm, "PET→T1w, largest": scores.tre_max_mm},
        "overlap": {
            "T1w→template, GM": 1 - scores.gm_dice,
            "T1w→template, true GM": 1 - scores.gm_dice_same_tissue,
            "brain": 1 - brain,
        },
        "higher": {},
        "lower": {},
    }
    for path in sorted((output / "sub-01").glob("*/*_space-T1w_desc-fused*.json")):
        metrics = json.loads(path.read_text(encoding="utf-8")).get("FusionMetrics", {})
        image = path.stem.removeprefix("sub-01_")
        for name in (*RANKED, *LOWER_IS_BETTER):
            if name in metrics:
                kind = "lower" if name in LOWER_IS_BETTER else "higher"
                figures[kind][f"{name} of {image}"] = metrics[name]
    return figures


def rigid_error(
    folder: Path, modality: str, true: "np.ndarray", mask: "nib.Nifti1Image"
) -> dict[str, float]:
    """By how much a registration to the T1w misses the voxels of the brain."""
    from fusionprep.evaluation.registration import target_registration_error
    from fusionprep.image.resample import ras_from_itk, read_transforms

    title = f"{modality.upper()}→T1w"
    pattern = "*/*_to-T1w_mode-image_xfm.txt"
    (xfm,) = (path for path in folder.glob(pattern) if f"_from-{modality}_" in path.name.lower())
    error = target_registration_error(ras_from_itk(read_transforms([xfm])), true, mask)
    return {f"{title}, mean": float(error.mean()), f"{title}, largest": float(error.max())}


def tissue_errors(output: Path, true: Mapping[str, "nib.Nifti1Image"]) -> dict[str, float]:
    """1 − Dice of tissues in the space of the T1w."""
    import nibabel as nib
    import numpy as np

    from fusionprep.image.masks import dice

    errors = {}
    for label, image in true.items():
        path = only(output / "sub-01" / "anat", f"*_label-{label}_probseg.nii.gz")
        found = np.asarray(nib.load(path).dataobj) > 0.5
        errors[label] = 1 - dice(found, np.asarray(image.dataobj) > 0.5)
    return errors


Subject = DemoSubject | SimulatedSubject


def repeated(subject: Subject, repeats: int) -> list[dict[str, Any]]:
    """Run a subject several times, with the reference beside it."""
    return [run(subject, subject.folder / f"run-{number + 1}") for number in range(repeats)]


def run(subject: Subject, folder: Path) -> dict[str, Any]:
    """Run the App from scratch with one process and one thread; what it took and how good it is."""
    folder.mkdir()
    command = [sys.executable, "-m", "bids_app.run", str(subject.folder / "bids")]
    command += [str(folder / "out"), "participant", "-w", str(folder / "work"), *subject.options]
    command += ["--output-spaces", "T1w", f"{SPACE}:res-1", "--nprocs", "1", "--omp-nthreads", "1"]
    command += ["--skip-bids-validation"]
    # measured in a process of its own, because the reference must not count
    with (
        Reference() as reference,
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
    ):
        began = time.monotonic()
        job = pool.submit(run_measured, command, folder / "log.txt", os.environ | THREADS)
        moments = step_ends(job, folder / "out")
        ended = time.monotonic()
        reference.wait(2)
        try:
            usage = job.result()
        except subprocess.CalledProcessError as error:
            raise SystemExit(f"{error}; see {folder / 'log.txt'}") from error
    steps = recorded_steps(folder / "out")
    unit = reference.between(began, ended)
    spans = pairwise([began, *moments])
    # the main process works all the time, between steps
    units = [
        unit if step.step == MAIN else reference.between(*span)
        for step, span in zip(steps, spans, strict=True)
    ]
    cpu = step_cpu(steps, units)
    rest = usage.cpu_s - sum(step.cpu_s for step in steps)
    print(f"{subject.name}: {usage.cpu_s:.0f} CPU s, {usage.wall_s:.0f} s", flush=True)
    costs: dict[str, Mapping[str, float]] = {
        "cpu": cpu,
        "whole": {WHOLE: sum(cpu.values()) + rest / unit},
        "memory": {WHOLE: usage.peak_pss_mb / 1000} | largest_memory(steps),
    }
    return {
        "figures": {**costs, **subject.accuracy(folder / "out")},
        "cpu_s": usage.cpu_s,
        "step_cpu_s": step_cpu(steps, [1.0] * len(steps)),
        "reference_cpu_s": reference.cpu_s,
    }


def step_ends(job: "Future[Usage]", output: Path) -> list[float]:
    """Wait for a run; the moments at which its steps ended, in the order of its record."""
    moments: list[float] = []
    done = False
    while not done:
        done = job.done()
        count = sum(path.read_bytes().count(b"\n") for path in output.glob(f"logs/*/{STEPS}"))
        moments += [time.monotonic()] * (count - len(moments))
        time.sleep(SECONDS_BETWEEN_LOOKS)
    return moments


def step_cpu(steps: Sequence[StepUsage], units: Sequence[float]) -> dict[str, float]:
    """CPU time of each step in units, one for each."""
    found: dict[str, float] = {}
    for step, unit in zip(steps, units, strict=True):
        name = title(step)
        found[name] = found.get(name, 0.0) + step.cpu_s / unit
    return found


def largest_memory(steps: Sequence[StepUsage]) -> dict[str, float]:
    """The most that a process held in each step, GB; of short ones it is what others left."""
    found: dict[str, float] = {}
    for step in steps:
        if step.peak_gb is not None and step.cpu_s > SHORTEST_S:
            found[title(step)] = max(found.get(title(step), 0.0), step.peak_gb)
    return found


def title(step: StepUsage) -> str:
    return MAIN_TITLE if step.step == MAIN else f"{step.step} ({step.interface})"


if __name__ == "__main__":
    sys.exit(main())
