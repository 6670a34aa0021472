import numpy as np
import pytest
from scipy import ndimage

from fusionprep.image.resample import itk_from_ras
from fusionprep.image.template import Template, TemplateSpace, load_template
from fusionprep.image.template_quality import (
    REVIEW_MM,
    _correlations,
    assess_template,
    judge_template,
    largest_displacement,
)

ZOOMS = np.array([2.0, 2.0, 2.0])


@pytest.fixture(scope="module")
def template() -> Template:
    return load_template(TemplateSpace("MNI152NLin2009aSym", "2"))


@pytest.fixture(scope="module")
def brain(template) -> tuple[np.ndarray, np.ndarray]:
    """Another contrast than the template's, with noise, and the mask."""
    mask = np.asarray(template.mask.dataobj) > 0.5
    data = np.asarray(template.brain.dataobj)
    data = 3 * np.sqrt(np.clip(data / data.max(), 0, 1)) + 0.1
    noise = np.random.default_rng(0).normal(0, 0.1, data.shape)
    return np.where(mask, data + noise, 0.0), mask


def test_what_fits_is_not_displaced(template, brain):
    assert largest_displacement(np.asarray(template.brain.dataobj), *brain, ZOOMS) < 1


@pytest.mark.parametrize("shift", [(2, 0, 0), (0, -3, 0), (1, 2, -2)])
def test_a_shift_is_measured(template, brain, shift):
    moved, mask = ndimage.shift(brain[0], shift, order=0), brain[1]
    found = largest_displacement(np.asarray(template.brain.dataobj), moved, mask, ZOOMS)
    assert found == pytest.approx(2 * np.linalg.norm(shift), abs=1.0)


def test_a_displaced_part_is_found(template, brain):
    """10 mm at the centre of the part, and less around it."""
    data, mask = brain
    ijk = np.indices(mask.shape)
    centre = np.add(np.argwhere(mask).min(axis=0), (40, 20, 15))
    distance = np.linalg.norm(ijk - centre.reshape(3, 1, 1, 1), axis=0)
    forward = np.array([0, 5, 0]).reshape(3, 1, 1, 1)
    places = ijk + forward * np.exp(-(distance**2) / (2 * 13**2))
    moved = ndimage.map_coordinates(data, places, order=1)
    found = largest_displacement(np.asarray(template.brain.dataobj), moved, mask, ZOOMS)
    assert REVIEW_MM < found < 12


def test_correlations_are_those_of_pearson():
    rng = np.random.default_rng(0)
    block, mask, around = rng.random((4, 5, 3)), rng.random((4, 5, 3)) > 0.3, rng.random((7, 8, 9))
    found = _correlations(block, mask, around)
    assert found.shape == (4, 4, 7)
    for place in np.ndindex(found.shape):
        part = around[tuple(slice(a, a + b) for a, b in zip(place, block.shape, strict=True))]
        expected = np.corrcoef(block[mask], part[mask])[0, 1]
        assert found[place] == pytest.approx(expected, abs=1e-9)


def test_no_brain_in_view_is_no_fit(template, brain):
    found = largest_displacement(
        np.asarray(template.brain.dataobj), np.zeros_like(brain[0]), brain[1], ZOOMS
    )
    assert found > REVIEW_MM


def test_scores_of_a_registration(template):
    images = template.brain, template.mask, template.gm
    fits = assess_template(template, *images, itk_from_ras(np.eye(4)))
    assert fits["MaskDice"] == fits["GMDice"] == 1
    assert fits["DisplacementMillimetres"] == pytest.approx(0, abs=1)
    assert fits["Verdict"] == "pass"
    off = np.eye(4)
    off[1, 3] = 5
    shifted = assess_template(template, *images, itk_from_ras(off))
    assert shifted["MaskDice"] > 0.93
    assert shifted["DisplacementMillimetres"] == pytest.approx(5, abs=1)
    assert shifted["Verdict"] == "review"


@pytest.mark.parametrize(
    ("mask_dice", "gm_dice", "displacement_mm", "verdict"),
    [
        (0.97, 0.8, 1.5, "pass"),
        (0.97, None, 1.5, "pass"),
        (0.97, 0.59, 1.5, "review"),
        (0.92, 0.8, 1.5, "review"),
        (0.84, 0.9, 1.5, "fail"),
        (0.97, 0.8, 4.0, "review"),
        (0.97, 0.8, 9.0, "fail"),
        (0.92, 0.8, 9.0, "fail"),
    ],
)
def test_verdicts(mask_dice, gm_dice, displacement_mm, verdict):
    assert judge_template(mask_dice, gm_dice, displacement_mm).verdict == verdict
