"""Figures: self-contained, deterministic, the same for any orientation of the files."""

import re
from pathlib import Path
from xml.etree import ElementTree

import nibabel as nib
import numpy as np
import pytest

from fusionprep.reports.figures import plots
from tests.reports.outputs import brain


def _draw_all(folder: Path, images: dict) -> list[Path]:
    folder.mkdir()
    t1w, mask, dseg, pet = (images[name] for name in ("t1w", "mask", "dseg", "pet"))
    shift = np.eye(4)
    shift[:3, 3] = (10, -5, 12)
    before = nib.Nifti1Image(pet.dataobj, shift @ pet.affine)
    return [
        plots.plot_tissue(t1w, dseg, mask, folder / "tissue.svg"),
        plots.plot_coregistration(t1w, before, pet, mask, folder / "coreg.svg", dseg=dseg),
        plots.plot_normalization(t1w, t1w, dseg, folder / "norm.svg", mask=mask),
        plots.plot_fused_mosaic(
            t1w, pet, images["fused"], images["colour"], mask, folder / "fused.png"
        ),
        plots.plot_region(t1w, pet, _inferior(mask), mask, folder / "suvr.svg"),
    ]


def _inferior(mask: nib.Nifti1Image) -> nib.Nifti1Image:
    """The part of a mask below z = -30 mm."""
    indices = np.indices(mask.shape).reshape(3, -1)
    z = (mask.affine[2, :3] @ indices + mask.affine[2, 3]).reshape(mask.shape)
    inside = (np.asarray(mask.dataobj) > 0) & (z < -30)
    return nib.Nifti1Image(inside.astype(np.uint8), mask.affine)


@pytest.fixture(scope="module")
def figures(tmp_path_factory) -> list[Path]:
    return _draw_all(tmp_path_factory.mktemp("figures") / "a", brain())


def test_figures_need_nothing_from_outside_and_are_small(figures):
    for path in figures:
        assert path.stat().st_size < 1.5e6
        if path.suffix == ".svg":
            root = ElementTree.parse(path).getroot()
            assert root.tag.endswith("svg")
            for element in root.iter():
                for name, value in element.attrib.items():
                    if name.endswith("href"):
                        assert value.startswith(("data:image/", "#"))


def test_the_same_images_give_the_same_bytes_in_any_orientation(figures, tmp_path):
    def flipped(image):
        ornt = nib.orientations.axcodes2ornt("PLI")
        return image.as_reoriented(
            nib.orientations.ornt_transform(nib.io_orientation(image.affine), ornt)
        )

    again = _draw_all(tmp_path / "again", brain())
    turned = _draw_all(
        tmp_path / "turned",
        {name: image if name == "colour" else flipped(image) for name, image in brain().items()},
    )
    for first, second, third in zip(figures, again, turned, strict=True):
        assert first.read_bytes() == second.read_bytes()
        if first.suffix == ".svg":
            assert re.sub(r"base64,[^\"]+", "", first.read_text()) == re.sub(
                r"base64,[^\"]+", "", third.read_text()
            )


def test_flicker_layers(figures):
    tissue, coreg, norm, _, region = (path.read_bytes() for path in figures)
    assert tissue.count(b"<image") == 3
    assert b'class="flick"' not in tissue
    assert coreg.count(b"<image") == 9
    assert norm.count(b"<image") == 6
    assert region.count(b"<image") == 6
    assert b'class="flick"' not in region
    for figure in (coreg, norm):
        assert b'class="flick"' in figure
        assert b"svg:hover .flick" in figure


def test_axial_slices_of_a_region_are_through_it(figures):
    words = re.findall(r">z = (-?\d+)<", figures[4].read_text())
    heights = [int(word) for word in words]
    assert len(heights) == 7
    assert max(heights) <= -30
    assert heights == sorted(heights)


def test_mosaic_rows_and_colours(figures, tmp_path):
    from PIL import Image

    data = brain()
    with Image.open(figures[3]) as picture:
        full = np.asarray(picture.convert("RGB")).astype(int)
    path = tmp_path / "gray.png"
    plots.plot_fused_mosaic(
        data["t1w"], data["pet"], data["fused"], None, data["mask"], path, colour_map=None
    )
    with Image.open(path) as picture:
        gray = np.asarray(picture.convert("RGB")).astype(int)
    assert full.shape[1] == gray.shape[1] == 1600
    assert (full.shape[0] - 40) * 3 == (gray.shape[0] - 40) * 4
    tiles = gray[40:, 150:]
    assert (tiles.max(axis=-1) - tiles.min(axis=-1)).max() <= 16
    height = (full.shape[0] - 40) // 4
    for row, coloured in enumerate((False, True, False, True)):
        band = full[34 + row * height + 4 : 34 + (row + 1) * height - 4, 150:]
        saturation = (band.max(axis=-1) - band.min(axis=-1)).max()
        assert (saturation > 60) == coloured


def test_a_mosaic_named_jpg_is_a_smaller_file_of_the_same_picture(figures, tmp_path):
    from PIL import Image

    data = brain()
    path = tmp_path / "mosaic.jpg"
    plots.plot_fused_mosaic(
        *(data[name] for name in ("t1w", "pet", "fused", "colour", "mask")), path
    )
    with Image.open(path) as picture, Image.open(figures[3]) as exact:
        assert picture.format == "JPEG"
        assert picture.size == exact.size
        levels = [np.asarray(item.convert("RGB")).astype(int) for item in (picture, exact)]
    assert np.abs(levels[0] - levels[1]).mean() < 4
    assert path.stat().st_size < figures[3].stat().st_size / 2
