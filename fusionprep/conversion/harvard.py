"""Folders of aligned slices, such as those of Harvard's Whole Brain Atlas, stacked to volumes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fusionprep.bids.raw_files import RawImage
from fusionprep.conversion.dataset import Origin, Scan, plain_label
from fusionprep.conversion.pet_fields import PETGiven, complete, told_unknown
from fusionprep.conversion.requests import Outcome, Target
from fusionprep.errors import DataError, UsageError
from fusionprep.evaluation.pairs import Pair, PairSet, find_pair_sets
from fusionprep.image.pictures import in_colour, read_colormap, read_level, read_luminance
from fusionprep.modalities import PET, T1W, Modality

LUMA = "luma"
"""What ``--colours`` calls the brightness of a colour."""

UNITS = "arbitrary units"

ORIGIN = Origin(
    "harvard",
    "Volumes were stacked of axial slices in pictures, whose levels have no unit. Pictures do not"
    " say how large their pixels are nor how far slices are apart: both were given by whoever"
    " converted them, and may be wrong; left and right are those of the radiological convention.",
)


@dataclass(frozen=True)
class StackRequest:
    """How slices become volumes.

    Attributes
    ----------
    source
        Folder with two subfolders of pictures with the same names, which end in slice numbers.
    pixel_size
        Along both sides of a slice, mm.
    slice_distance
        Between neighbours, mm.
    anatomical, functional
        Names of the subfolders; None looks for the usual ones.
    contrast
        What the anatomical images are.
    numbers
        First and last slice number to take; None takes all.
    top_first
        Whether the first slice is the uppermost.
    fill_gaps
        Whether missing slices are interpolated from their neighbours.
    colours
        :data:`LUMA`, or a file with the map of the pseudo-colours; None refuses colours.
    """

    source: Path
    pixel_size: float
    slice_distance: float
    anatomical: str | None = None
    functional: str | None = None
    contrast: Modality = T1W
    numbers: tuple[int, int] | None = None
    top_first: bool = False
    fill_gaps: bool = False
    colours: str | None = None


def convert_stack(request: StackRequest, target: Target, given: PETGiven) -> list[Outcome]:
    """Write the patients in a folder of slices as subjects of a BIDS dataset.

    Raises
    ------
    DataError, NoInputError, UsageError, OutputError
        When slices are missing or in colour, or nothing can be written.
    """
    (pairs,) = find_pair_sets(
        [request.source], anatomical=request.anatomical, functional=request.functional
    )
    patients = _patients(pairs, request, target)
    stacks = {label: _Stack(numbers, request) for label, numbers in patients.items()}
    outcomes = []
    for label, stack in stacks.items():
        t1w = stack.scan_of_anatomy()
        functional, notes = stack.scan_of_function(pairs.modality, given)
        own = Target(**{**vars(target), "subject": label})
        outcomes.append(own.add((t1w, functional), ORIGIN, [*stack.notes, *notes]))
    return outcomes


def _patients(pairs: PairSet, request: StackRequest, target: Target) -> dict[str, dict[int, Pair]]:
    """Slices by number, for each label."""
    found: dict[str | None, dict[int, Pair]] = {}
    for pair in pairs.pairs:
        number = _number(pair)
        low, high = request.numbers or (number, number)
        if low <= number <= high:
            slices = found.setdefault(pair.subject, {})
            if number in slices:
                raise DataError(f"{pair.file} and {slices[number].file} have one slice number")
            slices[number] = pair
    if not found:
        raise UsageError(f"--slices: {request.source} has no slice of these numbers")
    if len(found) > 1 and target.subject is not None:
        raise UsageError(
            f"{request.source} holds {len(found)} patients; take the slices of one with --slices,"
            " or leave out --subject"
        )
    labels = {subject: target.subject or plain_label(subject or "") for subject in found}
    if "" in labels.values():
        raise UsageError(f"nothing says whose slices are in {request.source}; give --subject")
    return {labels[subject]: slices for subject, slices in found.items()}


def _number(pair: Pair) -> int:
    match = re.search(r"(\d+)$", pair.name)
    if match is None or not pair.file.endswith(".png"):
        raise DataError(f"{pair.anatomical} is not a PNG file whose name ends in a slice number")
    return int(match[1])


class _Stack:
    """The slices of one patient, from the lowest."""

    def __init__(self, slices: Mapping[int, Pair], request: StackRequest) -> None:
        self._request = request
        numbers = sorted(slices, reverse=request.top_first)
        self._places = [abs(number - numbers[0]) for number in numbers]
        self._pairs = [slices[number] for number in numbers]
        missing = sorted({*range(min(numbers), max(numbers) + 1)} - {*numbers})
        self.notes = [
            f"assumed: pixels of {request.pixel_size:g} mm, slices {request.slice_distance:g} mm"
            f" apart, the {'last' if request.top_first else 'first'} the lowest; the MRI is"
            f" taken for a {request.contrast.label}"
        ]
        if request.contrast is not T1W:
            self.notes.append(f"fusionapp needs a {T1W.label} beside it")
        if missing:
            listed = ", ".join(map(str, missing))
            if not request.fill_gaps:
                raise DataError(
                    f"of slices {min(numbers)} to {max(numbers)} in {request.source}, some are"
                    f" missing: {listed}; take a part with --slices, or interpolate them with"
                    " --fill-gaps"
                )
            self.notes.append(f"interpolated from their neighbours: slices {listed}")

    def scan_of_anatomy(self) -> Scan:
        contrast = self._request.contrast
        levels = self._levels([pair.anatomical for pair in self._pairs], read_luminance)
        fields = {"Modality": contrast.dicom, **self._fields("BT.601 luma of the pictures")}
        return Scan(contrast, self._image(levels), fields)

    def scan_of_function(self, modality: Modality, given: PETGiven) -> tuple[Scan, list[str]]:
        paths = [pair.functional for pair in self._pairs]
        read, encoding = self._reader(paths)
        fields = {"Units": UNITS, **self._fields(encoding)}
        image = self._image(self._levels(paths, read))
        if not modality.tracer:
            if given != PETGiven():
                raise UsageError(f"options of a PET were given, but there are {modality.label}")
            return Scan(modality, image, {"Modality": modality.dicom, **fields}), []
        if not given.tracer:
            raise UsageError("pictures do not tell the tracer; give --tracer")
        sidecar, unknown = complete(fields, given, 1, paths[0].parent)
        notes = told_unknown(unknown)
        if not modality.in_app:
            sidecar["Modality"] = modality.dicom
            notes.append(
                f"BIDS and fusionapp have no place for {modality.label}: it is written as a"
                f" {PET.label}, whose sidecar says Modality {modality.dicom}"
            )
        # SPECT is read as PET is
        return Scan(PET, image, sidecar, {"trc": plain_label(given.tracer)}), notes

    def _reader(self, paths: Sequence[Path]) -> tuple[Any, str]:
        """How pictures are read, and what their levels then are."""
        colours = self._request.colours
        coloured = next((path for path in paths if in_colour(path)), None)
        if coloured is None:
            return read_luminance, "gray levels of the pictures"
        if colours is None:
            raise UsageError(
                f"{coloured} is in colour: give the map of its colours with --colours FILE, or"
                f" --colours {LUMA} for their brightness, which may not rise with uptake"
            )
        if colours == LUMA:
            return read_luminance, "BT.601 luma of pseudo-colours"
        table = read_colormap(Path(colours))
        told = f"levels of pseudo-colours, by a map of {len(table)} colours"
        return partial(read_level, colours=table), told

    def _levels(self, paths: Sequence[Path], read: Any) -> np.ndarray:
        """Slices of all places, (columns, rows, slices), uint8."""
        slices = [read(path) for path in paths]
        first = self._pairs[0].anatomical
        size = read_luminance(first).shape
        for path, levels in zip(paths, slices, strict=True):
            if levels.shape != size:
                raise DataError(f"{path} is not of the size of {first}")
        stack = np.stack([levels.T for levels in slices], axis=-1)
        return fill_gaps(stack, self._places)

    def _image(self, levels: np.ndarray) -> RawImage:
        request = self._request
        sizes = (request.pixel_size, request.pixel_size, request.slice_distance)
        return RawImage(levels, slice_affine(levels.shape, sizes))

    def _fields(self, encoding: str) -> dict[str, Any]:
        request = self._request
        return {
            "Levels": f"0 to 255: {encoding}",
            "VoxelSizeAssumed": [request.pixel_size, request.pixel_size, request.slice_distance],
        }


def fill_gaps(stack: np.ndarray, places: Sequence[int]) -> np.ndarray:
    """Slices at every place, those that are missing interpolated linearly from their neighbours.

    Parameters
    ----------
    stack
        (X, Y, slices), uint8.
    places
        Of each slice, rising from 0.

    Returns
    -------
    numpy.ndarray
        (X, Y, last place + 1), uint8.
    """
    wanted = np.arange(places[-1] + 1)
    position = np.interp(wanted, places, np.arange(len(places)))
    below = np.floor(position).astype(int)
    above = np.minimum(below + 1, len(places) - 1)
    share = (position - below).astype(np.float32)
    mixed = stack[..., below] * (1 - share) + stack[..., above] * share
    return np.rint(mixed).astype(np.uint8)


def slice_affine(shape: Sequence[int], sizes: Sequence[float]) -> np.ndarray:
    """Voxel to world (4, 4) of axial slices as radiologists show them, (columns, rows, slices).

    The left of a picture is the right of the patient, its top the front; slices rise. The middle
    of the volume is at 0 mm.
    """
    affine = np.diag([-sizes[0], -sizes[1], sizes[2], 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape[:3]) - 1) / 2)
    return affine
