"""The interactive viewer of the subject report: small volumes that a browser can show offline.

The page loads two scripts from the subject's ``figures``: ``viewer.js``, a copy of the bundle that
``make web`` builds around NiiVue, and ``sub-<label>_desc-viewer_data.js``, which holds the volumes.
A script is the one kind of file that a page opened from disk may load.
"""

import base64
import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import nibabel as nib
import numpy as np
from markupsafe import Markup

from fusionprep.bids import fused_names, names
from fusionprep.bids.types import ImageFile
from fusionprep.files import write_bytes
from fusionprep.image.io import read_colour, read_image
from fusionprep.modalities import T1W, Modality
from fusionprep.models.registry import DEFAULT_MODEL
from fusionprep.pages import BUNDLES
from fusionprep.reports.figures.slices import Volume
from fusionprep.reports.records import Scan, SubjectRecord, fused_desc, fused_title
from fusionprep.reports.subject.volumes import (
    BEYOND_BRAIN_MM,
    SPACING_MM,
    Grid,
    brain_grid,
    sample,
    small_colour,
    small_volume,
)
from fusionprep.spaces import NATIVE

REPORT_BYTES = 12_000_000
"""Bytes that page, figures and viewer of a subject may take together."""

DATA_BYTES = 6_000_000
"""Bytes of it that the volumes may take: all of them are read when the page opens."""

RESERVE_BYTES = 250_000
"""Bytes of it kept for the page itself, which is written after the viewer."""

_FAILED = (
    "The interactive viewer did not start: it needs JavaScript, WebGL 2 and the folder {} beside "
    "this page. The figures below show the same images."
)
_NOT_BUILT = (
    "No interactive viewer: its script was not built when fusionprep was installed (make web, "
    "needs npm). The figures below show the same images."
)
_CONTROLS = Markup(
    """<div class="viewer" id="viewer-panel" hidden>
<div class="controls" role="group" aria-label="Controls of the viewer">
<label id="viewer-anatomy-label">Anatomy <select id="viewer-anatomy"></select></label>
<label>Overlay <select id="viewer-overlay"></select></label>
<label>Opacity <input type="range" id="viewer-opacity" min="0" max="100" step="1"></label>
<label>Colours <select id="viewer-colours"></select></label>
<label>Planes <select id="viewer-planes"></select></label>
</div>
<div class="stage"><canvas id="viewer-canvas" tabindex="0" role="application"
 aria-label="Slices of the brain with a crosshair" aria-describedby="viewer-help"></canvas></div>
<p class="position"><output id="viewer-position" for="viewer-canvas"></output></p>
<p class="note" id="viewer-help">Click to move the crosshair. Once the picture has the focus, the
mouse wheel goes through the slices; arrow keys move left, right, forwards and backwards, Page Up
and Page Down up and down. For this page volumes are resampled to {spacing:g} mm, and left blank
more than {beyond:g} mm from the brain, so that they show no face. The left of the subject is on the
left.</p>
</div>
"""
).format(spacing=SPACING_MM, beyond=BEYOND_BRAIN_MM)
_NO_MASK = "its brain mask is missing, without which it would show the face"


@dataclass(frozen=True)
class Layer:
    """A volume of the viewer.

    Attributes
    ----------
    image
        File to resample.
    label
        What the page calls it.
    modality
        None for a fused image.
    colour
        Whether the image is in colour.
    units
        Unit of the values read at the crosshair; empty for none.
    """

    image: Path
    label: str
    modality: Modality | None = None
    colour: bool = False
    units: str = ""


@dataclass(frozen=True)
class Stage:
    """A T1w, its brain mask (None: it cannot be shown), and what can be laid over it."""

    anatomy: Layer
    mask: Path | None
    sources: tuple[Layer, ...]
    fused: tuple[Layer, ...]


def stages(record: SubjectRecord, models: Sequence[str] = ()) -> list[Stage]:
    """What the viewer can show of a subject.

    Parameters
    ----------
    models
        Names of the fusion models in the order wanted; the project's own comes before them, models
        that are not named come after them.

    Returns
    -------
    list of Stage
        One for each T1w in its own space, then those in template spaces that hold fused images
        which the T1w's own space does not.
    """
    scans = [(scan, record.anatomy_of(scan)) for scan in record.scans()]
    found = []
    for anatomy in record.anatomies():
        own = [scan for scan, of in scans if of is anatomy]
        found.append(_stage(record, anatomy, own, NATIVE, models))
    for anatomy in record.anatomies():
        own = [scan for scan, of in scans if of is anatomy]
        elsewhere = [s for s in own if s.fused and not _in_space(s.fused, NATIVE)]
        spaces = dict.fromkeys(item.space for scan in elsewhere for item in scan.fused)
        for space in spaces:
            moved = [item for item in record.t1ws(ses=anatomy.session) if item.space == space]
            if moved:
                found.append(_stage(record, moved[0], elsewhere, space, models))
    return found


