"""Pictures of one size: scenes turned as radiologists read them, to one scale, cropped."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fusionprep.evaluation.regions import head_mask
from fusionprep.reader_study.scenes import Scene

MARGIN = 6
"""Pixels of background around the largest head."""

SAME = 0.01
"""Pixels that differ by less than this share in size are not resampled."""


@dataclass(frozen=True)
class Frame:
    """How a scene becomes a picture.

    Attributes
    ----------
    turned
        Whether the array is left to right and back to front: the picture then has the front of the
        head at the top and the patient's right on the left.
    shape
        Rows and columns to which the turned scene is resampled.
    corner
        Row and column, in the resampled scene, of the picture's first pixel; may lie outside.
    size
        Rows and columns of the picture.
    """

    turned: bool
    shape: tuple[int, int]
    corner: tuple[int, int]
    size: tuple[int, int]

    def picture(self, panel: np.ndarray) -> np.ndarray:
        """A panel uint8 (H, W) or (H, W, 3) of the scene as it is shown, black where it ends."""
        image = _resampled(_turned(panel) if self.turned else panel, self.shape)
        shown = np.zeros((*self.size, *image.shape[2:]), np.uint8)
        pairs = [
            (slice(max(-low, 0), min(high - low, length - low)), slice(max(low, 0), high))
            for low, high, length in (
                (low, low + side, length)
                for low, side, length in zip(self.corner, self.size, self.shape, strict=True)
            )
        ]
        (rows, from_rows), (columns, from_columns) = pairs
        shown[rows, columns] = image[from_rows, from_columns]
        return shown

    def position(self, place: tuple[int, int], scene: tuple[int, int]) -> tuple[float, float]:
        """Column and row in the picture of the middle of a pixel of the scene.

        Parameters
        ----------
        place
            Row and column in the scene.
        scene
            Rows and columns of the scene.
        """
        row, column = place
        if self.turned:
            row, column = scene[1] - 1 - column, scene[0] - 1 - row
            scene = scene[1], scene[0]
        y, x = (
            (index + 0.5) * new / old - 0.5 - low
            for index, new, old, low in zip(
                (row, column), self.shape, scene, self.corner, strict=True
            )
        )
        return x, y


def frames(scenes: Sequence[Scene]) -> tuple[list[Frame], float | None]:
    """A frame for each scene, all of one size and scale.

    Returns
    -------
    frames : list of Frame
        In the order of the scenes.
    pixel : float or None
        Side of a picture's pixel in mm; None where the scenes do not say.
    """
    of_volumes = any(scene.of_volume for scene in scenes)
    pixel = min(min(scene.voxel_sizes[:2]) for scene in scenes)
    shapes = [_shape(scene, pixel) for scene in scenes]
    boxes = [_head_box(scene, shape) for scene, shape in zip(scenes, shapes, strict=True)]
    sides = [max(high[axis] - low[axis] for low, high in boxes) + 2 * MARGIN for axis in (0, 1)]
    size = sides[0], sides[1]
    found = []
    for scene, shape, (low, high) in zip(scenes, shapes, boxes, strict=True):
        top, left = ((low[axis] + high[axis] - size[axis]) // 2 for axis in (0, 1))
        found.append(Frame(scene.of_volume, shape, (top, left), size))
    return found, pixel if of_volumes else None


def _turned(panel: np.ndarray) -> np.ndarray:
    return panel.swapaxes(0, 1)[::-1, ::-1]


def _shape(scene: Scene, pixel: float) -> tuple[int, int]:
    """Rows and columns of the turned scene in pixels of a size."""
    sides = []
    for count, side in zip(scene.brain.shape, scene.voxel_sizes, strict=False):
        sides.append(count if abs(side / pixel - 1) < SAME else round(count * side / pixel))
    return (sides[1], sides[0]) if scene.of_volume else (sides[0], sides[1])


def _resampled(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    if image.shape[:2] == shape:
        return np.ascontiguousarray(image)
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(image))
    return np.asarray(picture.resize(shape[::-1], Image.Resampling.BICUBIC))


def _head_box(scene: Scene, shape: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """First and last corner, exclusive, of the head in the resampled scene."""
    head = head_mask(*(levels[..., scene.middle] for levels in scene.levels))
    if not head.any():
        head = np.ones_like(head)
    head = _turned(head) if scene.of_volume else head
    ends = []
    for axis in (0, 1):
        hits = np.flatnonzero(head.any(axis=1 - axis)) * shape[axis] / head.shape[axis]
        ends.append((int(hits[0]), int(np.ceil(hits[-1])) + 1))
    (top, bottom), (left, right) = ends
    return (top, left), (bottom, right)
