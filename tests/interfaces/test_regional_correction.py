"""Tables of regions corrected for partial volume, of a ball of gray matter around white."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fusionprep.image.io import new_image
from fusionprep.image.partial_volume import blur
from fusionprep.image.resample import itk_from_ras
from fusionprep.image.transform_files import write_transform
from fusionprep.interfaces.atlases import MeasureRegions
from fusionprep.interfaces.regional_correction import CorrectRegions
from fusionprep.reading import read_table

AFFINE, FWHM = np.diag([2.0, 2.0, 2.0, 1.0]), (6.0, 6.0, 6.0)
LEFT, RIGHT, CORE = 1001, 2001, 2
ACTIVITY = {LEFT: 4.0, RIGHT: 3.0, CORE: 1.0}


def saved(path: Path, data: np.ndarray) -> str:
    nib.save(new_image(data, AFFINE), path)
    return str(path)


@pytest.fixture
def ball(tmp_path, monkeypatch) -> dict[str, object]:
    """Inputs of CorrectRegions: two halves of a cortex, and the white matter within."""
    monkeypatch.chdir(tmp_path)
    places = np.indices((44, 44, 44)) - 21.5
    radius = np.sqrt((places**2).sum(axis=0))
    gm, wm = (radius < 14) & (radius >= 10), radius < 10
    labels = np.where(wm, CORE, np.where(gm, np.where(places[0] < 0, LEFT, RIGHT), 0))
    truth = sum(activity * (labels == label) for label, activity in ACTIVITY.items())
    # linear interpolation between equal grids does not blur, but the correction counts it in
    spread = tuple(np.sqrt(width**2 + 8 * np.log(2) * 4 / 6) for width in FWHM)
    pet = blur(truth, spread, (2.0, 2.0, 2.0))
    write_transform(itk_from_ras(np.eye(4)), tmp_path / "xfm.txt")
    (tmp_path / "names.tsv").write_text(
        f"index\tname\n{CORE}\tcore\n{LEFT}\tleft\n{RIGHT}\tright\n"
    )
    images = {
        "pet": pet, "static": pet, "mask": (gm | wm).astype(np.uint8), "labels": labels,
        "gm": gm.astype(np.float32), "wm": wm.astype(np.float32),
        "region": (labels == RIGHT).astype(np.uint8),
    }  # fmt: skip
    frames = np.stack([pet, 2 * pet, 0 * pet], axis=-1)
    nib.save(nib.Nifti1Image(frames, AFFINE), tmp_path / "frames.nii.gz")
    return {
        **{
            name: saved(
                tmp_path / f"{name}.nii", data.astype(np.int32 if name == "labels" else data.dtype)
            )
            for name, data in images.items()
        },
        "transform": str(tmp_path / "xfm.txt"),
        "table": str(tmp_path / "names.tsv"),
        "freesurfer": True,
        "fwhm": list(FWHM),
        "fwhm_source": "known",
        "region_name": "right half",
        "region_tissues": ["GM"],
        "methods": ["gtm"],
    }


def test_static_values_stand_beside_the_uncorrected(ball):
    corrected = CorrectRegions(**ball, suv_factor=0.5).run().outputs
    both = MeasureRegions(
        **{name: ball[name] for name in ("pet", "labels", "table")}, corrected=corrected.out_file
    )
    rows = {int(row["index"]): row for row in read_table(Path(both.run().outputs.out_file))}
    for label, activity in ACTIVITY.items():
        row = rows[label]
        assert float(row["mean_pvcGTM"]) == pytest.approx(activity, rel=0.01)
        assert float(row["suv_pvcGTM"]) == pytest.approx(activity / 2, rel=0.01)
        assert float(row["suvr_pvcGTM"]) == pytest.approx(activity / ACTIVITY[RIGHT], rel=0.01)
        assert row["tissue_pvc"] == ("WM" if label == CORE else "GM")
        assert abs(float(row["mean"]) / activity - 1) > 0.05
    told = corrected.metadata["PartialVolumeCorrection"]
    assert told["SUVR"]["Reference"] == pytest.approx(ACTIVITY[RIGHT], rel=0.01)


def test_frames_are_corrected_likewise(ball, tmp_path):
    found = CorrectRegions(
        **ball, in_file=str(tmp_path / "frames.nii.gz"), starts=[0.0, 10.0, 20.0],
        durations=[10.0, 10.0, 10.0], factor=10.0, frame_factors=[1.0, 0.5, 1.0],
    ).run().outputs  # fmt: skip
    rows = read_table(Path(found.tacs))
    assert list(rows[0]) == ["frame_start", "frame_end", "core", "left", "right"]
    assert [row["frame_end"] for row in rows] == ["10", "20", "30"]
    for row in rows[:2]:
        assert float(row["left"]) == pytest.approx(10 * ACTIVITY[LEFT], rel=0.01)
    assert rows[2]["left"] == "n/a"
    ratios = read_table(Path(found.suvr))
    assert float(ratios[1]["left"]) == pytest.approx(4 / 3, rel=0.01)
    assert all(float(row["left"]) >= 0 for row in read_table(Path(found.variance))[:2])


def test_an_atlas_too_fine_is_said_and_the_rest_stays(ball, tmp_path):
    labels = np.indices((44, 44, 44)).sum(axis=0) % 2 + 1
    mask = nib.load(ball["mask"]).get_fdata() > 0
    ball["labels"] = saved(tmp_path / "fine.nii", (labels * mask).astype(np.int32))
    (tmp_path / "fine.tsv").write_text("index\tname\n1\teven\n2\todd\n")
    ball |= {"table": str(tmp_path / "fine.tsv"), "freesurfer": False, "fwhm": [20.0] * 3}
    found = CorrectRegions(**ball).run().outputs
    assert {row["mean_pvcGTM"] for row in read_table(Path(found.out_file))} == {"n/a"}
    told = found.metadata["PartialVolumeCorrection"]["NotComputed"]
    assert "cannot be told apart" in told


def test_frames_in_which_the_head_moved_are_corrected_where_it_is(ball, tmp_path):
    pet = nib.load(ball["pet"]).get_fdata()
    shifted = np.roll(pet, 3, axis=0)
    nib.save(nib.Nifti1Image(np.stack([pet, shifted], axis=-1), AFFINE), tmp_path / "moved.nii.gz")
    back = np.stack([np.eye(4), nib.affines.from_matvec(np.eye(3), [-6, 0, 0])])
    np.save(tmp_path / "moves.npy", back)
    found = CorrectRegions(
        **ball, in_file=str(tmp_path / "moved.nii.gz"), moves=str(tmp_path / "moves.npy")
    ).run().outputs  # fmt: skip
    still, moved = (
        {name: float(row[name]) for name in ("left", "right", "core")}
        for row in read_table(Path(found.tacs))
    )
    assert moved == pytest.approx(still, rel=1e-3)
