"""What the sections of the subject report show, as nireports' reportlets want it told."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from fusionprep.bids import fused_names, names
from fusionprep.modalities import MOVED, T1W, Modality
from fusionprep.models.registry import get_model, model_names

ORDER = {"task": None, "acq": "acquisition", "trc": "tracer", "rec": "reconstruction", "run": "run"}
"""What the page calls entities by which images of a modality are ordered; None leaves them out."""

_SESSION = {"ses": "session"}


def report_spec(figures: Path) -> list[dict[str, Any]]:
    """The sections in order.

    Parameters
    ----------
    figures
        Folder of the figures, whose names tell which fused images there are.

    Returns
    -------
    list of dict
        Each with its ``name``, the entities by whose values its ``reportlets`` are grouped
        (``ordering``: entity to its name on the page), and what nireports' `Reportlet` takes as
        its `config`.
    """
    fused = _fused_labels(figures)
    return [
        _section("Summary", _figure(names.SUMMARY)),
        _section("Viewer", _figure(names.VIEWER)),
        _anatomical(),
        *(_of_modality(modality, fused.get(modality, ())) for modality in MOVED),
        *(
            _section(label.capitalize(), _figure(label))
            for label in (names.METHODS, names.ABOUT, names.ERRORS)
        ),
    ]


def _fused_labels(figures: Path) -> dict[Modality, list[str]]:
    """Labels ``desc-`` of the mosaics of fused images by modality, sorted."""
    found: dict[Modality, set[str]] = {}
    for path in figures.glob("*"):
        label = names.parse_name(path.name)[0].get("desc", "")
        desc = fused_names.FusedDesc.parse(label)
        if desc is not None and path.suffix in (".png", ".jpg"):
            found.setdefault(desc.modality, set()).add(label)
    return {modality: sorted(labels) for modality, labels in found.items()}


def _section(
    name: str, *reportlets: dict[str, Any], ordering: Mapping[str, str] | None = None
) -> dict[str, Any]:
    return {"name": name, "reportlets": [*reportlets], "ordering": ordering or {}}


def _figure(
    desc: str | list[str],
    suffix: str = names.BIDS[T1W].suffix,
    extensions: Collection[str] = (".html",),
    *,
    subtitle: str = "",
    description: str = "",
    moving: bool = False,
) -> dict[str, Any]:
    """A figure or text block; a moving one answers to the pointer."""
    query = {"desc": desc, "suffix": suffix, "extension": [*extensions]}
    texts = {"subtitle": subtitle, "description": description}
    shown = {name: text for name, text in texts.items() if text}
    live = {"static": False, "style": {"width": "100%"}} if moving else {}
    return {"bids": query, **shown, **live}


def _anatomical() -> dict[str, Any]:
    return _section(
        "Anatomical",
        _figure(names.ANATOMICAL),
        _figure(
            names.DENOISED,
            extensions=[".svg"],
            subtitle="Noise",
            description="The T1w without its noise; under the pointer, or with the keyboard's"
            " focus, as it was. What is seen before should be seen after: folds, nuclei and"
            " vessels stay, grain goes.",
            moving=True,
        ),
        _figure(
            names.TISSUE,
            extensions=[".svg"],
            subtitle="Brain mask and tissues",
            description="The brain mask should follow the surface of the brain without skull or"
            " missing cortex; the borders of gray and white matter should follow what is seen on"
            " the T1w.",
        ),
        _figure(
            names.NORM,
            extensions=[".svg"],
            subtitle="Registration to the template",
            description="Under the pointer, or with the keyboard's focus, the picture alternates"
            " between the T1w in template space and the template. Ventricles and cortex should stay"
            " in place.",
            moving=True,
        ),
        _figure(
            names.ATLAS,
            extensions=[".svg"],
            subtitle="Regions of the atlas",
            description="The regions in which PET is measured should cover their anatomy: cortex"
            " along the folds, nuclei within their borders, on the left and on the right.",
        ),
        ordering=_SESSION,
    )


def _of_modality(modality: Modality, fused: Collection[str]) -> dict[str, Any]:
    bids = names.BIDS[modality]
    ordered = {entity: word for entity in bids.kept if (word := ORDER[entity])}
    figures = [
        _figure(names.SUMMARY, bids.suffix),
        _figure(
            names.COREG,
            bids.suffix,
            [".svg"],
            subtitle=f"Registration of the {modality.label} to the T1w",
            description=_on_registration(modality),
            moving=True,
        ),
    ]
    if modality.tracer:
        figures += _of_tracer(modality)
    if modality.fused:
        figures.append(
            _figure(
                [*fused] or [fused_names.FUSED],
                bids.fused_suffix,
                [".png", ".jpg"],
                subtitle="Fused images",
                description=_on_fusion(modality),
            )
        )
    return _section(modality.label, *figures, ordering=_SESSION | ordered)


def _of_tracer(modality: Modality) -> list[dict[str, Any]]:
    bids = names.BIDS[modality]
    figures = [
        _figure(
            names.FRAMES,
            bids.suffix,
            [".svg"],
            subtitle=f"Frames of the dynamic {modality.label}",
            description="Axial and sagittal slices of the frames, each in its own window from"
            " 0, with the contour of the T1w's brain mask: a head that moved between frames"
            " leaves the contour, unless its motion was corrected. Below, the mean activity of the"
            " brain and its tissues over time; where only some of the frames are averaged, theirs"
            " is shaded.",
        ),
        _figure(
            names.MOTION,
            bids.suffix,
            [".svg"],
            subtitle=f"Motion between frames of the dynamic {modality.label}",
            description="Where the brain is in each frame, from its mean place: jumps are movements"
            " of the head, a slow drift may also come of uptake that changes. Motion within a frame"
            " is not seen, and the attenuation map stays where it was. The numbers are in the table"
            f" ..._desc-{names.CONFOUNDS}_{names.TIMESERIES}{names.TABLE}.",
        ),
        _figure(
            names.SUVR,
            bids.suffix,
            [".svg"],
            subtitle="Reference region of SUVR",
            description=f"Above the T1w, below the {modality.label}, with the contour of the"
            " region whose mean uptake is 1 in the SUVR image. It should cover its anatomy and"
            " keep clear of neighbours with other uptake.",
        ),
        _figure(
            names.REGIONS,
            bids.suffix,
            [".svg"],
            subtitle="Uptake in regions",
            description="The mean of each region, left and right, with its standard deviation"
            " over voxels as a line; of dynamic PET also the mean over time, some curves with"
            f" their names. The numbers are in the tables ..._{names.MORPH}{names.TABLE} and"
            f" ..._{names.TACS}{names.TABLE}.",
        ),
    ]
    figures += [
        _figure(
            names.corrected(method),
            bids.suffix,
            [".svg"],
            subtitle=f"Partial volume corrected: {names.CORRECTIONS[method]}",
            description=f"Above the T1w, below the {modality.label}, corrected; under the"
            " pointer, or with the keyboard's focus, as it was, in the same window. Activity"
            " should be as anatomy has it; a bright or dark rim along one side of the brain"
            " comes of a registration that is off.",
            moving=True,
        )
        for method in names.CORRECTIONS
        if method != "gtm"
    ]
    return figures


def _on_registration(modality: Modality) -> str:
    label = modality.label
    sentences = [
        f"Above the T1w, below the {label} with the contours of the T1w.",
        f"Under the pointer, or with the keyboard's focus, the {label} alternates between before"
        " and after the registration; at rest it is shown after.",
    ]
    if modality.hounsfield:
        sentences.append("The inner face of the skull should run along the brain's contour.")
    if modality.anatomical:
        csf = "bright" if modality.bright_csf else "dark"
        sentences.append(
            f"Its {csf} ventricles and its cortex should lie within the contours of the T1w."
        )
    return " ".join(sentences)


def _on_fusion(modality: Modality) -> str:
    if modality.hounsfield:
        return (
            f"From top to bottom the T1w, the {modality.label} and the fused image. Bone of the"
            f" {modality.label} should surround the brain of the T1w without cutting into it."
        )
    entries = [get_model(name) for name in model_names()]
    of_gray_matter = " and ".join(entry.label for entry in entries if not entry.takes_image)
    return (
        f"From top to bottom the T1w, the {modality.label}, the fused image of the model, and T1w"
        f" and {modality.label} in colour. Anatomy of the T1w and activity of the {modality.label}"
        f" should both be found in the fused image; {of_gray_matter} show the gray matter alone. In"
        f" colour, lightness tells mostly the T1w, and hue the {modality.label}, as in the key: a"
        " spot that is lighter in the same colour is of the T1w, one of another colour of the"
        f" {modality.label}."
    )
