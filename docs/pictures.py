r"""Draw the pictures of the site, ``images/*.webp``, from the outputs of the demo.

    fusionapp demo bids
    fusionapp bids out participant -w work --modalities pet ct flair \
        --pvc mg gtm rbv iy --psf 6 --keep-frames
    fusionapp bids out group
    fusionapp demo lesioned --lesion
    fusionapp lesioned out-lesioned participant -w work-lesioned --participant-label 01
    python docs/pictures.py out out-lesioned

Chromium is needed (and ``make web``, for the viewer in the report).
"""

import argparse
import io
import shutil
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright

IMAGES = Path(__file__).parent / "images"
WIDTH, QUALITY = 1000, 75
TIMEOUT_MS = 180_000
DRAWN = "document.getElementById('viewer-position').textContent !== ''"
"""Once the volumes of the viewer are unpacked."""

WEBGL = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader")

PAGES = {
    "report": ("sub-01.html", (1100, 1320)),
    "group": ("group_fusion.html", (1100, 1300)),
}
"""Name to page of the outputs, and the window it is shown in."""

FIGURES = {
    "tissue": "sub-01_desc-tissue_T1w.svg",
    "norm": "sub-01_space-MNI152NLin2009aSym_desc-norm_T1w.svg",
    "atlas": "sub-01_seg-DK_desc-atlas_T1w.svg",
    "coreg_pet": "sub-01_trc-18FFDG_desc-coreg_pet.svg",
    "coreg_ct": "sub-01_desc-coreg_ct.svg",
    "suvr": "sub-01_trc-18FFDG_desc-suvr_pet.svg",
    "regions": "sub-01_trc-18FFDG_seg-DK_desc-regions_pet.svg",
    "fused_pet": "sub-01_trc-18FFDG_space-T1w_desc-fusedReadFuse_pet.jpg",
    "fused_ct": "sub-01_space-T1w_desc-fusedCTReadFuse_T1w.jpg",
}
"""Name to figure of the first subject's report."""


PET = "pet/sub-01_trc-18FFDG_space"
MNI = "MNI152NLin2009aSym_res-1"
STRIPS = {
    "t1w": ("anat/sub-01_desc-preproc_T1w", "gray"),
    "brain": ("anat/sub-01_desc-brain_mask", "gray"),
    "dseg": ("anat/sub-01_dseg", "tissues"),
    "probseg": ("anat/sub-01_label-GM_probseg", "gray"),
    "suvr_mask": ("anat/sub-01_label-WholeBrain_desc-suvr_mask", "gray"),
    "seg": ("anat/sub-01_space-T1w_seg-DK_dseg", "labels"),
    "flair": ("anat/sub-01_space-T1w_desc-preproc_FLAIR", "gray"),
    "fused_ct": ("anat/sub-01_space-T1w_desc-fusedCTReadFuse_T1w", "gray"),
    "t1w_mni": (f"anat/sub-01_space-{MNI}_desc-preproc_T1w", "gray"),
    "pet": (f"{PET}-T1w_desc-preproc_pet", "inferno"),
    "suvr": (f"{PET}-T1w_desc-suvr_pet", "inferno"),
    "fused_gray": (f"{PET}-T1w_desc-fusedReadFuse_pet", "gray"),
    "fused_colour": (f"{PET}-T1w_desc-fusedReadFuseColor_pet", "rgb"),
    "fused_mni": (f"{PET}-{MNI}_desc-fusedReadFuseColor_pet", "rgb"),
    "pvc_mg": (f"{PET}-T1w_desc-pvcMG_pet", "inferno"),
    "pvc_rbv": (f"{PET}-T1w_desc-pvcRBV_pet", "inferno"),
    "ct": ("ct/sub-01_space-T1w_desc-preproc_ct", "bone"),
}
"""Name to image of the first subject, and how its slices are coloured."""

LESION = ("anat/sub-01_label-lesion_mask", "gray")
STRIP_HEIGHT, MARGIN_MM = 110, 10
CT_WINDOW = (-150, 1350)


