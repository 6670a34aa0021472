from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from nipype.pipeline import engine as pe
from PIL import Image as Picture

from fusionprep.image.colour import fuse_colour, rgb24_image
from fusionprep.image.io import new_image
from fusionprep.image.resample import itk_from_ras
from fusionprep.interfaces.files import load
from fusionprep.interfaces.pet_figures import PlotFrames, PlotReferenceRegion
from fusionprep.interfaces.reports import (
    PlotFused,
    PlotPlanes,
    PlotThumbnail,
    PlotTissue,
)

SHAPE = (24, 26, 20)


@pytest.fixture
def images(tmp_path) -> dict[str, str]:
    offsets = np.indices(SHAPE) - (np.array(SHAPE) - 1)[:, None, None, None] / 2
    radius = np.sqrt((offsets**2).sum(axis=0))
    arrays = {
        "t1w": (100 - radius).astype(np.float32),
        "fused": np.clip(1 - radius / 12, 0, 1).astype(np.float32),
        "mask": (radius < 9).astype(np.uint8),
        "dseg": np.select([radius < 4, radius < 7, radius < 9], [2, 1, 3], 0).astype(np.uint8),
    }
    paths = {}
    for name, array in arrays.items():
        paths[name] = str(tmp_path / f"{name}.nii")
        nib.save(new_image(array, np.diag([4.0, 4.0, 4.0, 1.0])), paths[name])
    paths["colour"] = str(tmp_path / "colour.nii")
    rgb = fuse_colour(arrays["fused"], arrays["fused"], arrays["mask"])
    nib.save(rgb24_image(rgb, np.diag([4.0, 4.0, 4.0, 1.0])), paths["colour"])
    return paths


def test_a_figure_is_drawn_under_its_name_and_again_only_when_missing(images, tmp_path):
    target = tmp_path / "out" / "sub-01" / "figures" / "sub-01_desc-tissue_T1w.svg"
    plot = PlotTissue(
        t1w=images["t1w"],
        dseg=images["dseg"],
        mask=images["mask"],
        output_dir=str(tmp_path / "out"),
        out_path=str(target.relative_to(tmp_path / "out")),
    )
    assert plot.always_run

    def run() -> Path:
        node = pe.Node(plot, name="plot", base_dir=str(tmp_path / "work"))
        return Path(node.run().outputs.out_file)

    assert run() == target
    assert "<svg" in target.read_text("utf-8")
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    assert not plot.always_run
    first = target.stat().st_ino
    run()
    assert target.stat().st_ino == first
    target.unlink()
    assert plot.always_run
    run()
    assert target.exists()


def test_the_mosaic_needs_no_colour_image(images, tmp_path):
    plot = PlotFused(
        anatomical=images["t1w"],
        functional=images["fused"],
        fused=images["fused"],
        mask=images["mask"],
        modality="ct",
        output_dir=str(tmp_path / "out"),
        out_path="a.png",
    )
    plot.run(cwd=str(tmp_path))
    assert (tmp_path / "out" / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_region_may_be_named_after_the_file_it_is_from(images, tmp_path):
    plot = PlotReferenceRegion(
        t1w=images["t1w"],
        pet=images["fused"],
        region=images["mask"],
        mask=images["mask"],
        region_name="putamen.nii",
        output_dir=str(tmp_path / "out"),
        out_path="a.svg",
    )
    assert plot.always_run
    plot.run(cwd=str(tmp_path))
    assert "putamen.nii" in (tmp_path / "out" / "a.svg").read_text("utf-8")
    assert not plot.always_run


def test_small_pictures_for_the_group_report(images, tmp_path):
    common = {"fused": images["fused"], "output_dir": str(tmp_path / "out")}
    others = {"functional": images["t1w"], "mask": images["mask"]}
    for path, colour in (("pet.png", {"colour": images["colour"]}), ("ct.png", {})):
        plot = PlotThumbnail(**common, **others, **colour, out_path=path)
        plot.run(cwd=str(tmp_path))
        picture = np.asarray(Picture.open(tmp_path / "out" / path))
        assert picture.shape == (96, 288, 3)
        inside = picture[40:56, 40:56].astype(int)
        assert (np.ptp(inside, axis=-1).max() > 60) == bool(colour)
    common["template"] = "MNI152NLin2009aSym:res-2"
    for mode, colour in (("RGB", {"colour": images["colour"]}), ("L", {})):
        planes = PlotPlanes(**common, **colour, out_path="planes.png")
        planes.run(cwd=str(tmp_path))
        picture = Picture.open(tmp_path / "out" / "planes.png")
        assert (picture.size, picture.mode) == ((744, 108), mode)
        (tmp_path / "out" / "planes.png").unlink()


@pytest.mark.parametrize("timed", [True, False])
def test_frames_of_a_dynamic_pet(images, tmp_path, timed):
    still, _ = load(images["fused"])
    pet = tmp_path / "pet.nii.gz"
    nib.save(new_image(np.stack([still, 2 * still], axis=-1), np.diag([4.0, 4, 4, 1])), pet)
    sitk.WriteTransform(itk_from_ras(np.eye(4)), str(tmp_path / "xfm.txt"))
    times = {"starts": [0.0, 60.0], "durations": [60.0, 120.0]} if timed else {}
    factors = {"frame_factors": [1.0, 2.0]} if timed else {}
    plot = PlotFrames(
        pet=str(pet),
        mask=images["mask"],
        dseg=images["dseg"],
        transform=str(tmp_path / "xfm.txt"),
        units="Bq/mL",
        output_dir=str(tmp_path / "out"),
        out_path="a.svg",
        **times,
        **factors,
    )
    plot.run(cwd=str(tmp_path))
    text = (tmp_path / "out" / "a.svg").read_text("utf-8")
    assert ("1 to 3 min" in text) == timed
    assert ("frame 2" in text) != timed
    assert not plot.always_run
