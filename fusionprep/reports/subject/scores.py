"""Tables of image quality and of fusion metrics for the subject report."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from fusionprep.bids.types import ImageFile
from fusionprep.reports.records import Scan, finite, fused_title, model_version
from fusionprep.reports.subject.blocks import grid, show, table

_QUALITY = {
    "CNR": "Contrast to noise of gray and white matter (higher is better)",
    "CJV": "Coefficient of joint variation (lower is better)",
    "SNRWM": "Signal to noise in white matter (higher is better)",
    "GMMean": "Mean in gray matter",
    "WMMean": "Mean in white matter",
    "GMWMRatio": "Gray to white matter",
    "GMWMContrast": "Contrast of gray and white matter",
    "Noise": "Noise",
    "BrainMedianHU": "Median in the brain",
    "BoneVolumeMillilitres": "Bone",
}
"""Measures of a sidecar's field Quality; an image has those of its modality."""

_UNITS = {"BrainMedianHU": "HU", "BoneVolumeMillilitres": "mL"}
_ARROWS = {"higher": "↑", "lower": "↓"}


def quality_table(image: ImageFile, suvr: ImageFile | None = None) -> Markup:
    """The measures of quality in a sidecar; empty where it holds none.

    Parameters
    ----------
    image
        T1w, PET or CT in T1w space.
    suvr
        The SUVR image of a PET, for its mean in gray matter.
    """
    quality = image.get("Quality")
    if not isinstance(quality, Mapping):
        return Markup("")
    in_own_units = {key: str(image.get("Units") or "") for key in ("GMMean", "WMMean")}
    units = {**_UNITS, **in_own_units}
    rows = [
        (name, _number(quality.get(key), units.get(key, "")))
        for key, name in _QUALITY.items()
        if key in quality
    ]
    reference = finite(suvr.get("SUVR", "Reference")) if suvr is not None else None
    mean = finite(quality.get("GMMean"))
    if reference and mean is not None:
        rows.append(("Mean SUVR in gray matter", show(mean / reference)))
    return Markup("<h3>Image quality</h3>{}").format(table(rows)) if rows else Markup("")


def _number(value: Any, unit: str = "") -> Markup:
    number = finite(value)
    digits = 5 if number is not None and abs(number) >= 1000 else 3
    return show(number, "not available", unit=unit, digits=digits)


def fused_block(scan: Scan) -> Markup:
    """The fused images of a scan: how each was made, and its fusion metrics."""
    if not scan.fused:
        missing = '<p class="missing">No fused image was written.</p>\n'
        return Markup(missing if scan.modality.fused else "")
    made = grid(
        ("Fusion model", "Version", "Space", "Device", "Seconds", "File"),
        [
            (
                fused_title(item),
                show(model_version(item)),
                item.space,
                show(item.get("FusionModel", "Device")),
                show(finite(item.get("FusionModel", "RunTimeSeconds"))),
                item.path.name,
            )
            for item in scan.fused
        ],
        name=f"Fused images of {scan.label}",
    )
    return made + _metrics(scan)


def _metrics(scan: Scan) -> Markup:
    judged = [item for item in scan.fused if isinstance(item.get("FusionMetrics"), Mapping)]
    names = _metric_names(judged)
    if not names:
        return Markup("")
    first = judged[0]
    slices, planes = (first.get("FusionMetrics", key) for key in ("Slices", "Planes"))
    titles = "; ".join(f"{name} {title}" for name, (_, title) in names.items())
    return Markup("<h3>Fusion metrics</h3>{}<p class='note'>{}</p>\n").format(
        grid(
            ("Fusion model", "Space", *(f"{name} {arrow}" for name, (arrow, _) in names.items())),
            [
                (
                    fused_title(item),
                    item.space,
                    *(show(finite(item.get("FusionMetrics", name)), "–") for name in names),
                )
                for item in judged
            ],
            name=f"Fusion metrics of {scan.label}",
        ),
        f"Mean over {show(slices, 'some').striptags()} {show(planes, '').striptags()} slices of "
        f"the brain; ↑ higher is better, ↓ lower is better, no arrow: not for ranking. {titles}.",
    )


def _metric_names(judged: Sequence[ImageFile]) -> dict[str, tuple[str, str]]:
    """Arrow and title of the known metrics that any of the images has, in their usual order."""
    from fusionprep.evaluation.metrics import METRICS

    return {
        metric.name: (_ARROWS.get(metric.better, ""), metric.title)
        for metric in METRICS
        if any(finite(item.get("FusionMetrics", metric.name)) is not None for item in judged)
    }
