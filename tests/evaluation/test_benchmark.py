import csv
import hashlib
import html
import json
import re
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from fusionprep.cli import main
from fusionprep.errors import NoInputError, UsageError
from fusionprep.evaluation.benchmark import BenchmarkRequest, run_benchmark
from fusionprep.evaluation.benchmark_report import html_page, markdown_page
from fusionprep.evaluation.comparison import summarise
from fusionprep.evaluation.probes import PROBES
from fusionprep.evaluation.volumes import content_slices
from fusionprep.models.inference import fuse_volume
from fusionprep.models.registry import get_model

DIFFERENCE = 40


def save(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.astype(np.uint8)).save(path)


@pytest.fixture
def offset_pairs(tmp_path):
    """Three pairs; the PET is the MRI, of four equally frequent levels, and 40 gray levels more."""
    rng = np.random.default_rng(0)
    for name in "abc":
        mri = rng.permutation(np.repeat([20, 60, 100, 180], 1024)).reshape(64, 64)
        save(tmp_path / "data" / "mri" / f"{name}.png", mri)
        save(tmp_path / "data" / "pet" / f"{name}.png", mri + DIFFERENCE)
        save(tmp_path / "copied" / f"{name}.png", mri)
    return tmp_path


@pytest.fixture
def head_pairs(tmp_path):
    """Two pairs of a disk on black: anatomy in fine stripes, uptake in one half."""
    grid = np.indices((64, 64)) - 32
    disk = np.hypot(*grid) < 26
    rng = np.random.default_rng(0)
    for name in ("first", "second"):
        noise = rng.normal(0, 4, (64, 64))
        mri = disk * np.clip(120 + 60 * np.sin(grid[0] / 2) + noise, 1, 255)
        pet = disk * np.clip(np.where(grid[1] > 0, 220, 60) + noise, 1, 255)
        save(tmp_path / "study" / "val" / "mri" / f"{name}.png", mri)
        save(tmp_path / "study" / "val" / "pet" / f"{name}.png", pet)
    return tmp_path / "study" / "val"


def summary_of(request):
    (scores,) = run_benchmark(replace(request, reader=False))
    return summarise(scores)


def by_method(summary, values):
    return {m.name: value for m, value in zip(summary.methods, values, strict=True)}


def test_values_and_ranks_are_the_known_ones(offset_pairs):
    summary = summary_of(
        BenchmarkRequest(
            pairs=(offset_pairs / "data",),
            models=("average", "max"),
            external={"copied": offset_pairs / "copied"},
            metrics=("MSE", "MI"),
        )
    )
    means = by_method(summary, [found.mean for found in summary.estimates["MSE"]])
    assert means["average"] == pytest.approx((DIFFERENCE / 2) ** 2)
    assert means["max"] == means["copied"] == pytest.approx(DIFFERENCE**2 / 2)
    assert means["probe-copy-functional"] == means["max"]
    ranks = by_method(summary, summary.ranks["MSE"])
    assert (ranks["average"], ranks["max"], ranks["copied"]) == (1, 2.5, 2.5)
    assert ranks["probe-max"] == 3
    # Sources and results are one-to-one, so that each source tells the result's entropy, ln 4.
    for found in summary.estimates["MI"][:3]:
        assert found.mean == pytest.approx(2 * np.log(4))
        assert (found.low, found.high) == pytest.approx((found.mean, found.mean))
    assert summary.mean_ranks[:3].tolist() == [2, 2, 2]


def test_probes_do_not_move_the_ranks(head_pairs):
    summary = summary_of(
        BenchmarkRequest((head_pairs,), ("average", "max", "pca"), metrics=("MI", "SCD", "EN"))
    )
    assert "EN" not in summary.ranks
    for metric in ("MI", "SCD"):
        assert sorted(summary.ranks[metric][:3]) == [1, 2, 3]
        # A copy of max stands beside it: half a place for the tie, none for max itself.
        ranks = by_method(summary, summary.ranks[metric])
        assert ranks["probe-max"] == ranks["max"] + 0.5
    # Copying a source has the most mutual information; that is what the probe is to show.
    assert by_method(summary, summary.ranks["MI"])["probe-copy-anatomical"] == 1
    kinds = [summary.methods[row].kind for row in summary.order()]
    assert kinds == ["model"] * 3 + ["probe"] * len(PROBES)