def _in_space(items: Sequence[ImageFile], space: str) -> list[ImageFile]:
    return [item for item in items if item.space == space]


def _stage(
    record: SubjectRecord,
    anatomy: ImageFile,
    scans: Sequence[Scan],
    space: str,
    models: Sequence[str],
) -> Stage:
    wanted = [DEFAULT_MODEL, *(name for name in models if name != DEFAULT_MODEL)]

    def rank(item: ImageFile) -> int:
        name = str(item.get("FusionModel", "Name") or "").lower()
        return wanted.index(name) if name in wanted else len(wanted)

    where = [f"ses-{anatomy.entities['ses']}"] if "ses" in anatomy.entities else []
    where += [] if space == NATIVE else [f"in {space}"]
    mask = record.beside(anatomy, names.MASK, desc=names.BRAIN, space=anatomy.entities.get("space"))
    return Stage(
        Layer(anatomy.path, " ".join([T1W.label, *where]), T1W),
        mask.path if mask is not None else None,
        tuple(
            Layer(
                *(scan.native.path, scan.label, scan.modality),
                units=str(scan.native.get("Units") or ""),
            )
            for scan in scans
            if space == NATIVE and scan.native is not None
        ),
        (
            *(layer for scan in scans for layer in _colour_layers(scan, space)),
            *(
                Layer(item.path, f"{fused_title(item)} of {scan.label}")
                for item, scan in sorted(
                    ((item, scan) for scan in scans for item in _in_space(scan.fused, space)),
                    key=lambda pair: rank(pair[0]),
                )
            ),
        ),
    )


def _colour_layers(scan: Scan, space: str) -> Iterator[Layer]:
    """One image in colour for each anatomical image: it is the same beside every model."""
    first = {fused_desc(item).contrast: item for item in reversed(_in_space(scan.colour, space))}
    for contrast, item in first.items():
        yield Layer(item.path, f"{contrast.label} and {scan.label} in colour", colour=True)


def write_viewer(
    output_dir: Path,
    record: SubjectRecord,
    models: Sequence[str] = (),
    *,
    bundles: Path | None = None,
) -> Markup | None:
    """Write the viewer's scripts into the subject's figures.

    Volumes are written until :data:`DATA_BYTES` are used up or the report has
    :data:`REPORT_BYTES`, T1w images and the images fused with them first, then fused images.

    Parameters
    ----------
    models
        Names of the fusion models, most wanted first.
    bundles
        Folder of the bundled scripts; None for :data:`BUNDLES`.

    Returns
    -------
    markupsafe.Markup or None
        The block of the report that shows the viewer, or says why there is none; None for a
        subject without a T1w in the outputs.

    Raises
    ------
    DataError
        When an image or its mask cannot be read.
    """
    figures = Path(output_dir) / names.figures_folder(f"sub-{record.label}")
    name = names.file_name("data", {"sub": record.label, "desc": names.VIEWER})
    data, script = figures / f"{name}.js", figures / "viewer.js"
    for stale in (data, script):
        stale.unlink(missing_ok=True)
    found = stages(record, models)
    if not found:
        return None
    bundle = (bundles or BUNDLES) / "viewer.js"
    if not bundle.is_file():
        return Markup('<p class="missing">{}</p>').format(_NOT_BUILT)
    code = bundle.read_bytes()
    drawn = sum(path.stat().st_size for path in figures.glob("*") if path.is_file())
    budget = min(DATA_BYTES, REPORT_BYTES - RESERVE_BYTES - drawn - len(code))
    content, left_out = viewer_data(found, budget)
    if not content["stages"]:
        return Markup('<p class="missing">No interactive viewer: {}.</p>').format(
            "; ".join(left_out)
        )
    figures.mkdir(parents=True, exist_ok=True)
    write_bytes(data, b"window.fusionprepVolumes = " + json.dumps(content).encode() + b";\n")
    write_bytes(script, code)
    return _block(record.label, [data.name, script.name], left_out)


