"""Cohort images, comparison of models and distribution plots of the group report."""

from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from fusionprep.reports.group.cohort import mean_and_sd, write_cohort_images
from fusionprep.reports.group.columns import Measure
from fusionprep.reports.group.models import compare_models
from fusionprep.reports.group.outliers import Distribution, robust_z
from fusionprep.reports.group.plots import Owner, plot_distributions, ticks
from fusionprep.reports.group.rows import FusedEntry, ScanEntry


@pytest.fixture
def pictures(tmp_path):
    levels = np.random.default_rng(0).integers(0, 256, (7, 9, 12), dtype=np.uint8)
    paths = [tmp_path / f"{i}.png" for i in range(len(levels))]
    for path, picture in zip(paths, levels, strict=True):
        Image.fromarray(picture).save(path)
    return paths, levels


def test_mean_and_sd_are_those_of_numpy(pictures):
    paths, levels = pictures
    mean, sd, n = mean_and_sd(paths)
    assert n == 7
    assert mean == pytest.approx(levels.mean(axis=0))
    assert sd == pytest.approx(levels.std(axis=0, ddof=1))


def test_pictures_of_another_size_and_files_that_are_none_are_left_out(pictures, tmp_path):
    paths, levels = pictures
    Image.fromarray(levels[0][:5]).save(tmp_path / "small.png")
    (tmp_path / "text.png").write_text("text")
    _, _, n = mean_and_sd([*paths, tmp_path / "small.png", tmp_path / "text.png"])
    assert n == 7
    assert mean_and_sd([tmp_path / "text.png"]) == (None, None, 0)


@pytest.fixture
def coloured(tmp_path):
    levels = np.random.default_rng(1).integers(0, 256, (5, 9, 12, 3), dtype=np.uint8)
    paths = [tmp_path / f"colour-{i}.png" for i in range(len(levels))]
    for path, picture in zip(paths, levels, strict=True):
        Image.fromarray(picture).save(path)
    return paths, levels


def test_the_mean_of_colours_is_in_colour_and_the_sd_that_of_luma(coloured):
    paths, levels = coloured
    mean, sd, n = mean_and_sd(paths)
    assert n == 5
    assert mean == pytest.approx(levels.mean(axis=0))
    luma = levels @ [0.299, 0.587, 0.114]
    # Luma is rounded before its SD is taken.
    assert sd == pytest.approx(luma.std(axis=0, ddof=1), abs=0.6)


def test_gray_pictures_saved_as_rgb_have_the_sd_of_gray_ones(pictures, tmp_path):
    paths, levels = pictures
    same = [tmp_path / f"same-{path.name}" for path in paths]
    for path, picture in zip(same, levels, strict=True):
        Image.fromarray(picture).convert("RGB").save(path)
    np.testing.assert_array_equal(mean_and_sd(same)[1], mean_and_sd(paths)[1])


def test_gray_pictures_and_those_in_colour_are_never_mixed(pictures, coloured, tmp_path):
    (gray, levels), (colour, colours) = pictures, coloured
    mean, _, n = mean_and_sd([*colour, *gray])
    assert (n, mean.tolist()) == (5, colours.mean(axis=0).tolist())
    mean, _, n = mean_and_sd([*gray, *colour])
    assert (n, mean.tolist()) == (7, levels.mean(axis=0).tolist())
    scans = [
        _scan(f"sub-{i}", [_fused("A", space="MNI", planes=path.name)])
        for i, path in enumerate([*colour, *gray])
    ]
    (image,) = write_cohort_images(tmp_path, scans)
    assert (image.n, image.odd, image.colour, image.size) == (5, 7, True, (12, 9))
    assert Image.open(tmp_path / image.mean).mode == "RGB"
    assert np.asarray(Image.open(tmp_path / image.mean)) == pytest.approx(
        colours.mean(axis=0), abs=0.5
    )


def test_a_single_picture_has_no_sd(pictures):
    mean, sd, n = mean_and_sd(pictures[0][:1])
    assert (sd, n) == (None, 1)
    assert (mean == pictures[1][0]).all()


def _scan(participant, fused=(), modality="PET", verdict="pass"):
    values = {
        "participant_id": participant,
        "modality": modality,
        "tracer": None,
        "registration_verdict": verdict,
    }
    return ScanEntry(values, None, "", tuple(fused))


def _fused(title, metrics=(), space="T1w", planes=None, seconds=None):
    values = {"space": space, "run_time": seconds, "template_verdict": None}
    return FusedEntry(title, values, dict(metrics), None, planes)


