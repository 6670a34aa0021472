"""Draw the pictures of the site, ``images/*.webp``, from the outputs of the demo.

    fusionapp demo DEMO/bids
    fusionapp DEMO/bids DEMO/out participant -w DEMO/work --modalities pet ct flair --pvc mg
    fusionapp DEMO/bids DEMO/out group
    python docs/pictures.py DEMO/out

Chromium is needed (and ``make web``, for the viewer in the report).
"""

import argparse
import io
import shutil
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

IMAGES = Path(__file__).parent / "images"
WIDTH, QUALITY = 1000, 75
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


def main(argv: Sequence[str] | None = None) -> None:
    """Write every picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="outputs of the demo")
    out = parser.parse_args(argv).out.resolve()
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", *WEBGL]
        )
        page = browser.new_page()
        for name, (file, (width, height)) in PAGES.items():
            page.set_viewport_size({"width": width, "height": height})
            page.goto((out / file).as_uri())
            page.wait_for_timeout(5000)  # the viewer draws once its volumes are unpacked
            _write(name, page.screenshot())
        for name, file in FIGURES.items():
            _write(name, _drawn(page, out / "sub-01" / "figures" / file))
        browser.close()


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


def _write(name: str, picture: bytes) -> None:
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image.thumbnail((WIDTH, 10 * WIDTH), Image.Resampling.LANCZOS)
    path = IMAGES / f"{name}.webp"
    image.save(path, quality=QUALITY, method=6)
    print(f"{path} {image.width} x {image.height}, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