def test_equal_images_have_equal_values(head_pairs, tmp_path):
    for path in (head_pairs / "mri").iterdir():
        both = [np.asarray(Image.open(head_pairs / side / path.name)) for side in ("mri", "pet")]
        save(tmp_path / "theirs" / "study" / path.name, np.maximum(*both))
    (scores,) = run_benchmark(
        BenchmarkRequest((head_pairs,), ("max",), {"theirs": tmp_path / "theirs"}, reader=False)
    )
    rows = [0, 1, 4]
    assert [scores.methods[row].name for row in rows] == ["max", "theirs", "probe-max"]
    for name, values in scores.values.items():
        if name != "ms":
            assert np.array_equal(values[0], values[1], equal_nan=True)
            assert np.array_equal(values[0], values[4], equal_nan=True)
    assert (scores.values["ms"][0] > 0).all()
    assert np.isnan(scores.values["ms"][1:]).all()


def test_guards_expose_copies_and_a_lifted_background(head_pairs):
    summary = summary_of(BenchmarkRequest((head_pairs,), ("average",), metrics=("MI",)))
    guard = {
        name: by_method(summary, [found.mean for found in summary.estimates[name]])
        for name in ("bA", "bB", "background")
    }
    assert guard["bA"]["average"] > 0.2
    assert guard["bB"]["average"] > 0.2
    assert guard["bB"]["probe-copy-anatomical"] == pytest.approx(0, abs=1e-6)
    assert guard["bA"]["probe-copy-functional"] == pytest.approx(0, abs=1e-6)
    assert guard["background"]["average"] == 0
    assert guard["background"]["probe-gray-background"] == 32


def test_missing_and_unfitting_external_images_are_named(head_pairs, tmp_path):
    request = BenchmarkRequest((head_pairs,), (), {"theirs": tmp_path / "theirs"}, metrics=("MI",))
    with pytest.raises(NoInputError, match=r"there is no folder .*theirs"):
        run_benchmark(request)
    save(tmp_path / "theirs" / "first.png", np.zeros((64, 64)))
    with pytest.raises(NoInputError, match=r"lacks 1 of the 2 images of study, e\.g\. second\.png"):
        run_benchmark(request)
    save(tmp_path / "theirs" / "second.png", np.zeros((64, 60)))
    (scores,) = run_benchmark(request)
    (lost,) = scores.lost
    assert re.search(r"study second theirs: .*second\.png is 64x60", lost)
    assert np.isfinite(scores.values["MI"][0]).tolist() == [True, False]
    assert np.isfinite(scores.values["MI"][1:]).all()


def test_contradictions_are_refused(head_pairs, tmp_path):
    with pytest.raises(UsageError, match="nothing to compare"):
        run_benchmark(BenchmarkRequest((head_pairs,), ()))
    for request in (
        BenchmarkRequest((head_pairs,), ("max", "max")),
        BenchmarkRequest((head_pairs,), ("max",), {"max": tmp_path}),
        BenchmarkRequest((head_pairs,), ("max",), {"probe-max": tmp_path}),
    ):
        with pytest.raises(UsageError, match="two methods are called"):
            run_benchmark(request)
    request = BenchmarkRequest((head_pairs,), ("max",), weights={"unet": tmp_path / "x"})
    with pytest.raises(UsageError, match="weights are given for 'unet', which is not among"):
        run_benchmark(request)


def test_slices_with_little_content_are_left_out():
    mask = np.zeros((10, 10, 40), bool)
    mask[:, :, 4:36] = True
    mask[3:, :, 4:6] = False
    mask[2:, :, 6] = False
    assert content_slices(mask)[[0, -1]].tolist() == [4, 35]
    assert len(content_slices(mask)) == 24
    assert content_slices(mask[:, :, :10]).tolist() == [4, 5, 7, 8, 9]


