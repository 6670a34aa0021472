"""Does fusion help to tell patients from controls? On simulated cohorts, where the answer is known.

    python benchmarks/task.py WORK --record NOTE
    python benchmarks/task.py WORK --derivatives OUT --target diagnosis     # a real cohort

Null cohorts, whose classes do not differ: how many 95 % intervals of the linear model's area under
the ROC curve hold .5, and whether the p of its permutation test are uniform. A complementary
cohort, whose T1w and PET each tell half: the linear model on either image, on both, and on images
that every fusion model made of them, with paired differences. Strengths were fixed before anything
was measured: d' = 1 in each source, no correlation within a class. `--networks` adds networks.

WORK keeps what is done; the same command resumes. With --derivatives, the inputs that an output
folder of fusionapp has are compared in the same way.
"""

import argparse
import json
import multiprocessing
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from tables import add_option, record
from task_images import fuse_cohort
from task_tables import input_table, null_table

from fusionprep.bids.names import SUVR
from fusionprep.bids.subject_tables import PARTICIPANTS
from fusionprep.classification.cohort import Source
from fusionprep.classification.evaluation import Evaluation, Plan, evaluate
from fusionprep.classification.inputs import (
    AGE_SEX,
    BRAIN_MASK,
    GM,
    GM_PET,
    REGIONS,
    find_scans,
    image_kinds,
)
from fusionprep.classification.networks import NETWORKS
from fusionprep.cohort.dataset import write_cohort
from fusionprep.cohort.design import Design, Strengths
from fusionprep.cohort.truth import CEILINGS
from fusionprep.demo.dataset import TRUTH_DIR
from fusionprep.errors import NoInputError
from fusionprep.evaluation.roc import area_difference, area_interval
from fusionprep.files import json_text, write_text
from fusionprep.modalities import T1W
from fusionprep.models.registry import DEFAULT_MODEL, model_names
from fusionprep.reports.group.regions import REGIONS as REGION_TABLE

SINGLE = (T1W.name, SUVR)
BOTH = "+".join(SINGLE)
NULL_INPUTS = (*SINGLE, BOTH, REGIONS)
NETWORK_INPUTS = (*SINGLE, BOTH, GM_PET, DEFAULT_MODEL)
COMPLEMENTARY = Strengths(1.0, 1.0, 0.0)
NOTHING = Strengths(0.0, 0.0, 0.0)
TARGET = "diagnosis"
COMPLEMENTARY_SEED, NULL_SEED = 1000, 2000
"""Of the first cohort of each kind; fixed, as the strengths are."""


def main() -> None:
    arguments = _parse()
    work: Path = arguments.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    found = {}
    if arguments.derivatives is not None:
        found["own"] = input_table(_of_derivatives(work, arguments), SINGLE, BOTH)
    else:
        if arguments.cohorts:
            found["null"] = null_table(_nulls(work, arguments))
        if arguments.subjects:
            found["inputs"] = input_table(_complementary(work, arguments), SINGLE, BOTH)
        if arguments.networks:
            found["networks"] = input_table(_networks(work, arguments), SINGLE, BOTH)
        record("task", found, arguments.record)
    for title, text in found.items():
        print(f"\n{title}\n\n{text}")


