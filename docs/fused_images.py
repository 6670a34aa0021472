"""Draw fused_images.jpg, the pictures of fused_images.md, from a synthetic head.

    python docs/fused_images.py

A dark lesion of the MRI lies under high uptake, and a spot without uptake in the cortex.
"""

from pathlib import Path

import numpy as np
from matplotlib import colormaps
from PIL import Image, ImageDraw, ImageFont

from fusionprep import fuse
from fusionprep.demo.dataset import YOUNG
from fusionprep.demo.scanner import blurred_activity
from fusionprep.demo.subject import load_template, make_subject

SEED, VOXEL_MM, SLICE = 3, 1.0, 0.56
LESION, COLD = (0.38, 0.27), (0.66, 0.72)
"""Where they lie, as a share of rows and columns."""

HEADER, SCALE = 26, 2


def main() -> None:
    """Write the picture beside this file."""
    mri, pet, mask = _pair()
    gray = {
        "MRI": mri,
        "PET": pet,
        "selfuse": fuse(mri, pet, mask, model="selfuse"),
        "readfuse": fuse(mri, pet, mask),
    }
    tiles = {
        name: np.repeat(np.uint8(255 * image)[..., None], 3, 2) for name, image in gray.items()
    }
    for name in ("clear", "vivid"):
        tiles[f"in colour, {name}"] = fuse(mri, pet, mask, colour=True, colour_map=name)
    hot = 0.5 * mri[..., None] + 0.5 * colormaps["hot"](pet)[..., :3]
    tiles["hot overlay"] = np.uint8(255 * hot * mask[..., None])
    _write(tiles, Path(__file__).with_suffix(".jpg"))


def _pair() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """MRI and PET in [0, 1] and the brain, one axial slice (rows, columns)."""
    rng = np.random.default_rng(SEED)
    person = make_subject(load_template(), YOUNG.traits, VOXEL_MM, rng)
    place = int(SLICE * person.grid.shape[2])
    volumes = (person.signals["t1w"], blurred_activity(person), person.mask)
    mri, pet, mask = (np.rot90(volume[:, :, place]) for volume in volumes)
    mri = mri / np.percentile(mri[mask], 99.5)
    pet = pet / np.percentile(pet[mask], 99)
    rows, columns = np.indices(mri.shape)
    box = [np.flatnonzero(mask.any(axis=1 - axis)) for axis in range(2)]

    def blob(where: tuple[float, float], sigma: float) -> np.ndarray:
        centre = [hits[0] + share * np.ptp(hits) for hits, share in zip(box, where, strict=True)]
        square = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2
        return np.exp(-square / (2 * sigma**2))

    mri, pet = mri * (1 - 0.45 * blob(LESION, 4)), pet * (1 - 0.6 * blob(COLD, 5))
    crop = tuple(slice(max(hits[0] - 4, 0), hits[-1] + 5) for hits in box)
    mri = mri + rng.normal(0, 0.02, mri.shape)
    return tuple(np.clip(image * mask, 0, 1)[crop] for image in (mri, pet, mask))


def _write(tiles: dict[str, np.ndarray], path: Path) -> None:
    height, width = next(iter(tiles.values())).shape[:2]
    canvas = Image.new("RGB", (SCALE * width * len(tiles), SCALE * height + HEADER))
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(15)
    for number, (name, tile) in enumerate(tiles.items()):
        left = SCALE * width * number
        picture = Image.fromarray(tile).resize((SCALE * width, SCALE * height))
        canvas.paste(picture, (left, HEADER))
        draw.text((left + 6, 4), name, font=font, fill=(255, 255, 255))
    canvas.save(path, quality=90)


if __name__ == "__main__":
    main()
