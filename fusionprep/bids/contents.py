"""What an image shows, whatever it is called: by its entities and its sidecar."""

import re
from typing import Any

from fusionprep.bids.metadata import number_value
from fusionprep.bids.types import ImageFile
from fusionprep.plausibility import BRAIN_SIDES_MM, FIELD_OF_VIEW

DESCRIPTIONS = ("SeriesDescription", "ProtocolName")
_ACCELERATED = re.compile("accel|sense|grappa|asset|caipi|fast", re.IGNORECASE)
# `gd` is looked for where it cannot be part of another word: acq-mpragdixon has none.
_AGENT = re.compile(
    r"(?<!no)(?<!non)(?<!pre)(?<!without)(?:gad|contrast)|t1w?(?:gd|ce|c(?![a-z]))"
    r"|^gd|^ce(?![a-z])|(?:mprage|mpr|3d|post|[0-9])(?:gd|ce)(?![a-z])|gd$"
    r"|post(?=$|[0-9]|con|gd|gad|ce|inj|mpr|t1)"
)
_BEFORE_AGENT = re.compile(r"pre(?:gd|gad|con|ce|$)|no(?:n)?(?:gd|gad|con)|without")
_OTHER_SEQUENCE = re.compile(r"dixon|mrac|vibe|scout|locali[sz]er|survey|(?<![a-z])ute(?![a-z])")
_SPINE = re.compile(r"spine|spinal|cervical|lumbar|thoracic|(?<![a-z])cord(?![a-z])")
_NO_BRAIN = re.compile(
    r"spine|neck|chest|thorax|abdomen|pelvis|breast|heart|cardiac|liver|prostate|knee|shoulder"
    r"|ankle|wrist|hip|leg|arm|foot|hand|extremity"
)
_BRAIN = re.compile("head|brain|skull|cranium|whole")
_DARK_FLUID = re.compile("flair|dark[-_ ]?fluid|fluid[-_ ]?attenuat")
_LONGEST_T2_INVERSION_S = 1.5
_UNCORRECTED = re.compile(r"nac|noac|nonac|nonattenuat|uncorrected|noattenuat|withoutac")
# `dynNAC` and not `dynac`
_UNCORRECTED_INSIDE = re.compile("(?<![A-Z])(?:N|No|Non)AC(?![A-Z])")
_CORRECTION = re.compile("(?:n|no|non|ct|mr)?ac", re.IGNORECASE)
_UNCORRECTED_WORD = re.compile(r"(?<![a-z])(?:nac|no[ _-]?ac|non[ _-]?ac|uncorrected)(?![a-z])")
_UNTOLD = "available|applicable|specified|known|reported|recorded|given|stated|information"
_NOT_DONE = re.compile(
    rf"none\b.*|nac|off|false|0|(?:no|not|without)\b(?! (?:{_UNTOLD})).*|un-?corrected.*"
)
_PER_LENGTH = re.compile(r"1/[cm]m|/[cm]m|[cm]m\*?\*?-1|1cm|percm|hu|hounsfieldunits?")
_MAP = re.compile("(?<![a-z])(?:mu|u|µ|ac)[-_ ]?map(?![a-z])")
_OTHER_SCANNER = re.compile("ct|mr|mri")
_NOTHING = ("", "n/a", "na", "none", "no", "false", "0", "unknown")


def shows_no_brain(image: ImageFile) -> str:
    """What says that an image is of another part of the body; empty where nothing does."""
    part = _text(image.get("BodyPartExamined"))
    if _NO_BRAIN.search(part) and not _BRAIN.search(part):
        return f"BodyPartExamined is {image.get('BodyPartExamined')}"
    for name, text in _descriptions(image):
        if _SPINE.search(text) and not _BRAIN.search(text):
            return f"{name} speaks of the spine"
    return ""


def head_coverage(image: ImageFile) -> float:
    """Share of a brain that fits into the field of view, to tenths, whatever its orientation."""
    sides = zip(sorted(image.field_of_view), BRAIN_SIDES_MM, strict=False)
    share = 1.0
    for side, needed in sides:
        share *= min(side / needed, 1.0)
    return round(share, 1)


def has_contrast_agent(image: ImageFile) -> bool:
    """Whether a contrast agent was given, by ``ce-``, ``acq-`` or the sidecar."""
    if _text(image.entities.get("ce")) not in _NOTHING:
        return True
    if _text(image.get("ContrastBolusAgent")) not in _NOTHING:
        return True
    acquisition = _text(image.entities.get("acq"))
    return not _BEFORE_AGENT.search(acquisition) and bool(_AGENT.search(acquisition))