def test_pictures_of_mean_and_sd(pictures, tmp_path):
    paths, levels = pictures
    scans = [
        _scan(f"sub-{i}", [_fused("A", space="MNI", planes=path.name)])
        for i, path in enumerate(paths)
    ]
    stale = tmp_path / "group_figures" / "old_mean.png"
    stale.parent.mkdir()
    stale.touch()
    (image,) = write_cohort_images(tmp_path, scans, left_out={2})
    kept = np.delete(levels, 2, axis=0)
    assert (image.n, image.odd, image.size) == (6, 0, (12, 9))
    assert not image.colour
    shown = np.asarray(Image.open(tmp_path / image.mean))
    assert shown == pytest.approx(kept.mean(axis=0), abs=0.5)
    # The brightest of the colours stands where the SD is largest.
    sd = kept.std(axis=0, ddof=1)
    colours = np.asarray(Image.open(tmp_path / image.sd)).sum(axis=-1)
    assert colours.flat[sd.argmax()] == colours.max()
    assert colours.flat[sd.argmin()] == colours.min()
    assert image.largest_sd == pytest.approx(np.percentile(sd, 99.9) / 255)
    assert not stale.exists()


def test_models_are_compared_by_medians_and_mean_ranks():
    scans = [
        _scan(
            f"sub-{i}",
            [
                _fused("A", {"MI": 3.0 + i, "Nabf": 0.1, "EN": 9.0}, seconds=1.0 + i),
                _fused("B", {"MI": 2.0 + i, "Nabf": 0.3, "EN": 1.0}),
                # another space of the same model is not another scan
                _fused("B", {"MI": 99.0}, space="MNI"),
            ],
        )
        for i in range(3)
    ]
    scans.append(_scan("sub-3", [_fused("B", {"MI": 50.0})]))
    scans.append(_scan("sub-4", [_fused("A", {"MI": 0.0}), _fused("B", {"MI": 1.0})]))
    (found,) = compare_models(scans, left_out={4})
    assert [row.title for row in found.rows] == ["A", "B"]
    first, second = found.rows
    assert (first.mean_rank, second.mean_rank) == (1, 2)
    assert (found.ranked, found.n_common) == (("MI",), 3)
    assert (first.n, second.n) == (3, 4)
    spread = first.spreads["MI"]
    assert (spread.first, spread.median, spread.third) == (3.5, 4.0, 4.5)
    assert second.spreads["MI"].median == 3.5
    assert (first.run_time.median, second.run_time) == (2.0, None)
    assert first.spreads["Nabf"].best
    assert not second.spreads["Nabf"].best
    assert not first.spreads["EN"].best
    assert found.metrics == {"MI": "higher", "EN": "neither", "Nabf": "lower"}


def test_equal_values_share_their_ranks():
    scans = [_scan("sub-1", [_fused(title, {"MI": 2.0}) for title in "AB"])]
    (found,) = compare_models(scans)
    assert [row.mean_rank for row in found.rows] == [1.5, 1.5]


def test_without_metrics_and_run_times_nothing_is_compared():
    assert compare_models([_scan("sub-1", [_fused("A")])]) == []


def _plot(values, names=None):
    values = np.asarray(values, dtype=float)
    row = Distribution(
        Measure("x", "X", "S"),
        "PET <FDG>",
        tuple((i,) for i in range(values.size)),
        values,
        float(np.median(values)),
        robust_z(values),
    )

    def owner(index):
        return Owner(f"sub-{index}&", f"sub-{index}.html" if index % 2 else None)

    return ElementTree.fromstring(str(plot_distributions("X", [row], owner)))


def test_every_value_is_a_point_and_outliers_are_named_and_linked():
    drawn = _plot([1.0, 1.1, 1.2, 1.3, 1.4, 9.0, -7.0, 8.0])
    (points,) = (path for path in drawn.iter("path") if path.get("class") == "points")
    assert points.get("d").count("M") == 8
    assert len([c for c in drawn.iter("circle") if c.get("class") == "outlier"]) == 3
    assert [link.get("href") for link in drawn.iter("a")] == ["sub-5.html", "sub-7.html"]
    names = [text.text for text in drawn.iter("text") if text.get("class") == "who"]
    assert sorted(names) == ["sub-5&", "sub-6&"]
    assert "PET <FDG>: 8, median 1.25" in [text.text for text in drawn.iter("text")]


def test_a_value_stands_where_the_axis_says():
    drawn = _plot([0.0, 1.0, 2.0, 3.0, 10.0])
    at = {float(t.text): float(t.get("x")) for t in drawn.iter("text") if t.get("class") == "tick"}
    (circle,) = drawn.iter("circle")
    assert float(circle.get("cx")) == pytest.approx(at[10.0], abs=0.1)


def test_of_very_many_values_those_beyond_the_whiskers_are_drawn():
    values = np.concatenate([np.linspace(0, 1, 2000), [5.0, 6.0]])
    drawn = _plot(values)
    (points,) = (path for path in drawn.iter("path") if path.get("class") == "points")
    assert points.get("d").count("M") == 2


def test_values_that_are_all_the_same_can_be_drawn():
    assert _plot([0.0] * 12).tag == "svg"
    assert _plot([5.0]).tag == "svg"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (-12, 7, [-10, -5, 0, 5]), (0.961, 0.969, None)],
)
def test_ticks_are_round_and_within(low, high, expected):
    found = ticks(low, high)
    assert all(low <= tick <= high for tick in found)
    assert 2 <= len(found) <= 7
    if expected is not None:
        assert found == expected
