import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from nipype.interfaces.base import isdefined

from fusionprep.image.io import new_image
from fusionprep.image.quality import ct_quality, pet_noise, pet_quality, t1w_quality
from fusionprep.image.resample import itk_from_ras
from fusionprep.interfaces.quality import AssessCT, AssessPET, AssessT1w, DoubtRegistration

SHAPE = (40, 44, 36)
AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])


def write(path, array, affine=AFFINE) -> str:
    nib.save(new_image(array, affine), path)
    return str(path)


@pytest.fixture
def brain():
    offsets = np.indices(SHAPE) - (np.array(SHAPE) - 1)[:, None, None, None] / 2
    radius = np.sqrt((offsets**2).sum(axis=0))
    dseg = np.select([radius < 11, radius < 15], [2, 1], 0).astype(np.uint8)
    noise = np.random.default_rng(0).standard_normal(SHAPE)
    image = np.select([dseg == 2, dseg == 1, radius < 17], [100, 70, 50], 5) + 2 * noise
    return dseg, image.astype(np.float32)


def test_t1w(brain, tmp_path):
    dseg, image = brain
    acquired = image + np.where(dseg > 0, 0, 3 * image).astype(np.float32)
    found = AssessT1w(
        t1w=write(tmp_path / "t1w.nii", image),
        acquired=write(tmp_path / "acquired.nii", acquired),
        dseg=write(tmp_path / "dseg.nii", dseg),
    ).run(cwd=tmp_path)
    expected = t1w_quality(image, acquired, dseg, AFFINE)
    assert found.outputs.metadata == {"Quality": expected}
    assert expected != t1w_quality(image, image, dseg, AFFINE)


def test_pet_noise_is_taken_on_its_own_grid_by_the_transform(brain, tmp_path):
    dseg, moved = brain
    t1w_from_pet = np.eye(4)
    t1w_from_pet[:3, 3] = 20, -12, 8
    affine = AFFINE.copy()
    affine[:3, 3] = -t1w_from_pet[:3, 3]
    static = moved + 4 * np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)
    sitk.WriteTransform(itk_from_ras(t1w_from_pet), str(tmp_path / "xfm.txt"))
    found = AssessPET(
        pet=write(tmp_path / "pet.nii", moved),
        static=write(tmp_path / "static.nii", static, affine),
        transform=str(tmp_path / "xfm.txt"),
        dseg=write(tmp_path / "dseg.nii", dseg),
    ).run(cwd=tmp_path)
    quality = found.outputs.metadata["Quality"]
    noise = pet_noise(static, affine, dseg, AFFINE, t1w_from_pet)
    assert quality == {**pet_quality(moved, dseg), "Noise": noise}
    assert noise == pytest.approx(np.hypot(2, 4) / 100, rel=0.1)


def assess_pet(brain, tmp_path, **inputs):
    """What is found of a PET that lies on the T1w grid, registered with the verdict ``pass``."""
    dseg, moved = brain
    sitk.WriteTransform(itk_from_ras(np.eye(4)), str(tmp_path / "xfm.txt"))
    pet = write(tmp_path / "pet.nii", moved)
    return AssessPET(
        pet=pet,
        static=pet,
        transform=str(tmp_path / "xfm.txt"),
        dseg=write(tmp_path / "dseg.nii", dseg),
        registration={"Registration": {"Verdict": "pass", "VerdictReason": "it fits"}},
        **inputs,
    ).run(cwd=tmp_path)


@pytest.mark.parametrize(
    ("suv", "written", "verdict"),
    [(2.0, True, "pass"), (25.0, True, "review"), (80.0, False, "pass"), (0.01, False, "pass")],
)
def test_an_suv_that_cannot_be_is_not_written(brain, tmp_path, suv, written, verdict):
    dseg, moved = brain
    found = assess_pet(
        brain,
        tmp_path,
        suv_factor=suv / float(moved[dseg > 0].mean()),
    )
    fields = found.outputs.metadata
    assert isdefined(found.outputs.suv_factor) == written
    assert ("SUVNotComputed" in fields) != written
    assert fields["Registration"]["Verdict"] == verdict
    assert written or f"of {suv:g} g/mL is outside 0.05 to 50" in fields["SUVNotComputed"]


