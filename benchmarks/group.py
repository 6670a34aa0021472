"""How long the group level takes on a large cohort, and how long its page takes to open.

Writes the outputs of a synthetic cohort (sidecars, thumbnails and planes as the participant level
leaves them; no volumes, since the group level reads none), runs ``fusionapp OUT OUT group`` on it,
opens the page in Chromium without a network, and prints CPU and wall time, peak memory, size of the
page and the time until its scripts were done. Limits: 300 CPU s, 2 GB and 3 s. With ``--regions``
every PET also has a table of that many regions, for ``group_regions.tsv``. Linux only.
"""

import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path

from measure import run_measured
from tables import add_option, record

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fusionprep.bids import names
from fusionprep.files import json_text, table_text, write_text
from tests.reports.group.cohort import write_cohort

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LIMITS = {"cpu_s": 300.0, "peak_mb": 2000.0, "open_s": 3.0}
TITLES = {
    "cpu_s": ("CPU s", ".0f"),
    "wall_s": ("wall s", ".0f"),
    "peak_mb": ("peak MB", ".0f"),
    "html_mb": ("page MB", ".1f"),
    "open_s": ("page opens in s", ".1f"),
}


def main() -> int:
    options = parse()
    work = options.work.resolve()
    out = work / f"cohort-{options.subjects}x{options.models}x{options.regions}"
    if not out.exists():
        write_outputs(out, options.subjects, options.models, options.regions)
    command = [str(Path(sys.executable).with_name("fusionapp")), str(out), str(out), "group"]
    usage = run_measured(command, work / "group.log", os.environ)
    page = out / "group_fusion.html"
    figures = {
        "cpu_s": usage.cpu_s,
        "wall_s": usage.wall_s,
        "peak_mb": usage.max_process_rss_mb,
        "html_mb": page.stat().st_size / 1e6,
        "open_s": seconds_to_open(page),
    }
    print(table(figures, options))
    kind = "regions" if options.regions else "costs"
    record("group", {kind: table(figures, options)}, options.record)
    (work / "group.json").write_text(json.dumps(figures, indent=2) + "\n", "utf-8")
    return int(any(not figures[name] <= limit for name, limit in LIMITS.items()))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path, help="folder for the cohort and group.json")
    parser.add_argument("--subjects", type=int, default=5000)
    parser.add_argument("--models", type=int, default=1)
    parser.add_argument("--regions", type=int, default=0)
    add_option(parser)
    return parser.parse_args()


def table(figures: dict[str, float], options: argparse.Namespace) -> str:
    """A Markdown table of the figures and their limits."""
    count = f"{options.regions} regions" if options.regions else f"{options.models} models"
    lines = [
        f"| | {options.subjects} subjects, {count} | limit |",
        "|---|---:|---:|",
    ]
    for name, (title, form) in TITLES.items():
        limit = f"{LIMITS[name]:g}" if name in LIMITS else ""
        lines.append(f"| {title} | {figures[name]:{form}} | {limit} |")
    return "\n".join(lines)


def write_outputs(out: Path, subjects: int, n_models: int, n_regions: int) -> None:
    """Write the cohort under another name first: a half-written one must not look complete."""
    from fusionprep.models.registry import get_model, model_names

    models = [get_model(name).label for name in model_names()[:n_models]]
    unfinished = out.with_name(f"{out.name}.unfinished")
    write_cohort(unfinished, subjects, models=models, tracers=("FDG", "FBP"))
    for pet in sorted(unfinished.glob("sub-*/pet/*_space-T1w_desc-preproc_pet.nii.gz")):
        write_regions(pet, n_regions)
    unfinished.rename(out)


def write_regions(pet: Path, count: int) -> None:
    """Write the table of regions of a PET."""
    measures = {"volume-mm3": 9000, "voxels": 9000, "coverage": 1, "mean": 12345.6, "sd": 812.3}
    measures |= {"suv": 2.51, "suvr": 1.31, "absent": "n/a"}
    rows = [
        {key: str(value) for key, value in {"index": i, "name": f"region-{i}", **measures}.items()}
        for i in range(1, count + 1)
    ]
    if rows:
        table = pet.with_name(pet.name.split("_space-")[0] + f"_seg-DK_{names.MORPH}{names.TABLE}")
        write_text(table, table_text(list(rows[0]), rows))
        write_text(names.sidecar_path(table), json_text({"mean": {"Units": "Bq/mL"}}))


def seconds_to_open(page: Path, repeats: int = 3) -> float:
    """Fastest of several openings, from the address to the end of the page's scripts."""
    from playwright.sync_api import sync_playwright

    times = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=next(filter(None, map(shutil.which, BROWSERS))), args=["--no-sandbox"]
        )
        for _ in range(repeats):
            tab = browser.new_context(offline=True).new_page()
            start = time.perf_counter()
            tab.goto(page.as_uri())
            tab.wait_for_selector("#sheet-tools:not([hidden])")
            # the first picture after that
            tab.evaluate(
                "() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))"
            )
            times.append(time.perf_counter() - start)
            tab.close()
        browser.close()
    return min(times)


if __name__ == "__main__":
    sys.exit(main())
