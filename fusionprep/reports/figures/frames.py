"""The figure of a dynamic PET: its frames side by side, and its time-activity curves."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from fusionprep.image.io import each_frame
from fusionprep.image.segmentation import GRAY, WHITE
from fusionprep.reports.figures import svg
from fusionprep.reports.figures.axes import Axis as _Axis
from fusionprep.reports.figures.axes import grid as _grid
from fusionprep.reports.figures.axes import line as _line
from fusionprep.reports.figures.axes import pauses as _pauses
from fusionprep.reports.figures.slices import Plane, Volume, outlines, to_gray, window
from fusionprep.reports.figures.thumbnails import centred_planes

Image = nib.spatialimages.SpatialImage

MOST_FRAMES = 12
"""At most this many frames are shown, evenly spaced; the curves cover all of them."""

CURVES = {"whole brain": "#e8eaed", "gray matter": "#F0B323", "white matter": "#56B4E9"}
_COLUMNS = 6
_SIDE, _PIXEL_MM = 106, 2.0
_BRAIN_COLOUR = "#22C990"
_AVERAGED, _AVERAGED_COLOUR = "frames averaged", "#C58AF9"
_PLOT_HEIGHT = 260
_LEFT = 90


@dataclass(frozen=True)
class Timing:
    """When each of N frames begins and ends, in minutes; both None where that is not known."""

    starts: Sequence[float] | None
    ends: Sequence[float] | None

    @classmethod
    def from_seconds(
        cls, starts: Sequence[float] | None, durations: Sequence[float] | None
    ) -> "Timing":
        """From starts and durations in seconds; frames without starts follow on from 0."""
        if durations is None:
            return cls(None, None)
        lengths = np.asarray(durations, float)
        begins = np.cumsum(lengths) - lengths if starts is None else np.asarray(starts, float)
        return cls(tuple(begins / 60), tuple((begins + lengths) / 60))

    def positions(self, count: int) -> np.ndarray:
        """The middle of each frame in minutes; without times, its number from 1."""
        if self.starts is None or self.ends is None:
            return np.arange(1.0, count + 1)
        return (np.asarray(self.starts) + np.asarray(self.ends)) / 2

    def span(self, frames: Sequence[int] | None) -> tuple[float, float] | None:
        """Minutes from the begin of the first to the end of the last of some frames.

        None where no frames are given or times are not known.
        """
        if not frames or self.starts is None or self.ends is None:
            return None
        return self.starts[frames[0]], max(self.ends[frame] for frame in frames)

    def label(self, frame: int) -> str:
        """E.g. ``10 to 15 min``, or ``frame 3``."""
        if self.starts is None or self.ends is None:
            return f"frame {frame + 1}"
        return f"{_short(self.starts[frame])} to {_short(self.ends[frame])} min"


def plot_frames(
    pet: Image,
    mask: Image,
    dseg: Image,
    t1w_from_pet: np.ndarray,
    timing: Timing,
    out_svg: Path,
    *,
    factor: float = 1.0,
    frame_factors: Sequence[float] | None = None,
    units: str = "arbitrary",
    chosen: Sequence[int] | None = None,
) -> Path:
    """Draw axial and sagittal slices of the frames of a PET, and activity over time.

    All slices are of the same two planes of the T1w, with the contour of its brain mask as brought
    to the mean over frames: a head that moved leaves it. Each frame has its own window, from 0 to
    the 99.7th percentile of its brain, since the first frames have hardly any of the activity of
    the last; the curves below show the activity. Frames are read one at a time, each once.

    Parameters
    ----------
    pet
        4-D, on its own grid.
    mask, dseg
        Brain mask and tissue labels (1 gray, 2 white matter) of the T1w.
    t1w_from_pet
        (4, 4) world coordinates of the PET to those of the T1w; or one for each frame, where the
        head moved.
    timing
        Of the frames.
    out_svg
        File to write.
    factor
        Turns voxel values into `units`.
    frame_factors
        What each frame is multiplied by besides, its correction for decay.
    units
        Of the activity; ``Bq/mL`` is drawn in kBq/mL.
    chosen
        Numbers, from 0, of the frames that the static image is the mean of, whose time is shaded;
        None for all, without shade.

    Returns
    -------
    pathlib.Path
        ``out_svg``.
    """
    if units == "Bq/mL":
        factor, units = factor / 1000, "kBq/mL"
    axial, _, sagittal = centred_planes(mask, _SIDE, _PIXEL_MM)
    planes = (axial, sagittal)
    inside = [Volume.of_mask(mask).sample(plane) for plane in planes]
    count = int(np.prod(pet.shape[3:]))
    alignments = np.broadcast_to(t1w_from_pet, (count, 4, 4))
    regions = _regions(pet, mask, dseg, alignments[0])
    shown = np.unique(np.rint(np.linspace(0, count - 1, min(count, MOST_FRAMES))).astype(int))
    curves = {name: np.full(count, np.nan) for name in regions}
    tiles: dict[int, list[np.ndarray]] = {}
    scales = np.full(count, factor) if frame_factors is None else factor * np.array(frame_factors)
    for index, (frame, alignment) in enumerate(zip(each_frame(pet), alignments, strict=True)):
        if not np.array_equal(alignment, alignments[max(index - 1, 0)]):
            regions = _regions(pet, mask, dseg, alignment)
        for name, region in regions.items():
            curves[name][index] = _mean_of_finite(frame[region]) * scales[index]
        if index in shown:
            tiles[index] = _tiles(Volume(frame, alignment @ pet.affine), planes, inside)
    titles = [timing.label(index) for index in shown]
    body, height = _frame_rows([tiles[index] for index in shown], titles, inside)
    body += _curves(curves, timing, units, height, timing.span(chosen))
    which = "All" if len(shown) == count else f"{len(shown)} of {count}"
    header = svg.text(f"{which} frames, each in its own window", svg.MARGIN, 28, "title")
    header += svg.legend({"T1w brain mask": _BRAIN_COLOUR}, svg.WIDTH - svg.MARGIN, 28)
    description = "Frames of the dynamic PET, and activity over time"
    text = svg.document([header, *body], height + _PLOT_HEIGHT + 60, description)
    out_svg.write_text(text, "utf-8")
    return out_svg


def _regions(
    pet: Image, mask: Image, dseg: Image, t1w_from_pet: np.ndarray
) -> dict[str, np.ndarray]:
    """Where brain, gray and white matter of the T1w lie on the PET's grid; empty ones left out."""
    brain = _on_pet(mask, pet, t1w_from_pet) > 0.5
    labels = _on_pet(dseg, pet, t1w_from_pet)
    regions = dict(zip(CURVES, (brain, labels == GRAY, labels == WHITE), strict=True))
    return {name: region for name, region in regions.items() if region.any()}