def main(argv: Sequence[str] | None = None) -> None:
    """Write every picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="outputs of the demo")
    parser.add_argument("lesioned", type=Path, help="outputs of the demo with lesions")
    arguments = parser.parse_args(argv)
    out = arguments.out.resolve()
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", *WEBGL]
        )
        page = browser.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        for name, (file, (width, height)) in PAGES.items():
            page.set_viewport_size({"width": width, "height": height})
            page.goto((out / file).as_uri())
            if page.locator("#viewer-position").count():
                page.wait_for_function(DRAWN)
            page.wait_for_timeout(1000)
            _write(name, page.screenshot())
        for name, file in FIGURES.items():
            _write(name, _drawn(page, out / "sub-01" / "figures" / file))
        browser.close()
    mask = nib.load(out / "sub-01" / "anat" / "sub-01_desc-brain_mask.nii.gz")
    for name, (stem, colours) in STRIPS.items():
        _write(f"out_{name}", _strip(out / "sub-01" / f"{stem}.nii.gz", colours, mask))
    stem, colours = LESION
    _write("out_lesion", _strip(arguments.lesioned / "sub-01" / f"{stem}.nii.gz", colours))


def _drawn(page: Page, figure: Path) -> bytes:
    """A figure at the width of the pictures."""
    if figure.suffix != ".svg":
        return figure.read_bytes()
    page.set_viewport_size({"width": 1400, "height": 1400})
    page.goto(figure.as_uri())
    # the first of two states that a figure of the report flickers between
    page.wait_for_timeout(500)
    height = page.evaluate("document.documentElement.viewBox.baseVal.height")
    page.set_viewport_size({"width": 1400, "height": round(height)})
    return page.screenshot(animations="disabled")


def _strip(path: Path, colours: str, mask: nib.Nifti1Image | None = None) -> Image.Image:
    """An axial, a coronal and a sagittal slice through the middle of an image, side by side."""
    image = nib.as_closest_canonical(nib.load(path))
    data = np.asarray(image.dataobj)
    if data.dtype.names:
        data = np.stack([data[name] for name in "RGB"], axis=-1)
    shown = data.any(axis=-1) if data.ndim > 3 else data != data.flat[0]
    if mask is not None and mask.shape == shown.shape:
        shown = nib.as_closest_canonical(mask).get_fdata() > 0
    where = np.argwhere(shown)
    middle = where.mean(axis=0).astype(int)
    lowest, highest = where.min(axis=0), where.max(axis=0)
    room = np.ceil(MARGIN_MM / np.array(image.header.get_zooms()[:3])).astype(int)
    box = tuple(map(slice, np.maximum(lowest - room, 0), highest + room))
    coloured = _coloured(data, colours, shown)
    tiles = []
    for axis in (2, 1, 0):
        place = tuple(middle[i] if i == axis else box[i] for i in range(3))
        tile = Image.fromarray(np.ascontiguousarray(np.rot90(coloured[place])))
        width = round(tile.width * STRIP_HEIGHT / tile.height)
        tiles.append(tile.resize((width, STRIP_HEIGHT), Image.Resampling.LANCZOS))
    strip = Image.new("RGB", (sum(tile.width for tile in tiles), STRIP_HEIGHT))
    left = 0
    for tile in tiles:
        strip.paste(tile, (left, 0))
        left += tile.width
    return strip


def _coloured(data: np.ndarray, colours: str, shown: np.ndarray) -> np.ndarray:
    """Colours of voxels, uint8 (X, Y, Z, 3)."""
    from matplotlib import colormaps

    if colours == "rgb":
        return np.uint8(data)
    if colours in ("tissues", "labels"):
        map_ = colormaps["tab20"]
        rgb = map_(np.int32(data) * (7 if colours == "labels" else 1) % 20)[..., :3]
        return np.uint8(255 * rgb * (data > 0)[..., None])
    values = np.nan_to_num(np.float32(data))
    low, high = CT_WINDOW if colours == "bone" else (0, np.percentile(values[shown], 99.5))
    return np.uint8(255 * colormaps[colours](np.clip((values - low) / (high - low), 0, 1))[..., :3])


def _write(name: str, picture: bytes | Image.Image) -> None:
    image = Image.open(io.BytesIO(picture)) if isinstance(picture, bytes) else picture
    image = image.convert("RGB")
    image.thumbnail((WIDTH, 10 * WIDTH), Image.Resampling.LANCZOS)
    path = IMAGES / f"{name}.webp"
    image.save(path, quality=QUALITY, method=6)
    print(f"{path} {image.width} x {image.height}, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