def _block(label: str, scripts: Sequence[str], left_out: Sequence[str]) -> Markup:
    participant = f"sub-{label}"
    folder = names.figures_folder(participant)
    parts = [
        Markup('<p class="missing" id="viewer-missing">{}</p>\n').format(
            _FAILED.format(participant)
        )
    ]
    parts.append(_CONTROLS)
    if left_out:
        parts.append(
            Markup('<p class="note">Left out of the viewer: {}.</p>\n').format("; ".join(left_out))
        )
    parts += [
        Markup('<script defer src="./{}"></script>\n').format(quote(f"{folder}/{name}"))
        for name in scripts
    ]
    return Markup("").join(parts)


def viewer_data(found: Sequence[Stage], budget: int) -> tuple[dict, list[str]]:
    """The volumes of a viewer as base64 of gzipped NIfTI.

    Parameters
    ----------
    found
        What can be shown, see :func:`stages`.
    budget
        Bytes that the volumes may take. The first T1w is written whatever it takes. A T1w without
        brain mask, which would show the face, is left out with all that lies over it.

    Returns
    -------
    data : dict
        ``stages``: a list, each with its ``label`` and ``volumes``, the T1w first; each volume has
        ``label``, ``kind``, ``colours`` (None for an image in colour), ``units`` and ``nifti``.
    left_out : list of str
        Labels of the images that are not in it, each with the reason.
    """
    left_out = [f"{stage.anatomy.label} ({_NO_MASK})" for stage in found if stage.mask is None]
    masks = [stage.mask for stage in found if stage.mask is not None]
    found = [stage for stage in found if stage.mask is not None]
    grids = [_grid_and_mask(path) for path in masks]
    written: list[list[dict]] = [[] for _ in found]
    no_room: list[str] = []
    used = 0
    for number, layer in _in_order(found):
        grid, inside = grids[number]
        room = budget - used
        # No base, no overlay; and smaller images do not overtake the first that does not fit.
        fits = not no_room and (layer is found[number].anatomy or bool(written[number]))
        entry = _entry(layer, grid, inside) if fits else None
        if entry is None or (len(entry["nifti"]) > room and used):
            where = f" ({found[number].anatomy.label})" if len(found) > 1 else ""
            no_room.append(f"{layer.label}{where}")
            continue
        used += len(entry["nifti"])
        written[number].append(entry)
    shown = [
        {"label": stage.anatomy.label, "volumes": volumes}
        for stage, volumes in zip(found, written, strict=True)
        if volumes
    ]
    if no_room:
        limit = REPORT_BYTES // 1_000_000
        left_out.append(f"{', '.join(no_room)} (to keep this report below {limit} MB)")
    return {"stages": shown}, left_out


def _in_order(found: Sequence[Stage]) -> Iterator[tuple[int, Layer]]:
    """Every layer with the number of its stage: sources of all stages, then fused in turn."""
    for number, stage in enumerate(found):
        yield number, stage.anatomy
        for layer in stage.sources:
            yield number, layer
    for rank in range(max((len(stage.fused) for stage in found), default=0)):
        for number, stage in enumerate(found):
            if rank < len(stage.fused):
                yield number, stage.fused[rank]


def _grid_and_mask(path: Path) -> tuple[Grid, np.ndarray]:
    mask = read_image(path)
    grid = brain_grid(mask)
    return grid, sample(nib.Nifti1Image(Volume.of_mask(mask).voxels, mask.affine), grid)


def _entry(layer: Layer, grid: Grid, inside: np.ndarray) -> dict:
    modality = layer.modality
    if layer.colour:
        small = small_colour(read_colour(layer.image), grid, inside)
    else:
        from_zero = modality is None or modality.tracer
        small = small_volume(read_image(layer.image), grid, inside, from_zero=from_zero)
    # The time in a gzip header would change the file from run to run. The highest level, gzip's own
    # default, saves less than 1 % in three times the time.
    packed = gzip.compress(small.to_bytes(), 6, mtime=0)
    return {
        "label": layer.label,
        "kind": fused_names.FUSED if modality is None else modality.label,
        "colours": None if layer.colour else modality.colour_map if modality else "gray",
        "units": layer.units,
        "nifti": base64.b64encode(packed).decode("ascii"),
    }
