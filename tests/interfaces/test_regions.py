"""From the atlas to the mean of a PET, with a transform and an uptake that are known."""

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from fusionprep.errors import DataError
from fusionprep.image.io import new_image
from fusionprep.image.regions import CEREBELLAR_CORTEX, load_atlas
from fusionprep.image.resample import itk_from_ras, resample
from fusionprep.interfaces.pet import ReferenceMean
from fusionprep.interfaces.regions import AtlasRegion, SubjectRegion
from fusionprep.interfaces.registration import Resample

CORTEX, ELSEWHERE = 7.5, 100.0


@pytest.fixture
def person(tmp_path) -> dict[str, str]:
    """A head turned in the scanner: the left cerebellar cortex takes up 7.5 and is gray matter,
    all else takes up 100 and is not."""
    angle = np.deg2rad(12)
    t1w_from_template = np.eye(4)
    t1w_from_template[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    t1w_from_template[:3, 3] = (6, -20, 14)
    transform = itk_from_ras(t1w_from_template)
    sitk.WriteTransform(transform, str(tmp_path / "t1w_from_template.txt"))
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = (-90, -140, -100)
    grid = new_image(np.zeros((100, 120, 110), np.float32), affine)
    labels = resample(load_atlas(), grid, transform, interpolation="nearest")
    left = np.asarray(labels.dataobj) == CEREBELLAR_CORTEX[0]
    images = {
        "t1w": np.asarray(grid.dataobj),
        "pet": np.where(left, CORTEX, ELSEWHERE).astype(np.float32),
        "gm": np.where(left, 0.8, 0.2).astype(np.float32),
    }
    paths = {"transform": str(tmp_path / "t1w_from_template.txt")}
    for name, data in images.items():
        paths[name] = str(tmp_path / f"{name}.nii")
        nib.save(new_image(data, affine), paths[name])
    return paths


def test_the_mean_of_the_cerebellar_cortex_is_exact(person, tmp_path):
    folders = [tmp_path / name for name in ("atlas", "moved", "region")]
    for folder in folders:
        folder.mkdir()
    atlas = AtlasRegion(name="cerebellar-gm", atlas="1").run(cwd=str(folders[0]))
    moved = Resample(
        in_file=atlas.outputs.out_file,
        reference=person["t1w"],
        transforms=[person["transform"]],
        interpolation="nearest",
    ).run(cwd=str(folders[1]))
    region = SubjectRegion(
        in_file=moved.outputs.out_file, gm=person["gm"], name="cerebellar-gm"
    ).run(cwd=str(folders[2]))
    mask = nib.load(region.outputs.out_file)
    assert mask.get_data_dtype() == np.uint8
    voxels = int(mask.get_fdata().sum())
    assert region.outputs.metadata["Voxels"] == voxels
    assert region.outputs.metadata["VolumeMillilitres"] == pytest.approx(voxels * 0.008, abs=0.01)
    # the left half of a cerebellar cortex
    assert 50 < region.outputs.metadata["VolumeMillilitres"] < 70
    found = ReferenceMean(
        pet=person["pet"], region=region.outputs.out_file, name="cerebellar-gm"
    ).run(cwd=str(tmp_path))
    assert found.outputs.factor == pytest.approx(1 / CORTEX, rel=1e-9)
    assert found.outputs.metadata["SUVR"]["RegionVoxels"] == voxels


def test_a_region_that_nobody_chose_may_be_empty(tmp_path):
    empty = str(tmp_path / "empty.nii")
    nib.save(new_image(np.zeros((9, 9, 9), np.float32), np.eye(4)), empty)
    region = SubjectRegion(in_file=empty, name="pons", required=False).run(cwd=str(tmp_path))
    assert region.outputs.metadata == {"Voxels": 0, "VolumeMillilitres": 0}
    with pytest.raises(DataError, match="pons has 0 ml in T1w space"):
        SubjectRegion(in_file=empty, name="pons").run(cwd=str(tmp_path))