def test_volumes_are_fused_and_their_flicker_measured(tmp_path):
    grid = np.indices((48, 52, 12)) - np.array([24, 26, 6]).reshape(3, 1, 1, 1)
    ball = np.linalg.norm(grid * np.array([1, 1, 2]).reshape(3, 1, 1, 1), axis=0) < 17
    for name, wave in (("mri", np.cos(grid[0] / 2)), ("pet", np.sin(grid[1] / 5))):
        (tmp_path / name).mkdir()
        image = nib.Nifti1Image((ball * (500 + 200 * wave)).astype(np.float32), np.eye(4))
        image.to_filename(tmp_path / name / "head.nii.gz")
    gain = np.where(np.arange(12) % 2, 0.4, 0.6)
    flickering = ball * (1 + 0.4 * wave) * gain
    (tmp_path / "theirs").mkdir()
    image = nib.Nifti1Image(flickering.astype(np.float32), np.eye(4))
    image.to_filename(tmp_path / "theirs" / "head.nii.gz")
    (scores,) = run_benchmark(
        BenchmarkRequest(
            (tmp_path,), ("average",), {"theirs": tmp_path / "theirs"}, metrics=("MSE", "Qabf")
        )
    )
    flicker = scores.values["through_plane"][:, 0]
    assert flicker[0] == pytest.approx(0, abs=0.02)
    assert flicker[1] > 0.5
    assert scores.values["ms"][0, 0] > 0
    assert scores.values["background"][0, 0] == 0
    ((name, pictures),) = scores.shown
    assert name == "head"
    assert [picture.shape for picture in pictures] == [(52, 48)] * 4
    text = markdown_page([summarise(scores)])
    assert "through_plane" in text
    assert "1 pair (mri and pet) of unknown patients" in text