def _nulls(work: Path, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """For each null cohort and input, the interval and the p."""
    seeds = range(NULL_SEED, NULL_SEED + arguments.cohorts)
    jobs = [(work, seed, arguments.null_subjects, arguments.permutations) for seed in seeds]
    with _pool(arguments.processes) as pool:
        return [row for rows in pool.map(_null, *zip(*jobs, strict=True)) for row in rows]


def _null(work: Path, seed: int, subjects: int, permutations: int) -> list[dict[str, Any]]:
    kept = work / f"null-{seed}-{subjects}.json"
    if not kept.exists():
        out = work / f"null-{seed}"
        shutil.rmtree(out, ignore_errors=True)
        write_cohort(out, Design(subjects, NOTHING, seed=seed))
        plan = Plan(TARGET, permutations=permutations, seed=seed)
        _keep(kept, figures(evaluate(source(out, NULL_INPUTS), plan, _say), None))
        shutil.rmtree(out)
    return list(json.loads(kept.read_text())["inputs"])


def _complementary(work: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    kept = work / f"complementary-{arguments.subjects}.json"
    if not kept.exists():
        out, models = _fused(work, arguments, arguments.models)
        inputs = (*SINGLE, BOTH, GM, f"{GM}+{SUVR}", REGIONS, AGE_SEX, *models)
        plan = Plan(TARGET, permutations=0)
        truth = json.loads((out / TRUTH_DIR / CEILINGS).read_text())
        _keep(kept, figures(evaluate(source(out, inputs), plan, _say), truth))
    return dict(json.loads(kept.read_text()))


def _networks(work: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    kept = work / f"networks-{arguments.subjects}-{'-'.join(arguments.networks)}.json"
    if not kept.exists():
        out, _ = _fused(work, arguments, (GM_PET.replace("-", ""), DEFAULT_MODEL))
        plan = Plan(TARGET, permutations=0, models=tuple(arguments.networks))
        truth = json.loads((out / TRUTH_DIR / CEILINGS).read_text())
        _keep(kept, figures(evaluate(source(out, NETWORK_INPUTS), plan, _say), truth))
    return dict(json.loads(kept.read_text()))


def _fused(
    work: Path, arguments: argparse.Namespace, models: Sequence[str]
) -> tuple[Path, Sequence[str]]:
    """The complementary cohort with images of models, what is missing made now."""
    out = work / f"complementary-{arguments.subjects}"
    # the table of regions is written last
    if not (out / f"{REGION_TABLE}.tsv").exists():
        shutil.rmtree(out, ignore_errors=True)
        write_cohort(out, Design(arguments.subjects, COMPLEMENTARY, seed=COMPLEMENTARY_SEED))
    with _pool(arguments.processes) as pool:
        for model, seconds in pool.map(fuse_cohort, [out] * len(models), models):
            _say(f"{model}: fused in {seconds:.0f} s")
    return out, models


def _of_derivatives(work: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Inputs that derivatives have."""
    root, participants = arguments.derivatives, arguments.participants
    present = [name for name in image_kinds() if _has(root, name)]
    both = [BOTH] if set(SINGLE) <= set(present) else []
    tables = [REGIONS] if (root / f"{REGION_TABLE}.tsv").exists() else []
    read = source(root, (*present, *both, *tables, AGE_SEX))
    if participants is not None:
        read = replace(read, participants=participants)
    plan = Plan(arguments.target, tuple(arguments.classes), permutations=arguments.permutations)
    found = figures(evaluate(read, plan, _say), None)
    _keep(work / "derivatives.json", found)
    return found


def _has(root: Path, name: str) -> bool:
    if name == GM_PET:
        # another name of a fusion model
        return False
    try:
        find_scans(root, {name: image_kinds()[name], "mask": BRAIN_MASK})
    except NoInputError:
        return False
    return True


def source(root: Path, inputs: Sequence[str]) -> Source:
    """A cohort as the classifier reads it."""
    return Source(root, root / PARTICIPANTS, tuple(inputs))


def figures(found: Evaluation, truth: dict[str, Any] | None) -> dict[str, Any]:
    """Areas, p, and differences to the single images and to both, ready for JSON."""
    folds, labels = found.plan.folds, found.design.labels
    references = {
        (entry.model, entry.input): entry
        for entry in found.entries
        if entry.input in (*SINGLE, BOTH)
    }
    rows = []
    for entry in found.entries:
        interval = area_interval(entry.area, labels, folds)
        differences = {}
        for name in (*SINGLE, BOTH):
            other = references.get((entry.model, name))
            if other is not None and other is not entry:
                less = area_difference(entry.area, other.area, folds).interval
                differences[name] = [less.value, less.low, less.high]
        rows.append(
            {
                "input": entry.input,
                "model": entry.model,
                "area": [interval.value, interval.low, interval.high],
                "p": entry.p,
                "less": differences,
            }
        )
    return {"subjects": len(labels), "truth": truth, "inputs": rows}


def _keep(path: Path, found: dict[str, Any]) -> None:
    write_text(path, json_text(found))


def _say(line: str) -> None:
    print(line, flush=True)


def _pool(processes: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path, help="folder for cohorts and figures")
    parser.add_argument("--cohorts", type=int, default=20, help="null cohorts; 0 for none")
    parser.add_argument("--null-subjects", type=int, default=100)
    parser.add_argument("--permutations", type=int, default=199)
    parser.add_argument("--subjects", type=int, default=480, help="of the complementary cohort")
    parser.add_argument("--models", nargs="+", default=model_names(), choices=model_names())
    parser.add_argument("--networks", nargs="+", default=[], choices=NETWORKS)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--derivatives", type=Path, metavar="DIR", help="output of fusionapp")
    parser.add_argument("--participants", type=Path, help="table, if not that of the derivatives")
    parser.add_argument("--target", default=TARGET, help="column with the classes")
    parser.add_argument("--classes", nargs="+", default=[], help="values of it, controls first")
    add_option(parser)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
