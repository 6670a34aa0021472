"""Mean and standard deviation of fused images over a cohort, from small figures of fixed planes."""

import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fusionprep.errors import UnreadableFileError
from fusionprep.files import write_whole
from fusionprep.reading import read_bytes
from fusionprep.reports.group.rows import ScanEntry

FOLDER = "group_figures"
_COLOURS = ("#000004", "#3b0f70", "#8c2981", "#de4968", "#fe9f6d", "#fcfdbf")
"""Colours of the SD, from 0 to its largest value: six colours of matplotlib's map magma (CC0)."""


@dataclass(frozen=True)
class CohortImage:
    """Mean and SD of one model in one template space.

    Attributes
    ----------
    kind, title, space
        Modality and tracer, fusion model, and template.
    n
        Scans included.
    odd
        Scans whose figure has another size than the first one's, is gray where that is in colour
        or the other way round, or cannot be read; not in it.
    mean, sd
        Pictures, relative to the output root; no SD of a single scan.
    size
        Width and height in pixels.
    largest_sd
        What the brightest colour of the SD stands for, 0 to 1, in units of the fused value; of
        pictures in colour, of their luma.
    colour
        Whether the mean is in colour.
    """

    kind: str
    title: str
    space: str
    n: int
    odd: int
    mean: str
    sd: str | None
    size: tuple[int, int]
    largest_sd: float
    colour: bool


def write_cohort_images(
    output_dir: Path, scans: Sequence[ScanEntry], left_out: Iterable[int] = ()
) -> list[CohortImage]:
    """Write pictures of mean and SD into ``group_figures``, in place of those of an earlier run.

    Parameters
    ----------
    left_out
        Indices of scans that do not go in.

    Returns
    -------
    list of CohortImage
        One for each kind of scan, model and template that has figures, in this order.
    """
    members: dict[tuple[str, str, str], list[Path]] = {}
    skipped = set(left_out)
    for index, scan in enumerate(scans):
        for fused in scan.fused:
            if fused.planes is not None and index not in skipped:
                key = (scan.kind, fused.space, fused.title)
                members.setdefault(key, []).append(output_dir / fused.planes)
    folder = output_dir / FOLDER
    for stale in folder.glob("*.png"):
        stale.unlink(missing_ok=True)
    images = []
    for number, (kind, space, title) in enumerate(sorted(members)):
        paths = members[kind, space, title]
        mean, sd, n = mean_and_sd(paths)
        if mean is None:
            continue
        folder.mkdir(exist_ok=True)
        stem = f"{number:03}_{re.sub('[^A-Za-z0-9]+', '-', f'{kind} {title} {space}')[:100]}"
        largest = _largest(sd)
        _write_picture(folder / f"{stem}_mean.png", np.round(mean).astype(np.uint8))
        if sd is not None:
            _write_picture(folder / f"{stem}_sd.png", _coloured(sd / largest))
        images.append(
            CohortImage(
                kind=kind,
                title=title,
                space=space,
                n=n,
                odd=len(paths) - n,
                mean=f"{FOLDER}/{stem}_mean.png",
                sd=None if sd is None else f"{FOLDER}/{stem}_sd.png",
                size=(mean.shape[1], mean.shape[0]),
                largest_sd=largest / 255,
                colour=mean.ndim == 3,
            )
        )
    return images


def mean_and_sd(
    paths: Iterable[Path],
) -> tuple[np.ndarray | None, np.ndarray | None, int]:
    """Mean and sample standard deviation of pictures, which are read one after the other.

    Parameters
    ----------
    paths
        8-bit PNG files, RGB or gray. The first that can be read sets the size and which of both;
        others are left out, as are files that are not pictures.

    Returns
    -------
    mean
        (rows, columns) in gray levels, 0 to 255, or (rows, columns, 3) in sRGB levels.
    sd
        (rows, columns) in gray levels, with n - 1: of RGB, those of its luma (ITU-R BT.601). None
        below two pictures.
    n
        Pictures included.
    """
    total: np.ndarray | None = None
    gray: np.ndarray | int = 0
    squares: np.ndarray | int = 0
    n = 0
    for path in paths:
        picture = _read_picture(path)
        if picture is None or (total is not None and picture.shape != total.shape):
            continue
        # whole numbers: sums of any cohort stay exact
        levels, luma = picture.astype(np.int64), _luma(picture).astype(np.int64)
        total = levels if total is None else total + levels
        gray, squares = gray + luma, squares + luma * luma
        n += 1
    if total is None:
        return None, None, 0
    mean = total / n
    if n < 2:
        return mean, None, n
    return mean, np.sqrt(np.maximum(squares - gray * (gray / n), 0) / (n - 1)), n


def _read_picture(path: Path) -> np.ndarray | None:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(read_bytes(path))) as picture:
            return np.asarray(picture if picture.mode == "RGB" else picture.convert("L"))
    except (
        UnreadableFileError,
        UnidentifiedImageError,
        OSError,
        SyntaxError,
        ValueError,
        Image.DecompressionBombError,
    ):
        # counted by the caller, and reported on the page
        return None


def _luma(picture: np.ndarray) -> np.ndarray:
    """The gray levels (rows, columns) of a picture, gray or RGB."""
    from PIL import Image

    return np.asarray(Image.fromarray(picture).convert("L"))


def _largest(sd: np.ndarray | None) -> float:
    return 1.0 if sd is None else max(float(np.percentile(sd, 99.9)), 1.0)


def _coloured(shares: np.ndarray) -> np.ndarray:
    """(rows, columns, 3) colours of values from 0 to 1."""
    stops = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in _COLOURS], dtype=float)
    at = np.linspace(0, 1, len(stops))
    channels = [np.interp(shares, at, stops[:, channel]) for channel in range(3)]
    return np.round(np.stack(channels, axis=-1)).astype(np.uint8)


def colour_scale() -> str:
    """The colours of the SD as a CSS gradient, from 0 to the largest."""
    return f"linear-gradient(to right, {', '.join(_COLOURS)})"


def _write_picture(path: Path, picture: np.ndarray) -> None:
    from PIL import Image

    write_whole(path, lambda temporary: Image.fromarray(picture).save(temporary, format="PNG"))