def read_tsv(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def test_the_command_writes_tables_pages_and_montage(head_pairs, tmp_path, capsys):
    (head_pairs.parent / "slices.csv").write_text(
        "file,subject\nfirst.png,P1\nsecond.png,P2\n", encoding="utf-8"
    )
    out = tmp_path / "out"
    words = ["benchmark", "--pairs", head_pairs, "--models", "average", "densefuse", "--out", out]
    assert main([str(word) for word in (*words, "--threads", 1)]) == 0
    assert "summary.html" in capsys.readouterr().out
    files = ["benchmark.json", "lesions-study.png", "montage-study.png", "pairs.tsv"]
    files += ["summary.html", "summary.md", "summary.tsv"]
    assert sorted(path.name for path in out.iterdir()) == files

    pairs = read_tsv(out / "pairs.tsv")
    assert len(pairs) == 2 * (2 + len(PROBES))
    assert {row["subject"] for row in pairs} == {"P1", "P2"}
    assert all(float(row["VIF"]) > 0 for row in pairs)
    assert {row["through_plane"] for row in pairs} == {"n/a"}

    rows = [row for row in read_tsv(out / "summary.tsv") if row["method"] == "average"]
    found = {row["metric"]: row for row in rows}
    values = [float(row["Qabf"]) for row in pairs if row["method"] == "average"]
    assert float(found["Qabf"]["mean"]) == pytest.approx(np.mean(values), rel=1e-4)
    assert float(found["Qabf"]["low"]) == pytest.approx(min(values), rel=1e-4)
    assert found["Qabf"]["in_mean_rank"] == "yes"
    gains = [float(row["gain_anatomical_2"]) for row in pairs if row["method"] == "average"]
    assert gains == pytest.approx([0.5, 0.5], abs=0.01)
    assert float(found["gain"]["mean"]) == pytest.approx(0.5, abs=0.01)
    assert (found["gain"]["rank"], found["gain"]["in_mean_rank"]) == ("n/a", "no")
    assert (found["EN"]["rank"], found["EN"]["in_mean_rank"]) == ("n/a", "no")
    ranked = [float(row["rank"]) for row in rows if row["in_mean_rank"] == "yes"]
    assert float(found["mean_rank"]["mean"]) == pytest.approx(np.mean(ranked), abs=1e-4)

    provenance = json.loads((out / "benchmark.json").read_text())
    assert provenance["Models"][1]["WeightsSHA256"] == get_model("densefuse").weights_sha256()
    assert provenance["Models"][0]["WeightsSHA256"] is None
    assert provenance["Datasets"][0]["Pairs"] == provenance["Datasets"][0]["Patients"] == 2
    assert str(tmp_path) not in (out / "benchmark.json").read_text()

    page = (out / "summary.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert not re.findall(r'(?:src|href)="https?:', page)
    for target in re.findall(r'(?:src|href)="([^"#]+)"', page):
        assert (out / target).is_file()
    assert "resampling patients" in page
    assert page.index("probe-max") > page.index("densefuse")
    assert Image.open(out / "montage-study.png").mode == "L"


def test_own_weights_are_scored_and_named(head_pairs, tmp_path, write_weights):
    path, model = write_weights("unet", version="3.0")
    for image in (head_pairs / "mri").iterdir():
        pair = [np.asarray(Image.open(head_pairs / side / image.name)) for side in ("mri", "pet")]
        fused = fuse_volume(model, *(array.astype(np.float32) / 255 for array in pair))
        save(tmp_path / "theirs" / image.name, np.rint(255 * fused))
    words = ["benchmark", "--pairs", head_pairs, "--models", "average", "unet"]
    words += ["--external", f"same={tmp_path / 'theirs'}", "--weights", f"unet={path}"]
    words += ["--no-reader"]
    assert main([str(word) for word in (*words, "--out", tmp_path / "out")]) == 0
    scores = {name: [] for name in ("unet", "same")}
    for row in read_tsv(tmp_path / "out" / "pairs.tsv"):
        if row["method"] in scores:
            scores[row["method"]].append({**row, "method": "", "kind": "", "ms": ""})
    assert scores["unet"] == scores["same"]
    text = (tmp_path / "out" / "benchmark.json").read_text()
    average, unet = json.loads(text)["Models"]
    assert unet["WeightsSHA256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (unet["WeightsFile"], unet["Version"]) == ("unet.safetensors", "3.0")
    assert unet["Parameters"] == sum(parameter.numel() for parameter in model.parameters())
    assert "WeightsFile" not in average
    assert str(tmp_path) not in text
    summary = (tmp_path / "out" / "summary.html").read_text("utf-8")
    assert "user's weights unet.safetensors" in html.unescape(summary)


def test_only_those_who_compete_are_bold(offset_pairs):
    request = BenchmarkRequest((offset_pairs / "data",), ("average", "max"), metrics=("MSE", "SCD"))
    request = replace(request, reader=False)
    page = html_page([summarise(scores) for scores in run_benchmark(request)])
    rows = re.findall(r"<tr[^>]*>(?:(?!</tr>).)*</tr>", page, re.DOTALL)
    bold = {
        re.search(r'scope="row"[^>]*>([^<]+)', row)[1]
        for row in rows
        if 'scope="row"' in row and '<td class="number"><strong>' in row
    }
    assert "average" in bold
    assert not [name for name in bold if name.startswith("probe")]


def test_what_cannot_be_is_said_in_one_line(head_pairs, tmp_path, capsys):
    words = ["benchmark", "--out", str(tmp_path / "out"), "--pairs", str(head_pairs)]
    assert main(words) == 64
    assert "nothing to compare" in capsys.readouterr().err
    assert main([*words, "--models", "max", "--weights", f"max={tmp_path / 'none'}"]) == 64
    assert "max has no weights" in capsys.readouterr().err
    assert main([*words, "--models", "max", "gmpet"]) == 64
    error = capsys.readouterr().err
    assert "gmpet needs a map of the gray matter, which the pairs do not have" in error
    assert error.count("\n") == 1
    for option in ("--external", "--weights"):
        with pytest.raises(SystemExit, match="64"):
            main([*words, option, f"x={tmp_path}", option, f"x={tmp_path}"])
        assert f"{option}: x is given twice" in capsys.readouterr().err
    for extra in (
        ["--external", "x"],
        ["--weights", "=x"],
        ["--stride", "0"],
        ["--models", "unknown"],
    ):
        with pytest.raises(SystemExit, match="64"):
            main([*words, *extra])
    assert not (tmp_path / "out").exists()


def test_what_fuse_reads_is_scored_and_empty_slices_are_skipped(head_pairs, tmp_path, capsys):
    for kind in ("mri", "pet"):
        image = np.asarray(Image.open(head_pairs / kind / "first.png"))
        Image.fromarray(image.astype(np.uint16) * 257).save(head_pairs / kind / "deep.tif")
        save(head_pairs / kind / "empty.png", image * (kind == "mri"))
    out = tmp_path / "out"
    words = ["benchmark", "--pairs", head_pairs, "--models", "average", "--no-reader", "--out", out]
    assert main([str(word) for word in words]) == 0
    assert "study: 1 of 4 pairs skipped" in capsys.readouterr().out
    (dataset,) = json.loads((out / "benchmark.json").read_text())["Datasets"]
    assert (dataset["Pairs"], dataset["Empty"]) == (4, 1)
    with (out / "pairs.tsv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream, delimiter="\t") if row["method"] == "average"]
    values = {row["pair"]: row["MI"] for row in rows}
    assert values["deep"] == values["first"]
    assert values["empty"] == "n/a"
