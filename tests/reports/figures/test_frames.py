"""The figure of a dynamic PET: curves against planted activities, frames read one by one."""

import re
import xml.etree.ElementTree as ET

import nibabel as nib
import numpy as np
import pytest

from fusionprep.image.io import each_frame
from fusionprep.reports.figures import frames as module
from fusionprep.reports.figures.frames import Timing, plot_frames

GRAY, WHITE = 1, 2
STARTS, DURATIONS = (0.0, 60.0, 180.0), (60.0, 120.0, 300.0)
ACTIVITY = {"gray matter": (100.0, 3000.0, 6000.0), "white matter": (50.0, 1000.0, 2500.0)}


def person(n_frames: int = 3):
    """T1w mask and labels, and a PET of planted activity that lies turned and shifted.

    Returns PET, mask, labels and the transform.
    """
    shape = (48, 52, 44)
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = -2 * (np.array(shape) - 1)
    world = nib.affines.apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))
    radius = np.linalg.norm(world, axis=-1)
    labels = np.select([radius < 40, radius < 64], [WHITE, GRAY], 0).astype(np.uint8)
    t1w_from_pet = np.eye(4)
    angle = np.radians(25)
    t1w_from_pet[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    t1w_from_pet[:3, 3] = 40, -30, 20
    pet_affine = np.diag([-3.0, 3.0, 3.0, 1.0])
    pet_affine[:3, 3] = np.linalg.inv(t1w_from_pet)[:3, 3] + (88.5, -88.5, -88.5)
    at = nib.affines.apply_affine(
        t1w_from_pet @ pet_affine, np.moveaxis(np.indices((60, 60, 60)), 0, -1)
    )
    distance = np.linalg.norm(at, axis=-1)
    volumes = [
        np.select([distance < 40, distance < 64], [ACTIVITY["white matter"][i % 3],
                                                   ACTIVITY["gray matter"][i % 3]], 0)
        for i in range(n_frames)
    ]  # fmt: skip
    pet = nib.Nifti1Image(np.stack(volumes, axis=-1).astype(np.float32), pet_affine)
    masks = [nib.Nifti1Image(a, affine) for a in ((labels > 0).astype(np.uint8), labels)]
    return pet, *masks, t1w_from_pet


def draw(path, pieces, timing=None, **options) -> str:
    timing = timing or Timing.from_seconds(STARTS, DURATIONS)
    return plot_frames(*pieces, timing, path, **options).read_text("utf-8")


def curve(text: str, colour: str) -> tuple[np.ndarray, np.ndarray]:
    """Centres of the dots of one curve."""
    dots = re.findall(rf'<circle cx="([\d.]+)" cy="([\d.]+)" r="3.5" fill="{colour}"/>', text)
    return tuple(np.array(dots, float).T)


def values(text: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Times and activities of a curve, read off the figure by its ticks."""
    root = ET.fromstring(text)
    x, y = curve(text, module.CURVES[name])
    across, up = [], []
    bottom = max(y) + 1000
    for element in root.iter("{http://www.w3.org/2000/svg}text"):
        try:
            number = float(element.text)
        except ValueError:
            continue
        place = float(element.get("x")), float(element.get("y"))
        if element.get("text-anchor") == "end":
            up.append((place[1] - 5, number))
        elif element.get("text-anchor") == "middle" and place[1] < bottom:
            across.append((place[0], number))
    slope_x, slope_y = (np.polyfit(*np.array(ticks).T, 1) for ticks in (across, up))
    return np.polyval(slope_x, x), np.polyval(slope_y, y)


def test_curves_are_the_planted_activities(tmp_path):
    text = draw(tmp_path / "a.svg", person(), units="Bq/mL", factor=2.0)
    assert "Mean activity (kBq/mL)" in text
    for name, planted in ACTIVITY.items():
        minutes, activity = values(text, name)
        np.testing.assert_allclose(minutes, [0.5, 2.0, 5.5], atol=0.02)
        # The border between the tissues falls between voxels of 3 and 4 mm.
        np.testing.assert_allclose(activity, 2e-3 * np.array(planted), rtol=0.06, atol=0.05)
    _, brain = values(text, "whole brain")
    assert all(np.diff(brain) > 1)
    assert "0 to 1 min" in text
    assert "3 to 8 min" in text
    assert "All frames" in text


def test_the_time_of_the_frames_averaged_is_shaded(tmp_path):
    text = draw(tmp_path / "a.svg", person(), chosen=[1, 2])
    (shade,) = re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)"[^>]*opacity', text)
    left, width = map(float, shade)
    # The dots are at 0.5, 2 and 5.5 min; frames 2 and 3 are from 1 to 8 min.
    x, _ = curve(text, module.CURVES["whole brain"])
    per_minute = (x[2] - x[0]) / 5
    assert left == pytest.approx(x[0] + 0.5 * per_minute, abs=0.2)
    assert width == pytest.approx(7 * per_minute, abs=0.3)
    assert "frames averaged" in text
    assert "frames averaged" not in draw(tmp_path / "b.svg", person())


def test_curves_stop_while_nothing_is_measured(tmp_path):
    pause = Timing.from_seconds([0, 60, 1200], [60, 120, 300])
    drawn = [draw(tmp_path / f"{n}.svg", person(), t) for n, t in enumerate((pause, None))]
    colour = module.CURVES["whole brain"]
    paths = [re.search(rf'stroke="{colour}" stroke-width="2" d="([^"]+)"', t)[1] for t in drawn]
    assert [re.sub("[^ML]", "", path) for path in paths] == ["MLM", "MLL"]


def test_curves_are_corrected_frame_by_frame(tmp_path):
    text = draw(tmp_path / "a.svg", person(), frame_factors=[1.0, 2.0, 4.0], units="Bq/mL")
    for name, planted in ACTIVITY.items():
        _, activity = values(text, name)
        expected = 1e-3 * np.array(planted) * (1, 2, 4)
        np.testing.assert_allclose(activity, expected, rtol=0.06, atol=0.05)


def test_without_times_frames_are_numbered(tmp_path):
    text = draw(tmp_path / "a.svg", person(), Timing(None, None))
    assert "the dataset gives no times" in text
    assert "frame 3" in text
    numbers, _ = values(text, "gray matter")
    np.testing.assert_allclose(numbers, [1, 2, 3], atol=0.01)
    assert "Mean activity (arbitrary units)" in text


def test_frames_without_starts_follow_each_other():
    timing = Timing.from_seconds(None, DURATIONS)
    assert timing.starts == (0, 1, 3)
    assert timing.ends == (1, 3, 8)
    assert Timing.from_seconds(STARTS, None).starts is None


def test_of_many_frames_twelve_are_shown_and_all_are_in_the_curves(tmp_path):
    text = draw(tmp_path / "a.svg", person(30), Timing(None, None))
    assert "12 of 30 frames" in text
    assert len(re.findall(r">frame \d+<", text)) == 12
    assert "frame 1<" in text
    assert "frame 30<" in text
    assert len(curve(text, module.CURVES["whole brain"])[0]) == 30


def test_a_head_that_moved_leaves_the_contour(tmp_path):
    pet, *others = person()
    moved = np.array(pet.dataobj)
    moved[..., 2] = np.roll(moved[..., 2], 10, axis=0)
    still = draw(tmp_path / "a.svg", (pet, *others))
    shifted = draw(tmp_path / "b.svg", (nib.Nifti1Image(moved, pet.affine), *others))
    path = re.compile(r'class="line"[^>]*d="([^"]*)"')
    assert path.findall(still) == path.findall(shifted)
    raster = re.compile(r"base64,([^\"]*)")
    assert raster.findall(still) != raster.findall(shifted)


def test_the_same_image_gives_the_same_bytes(tmp_path):
    assert draw(tmp_path / "a.svg", person()) == draw(tmp_path / "b.svg", person())


def test_nan_frames_are_left_out_of_the_curves(tmp_path):
    pet, *others = person()
    array = np.array(pet.dataobj)
    array[..., 1] = np.nan
    text = draw(tmp_path / "a.svg", (nib.Nifti1Image(array, pet.affine), *others))
    assert len(curve(text, module.CURVES["whole brain"])[0]) == 2


@pytest.mark.parametrize("name", ["pet.nii.gz", "pet.nii"])
@pytest.mark.parametrize("shape", [(5, 6, 7, 4), (5, 6, 7, 1, 4)])
def test_each_frame_is_read_once_and_alone(tmp_path, monkeypatch, name, shape):
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / name)
    pet = nib.load(tmp_path / name, keep_file_open=True)
    read = []
    whole = type(pet.dataobj).__getitem__

    def spy(self, item):
        result = whole(self, item)
        read.append(result.shape)
        return result

    monkeypatch.setattr(type(pet.dataobj), "__getitem__", spy)
    found = list(each_frame(pet))
    assert read == [(5, 6, 7)] * 4
    np.testing.assert_array_equal(np.stack(found, axis=-1), array.reshape(5, 6, 7, 4))
