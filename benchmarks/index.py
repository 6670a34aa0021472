"""How long it takes to index and plan a cohort, without and with a kept index.

Writes a cohort of tiny images (a T1w and an FDG PET with its sidecar for every subject and session,
a ``participants.tsv`` of 20 columns), runs ``fusionapp … --dry-run`` on it without
``--bids-database-dir``, then with it a first and a second time, and prints time and peak memory,
and their ratio to the first row. Each is run several times and the fastest counts; start of Python
is included. Linux only.
"""

import argparse
import dataclasses
import gzip
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
from measure import Usage, run_measured
from tables import add_option, record
from volume_fusion import table

SIDECAR = {
    "Units": "Bq/mL",
    "TracerName": "FDG",
    "TracerRadionuclide": "F18",
    "FrameTimesStart": [1800],
    "FrameDuration": [600],
}


def main() -> None:
    options = parse()
    work = options.work.resolve()
    cohort = work / f"cohort-{options.subjects}x{options.sessions}"
    if not cohort.exists():
        write_cohort(cohort, options.subjects, options.sessions)
    runs = [measure(cohort, work) for _ in range(options.repeats)]
    rows = {
        name: min((run[name] for run in runs), key=lambda usage: usage.wall_s) for name in runs[0]
    }
    print(table(rows))
    record("index", {f"starts_{options.subjects}": table(rows)}, options.record)
    document = {name: dataclasses.asdict(usage) for name, usage in rows.items()}
    (work / "index.json").write_text(json.dumps(document, indent=2) + "\n", "utf-8")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path, help="folder for the cohort and index.json")
    parser.add_argument("--subjects", type=int, default=40)
    parser.add_argument("--sessions", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    add_option(parser)
    return parser.parse_args()


def write_cohort(cohort: Path, n_subjects: int, n_sessions: int) -> None:
    """Write the dataset under another name first: a half-written one must not look complete."""
    unfinished = cohort.with_name(f"unfinished-{cohort.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    write_json(unfinished / "dataset_description.json", {"Name": "c", "BIDSVersion": "1.10.0"})
    names = ["participant_id", "age", "sex", "weight", *(f"score_{n}" for n in range(16))]
    rows = [[f"sub-{n:04d}", "63", "F", "71", *["0.5"] * 16] for n in range(1, n_subjects + 1)]
    table = "".join("\t".join(row) + "\n" for row in (names, *rows))
    (unfinished / "participants.tsv").write_text(table, "utf-8")
    image = nib.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.eye(4))
    content = gzip.compress(image.to_bytes())
    for subject in range(1, n_subjects + 1):
        for session in range(n_sessions):
            stem = f"sub-{subject:04d}_ses-M{12 * session:03d}"
            folder = unfinished.joinpath(*stem.split("_"))
            for path in (f"anat/{stem}_T1w.nii.gz", f"pet/{stem}_trc-18FFDG_pet.nii.gz"):
                (folder / path).parent.mkdir(parents=True)
                (folder / path).write_bytes(content)
            write_json(folder / f"pet/{stem}_trc-18FFDG_pet.json", SIDECAR)
    unfinished.rename(cohort)


def write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content), "utf-8")


def measure(cohort: Path, work: Path) -> dict[str, Usage]:
    """Run the command without a kept index, and twice with a new one."""
    with tempfile.TemporaryDirectory(dir=work) as scratch:
        kept = ["--bids-database-dir", f"{scratch}/index"]
        return {
            "without a kept index": run(cohort, work, scratch, []),
            "first start with one": run(cohort, work, scratch, kept),
            "second start with it": run(cohort, work, scratch, kept),
        }


def run(cohort: Path, work: Path, scratch: str, arguments: list[str]) -> Usage:
    """Plan the cohort and measure the process."""
    command = [str(Path(sys.executable).with_name("fusionapp")), str(cohort), f"{scratch}/out"]
    command += ["participant", "--dry-run", "-w", f"{scratch}/work", *arguments]
    return run_measured(command, work / "index.log", os.environ)


if __name__ == "__main__":
    main()
