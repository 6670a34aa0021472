"""What a reader can see, in the benchmark: beside the ranks, never in them."""

import re

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from fusionprep.evaluation.benchmark import BenchmarkRequest, run_benchmark
from fusionprep.evaluation.benchmark_report import html_page, markdown_page
from fusionprep.evaluation.comparison import summarise
from fusionprep.evaluation.lesions import (
    ANATOMICAL_SIZES,
    TRACER_SIZES,
    WINDOW_SIZES,
    Condition,
    Reader,
    plant,
)
from fusionprep.evaluation.metrics import metric_names
from fusionprep.evaluation.pairs import GrayPair
from fusionprep.evaluation.reading import (
    REACH,
    RING,
    SEED,
    SEEN,
    SHOWN_SIZE,
    brain_of,
    figures,
    lesion_pictures,
    read_by_reader,
)
from fusionprep.modalities import CT, PET
from tests.evaluation.images import sources


def average(anatomical, functional):
    return (anatomical + functional) / 2


@pytest.fixture(scope="module")
def gray():
    return GrayPair(*(image.astype(np.uint8) for image in sources()))


@pytest.fixture
def folder(tmp_path, gray):
    for side, image in (("mri", gray.anatomical), ("pet", gray.functional)):
        (tmp_path / side).mkdir()
        Image.fromarray(image).save(tmp_path / side / "one.png")
        Image.fromarray(image[::-1].copy()).save(tmp_path / side / "two.png")
    return tmp_path


def test_the_maximum_hides_what_the_average_shows_whatever_their_ranks(folder):
    request = BenchmarkRequest((folder,), ("average", "max"), metrics=("VIF", "SCD"))
    (scores,) = run_benchmark(request)
    summary = summarise(scores)
    seen = dict(zip([method.name for method in summary.methods], summary.seen, strict=True))
    assert seen["average"].gain.mean == pytest.approx(0.5, abs=0.01)
    assert seen["max"].dominated.mean < 0.3 < seen["average"].dominated.mean
    assert seen["probe-max"].all.mean == pytest.approx(seen["max"].all.mean)
    assert seen["probe-copy-anatomical"].all.mean == pytest.approx(0)
    assert seen["average"].all.low <= seen["average"].all.mean <= seen["average"].all.high
    # Nothing of it is a metric, which would be ranked.
    assert not set(SEEN) & {*summary.metrics(), *summary.ranks, *metric_names()}

    page, text = html_page([summary]), markdown_page([summary])
    for words in (page, text):
        assert "What a reader can see" in words
        assert "2, 4 and 7 in mri, 4 and 7 in pet" in words
    table = re.search(r"### What a reader can see\n\n(.*?)\n\n", text, re.DOTALL)[1]
    assert "**" not in table
    assert "lesions-" in page


def test_without_a_reader_nothing_is_said_of_one(folder):
    request = BenchmarkRequest((folder,), ("average",), metrics=("VIF",), reader=False)
    summaries = [summarise(scores) for scores in run_benchmark(request)]
    for words in (html_page(summaries), markdown_page(summaries)):
        assert "a reader can see" not in words
        assert "Planted" not in words


def test_all_methods_get_the_same_lesions_and_each_pair_others(gray):
    first, same = read_by_reader([average, average], gray, PET, 0)
    (other,) = read_by_reader([average], gray, PET, 1)
    assert first == same
    assert first.lesions != other.lesions


def test_what_cannot_be_fused_anew_and_what_has_no_brain_have_no_figures(gray):
    found = read_by_reader([None, average], gray, PET, 0)
    assert found[0] is None
    assert found[1] is not None
    black = GrayPair(gray.anatomical, np.zeros_like(gray.functional))
    assert read_by_reader([average], black, PET, 0) == [None]
    assert lesion_pictures([average], black, PET) == []


@pytest.mark.parametrize(("modality", "sizes"), [(PET, TRACER_SIZES), (CT, WINDOW_SIZES)])
def test_figures_are_named_by_source_and_size(gray, modality, sizes):
    (seen,) = read_by_reader([average], gray, modality, 0)
    named = [name for name in figures(seen) if name.startswith("retention_")]
    expected = [f"retention_anatomical_{size:g}" for size in ANATOMICAL_SIZES]
    assert named == expected + [f"retention_functional_{size:g}" for size in sizes]


def test_pictures_show_lesions_ringed_in_their_source_alone(gray):
    in_anatomical, in_functional = lesion_pictures([average, None], gray, PET)
    assert (in_anatomical.source, in_functional.source) == ("anatomical", "functional")
    anatomical, functional, fused, missing = in_anatomical.images
    assert missing is None
    assert np.array_equal(functional, gray.functional)
    assert np.array_equal(in_functional.images[0], gray.anatomical)
    changed = anatomical != gray.anatomical
    assert 0 < changed.mean() < 0.5
    plain = np.rint((gray.anatomical.astype(float) + gray.functional) / 2)
    # No ring: a lesion changes the average by an eighth of the level at most.
    assert 5 < np.abs(fused - plain).max() < 45


def test_lesions_of_a_volume_are_planted_in_space(tmp_path):
    grid = np.indices((48, 50, 24)) - np.array([24, 25, 12]).reshape(3, 1, 1, 1)
    ball = np.linalg.norm(grid * np.array([1.5, 1.5, 2.5]).reshape(3, 1, 1, 1), axis=0) < 28
    rng = np.random.default_rng(0)
    for name, mean in (("mri", 500), ("pet", 9000)):
        (tmp_path / name).mkdir()
        values = ball * mean * (1 + 0.2 * rng.standard_normal(ball.shape))
        image = nib.Nifti1Image(values.astype(np.float32), np.diag([1.5, 1.5, 2.5, 1]))
        image.to_filename(tmp_path / name / "head.nii.gz")
    (scores,) = run_benchmark(BenchmarkRequest((tmp_path,), ("average",), metrics=("MSE",)))
    (seen,) = scores.seen[0]
    assert seen.lesions[0].gain == pytest.approx(0.5, abs=0.05)
    assert [picture.images[2].shape for picture in scores.lesions] == [(50, 48)] * 2


def test_a_slice_of_a_volume_has_rings_round_the_lesions_of_its_neighbours_too():
    shape, sizes = (64, 64, 40), (2.0, 2.0, 3.0)
    volume = np.full(shape, 100, np.uint8)
    mask = np.ones(shape, bool)
    gray = GrayPair(volume, volume + 50, mask, sizes)
    reader = Reader(brain_of(gray, PET), sizes)
    condition = Condition("anatomical", SHOWN_SIZE)
    images = gray.unit_images()
    places = plant(images[0], reader, condition, np.random.default_rng(SEED)).places
    offsets = (places[:, 2] - 20) * sizes[2]
    shown = places[np.abs(offsets).argmin(), 2]
    near = np.abs(places[:, 2] - shown) * sizes[2] <= REACH * SHOWN_SIZE
    assert near.sum() > 1
    picture = lesion_pictures([average], gray, PET)[0].images[0]
    # Turned by a quarter: rows of the picture run from the far end of the second axis.
    for row, column in zip(63 - places[near, 1], places[near, 0], strict=True):
        radius = int(RING * SHOWN_SIZE / sizes[0])
        assert picture[row, max(column - radius, 0)] == 255 or column < radius
