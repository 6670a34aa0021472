"""A lesion is filled for the registration to a template, which then finds the healthy brain."""

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from fusionprep.image.io import new_image
from fusionprep.image.lesion_filling import fill_lesion
from fusionprep.image.resample import to_sitk
from fusionprep.image.template import TemplateSpace, load_template, register_template

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
AFFINE[:3, 3] = (-59, -60, -60)
SHAPE = (60, 60, 60)
POINTS = nib.affines.apply_affine(AFFINE, np.moveaxis(np.indices(SHAPE), 0, -1))


def ball(centre, radius: float) -> np.ndarray:
    return np.linalg.norm(POINTS - np.array(centre), axis=-1) < radius


def image(array: np.ndarray) -> "sitk.Image":
    return to_sitk(nib.Nifti1Image(array.astype(np.float32), AFFINE))


def texture(seed: int) -> np.ndarray:
    """A pattern inside a ball, 0 outside."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(SHAPE), 2)
    return np.where(ball((0, 0, 0), 50), 100 + 20 * noise / noise.std(), 0)


def filled(head: np.ndarray, template: np.ndarray, lesion: np.ndarray) -> np.ndarray:
    sick = np.where(lesion, 5.0, head)
    found = fill_lesion(image(template), image(sick), image(lesion), np.eye(4))
    return sitk.GetArrayFromImage(found).T


def test_the_other_side_fills_a_lesion_of_a_brain_that_is_alike_on_both():
    head = texture(1)
    head = (head + head[::-1]) / 2
    lesion = ball((-25, 0, 0), 12)
    found = filled(head, texture(2), lesion)
    np.testing.assert_allclose(found[lesion], head[lesion], rtol=1e-4)
    far = ~ndimage.binary_dilation(lesion, iterations=4)
    np.testing.assert_array_equal(found[far], head.astype(np.float32)[far])


def test_the_template_in_the_heads_intensities_fills_what_has_no_healthy_other_side():
    head = texture(1)
    head = (head + head[::-1]) / 2
    lesion = ball((-25, 0, 0), 12) | ball((25, 0, 0), 12)
    found = filled(head, 3 * head + 50 * (head > 0), lesion)
    np.testing.assert_allclose(found[lesion], head[lesion], rtol=0.01)


def test_the_template_fills_where_it_is_more_like_the_head():
    head, lesion = texture(1), ball((-25, 0, 0), 12)
    found = filled(head, head * 2, lesion)
    np.testing.assert_allclose(found[lesion], head[lesion], rtol=0.01)


@pytest.fixture(scope="module")
def template():
    return load_template(TemplateSpace("MNI152NLin2009aSym", "2")).brain


def displacement(template, told: bool) -> np.ndarray:
    """How far points around a hole in the template are moved when that is registered to it, mm."""
    points = nib.affines.apply_affine(
        template.affine, np.moveaxis(np.indices(template.shape), 0, -1)
    )
    away = np.linalg.norm(points - np.array([-36, -12, 24]), axis=-1)
    hole = away < 15
    sick = np.where(hole, 0.25, np.asarray(template.dataobj)).astype(np.float32)
    given = new_image(hole.astype(np.uint8), template.affine) if told else None
    found = register_template(template, new_image(sick, template.affine), sloppy=True, lesion=given)
    asked = points[(np.asarray(template.dataobj) > 0.3) & ~hole & (away < 25)]
    lps = asked * [-1, -1, 1]
    moved = np.array([found.template_from_t1w.TransformPoint(p) for p in lps.tolist()])
    return np.linalg.norm(moved - lps, axis=1)


@pytest.mark.slow
def test_a_hole_pulls_at_the_warp_unless_it_is_told(template):
    """The truth is the identity."""
    told, untold = (displacement(template, told) for told in (True, False))
    assert told.mean() < 0.3 * untold.mean()
    assert told.max() < 1
    assert untold.max() > 2
