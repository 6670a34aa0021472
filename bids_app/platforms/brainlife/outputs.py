"""Sort the derivatives of one subject into Brainlife's datatype folders, and write product.json.

Read are ``./output_derivatives`` and ``./fusionapp.log``; written are the other ``./output_*`` and
``./product.json``. The only argument is the exit code of fusionapp.
"""

import json
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DERIVATIVES = Path("output_derivatives")
LOG = Path("fusionapp.log")
# Folder and file of a datatype, and what the name of the derivative ends with.
DATATYPES = {
    ("output_t1", "t1"): r"/anat/(?!.*_space-)[^/]*_desc-preproc_T1w",
    ("output_mask", "mask"): r"/anat/(?!.*_space-)[^/]*_desc-brain_mask",
    ("output_pet", "pet"): r"/pet/[^/]*_space-T1w_desc-preproc_pet",
    ("output_ct", "ct"): r"/ct/[^/]*_space-T1w_desc-preproc_ct",
    ("output_fused", "pet"): r"/pet/[^/]*_space-T1w_desc-fused(?![^_]*Color_)[^_]+_pet",
    ("output_fused_ct", "t1"): r"/anat/[^/]*_space-T1w_desc-fusedCT(?![^_]*Color_)[^_]+_T1w",
}
KINDS = {"pass": "success", "review": "warning", "fail": "error"}
LONGEST = 400  # characters of a message; product.json is meant for a few kilobytes


def sort_images(derivatives: Path, target: Path) -> dict[str, dict[str, Any]]:
    """Copy images and sidecars under the names of the datatypes.

    Returns
    -------
    dict
        Name of a folder that was written to the sidecar of its image.
    """
    images = sorted(derivatives.glob("sub-*/**/*.nii.gz"))
    written = {}
    for (folder, name), pattern in DATATYPES.items():
        found = [image for image in images if re.search(rf"{pattern}\.nii\.gz$", image.as_posix())]
        if not found:
            continue
        image = found[0]
        (target / folder).mkdir(exist_ok=True)
        shutil.copyfile(image, target / folder / f"{name}.nii.gz")
        sidecar = image.with_name(image.name.replace(".nii.gz", ".json"))
        shutil.copyfile(sidecar, target / folder / f"{name}.json")
        written[folder] = json.loads(sidecar.read_text(encoding="utf-8"))
    return written


def copy_reports(derivatives: Path, target: Path) -> None:
    """Copy the reports and the pictures they show to ``output_report/html``."""
    for report in derivatives.glob("sub-*.html"):
        folder = target / "output_report" / "html"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(report, folder / report.name)
        figures = derivatives / report.stem / "figures"
        if figures.is_dir():
            shutil.copytree(figures, folder / report.stem / "figures", dirs_exist_ok=True)


def describe(
    derivatives: Path, sidecars: Mapping[str, Mapping[str, Any]], code: int, log: str
) -> dict[str, Any]:
    """The content of ``product.json``: messages, a graph, volumes, tags of each output."""
    product: dict[str, Any] = {}
    messages = [_failure(code, log)] if code else []
    for folder, what in (("output_pet", "PET"), ("output_ct", "CT")):
        if registration := sidecars.get(folder, {}).get("Registration"):
            messages.append(_verdict(what, registration))
    if volumes := _first(derivatives, "_dseg.json", "TissueVolumesMillilitres"):
        messages.append(_volume_graph(volumes))
        product["tissue_volumes_ml"] = volumes
    if brain := _first(derivatives, "_desc-brain_mask.json", "BrainVolumeMillilitres"):
        product["brain_volume_ml"] = brain
    for folder, sidecar in sidecars.items():
        tags = ["space-T1w"]
        if model := sidecar.get("FusionModel"):
            tags.append(model["Name"])
        meta = {key: sidecar[key] for key in ("TracerName", "Units") if key in sidecar}
        product[folder] = {"tags": tags, "meta": meta}
    return {"brainlife": messages, **product}


def _failure(code: int, log: str) -> dict[str, str]:
    lines = [line for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"fusionapp: error:|sub-[^ ]+ ", line)]
    said = (errors or lines or ["it said nothing"])[-1]
    return {"type": "error", "msg": f"fusionapp failed with exit code {code}: {said[:LONGEST]}"}


def _verdict(what: str, registration: Mapping[str, Any]) -> dict[str, str]:
    verdict = registration["Verdict"]
    text = f"Registration of the {what} to the T1w: {verdict} ({registration['VerdictReason']})"
    return {"type": KINDS.get(verdict, "warning"), "msg": text[:LONGEST]}


def _volume_graph(volumes: Mapping[str, float]) -> dict[str, Any]:
    return {
        "type": "plotly",
        "name": "Tissue volumes",
        "data": [{"type": "bar", "x": list(volumes), "y": list(volumes.values())}],
        "layout": {"yaxis": {"title": "ml"}},
    }


def _first(derivatives: Path, ending: str, field: str) -> Any:
    for path in sorted(derivatives.glob(f"sub-*/**/*{ending}")):
        if "_space-" not in path.name:
            return json.loads(path.read_text(encoding="utf-8")).get(field)
    return None


def main(code: int) -> int:
    """Do it, in the current folder."""
    here = Path()
    sidecars = sort_images(DERIVATIVES, here)
    copy_reports(DERIVATIVES, here)
    log = LOG.read_text(encoding="utf-8", errors="replace")
    product = describe(DERIVATIVES, sidecars, code, log)
    (here / "product.json").write_text(json.dumps(product, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
