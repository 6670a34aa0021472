import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from fusionprep.evaluation.registration import target_registration_error
from fusionprep.image.io import new_image
from fusionprep.image.resample import itk_from_ras, ras_from_itk
from fusionprep.interfaces.anatomical import Conform
from fusionprep.interfaces.pet import AverageFrames
from fusionprep.interfaces.registration import RegisterRigid, RegisterTemplate, Resample


@pytest.fixture(scope="module")
def images(small_person, tmp_path_factory):
    """T1w and PET of the simulated person as the nodes before the registration write them."""
    folder, truth = small_person
    t1w, pet = tmp_path_factory.mktemp("t1w"), tmp_path_factory.mktemp("pet")
    t1w_file = Conform(in_file=str(folder / "anat" / "sub-01_T1w.nii.gz")).run(cwd=t1w)
    static = AverageFrames(in_file=str(folder / "pet" / "sub-01_trc-18FFDG_pet.nii.gz"))
    return t1w_file.outputs.out_file, static.run(cwd=pet).outputs.out_file, truth


def register(images, tmp_path, **options):
    t1w, pet, truth = images
    found = RegisterRigid(
        t1w=t1w, moving=pet, mask=str(truth.brain_mask), sloppy=True, **options
    ).run(cwd=tmp_path)
    matrix = ras_from_itk(sitk.ReadTransform(found.outputs.transform))
    return matrix, found.outputs.metadata["Registration"]


def test_pet_to_t1w(images, tmp_path):
    truth = images[2]
    matrix, fields = register(images, tmp_path, modality="pet")
    error = target_registration_error(matrix, truth.t1w_from_pet, nib.load(truth.brain_mask))
    assert error.mean() < 1.5
    assert fields["Method"] == "rigid"
    assert fields["Verdict"] == "pass"
    assert fields["BrainOverlap"] > 0.75
    assert fields["MattesMIAfter"] > fields["MattesMIBefore"]
    angle = np.degrees(np.arccos((np.trace(truth.t1w_from_pet[:3, :3]) - 1) / 2))
    assert fields["RotationDegrees"] == pytest.approx(angle, abs=1.0)
    mask = nib.load(truth.brain_mask)
    centre = np.argwhere(np.asarray(mask.dataobj) > 0).mean(axis=0)
    centre = nib.affines.apply_affine(mask.affine, centre)
    moved = nib.affines.apply_affine(np.linalg.inv(truth.t1w_from_pet), centre)
    shift = np.linalg.norm(moved - centre)
    assert fields["TranslationMillimetres"] == pytest.approx(shift, abs=1.0)


def test_identity_keeps_the_header(images, tmp_path):
    matrix, fields = register(images, tmp_path, modality="ct", method="identity")
    np.testing.assert_allclose(matrix, np.eye(4), atol=1e-9)
    assert fields["Method"] == "identity"
    assert fields["BrainOverlap"] is None
    assert fields["TranslationMillimetres"] == 0


def write(path, array, affine) -> str:
    nib.save(new_image(array, affine), path)
    return str(path)


def test_resample_goes_through_the_chain_in_order(tmp_path):
    """One voxel, moved by a quarter turn about z and then by a shift."""
    array = np.zeros((21, 21, 21), np.float32)
    array[14, 10, 10] = 1  # 4 mm along x
    affine = nib.affines.from_matvec(np.eye(3), (-10, -10, -10))
    path = write(tmp_path / "a.nii", array, affine)
    turn = nib.affines.from_matvec(np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), (0, 0, 0))
    shift = nib.affines.from_matvec(np.eye(3), (5, 0, 0))
    # points of the output go back through the shift first
    names = []
    for name, matrix in (("shift", shift), ("turn", turn)):
        names.append(str(tmp_path / f"{name}.txt"))
        sitk.WriteTransform(itk_from_ras(matrix), names[-1])
    found = Resample(in_file=path, reference=path, transforms=names).run(cwd=tmp_path)
    moved = np.asarray(nib.load(found.outputs.out_file).dataobj)
    peak = np.unravel_index(moved.argmax(), moved.shape)
    np.testing.assert_array_equal(nib.affines.apply_affine(affine, peak), [5, 4, 0])
    assert moved.max() == pytest.approx(1, abs=1e-5)


def test_resample_without_transforms_changes_the_grid_alone(tmp_path):
    path = write(tmp_path / "a.nii", np.full((6, 6, 6), 5.0, np.float32), np.eye(4))
    grid = write(tmp_path / "b.nii", np.zeros((3, 3, 9), np.float32), np.eye(4))
    found = Resample(in_file=path, reference=grid, outside=-1000.0).run(cwd=tmp_path)
    moved = np.asarray(nib.load(found.outputs.out_file).dataobj)
    np.testing.assert_array_equal(moved[..., :6], 5)
    np.testing.assert_array_equal(moved[..., 7:], -1000)


def test_masks_stay_integers(tmp_path):
    labels = np.random.default_rng(0).integers(0, 4, (6, 6, 6)).astype(np.uint8)
    path = write(tmp_path / "a.nii", labels, np.eye(4))
    found = Resample(in_file=path, reference=path, interpolation="nearest").run(cwd=tmp_path)
    image = nib.load(found.outputs.out_file)
    assert image.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(image.dataobj, labels)


def test_a_template_may_be_the_grid(tmp_path):
    path = write(tmp_path / "a.nii", np.ones((4, 4, 4), np.float32), np.eye(4))
    found = Resample(in_file=path, template="MNI152NLin2009aSym:res-2").run(cwd=tmp_path)
    assert nib.load(found.outputs.out_file).shape == (99, 117, 95)


def test_registration_to_the_template_is_scored_and_written(tmp_path):
    """The template, shifted by 7 mm, comes back."""
    from fusionprep.image.template import TemplateSpace, load_template

    template = load_template(TemplateSpace("MNI152NLin2009aSym", "2"))
    shift = nib.affines.from_matvec(np.eye(3), (7, -5, 3))
    paths = {
        name: write(tmp_path / f"{name}.nii", np.asarray(image.dataobj), shift @ image.affine)
        for name, image in (
            ("t1w_brain", template.brain), ("mask", template.mask), ("gm", template.gm),
        )
    }  # fmt: skip
    found = RegisterTemplate(**paths, template="MNI152NLin2009aSym:res-2").run(cwd=tmp_path)
    fields = found.outputs.metadata["Registration"]
    assert fields["Method"] == "greedy"
    assert fields["MaskDice"] > 0.98
    assert fields["GMDice"] > 0.95
    assert fields["Verdict"] == "pass"
    # ITK's world is LPS
    point, moved = (10.0, 20.0, 30.0), (10.0 - 7, 20.0 + 5, 30.0 + 3)
    there = sitk.ReadTransform(found.outputs.template_from_t1w).TransformPoint(point)
    back = sitk.ReadTransform(found.outputs.t1w_from_template).TransformPoint(moved)
    np.testing.assert_allclose(there, moved, atol=0.3)
    np.testing.assert_allclose(back, point, atol=0.3)