def is_part(image: ImageFile) -> bool:
    """Whether it is one of several echoes, inversions or chunks of an acquisition."""
    return not image.entities.keys().isdisjoint(("echo", "inv", "chunk"))


def is_other_sequence(image: ImageFile) -> bool:
    """Whether it was made to find the head or to correct attenuation rather than for anatomy."""
    return any(_OTHER_SEQUENCE.search(text) for _, text in _descriptions(image))


def is_accelerated(image: ImageFile) -> bool:
    """Whether ``acq-`` names a method of acceleration."""
    return _ACCELERATED.search(image.entities.get("acq", "")) is not None


def t1w_doubts(t1w: ImageFile) -> tuple[str, ...]:
    """Why a T1w may not show the brain, as far as its header and its sidecar say."""
    doubts = []
    if problem := FIELD_OF_VIEW.problem(min(t1w.field_of_view, default=FIELD_OF_VIEW.low)):
        doubts.append(f"the T1w may not show the whole brain: {problem}")
    if reason := shows_no_brain(t1w):
        doubts.append(f"the T1w may not show the brain: {reason}")
    return tuple(doubts)


def is_dark_fluid(image: ImageFile) -> str:
    """What says that a T2w has dark fluid; empty where nothing does."""
    for name, text in _descriptions(image):
        if _DARK_FLUID.search(text):
            return f"by {name}{image.entities[name[:-1]]}" if name[-1] == "-" else f"by its {name}"
    inversion = number_value(image.metadata, "InversionTime")
    if inversion is not None and inversion > _LONGEST_T2_INVERSION_S:
        return f"by its InversionTime of {inversion:g}"
    return ""


def lacks_attenuation_correction(image: ImageFile) -> str:
    """What says that a PET was not corrected for attenuation; empty where nothing does."""
    for entity in ("rec", "acq"):
        label = image.entities.get(entity, "")
        if _UNCORRECTED.match(label.lower()) or _UNCORRECTED_INSIDE.search(label):
            return f"{entity}-{image.entities[entity]}"
    for key in ("AttenuationCorrection", "AttenuationCorrectionMethod"):
        value = image.get(key)
        if value is not None and value != "" and _NOT_DONE.fullmatch(_text(value)):
            return f"{key} is {value}"
    kinds = image.get("ImageType")
    if any(_UNCORRECTED_WORD.search(_text(kind)) for kind in _listed(kinds)):
        return f"ImageType is {kinds}"
    corrections = {_text(item) for item in _listed(image.get("CorrectedImage"))}
    if corrections and not corrections & {"attn", "atten", "attenuation"}:
        return "CorrectedImage does not name ATTN"
    for name, text in _descriptions(image):
        if name in DESCRIPTIONS and _UNCORRECTED_WORD.search(text):
            return f"{name} is {image.get(name)}"
    return ""


def tells_correction(image: ImageFile) -> bool:
    """Whether ``acq-`` only says if attenuation was corrected, e.g. ``acq-AC``."""
    return _CORRECTION.fullmatch(image.entities.get("acq", "")) is not None


def shows_no_activity(image: ImageFile) -> str:
    """Why an image among PET holds no activity, such as a map of attenuation; empty if it may."""
    for key in ("Units", "Unit"):
        units = re.sub(r"[\s^{}()]", "", _text(image.get(key))).replace("⁻¹", "-1")
        if _PER_LENGTH.fullmatch(units):
            return f"a map of attenuation ({key} {image.get(key)})"
    if _OTHER_SCANNER.fullmatch(_text(image.get("Modality"))):
        return f"no PET (Modality {image.get('Modality')})"
    kinds = " ".join(_text(kind) for kind in _listed(image.get("ImageType")))
    described = " ".join(text for _, text in _descriptions(image))
    if (found := _MAP.search(f"{kinds} {described}")) is not None:
        return f"a map of attenuation ({found[0]})"
    return ""


def _descriptions(image: ImageFile) -> list[tuple[str, str]]:
    """Where a sequence or reconstruction is described, and what it says in lower case."""
    labels = [(f"{name}-", image.entities.get(name)) for name in ("acq", "rec")]
    fields = [(name, image.get(name)) for name in DESCRIPTIONS]
    return [(name, _text(value)) for name, value in (*labels, *fields) if value]


def _listed(value: Any) -> list[Any]:
    return (
        value
        if isinstance(value, list)
        else []
        if value is None
        else re.split(r"[\\,]", f"{value}")
    )


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip().lower()
