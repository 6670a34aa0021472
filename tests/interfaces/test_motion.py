"""Frames aligned, averaged, measured and kept by interfaces, with moves that are known."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from fusionprep.image.io import new_image
from fusionprep.image.resample import itk_from_ras
from fusionprep.image.transform_files import write_transform
from fusionprep.interfaces.atlases import MeasureFrames
from fusionprep.interfaces.derivatives import WriteDerivative
from fusionprep.interfaces.motion import FindMotion, KeepFrames, ResampleStatic
from fusionprep.interfaces.pet import AverageFrames
from fusionprep.interfaces.registration import Resample

AFFINE = np.array([[-2.0, 0, 0, 30], [0, 2, 0, -32], [0, 0, 2, -28], [0, 0, 0, 1]])
SHAPE = (30, 32, 28)
SHIFTS = ((0, 0, 0), (3, 0, 0), (0, -2, 1))
"""Of the head in each frame, voxels."""
LEVELS = (1.0, 2.0, 4.0)
DURATIONS = [60.0, 120.0, 300.0]


@pytest.fixture
def head() -> np.ndarray:
    """A head that fades before the edge of the field of view."""
    rng = np.random.default_rng(0)
    axes = np.meshgrid(*(np.linspace(-1, 1, length) for length in SHAPE), indexing="ij")
    inside = sum(axis**2 for axis in axes) < 0.3
    return ndimage.gaussian_filter(inside * (1 + rng.random(SHAPE)), 0.8, truncate=3).astype(
        np.float32
    )


@pytest.fixture
def scan(head, tmp_path) -> dict[str, str]:
    """A PET whose head moves by whole voxels, the moves, and a transform to the T1w."""
    frames = [
        np.roll(head, shift, (0, 1, 2)) * level for shift, level in zip(SHIFTS, LEVELS, strict=True)
    ]
    nib.save(new_image(np.stack(frames, -1), AFFINE), tmp_path / "pet.nii.gz")
    moves = [
        nib.affines.from_matvec(np.eye(3), -AFFINE[:3, :3] @ np.array(shift)) for shift in SHIFTS
    ]
    np.save(tmp_path / "moves.npy", moves)
    t1w_from_pet = nib.affines.from_matvec(np.eye(3), (4.0, -2.0, 6.0))
    write_transform(itk_from_ras(t1w_from_pet), tmp_path / "t1w_from_pet.txt")
    # a T1w in which the head is where the transform brings it
    t1w = new_image(head, t1w_from_pet @ AFFINE)
    nib.save(nib.as_closest_canonical(t1w), tmp_path / "t1w.nii")
    names = {"pet": "pet.nii.gz", "moves": "moves.npy", "transform": "t1w_from_pet.txt"}
    return {name: str(tmp_path / file) for name, file in {**names, "t1w": "t1w.nii"}.items()}


def voxels(path: str | Path) -> np.ndarray:
    return np.asarray(nib.as_closest_canonical(nib.load(path)).dataobj)


def canonical(head: np.ndarray) -> np.ndarray:
    return np.asarray(nib.as_closest_canonical(new_image(head, AFFINE)).dataobj)


MEAN = float(np.average(LEVELS, weights=DURATIONS))


def test_the_reference_is_the_mean_of_aligned_frames(scan, head, tmp_path):
    average = AverageFrames(in_file=scan["pet"], durations=DURATIONS, factor=2.0)
    blurred = voxels(average.run(cwd=tmp_path).outputs.out_file)
    assert np.abs(blurred - 2 * MEAN * canonical(head)).max() > 1
    average.inputs.moves = scan["moves"]
    outputs = average.run(cwd=tmp_path).outputs
    np.testing.assert_allclose(voxels(outputs.out_file), 2 * MEAN * canonical(head), atol=1e-4)
    assert outputs.doubts == []
    assert outputs.metadata["FrameAveraging"]["Frames"] == 3


def test_frames_outside_of_the_window_are_aligned_for_the_registration_alone(scan, head, tmp_path):
    average = AverageFrames(in_file=scan["pet"], moves=scan["moves"], chosen=[2])
    outputs = average.run(cwd=tmp_path).outputs
    np.testing.assert_allclose(voxels(outputs.out_file), 4 * canonical(head), atol=1e-4)
    every = np.mean(LEVELS) * canonical(head)
    np.testing.assert_allclose(voxels(outputs.all_frames), every, atol=1e-4)


def test_frames_go_to_the_t1w_in_one_interpolation(scan, head, tmp_path):
    static = AverageFrames(in_file=scan["pet"], durations=DURATIONS).run(cwd=tmp_path).outputs
    given = {"in_file": static.out_file, "reference": scan["t1w"], "transforms": scan["transform"]}
    frames = {"dynamic": scan["pet"], "durations": DURATIONS, "factor": 3.0}
    moved = ResampleStatic(**given, **frames, moves=scan["moves"]).run(cwd=tmp_path).outputs
    image = nib.load(moved.out_file)
    np.testing.assert_allclose(image.affine, nib.load(scan["t1w"]).affine)
    np.testing.assert_allclose(np.asarray(image.dataobj), 3 * MEAN * canonical(head), atol=1e-4)


def test_without_moves_it_is_the_static_image_bit_for_bit(scan, tmp_path):
    static = AverageFrames(in_file=scan["pet"], durations=DURATIONS).run(cwd=tmp_path).outputs
    given = {"in_file": static.out_file, "reference": scan["t1w"], "transforms": scan["transform"]}
    for folder in ("plain", "still"):
        (tmp_path / folder).mkdir()
    plain = Resample(**given).run(cwd=tmp_path / "plain").outputs.out_file
    still = (
        ResampleStatic(**given, dynamic=scan["pet"]).run(cwd=tmp_path / "still").outputs.out_file
    )
    assert Path(still).read_bytes() == Path(plain).read_bytes()


def test_curves_follow_the_head(scan, head, tmp_path):
    labels = (canonical(head) > 0.8).astype(np.uint8)
    affine = nib.load(scan["t1w"]).affine
    nib.save(new_image(labels, affine), tmp_path / "labels.nii")
    (tmp_path / "labels.tsv").write_text("index\tname\n1\tbrain\n", "utf-8")
    measure = MeasureFrames(
        in_file=scan["pet"],
        static=scan["t1w"],
        transform=scan["transform"],
        labels=str(tmp_path / "labels.nii"),
        table=str(tmp_path / "labels.tsv"),
    )
    truth = np.array(LEVELS) * canonical(head)[labels > 0].mean()

    def curve() -> np.ndarray:
        table = measure.run(cwd=tmp_path).outputs.tacs
        return np.genfromtxt(table, skip_header=1, missing_values="n/a")[:, -1]

    assert (curve()[1:] < 0.97 * truth[1:]).all()
    measure.inputs.moves = scan["moves"]
    np.testing.assert_allclose(curve(), truth, rtol=1e-4)


@pytest.mark.parametrize("with_moves", [True, False])
def test_frames_are_kept(scan, head, tmp_path, with_moves):
    factors = [1.0, 2.0, 0.5]
    keep = KeepFrames(
        in_file=scan["pet"],
        count=3,
        t1w=scan["t1w"],
        transforms=[scan["transform"]],
        factor=10.0,
        frame_factors=factors,
    )
    if with_moves:
        keep.inputs.moves = scan["moves"]
    kept = keep.run(cwd=tmp_path).outputs.out_file
    image = nib.load(kept)
    assert image.shape == (*SHAPE, 3)
    np.testing.assert_allclose(image.affine, nib.load(scan["t1w"]).affine)
    for index, (shift, level) in enumerate(zip(SHIFTS, LEVELS, strict=True)):
        there = head if with_moves else np.roll(head, shift, (0, 1, 2))
        expected = 10 * level * factors[index] * canonical(there)
        np.testing.assert_allclose(image.dataobj[..., index], expected, atol=1e-3)
    write = WriteDerivative(
        in_file=kept, output_dir=str(tmp_path), out_path="sub-01/frames.nii.gz", metadata={"A": 1}
    )
    written = Path(write.run(cwd=tmp_path).outputs.out_file)
    assert written.read_bytes() == Path(kept).read_bytes()
    assert json.loads(written.with_name("frames.json").read_text("utf-8")) == {"A": 1}


def test_a_pet_without_a_head_has_no_motion(scan, tmp_path):
    outputs = FindMotion(in_file=scan["pet"]).run(cwd=tmp_path).outputs
    assert not isinstance(outputs.moves, str)
    assert not isinstance(outputs.table, str)
    (note,) = outputs.metadata["Notes"]
    assert note.endswith("what the frames show is too small for a head")


def test_motion_becomes_a_table_and_a_field(head, tmp_path):
    rng = np.random.default_rng(1)
    for name, shift in (("still", 0), ("moving", 1)):
        frames = [
            np.roll(head, index * shift, 0) * level + 0.02 * rng.standard_normal(SHAPE)
            for index, level in enumerate(LEVELS)
        ]
        image = new_image(np.stack(frames, -1).astype(np.float32), np.diag([-5.0, 5, 5, 1]))
        nib.save(image, tmp_path / f"{name}.nii")
    cases = (("still", "auto", False), ("still", "on", True), ("moving", "auto", True))
    for name, mode, applied in cases:
        find = FindMotion(in_file=str(tmp_path / f"{name}.nii"), mode=mode, durations=DURATIONS)
        outputs = find.run(cwd=tmp_path).outputs
        assert isinstance(outputs.moves, str) is applied
        field = outputs.metadata["MotionCorrection"]
        assert (field["Mode"], field["Applied"], field["CarriedFrames"]) == (mode, applied, [])
        table = np.genfromtxt(outputs.table, names=True, missing_values="n/a")
        assert table.dtype.names == (
            *("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z"),
            *("framewise_displacement", "standard_error"),
        )
        assert len(table) == 3
    # voxels of 5 mm, to the left
    assert np.diff(table["trans_x"]) == pytest.approx([-5, -5], abs=0.5)
    found = np.load(outputs.moves)
    between = np.linalg.inv(found[1]) @ found[0]
    np.testing.assert_allclose(between[:3, 3], (-5, 0, 0), atol=0.5)
    assert field["LargestMovementMillimetres"] == pytest.approx(10, abs=1)
