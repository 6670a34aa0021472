"""Sort the derivatives of one subject into Brainlife's datatype folders, and write product.json.

Reads ``./output_derivatives`` and ``./fusionapp.log``; writes the other ``./output_*`` and
``./product.json``. The only argument is the exit code of fusionapp.
"""

import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusionprep.bids import fused_names, names
from fusionprep.files import json_text
from fusionprep.modalities import CT, PET, T1W, Modality
from fusionprep.reading import read_json_object
from fusionprep.spaces import NATIVE

DERIVATIVES = Path("output_derivatives")
LOG = Path("fusionapp.log")


@dataclass(frozen=True)
class Wanted:
    """An output in one of Brainlife's folders.

    Attributes
    ----------
    folder, name
        Folder and file of the datatype.
    suffix, desc, space
        Of the derivative; of a fused image `desc` is what was fused.
    """

    folder: str
    name: str
    suffix: str
    desc: str | Modality
    space: str | None = None

    def fits(self, image: Path) -> bool:
        """Whether a derivative is wanted."""
        entities, suffix = names.parse_name(image.name)
        label = entities.get("desc", "")
        if isinstance(self.desc, Modality):
            fused = fused_names.FusedDesc.parse(label)
            labelled = fused is not None and fused.modality == self.desc and not fused.colour
        else:
            labelled = label == self.desc
        return labelled and suffix == self.suffix and entities.get("space") == self.space


def _of(modality: Modality) -> str:
    return names.BIDS[modality].suffix


WANTED = (
    Wanted("output_t1", T1W.short_name, _of(T1W), names.PREPROC),
    Wanted("output_mask", names.MASK, names.MASK, names.BRAIN),
    Wanted("output_pet", PET.short_name, _of(PET), names.PREPROC, NATIVE),
    Wanted("output_ct", CT.short_name, _of(CT), names.PREPROC, NATIVE),
    Wanted("output_fused", PET.short_name, names.BIDS[PET].fused_suffix, PET, NATIVE),
    Wanted("output_fused_ct", T1W.short_name, names.BIDS[CT].fused_suffix, CT, NATIVE),
)
KINDS = {"pass": "success", "review": "warning", "fail": "error"}
LONGEST = 400  # characters of a message; product.json is meant for a few kilobytes


def sort_images(derivatives: Path, target: Path) -> dict[str, dict[str, Any]]:
    """Copy images and sidecars under the names of the datatypes.

    Returns
    -------
    dict
        Name of a folder that was written to the sidecar of its image.
    """
    images = sorted(derivatives.glob(f"sub-*/**/*{names.IMAGE}"))
    written = {}
    for wanted in WANTED:
        image = next(filter(wanted.fits, images), None)
        if image is None:
            continue
        folder, sidecar = target / wanted.folder, names.sidecar_path(image)
        folder.mkdir(exist_ok=True)
        shutil.copyfile(image, folder / f"{wanted.name}{names.IMAGE}")
        shutil.copyfile(sidecar, folder / f"{wanted.name}.json")
        written[wanted.folder] = read_json_object(sidecar)
    return written


def copy_reports(derivatives: Path, target: Path) -> None:
    """Copy the reports and the pictures they show to ``output_report/html``."""
    for report in derivatives.glob("sub-*.html"):
        folder = target / "output_report" / "html"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(report, folder / report.name)
        figures = names.figures_folder(report.stem)
        if (derivatives / figures).is_dir():
            shutil.copytree(derivatives / figures, folder / figures, dirs_exist_ok=True)


def describe(
    derivatives: Path, sidecars: Mapping[str, Mapping[str, Any]], code: int, log: str
) -> dict[str, Any]:
    """The content of ``product.json``: messages, a graph, volumes, tags of each output."""
    product: dict[str, Any] = {}
    messages = [_failure(code, log)] if code else []
    for folder, what in (("output_pet", PET.label), ("output_ct", CT.label)):
        if registration := sidecars.get(folder, {}).get("Registration"):
            messages.append(_verdict(what, registration))
    if volumes := _first(derivatives, names.DSEG, None, "TissueVolumesMillilitres"):
        messages.append(_volume_graph(volumes))
        product["tissue_volumes_ml"] = volumes
    if brain := _first(derivatives, names.MASK, names.BRAIN, "BrainVolumeMillilitres"):
        product["brain_volume_ml"] = brain
    for folder, sidecar in sidecars.items():
        tags = [f"space-{NATIVE}"]
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


def _first(derivatives: Path, suffix: str, desc: str | None, field: str) -> Any:
    """A field of the first sidecar of that name in the T1w's own space."""
    for path in sorted(derivatives.glob(f"sub-*/**/*_{suffix}.json")):
        entities, _ = names.parse_name(path.name)
        if entities.get("desc") == desc and "space" not in entities:
            return read_json_object(path).get(field)
    return None


def main(code: int) -> int:
    """Run in the current folder."""
    here = Path()
    sidecars = sort_images(DERIVATIVES, here)
    copy_reports(DERIVATIVES, here)
    log = LOG.read_text(encoding="utf-8", errors="replace")
    product = describe(DERIVATIVES, sidecars, code, log)
    (here / "product.json").write_text(json_text(product), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
