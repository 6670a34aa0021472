import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from fusionprep.errors import DataError, NoInputError, UsageError
from fusionprep.evaluation.pairs import find_pair_sets, read_fused, read_pair


@pytest.fixture
def write_pairs(tmp_path):
    def write(dataset="ct-mri/val", folders=("mri", "ct"), files=("a.png", "b.png", "c.png")):
        for folder in folders:
            (tmp_path / dataset / folder).mkdir(parents=True)
            for file in files:
                image = np.full((6, 8), 9, np.uint8)
                Image.fromarray(image).save(tmp_path / dataset / folder / file)
        return tmp_path / dataset

    return write


def test_same_named_images_are_paired(write_pairs):
    folder = write_pairs()
    (found,) = find_pair_sets([folder])
    assert found.name == "ct-mri"
    assert (found.anatomical_folder, found.functional_folder) == ("mri", "ct")
    assert [pair.name for pair in found.pairs] == ["a", "b", "c"]
    assert found.pairs[0].functional == folder.resolve() / "ct" / "a.png"
    assert found.patients() is None


def test_a_stride_takes_every_nth_pair(write_pairs):
    (found,) = find_pair_sets([write_pairs()], stride=2)
    assert [pair.file for pair in found.pairs] == ["a.png", "c.png"]
    with pytest.raises(UsageError, match="stride of 0"):
        find_pair_sets([write_pairs("other")], stride=0)


def test_datasets_are_told_apart_by_the_ends_of_their_paths(write_pairs):
    folders = [write_pairs("ct-mri/val"), write_pairs("ct-mri/train"), write_pairs("pet/train")]
    assert [found.name for found in find_pair_sets(folders[::2])] == ["ct-mri", "pet"]
    names = [found.name for found in find_pair_sets(folders)]
    assert names == ["ct-mri-val", "ct-mri-train", "pet-train"]
    alike = [write_pairs(f"{root}/x/y/z") for root in ("a", "b")]
    assert [found.name for found in find_pair_sets(alike)] == ["x-y-z-1", "x-y-z-2"]
    with pytest.raises(UsageError, match="twice"):
        find_pair_sets([folders[0], folders[0]])


def test_unclear_subfolders_are_refused_until_they_are_named(write_pairs):
    folder = write_pairs(folders=("t1", "t2", "ct"))
    with pytest.raises(UsageError, match=r"more than one.*ct, t1, t2.*--anatomical"):
        find_pair_sets([folder])
    (found,) = find_pair_sets([folder], anatomical="t2")
    assert found.anatomical_folder == "t2"
    with pytest.raises(UsageError, match=r"no subfolder of functional images.*--functional"):
        find_pair_sets([folder], anatomical="t2", functional="pet")


def test_lonely_and_missing_images_are_named(write_pairs, tmp_path):
    folder = write_pairs()
    (folder / "ct" / "b.png").unlink()
    with pytest.raises(DataError, match=r"1 image\(s\).*b\.png"):
        find_pair_sets([folder])
    with pytest.raises(NoInputError, match="no PNG, JPEG, TIFF or NIfTI"):
        find_pair_sets([write_pairs("empty", files=())])
    with pytest.raises(NoInputError, match="there is no folder"):
        find_pair_sets([tmp_path / "nowhere"])


def test_patients_come_from_the_table_above(write_pairs, tmp_path):
    folder = write_pairs()
    rows = ["dataset,split,file,subject", "ct-mri,train,a.png,X"]
    rows += [f"ct-mri,val,{file}.png,{subject}" for file, subject in zip("abc", "PQQ", strict=True)]
    (tmp_path / "slices.csv").write_text("\n".join(rows))
    (found,) = find_pair_sets([folder])
    assert found.patients() == ["P", "Q", "Q"]
    (tmp_path / "slices.csv").write_text("\n".join(rows[:-1]))
    (found,) = find_pair_sets([folder])
    assert [pair.subject for pair in found.pairs] == ["P", "Q", None]
    assert found.patients() is None


