"""Regions of an atlas corrected for partial volume, of a simulated person with known activity."""

import nibabel as nib
import numpy as np
import pytest

from fusionprep.errors import DataError
from fusionprep.image.atlases import freesurfer_tissues
from fusionprep.image.partial_volume import blur
from fusionprep.image.partial_volume.brain import Reference
from fusionprep.image.partial_volume.regional import (
    PARENCHYMA,
    RegionCorrection,
    curves,
    label_partition,
    tissues_of_labels,
)
from tests.app.true_regions import true_labels

PSF = (6.0, 6.0, 6.0)
OF_TISSUE = {"GM": 4.0, "WM": 1.0, "CSF": 0.2}
CEREBELLUM = (8, 47)
PUTAMEN, SUPERIOR = 12, 1024


@pytest.fixture(scope="module")
def sizes(person) -> tuple[float, ...]:
    return tuple(nib.load(person.truth.gm).header.get_zooms()[:3])


@pytest.fixture(scope="module")
def tissues(person) -> dict[str, np.ndarray]:
    paths = {"GM": person.truth.gm, "WM": person.truth.wm, "CSF": person.truth.csf}
    return {name: nib.load(path).get_fdata(dtype=np.float32) for name, path in paths.items()}


@pytest.fixture(scope="module")
def labels(person) -> np.ndarray:
    return true_labels(person.truth)


@pytest.fixture(scope="module")
def truth(labels) -> dict[int, float]:
    """Activity of the tissue of each label; cortical regions differ."""
    kinds = freesurfer_tissues()
    found = {}
    for label in np.unique(labels[labels > 0]).tolist():
        found[label] = OF_TISSUE.get(kinds[label], 3.0)
        if label >= 1000:
            found[label] *= 0.75 + 0.5 * (label % 7) / 6
    return found


@pytest.fixture(scope="module")
def activity(labels, tissues, truth, sizes) -> np.ndarray:
    parts = label_partition(tissues, labels, freesurfer_tissues(), sizes)
    levels = [
        truth[int(name.split(" in ")[1])] if " in " in name else OF_TISSUE.get(name, 0.0)
        for name in parts.names
    ]
    return parts.image(levels)


@pytest.fixture(scope="module")
def correction(labels, tissues, sizes) -> RegionCorrection:
    low = np.isin(labels, CEREBELLUM)
    low[:, :, np.flatnonzero(low.any((0, 1)))[-6] :] = False
    region = Reference("low", low, tissues=("GM",))
    return RegionCorrection.of_brain(
        tissues, labels, sizes, PSF, kinds=freesurfer_tissues(), reference=region
    )


def test_every_region_has_its_activity(correction, activity, truth, sizes):
    pet = blur(activity, PSF, sizes)
    found = correction.means(pet[correction.box])
    assert len(found.values) > 100
    assert found.values == pytest.approx(
        {label: truth[label] for label in found.values}, rel=0.02, abs=0.02
    )
    assert found.reference == pytest.approx(OF_TISSUE["GM"], rel=0.02)
    assert correction.tissues[PUTAMEN] == PARENCHYMA


def test_the_noise_of_a_region_is_as_predicted(correction, activity, sizes):
    """Over repetitions of a noise that went through the same blur as the PET."""
    pet, rng = blur(activity, PSF, sizes), np.random.default_rng(3)
    runs = [
        correction.means(
            (pet + blur(rng.standard_normal(pet.shape) * 4, PSF, sizes))[correction.box]
        )
        for _ in range(6)
    ]
    ratios = []
    for label in runs[0].values:
        predicted = np.mean([run.variances[label] for run in runs])
        ratios.append(np.var([run.values[label] for run in runs], ddof=1) / predicted)
    assert np.mean(ratios) == pytest.approx(1, abs=0.3)


def test_frames_are_corrected_each(correction, activity, sizes):
    pet = blur(activity, PSF, sizes)
    shifted = np.eye(4)
    shifted[:3, 3] = -2
    frames = [pet[2:, 2:, 2:], 3 * pet[2:, 2:, 2:], 0 * pet[2:, 2:, 2:]]
    first, second, empty = curves(correction, frames, shifted, factors=(1, 0.5, 1))
    expected = correction.means(pet[correction.box])
    assert first.values == pytest.approx(expected.values, rel=1e-4)
    assert second.values[PUTAMEN] == pytest.approx(1.5 * expected.values[PUTAMEN], rel=1e-4)
    assert second.reference == pytest.approx(1.5 * expected.reference, rel=1e-4)
    assert np.isnan([*empty.values.values(), empty.reference]).all()


def test_regions_out_of_view_are_left_out(labels, tissues, activity, truth, sizes):
    field = np.ones(labels.shape, bool)
    heights = np.flatnonzero((labels > 0).any((0, 1)))
    field[:, :, : heights[0] + len(heights) // 2] = False
    pet = np.where(field, blur(activity, PSF, sizes), 0)
    found = RegionCorrection.of_brain(
        tissues, labels, sizes, PSF, kinds=freesurfer_tissues(), field=field
    )
    means = found.means(pet[found.box])
    assert not {*CEREBELLUM} & {*means.values}
    assert means.values[SUPERIOR] == pytest.approx(truth[SUPERIOR], rel=0.05)


def test_labels_of_an_atlas_of_ones_own_are_of_what_they_hold(labels, tissues):
    own = np.where(labels == 1024, 1, 0) + np.where(labels == 2, 2, 0) + np.where(labels == 4, 3, 0)
    assert tissues_of_labels(own, tissues) == {1: "GM", 2: "WM", 3: "CSF"}


def test_an_atlas_too_fine_for_the_resolution_is_an_error(tissues, sizes):
    checks = np.indices(tissues["GM"].shape).sum(axis=0) % 2 + 1
    with pytest.raises(DataError, match="cannot be told apart"):
        RegionCorrection.of_brain(tissues, checks, sizes, (18.0,) * 3)