def _on_pet(image: Image, pet: Image, t1w_from_pet: np.ndarray) -> np.ndarray:
    """Labels of the T1w on the PET's grid, by the nearest voxel."""
    from scipy import ndimage

    to_label = np.linalg.inv(image.affine) @ t1w_from_pet @ pet.affine
    return ndimage.affine_transform(
        np.asarray(image.dataobj),
        to_label[:3, :3],
        to_label[:3, 3],
        output_shape=pet.shape[:3],
        order=0,
    )


def _mean_of_finite(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean(dtype=np.float64)) if finite.size else np.nan


def _tiles(
    frame: Volume, planes: Sequence[Plane], inside: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """Slices of a frame in its own window, RGB."""
    import matplotlib

    sampled = [frame.sample(plane) for plane in planes]
    _, high = window(sampled, inside)
    table = matplotlib.colormaps["inferno"](np.arange(256), bytes=True)[:, :3]
    return [table[to_gray(tile, 0.0, high if high > 0 else 1.0)] for tile in sampled]


def _frame_rows(
    frames: Sequence[Sequence[np.ndarray]], titles: Sequence[str], inside: Sequence[np.ndarray]
) -> tuple[list[str], float]:
    """Rows of frames, axial above sagittal slices, and where they end."""
    width = (svg.WIDTH - 2 * svg.MARGIN) / _COLUMNS
    scale = width / _SIDE
    contours = [outlines(brain) for brain in inside]
    body, y = [], float(svg.HEADER)
    for first in range(0, len(frames), _COLUMNS):
        row = frames[first : first + _COLUMNS]
        y += 18
        for column, title in enumerate(titles[first : first + _COLUMNS]):
            middle = svg.MARGIN + (column + 0.5) * width
            body.append(svg.text(title, middle, y - 4, anchor="middle"))
        for plane, lines in enumerate(contours):
            body.append(svg.raster_row([tiles[plane] for tiles in row], y, scale))
            body.append(svg.contour_row([lines] * len(row), _SIDE, y, scale, _BRAIN_COLOUR))
            left, right = ("L", "R") if plane == 0 else ("P", "A")
            body.append(svg.text(left, svg.MARGIN + 6, y + 20, "side"))
            body.append(svg.text(right, svg.MARGIN + width - 6, y + 20, "side", "end"))
            y += width
        y += svg.GAP
    return body, y


def _curves(
    curves: dict[str, np.ndarray],
    timing: Timing,
    units: str,
    top: float,
    shaded: tuple[float, float] | None,
) -> list[str]:
    """Axes, one line for each region, and a shade over the time from `shaded`."""
    count = len(next(iter(curves.values()), ()))
    x = timing.positions(count)
    if known := timing.starts is not None and timing.ends is not None:
        span = (min(timing.starts), max(timing.ends))
        after_pause = _pauses(timing.starts, timing.ends)
    else:
        span, after_pause = (0.5, count + 0.5), []
    values = np.concatenate([*curves.values(), [0.0]])
    values = values[np.isfinite(values)]
    low, high = min(0.0, float(values.min())), float(values.max())
    high = high if high > low else low + 1
    left, right = _LEFT, svg.WIDTH - svg.MARGIN - 10
    named = "arbitrary units" if units == "arbitrary" else units
    upper, lower = top + 40, top + _PLOT_HEIGHT
    across, up = (_Axis(*span, left, right), _Axis(low, 1.05 * high, lower, upper))
    colours = {name: CURVES[name] for name in curves}
    if shaded is not None:
        colours[_AVERAGED] = _AVERAGED_COLOUR
    body = [
        svg.text(f"Mean activity ({named})", svg.MARGIN, top + 22, "title"),
        svg.legend(colours, svg.WIDTH - svg.MARGIN, top + 22),
        _shade(across, up, shaded) if shaded is not None else "",
        *_grid(across, up, whole=not known),
    ]
    title = (
        "Time from the start given in the sidecar (min)"
        if known
        else ("Frame number: the dataset gives no times")
    )
    body.append(svg.text(title, (left + right) / 2, lower + 42, anchor="middle"))
    for name, line in curves.items():
        body.append(_line(across(x), up(line), CURVES[name], after_pause))
    return body


def _shade(across: _Axis, up: _Axis, span: tuple[float, float]) -> str:
    left, right = (float(across(minutes)) for minutes in span)
    return (
        f'<rect x="{left:.1f}" y="{up.end:.1f}" width="{right - left:.1f}"'
        f' height="{up.begin - up.end:.1f}" fill="{_AVERAGED_COLOUR}" fill-opacity="0.22"/>\n'
    )


def _short(minutes: float) -> str:
    return f"{round(minutes, 1):g}"
