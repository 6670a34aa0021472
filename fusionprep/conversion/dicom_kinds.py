"""What a DICOM series shows, by its headers, and which series of a person are taken."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fusionprep.bids.contents import (
    has_contrast_agent,
    is_dark_fluid,
    is_other_sequence,
    lacks_attenuation_correction,
    shows_no_activity,
    shows_no_brain,
)
from fusionprep.bids.types import ImageFile
from fusionprep.conversion.dicom_files import Header, Series
from fusionprep.errors import DataError, UsageError
from fusionprep.modalities import APP_MODALITIES, CT, FLAIR, PET, T1W, T2W, Modality

FEWEST_IMAGES = 10
"""Slices below which a series is a localiser or a screenshot rather than a volume."""

_LOCALISER = re.compile(r"locali[sz]er|scout|topogram|survey|smart ?brain|3.?plane|scano")
_DERIVED = re.compile(
    r"(?<![a-z])(?:mpr|mip|projection image|subtraction|subtract|adc|fa|tracew|cbf|cbv|mtt|tmax"
    r"|phase|p|t2_?map|t1_?map|screen ?save)(?![a-z])"
)
_OTHER_MR = re.compile(
    r"diff|dwi|dti|trace|(?<![a-z])adc|bold|fmri|rest(?:ing)?[-_ ]|(?<![a-z])asl|perf"
    r"|(?<![a-z])ds[ci]"
    r"|(?<![a-z])dce|swi|swan|t2\*|t2 ?star|tof|angio|(?<![a-z])mra(?![a-z])|field.?map|spectro|svs"
    r"|flow|inv[-_]?[12](?![0-9])|relax|mt[-_ ]?(?:on|off)"
)
_T1 = re.compile(
    r"(?<![a-z0-9])t1|mp.?rage|(?<![a-z])mpr(?![a-z])|bravo|spgr|tfl3d|(?<![a-z])(?:3d.?)?tfe"
)
_T2 = re.compile(r"(?<![a-z0-9])t2")
_EMISSION = re.compile(r"(?<![a-z])(?:pet(?!/?mr)|fdg|suv)")
_T1_INVERSION_MS = (400.0, 1500.0)
_LONGEST_T1_ECHO_MS = 15.0


@dataclass(frozen=True)
class Kind:
    """What a series is taken for.

    Attributes
    ----------
    modality
        None where it is left out or not recognised.
    left_out
        Why; empty where it is not.
    """

    modality: Modality | None = None
    left_out: str = ""


@dataclass(frozen=True)
class Chosen:
    """The series that are taken, and what is to be said of the others, a phrase each."""

    series: Mapping[Modality, Series]
    notes: tuple[str, ...]


def kind_of(series: Series) -> Kind:
    """What a series shows.

    By the modality of the header; MR then by descriptions, and by the times of the sequence where
    these say nothing. Localisers, derived images, maps and series of a few images are left out.
    """
    header, image = series.first, _as_image(series.first)
    types = " ".join(str(kind).lower() for kind in _listed(header.get("ImageType")))
    if _LOCALISER.search(types) or _LOCALISER.search(series.description.lower()):
        return Kind(left_out="a localiser")
    if series.n_images < FEWEST_IMAGES:
        return Kind(left_out=f"{series.n_images} images only")
    if derived := _DERIVED.search(types):
        return Kind(left_out=f"derived ({derived[0]})")
    if reason := shows_no_brain(image):
        return Kind(left_out=reason)
    code = header.get("Modality")
    if code == PET.dicom:
        reason = shows_no_activity(image)
        return Kind(left_out=reason) if reason else Kind(PET)
    if code == CT.dicom:
        return Kind(CT)
    return _kind_of_mr(header, image) if code == T1W.dicom else Kind(left_out=f"modality {code}")


def _kind_of_mr(header: Header, image: ImageFile) -> Kind:
    names = ("SeriesDescription", "ProtocolName", "SequenceName")
    text = " ".join(str(header.get(name) or "") for name in names).lower()
    if found := _OTHER_MR.search(text):
        return Kind(left_out=f"another sequence ({found[0].strip()})")
    if is_other_sequence(image):
        return Kind(left_out="another sequence (for attenuation or to find the head)")
    t1, t2, dark = _T1.search(text), _T2.search(text), is_dark_fluid(image)
    if dark:
        return Kind() if t1 else Kind(FLAIR)
    if t1 or t2:
        return Kind() if t1 and t2 else Kind(T1W if t1 else T2W)
    return Kind(T1W) if _is_prepared_gradient_echo(header) else Kind()


def kind_of_name(name: str) -> Kind:
    """What an image shows by its name alone, e.g. that of a file.

    Examples
    --------
    >>> kind_of_name("sub01_MPRAGE").modality.label, kind_of_name("FDG_PET_AC").modality.label
    ('T1w', 'PET')
    >>> kind_of_name("MRAC_dixon").left_out
    'another sequence (for attenuation or to find the head)'
    """
    header = {"SeriesDescription": name}
    image = _as_image(header)
    if reason := shows_no_activity(image):
        return Kind(left_out=reason)
    if _LOCALISER.search(name.lower()):
        return Kind(left_out="a localiser")
    return Kind(PET) if _EMISSION.search(name.lower()) else _kind_of_mr(header, image)


def _is_prepared_gradient_echo(header: Header) -> bool:
    """Whether the times are those of an MPRAGE, whatever it is called."""
    sequence = {str(kind) for kind in _listed(header.get("ScanningSequence"))}
    inversion, echo = header.get("InversionTime"), header.get("EchoTime")
    low, high = _T1_INVERSION_MS
    return (
        sequence >= {"GR", "IR"}
        and header.get("MRAcquisitionType") == "3D"
        and isinstance(inversion, float)
        and low <= inversion <= high
        and isinstance(echo, float)
        and echo < _LONGEST_T1_ECHO_MS
    )


def _as_image(header: Header) -> ImageFile:
    """A header as a sidecar would tell it, for what reads sidecars."""
    names = (
        *("SeriesDescription", "ProtocolName", "BodyPartExamined", "ImageType"),
        *("CorrectedImage", "ContrastBolusAgent"),
    )
    metadata = {name: header[name] for name in names if name in header}
    if isinstance(header.get("InversionTime"), float):
        metadata["InversionTime"] = header["InversionTime"] / 1000
    return ImageFile(Path(), {}, "", metadata)


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [] if value is None else [value]


def choose(everything: Sequence[Series], told: Mapping[int, str], who: str) -> Chosen:
    """The series of a person, or of a session, that become images.

    Parameters
    ----------
    everything
        All series.
    told
        Series numbers to names of modalities, or to anything else to leave them out; it comes
        before what headers say.
    who
        Named in errors.

    Raises
    ------
    DataError
        When two series would be the same image.
    """
    found: dict[Modality, list[Series]] = {}
    notes = []
    for series in everything:
        name = told.get(series.number) if series.number is not None else None
        kind = kind_of(series) if name is None else _told_kind(name)
        if kind.modality is None:
            reason = kind.left_out or f"not recognised; --series {series.number}=KIND takes it"
            notes.append(f"left out: {series.label}: {reason}")
        else:
            found.setdefault(kind.modality, []).append(series)
    chosen = {}
    for modality, candidates in found.items():
        left, passed_over = _narrowed(modality, candidates, told)
        notes += passed_over
        if len(left) > 1:
            raise DataError(_ambiguous(who, modality, left))
        chosen[modality] = left[0]
    return Chosen(chosen, tuple(notes))


def _told_kind(name: str) -> Kind:
    modality = next((one for one in APP_MODALITIES if one.name == name), None)
    return Kind(modality) if modality else Kind(left_out="as --series says")


def _narrowed(
    modality: Modality, candidates: list[Series], told: Mapping[int, str]
) -> tuple[list[Series], list[str]]:
    """What is left of several series by the rules that fusionapp has for several images."""
    named = [series for series in candidates if series.number in told]
    if named or len(candidates) == 1:
        others = [series for series in candidates if series not in named] if named else []
        reason = "--series names another"
        return named or candidates, [f"left out: {one.label}: {reason}" for one in others]
    test, reason = (
        (lacks_attenuation_correction, "not corrected for attenuation")
        if modality.tracer
        else (has_contrast_agent, "with a contrast agent")
    )
    worse = [series for series in candidates if test(_as_image(series.first))]
    if not worse or len(worse) == len(candidates):
        return candidates, []
    left = [series for series in candidates if series not in worse]
    return left, [f"left out: {one.label}: {reason}" for one in worse]


def _ambiguous(who: str, modality: Modality, series: Sequence[Series]) -> str:
    listed = "; ".join(one.label for one in series)
    return (
        f"{who} has {len(series)} series that may be the {modality.label}: {listed}. Name the one"
        f" to take with --series NUMBER={modality.name}"
    )


def check_told(told: Mapping[int, str], everything: Sequence[Series]) -> None:
    """Refuse ``--series`` for a number that there is not.

    Raises
    ------
    UsageError
    """
    numbers = sorted({series.number for series in everything if series.number is not None})
    for number in told:
        if number not in numbers:
            listed = ", ".join(map(str, numbers))
            raise UsageError(f"--series {number}: no series has that number (there are: {listed})")