def test_one_patient_alone_is_no_group_to_resample(write_pairs, tmp_path):
    rows = ["file,subject", "a.png,P", "b.png,P", "c.png,P"]
    (tmp_path / "slices.csv").write_text("\n".join(rows))
    (found,) = find_pair_sets([write_pairs()])
    assert found.pairs[0].subject == "P"
    assert found.patients() is None


def test_colour_becomes_luma(write_pairs):
    folder = write_pairs()
    colour = np.zeros((6, 8, 3), np.uint8)
    colour[...] = (255, 0, 0)
    Image.fromarray(colour).save(folder / "ct" / "a.png")
    gray = read_pair(find_pair_sets([folder])[0].pairs[0], "ct")
    assert gray.anatomical.tolist() == np.full((6, 8), 9).tolist()
    assert gray.functional.tolist() == np.full((6, 8), 76).tolist()
    assert gray.mask is None


def test_images_of_another_size_are_refused(write_pairs):
    folder = write_pairs()
    Image.fromarray(np.zeros((6, 7), np.uint8)).save(folder / "ct" / "a.png")
    with pytest.raises(DataError, match=r"6x7.*6x8"):
        read_pair(find_pair_sets([folder])[0].pairs[0], "ct")


def write_volumes(folder, mri, ct, affine=None):
    for name, array in (("mri", mri), ("ct", ct)):
        (folder / name).mkdir()
        image = nib.Nifti1Image(array.astype(np.float32), np.eye(4) if affine is None else affine)
        image.to_filename(folder / name / "head.nii.gz")
    return find_pair_sets([folder])[0].pairs[0]


def test_volumes_become_gray_levels_inside_the_mask(tmp_path):
    mri = np.zeros((10, 10, 4))
    mri[2:8, 2:8] = np.linspace(100, 500, 36).reshape(6, 6, 1)
    ct = np.full((10, 10, 4), -1000.0)
    ct[2:8, 2:8], ct[3, 3], ct[0, 0] = 40, 1500, 1500
    pair = write_volumes(tmp_path, mri, ct)
    gray = read_pair(pair, "ct")
    assert gray.functional[5, 5, 0] == round(255 * (40 + 150) / 1500)
    assert gray.functional[3, 3, 0] == 255
    assert gray.functional[0, 0, 0] == 0
    assert gray.mask.sum() == 144
    assert (gray.anatomical[2, 2, 0], gray.anatomical[7, 7, 0]) == (0, 255)
    as_pet = read_pair(pair, "pet")
    assert as_pet.functional[5, 5, 0] < 10


def test_volumes_on_other_grids_are_refused(tmp_path):
    mri = np.random.default_rng(0).random((8, 8, 3)) + 1
    pair = write_volumes(tmp_path, mri, mri)
    nib.Nifti1Image(mri, np.diag([1.0, 1, 2, 1])).to_filename(pair.functional)
    with pytest.raises(DataError, match="not on the grid"):
        read_pair(pair, "ct")


def test_fused_volumes_in_unit_range_become_gray_levels(tmp_path):
    unit = np.zeros((6, 6, 2), np.float32)
    unit[2:] = 0.5
    path = tmp_path / "fused.nii.gz"
    nib.Nifti1Image(unit, np.eye(4)).to_filename(path)
    assert read_fused(path, unit.shape).max() == pytest.approx(127.5)
    nib.Nifti1Image(unit * 200, np.eye(4)).to_filename(path)
    assert read_fused(path, unit.shape).max() == pytest.approx(100)
    with pytest.raises(DataError, match="6x6x2"):
        read_fused(path, (6, 6, 3))
    nib.Nifti1Image(unit * 1000, np.eye(4)).to_filename(path)
    with pytest.raises(DataError, match=r"outside 0\.\.255"):
        read_fused(path, unit.shape)