@pytest.mark.parametrize(("tracer", "verdict"), [("18FFDG", "review"), ("11CPIB", "pass")])
def test_gray_matter_below_white_is_doubtful_for_fdg(brain, tmp_path, tracer, verdict):
    found = assess_pet(
        brain,
        tmp_path,
        tracer=tracer,
        doubts=["frames overlap"] if tracer == "18FFDG" else [],
        found_doubts=["frame 2 has gaps"] if tracer == "18FFDG" else [],
    )
    registration = found.outputs.metadata["Registration"]
    assert registration["Verdict"] == verdict
    if tracer == "18FFDG":
        assert registration["VerdictReason"].startswith(
            "frames overlap; frame 2 has gaps; the ratio of gray to white"
        )


def test_ct(brain, tmp_path):
    dseg, _ = brain
    ct = np.where(dseg == 2, 40, np.where(dseg == 1, 800, -1000)).astype(np.float32)
    mask = (dseg == 2).astype(np.uint8)
    found = AssessCT(
        ct=write(tmp_path / "ct.nii", ct), mask=write(tmp_path / "mask.nii", mask)
    ).run(cwd=tmp_path)
    expected = ct_quality(ct, mask, AFFINE)
    assert found.outputs.metadata == {"Quality": expected}
    assert expected["BrainMedianHU"] == 40


@pytest.mark.parametrize("verdict", ["pass", "review", "fail"])
def test_a_ct_in_doubt_has_no_hounsfield_units_and_is_reviewed(brain, tmp_path, verdict):
    dseg, _ = brain
    found = AssessCT(
        ct=write(tmp_path / "ct.nii", np.where(dseg == 2, 120, 0).astype(np.float32)),
        mask=write(tmp_path / "mask.nii", (dseg == 2).astype(np.uint8)),
        registration={
            "Registration": {"Verdict": verdict, "VerdictReason": "scores", "RunnerUp": 0.5}
        },
        doubt="the CT holds gray levels",
    ).run(cwd=tmp_path)
    fields = found.outputs.metadata
    assert fields["Quality"] == {"BrainMedianHU": None, "BoneVolumeMillilitres": None}
    assert fields["Registration"]["Verdict"] == ("fail" if verdict == "fail" else "review")
    assert fields["Registration"]["VerdictReason"].startswith("the CT holds gray levels")
    assert fields["Registration"]["RunnerUp"] == 0.5


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("nothing", ""),
        ("slices", "slices may have lost their scale"),
        ("noise", "the noise of the PET in white matter of 0.9"),
    ],
)
def test_slices_and_noise_that_cannot_be_are_reviewed(brain, tmp_path, damage, reason):
    dseg, image = brain
    static = image.copy()
    if damage == "slices":
        static[:, :, ::2] *= 3
    if damage == "noise":
        # 93 of 100, as the image has 2 of its own: 0.93
        static += 93 * np.random.default_rng(2).standard_normal(SHAPE).astype(np.float32)
    sitk.WriteTransform(itk_from_ras(np.eye(4)), str(tmp_path / "xfm.txt"))
    found = AssessPET(
        pet=write(tmp_path / "pet.nii", image),
        static=write(tmp_path / "static.nii", static),
        transform=str(tmp_path / "xfm.txt"),
        dseg=write(tmp_path / "dseg.nii", dseg),
        registration={"Registration": {"Verdict": "pass", "VerdictReason": "it fits"}},
    ).run(cwd=tmp_path)
    registration = found.outputs.metadata["Registration"]
    assert registration["Verdict"] == ("review" if reason else "pass")
    assert reason in registration["VerdictReason"]


@pytest.mark.parametrize("verdict", ["pass", "review", "fail"])
def test_doubts_about_the_t1w_reach_the_verdict(tmp_path, verdict):
    fields = {"Registration": {"Verdict": verdict, "VerdictReason": "it fits", "RunnerUp": 0.5}}
    kept = DoubtRegistration(registration=fields).run(cwd=tmp_path).outputs.metadata
    assert kept == fields
    doubted = DoubtRegistration(registration=fields, doubts=["a slab", "a spine"])
    found = doubted.run(cwd=tmp_path).outputs.metadata["Registration"]
    assert found["Verdict"] == ("fail" if verdict == "fail" else "review")
    assert found["VerdictReason"].startswith("a slab; a spine")
    assert found["RunnerUp"] == 0.5
