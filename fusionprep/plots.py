"""Figures for notebooks: each function returns a matplotlib figure and leaves pyplot alone.

The reports have figures of their own, see :mod:`fusionprep.reports.figures`.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fusionprep.choices import ColourMapName
from fusionprep.errors import DataError
from fusionprep.image.colour import colour_table
from fusionprep.image.colour_key import draw_key

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from nibabel import Nifti1Image

INCHES = 1.6
"""Height of a slice."""

WHITE_PERCENTILE = 99.5
LABEL_INCHES = 0.9


def plot_slices(
    volumes: Mapping[str, np.ndarray],
    *,
    count: int = 6,
    colour_maps: Mapping[str, str] | None = None,
) -> "Figure":
    """Axial slices of aligned volumes, a row for each.

    Parameters
    ----------
    volumes
        Title to volume: (X, Y, Z) from left to right, back to front and inferior to superior, in
        any unit, black at 0 and white at percentile 99.5 of what is above; or uint8 (X, Y, Z, 3),
        shown as it is. All have the same (X, Y, Z).
    count
        How many slices, evenly spaced over what the first volume shows.
    colour_maps
        Title to matplotlib's name of a colour map; gray where there is none.

    Raises
    ------
    DataError
        When there is no volume, or they differ in shape.
    """
    from matplotlib.figure import Figure

    shapes = {np.shape(volume)[:3] for volume in volumes.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 3:
        raise DataError(f"volumes of one shape (X, Y, Z) are needed, not {sorted(shapes)}")
    places = _places(next(iter(volumes.values())), count)
    (across, along, _), rows = next(iter(shapes)), len(volumes)
    width = count * INCHES * across / along + LABEL_INCHES
    figure = Figure((width, rows * INCHES), facecolor="black")
    left = LABEL_INCHES / width
    grid = figure.add_gridspec(rows, count, left=left, right=1, bottom=0, top=1, wspace=0, hspace=0)
    for row, (title, volume) in enumerate(volumes.items()):
        shown = _scaled(np.asarray(volume), (colour_maps or {}).get(title, "gray"))
        for column, place in enumerate(places):
            axes = figure.add_subplot(grid[row, column])
            _show(axes, shown[:, :, place])
        middle = 1 - (row + 0.5) / rows
        figure.text(left / 2, middle, title, color="white", ha="center", va="center", wrap=True)
    return figure


def plot_overlay(
    anatomical: "Nifti1Image",
    functional: "Nifti1Image",
    *,
    places_mm: Sequence[float] = (-30, -10, 10, 30, 50),
    threshold: float | None = None,
    title: str | None = None,
) -> "Figure":
    """A functional image in colour over an anatomical one, by nilearn: what fusion replaces.

    Parameters
    ----------
    anatomical, functional
        Volumes in one space, on any grid.
    places_mm
        Heights of the axial slices, z in mm.
    threshold
        Level of the functional image below which it is transparent; its mean when None.
    """
    from matplotlib.figure import Figure
    from nilearn import plotting

    figure = Figure((INCHES * (len(places_mm) + 1), 1.5 * INCHES))
    level = float(np.nanmean(functional.get_fdata())) if threshold is None else threshold
    plotting.plot_stat_map(
        functional, bg_img=anatomical, display_mode="z", cut_coords=list(places_mm),
        threshold=level, cmap="inferno", symmetric_cbar=False, figure=figure, title=title,
    )  # fmt: skip
    return figure


def plot_key(
    anatomical: str = "MRI", functional: str = "PET", *, colour_map: ColourMapName = "clear"
) -> "Figure":
    """What the colours of a fused image mean: anatomical level upwards, functional to the right.

    Parameters
    ----------
    anatomical, functional
        Names of the axes.
    colour_map
        As it was given to :func:`fusionprep.fuse`.
    """
    from matplotlib.figure import Figure

    figure = Figure((2 * INCHES, 2 * INCHES))
    key = draw_key(colour_table(colour_map), anatomical, functional)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(key)
    axes.set_axis_off()
    return figure


def _places(volume: np.ndarray, count: int) -> np.ndarray:
    """Axial slices evenly spaced over what a volume shows."""
    shown = np.asarray(volume) > 0
    (hits,) = np.nonzero(shown.any(axis=tuple(axis for axis in range(shown.ndim) if axis != 2)))
    first, last = (hits[0], hits[-1]) if hits.size else (0, shown.shape[2] - 1)
    return np.linspace(first, last, count + 2)[1:-1].round().astype(int)


def _scaled(volume: np.ndarray, colour_map: str) -> np.ndarray:
    """Colours in [0, 1], (X, Y, Z, 3)."""
    from matplotlib import colormaps

    if volume.ndim == 4:
        return volume / 255
    values = np.nan_to_num(volume.astype(np.float32))
    above = values[values > 0]
    white = np.percentile(above, WHITE_PERCENTILE) if above.size else 1
    return colormaps[colour_map](np.clip(values / white, 0, 1))[..., :3]


def _show(axes: "Axes", plane: np.ndarray) -> None:
    """A slice (X, Y, 3) with the front of the head at the top."""
    axes.imshow(np.swapaxes(plane, 0, 1), origin="lower", aspect="auto")
    axes.set_axis_off()
