"""``fusionprep benchmark`` with broken pairs and methods, full disks, and when it is stopped."""

import csv
import math
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file

from fusionprep.evaluation import scoring, watch
from fusionprep.evaluation.kept import KeptPairs, ScoredPair
from fusionprep.evaluation.lesions import Condition
from fusionprep.evaluation.visibility import LesionScore, Visibility
from fusionprep.models.nets.arithmetic import Average
from fusionprep.models.registry import get_model
from tests.faults.attacks import Attack, Scene, in_table, stands
from tests.faults.command import fusionprep, gray, pipe, refused, save
from tests.faults.test_pictures import cut, flipped, plain_tiff, png, zeros

PAIRS = ("a", "b", "c")
SIDE = 56


@pytest.fixture
def scene(tmp_path) -> Scene:
    """Three pairs of small slices."""
    for seed, name in enumerate(PAIRS):
        for number, modality in enumerate(("mri", "pet")):
            save(tmp_path / "set" / modality / f"{name}.png", gray(SIDE, seed + number))
    return Scene(tmp_path, tmp_path / "out", tmp_path / "work")


@pytest.fixture(autouse=True)
def one_metric(monkeypatch):
    """All of them take seconds."""
    monkeypatch.setattr("fusionprep.evaluation.benchmark.metric_names", lambda: ("VIF",))


def benchmark(scene: Scene, *words: object, models: tuple[str, ...] = ("average", "max")):
    pairs = ("--pairs", scene.bids / "set", "--models", *models)
    return fusionprep(scene, "benchmark", *pairs, "--no-reader", "--out", scene.out, *words)


def rows(scene: Scene) -> list[dict[str, str]]:
    with (scene.out / "pairs.tsv").open(newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def second(make: Callable[[Path], object], modality: str = "pet") -> Callable:
    """The second pair has another thing as one of its images."""

    def prepare(scene: Scene) -> None:
        path = scene.bids / "set" / modality / "b.png"
        path.unlink()
        make(path)

    return prepare


def like(prepare: Callable[[Scene], list[object]]) -> Callable[[Path], None]:
    """What an attack on ``fusionprep fuse`` makes."""

    def make(path: Path) -> None:
        (made,) = prepare(Scene(path.parent, path.parent, path.parent))
        Path(str(made)).rename(path)

    return make


def put(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 2**40)


BROKEN = {
    "pair-bomb": Attack("a bomb", second(put(png(60000, 60000))), (1,), "set b: .*too large"),
    "pair-pixels": Attack(
        "49 MB of zeros", second(put(png(7000, 7000, zeros(49 << 20)))), (1,), "b:",
    ),
    "pair-text": Attack("text", second(put(b"text")), (1,), "set b: .*cannot identify"),
    "pair-empty": Attack("no bytes", second(Path.touch), (1,), "set b: .*an empty file"),
    "pair-half": Attack("half", second(like(cut(0.5))), (1,), "set b: .*b.png"),
    "pair-header": Attack("20 bytes", second(like(cut(0, at=20))), (1,), "set b: .*b.png"),
    "pair-flipped": Attack("other bytes", second(like(flipped(0, "pet.png"))), (1,), "set b: "),
    "pair-tiff": Attack("a bomb of TIFF", second(put(plain_tiff(60000, 60000))), (1,), "too large"),
    "pair-size": Attack("another size", second(lambda p: save(p, gray(50))), (1,), "50x50"),
    "pair-mri": Attack("text as MRI", second(put(b"text"), "mri"), (1,), "set b: .*identify"),
    "pair-fifo": Attack("a pipe", second(pipe), (1,), "set b: .*is a pipe"),
    "pair-folder": Attack("a folder", second(Path.mkdir), (1,), "set b: .*is a folder"),
    "pair-device": Attack(
        "endless", second(lambda p: p.symlink_to("/dev/zero")), (1,), "set b: .*is a device"
    ),
    "pair-loop": Attack(
        "a link to itself", second(lambda p: p.symlink_to("b.png")), (1,), "set b: ",
    ),
    "pair-gone": Attack("a link to nowhere", second(lambda p: p.symlink_to("no")), (1,), "set b: "),
    "pair-sparse": Attack("a terabyte", second(sparse), (1,), "set b: .*1,099,512 MB"),
    "pair-tiny": Attack(
        "5 x 5 pixels",
        lambda s: [save(path, gray()[18:23, 18:23]) for path in s.bids.glob("set/*/b.png")],
        (1,), "set b",
    ),
}  # fmt: skip


@in_table(BROKEN)
def test_a_broken_pair_costs_that_pair(attack, scene):
    attack.prepare(scene)
    run = benchmark(scene)
    stands(run, attack)
    assert run.stderr.splitlines()[-1].startswith("fusionprep: ")
    found = {row["pair"] for row in rows(scene) if row["VIF"] != "n/a"}
    assert found == {"a", "c"}
    assert (scene.out / "summary.html").is_file()


def broken_model(scene: Scene) -> list[object]:
    state = get_model("unet").build().state_dict()
    save_file(
        {key: each.contiguous() for key, each in state.items()}, scene.bids / "own.safetensors"
    )
    return ["--weights", f"densefuse={scene.bids / 'own.safetensors'}"]


def external(make: Callable[[Path], object]) -> Callable:
    def prepare(scene: Scene) -> list[object]:
        for name in PAIRS:
            save(scene.bids / "theirs" / f"{name}.png", gray(SIDE))
        (scene.bids / "theirs" / "b.png").unlink()
        make(scene.bids / "theirs" / "b.png")
        return ["--external", f"theirs={scene.bids / 'theirs'}"]

    return prepare


EXTERNAL = {
    "external-text": Attack("text", external(put(b"text")), (1,), "set b theirs: .*identify"),
    "external-size": Attack(
        "other size", external(lambda p: save(p, gray(50))), (1,), "b theirs: "
    ),
    "external-bomb": Attack("a bomb", external(put(png(60000, 60000))), (1,), "set b theirs: "),
    "external-empty": Attack("no bytes", external(Path.touch), (1,), "set b theirs: .*empty"),
}


@in_table(EXTERNAL)
def test_a_broken_image_of_a_method_costs_its_row(attack, scene):
    run = benchmark(scene, *attack.prepare(scene), models=("average",))
    stands(run, attack)
    lost = {(row["pair"], row["method"]) for row in rows(scene) if row["VIF"] == "n/a"}
    assert lost == {("b", "theirs")}


def test_a_model_that_fails_costs_its_rows(scene, monkeypatch):
    def forward(*_):
        raise RuntimeError("not enough memory: you tried to allocate\n10 GB")

    monkeypatch.setattr(Average, "forward", forward)
    run = benchmark(scene)
    stands(run, Attack("a model that fails", list, (1,), "set a average: not enough memory"))
    assert run.stderr.count("warning: ") == 3
    lost = {(row["pair"], row["method"]) for row in rows(scene) if row["VIF"] == "n/a"}
    assert lost == {(name, "average") for name in PAIRS}


def test_a_model_that_fails_with_lesions_keeps_its_metrics(scene, monkeypatch):
    def read(methods, *_):
        if len(methods) > 1 or methods[0] is None:
            raise ValueError("cannot be read")
        return [None]

    monkeypatch.setattr(scoring, "read_by_reader", read)
    words = ("--pairs", scene.bids / "set", "--models", "max", "--out", scene.out)
    run = fusionprep(scene, "benchmark", *words)
    stands(run, Attack("lesions", list, (0, 1)))
    assert {row["VIF"] != "n/a" for row in rows(scene)} == {True}


def all_broken(scene: Scene) -> list[object]:
    for name in PAIRS:
        (scene.bids / "set" / "pet" / f"{name}.png").write_bytes(b"text")
    return []


AT_START = {
    "out-file": Attack(
        "the output is a file", lambda s: s.out.write_text(""), (1, 2, 64), "folder",
    ),
    "out-below-file": Attack(
        "it is below a file", lambda s: ["--out", save(s.bids / "f.png") / "a"], (1, 64), "folder"
    ),
    "weights-other": Attack("weights of another", broken_model, (1, 2, 64), "weights"),
    "no-partner": Attack(
        "an image without a partner", lambda s: (s.bids / "set" / "pet" / "a.png").unlink(), (1,),
        "only in one of",
    ),
    "no-images": Attack(
        "no image", lambda s: [path.unlink() for path in s.bids.glob("set/*/*")], (1,), "no",
    ),
}  # fmt: skip


@in_table(AT_START)
def test_what_cannot_be_compared_is_said_in_one_line_at_the_start(attack, scene):
    words = attack.prepare(scene)
    refused(
        benchmark(scene, *(words if isinstance(words, list) and words and words[0] else [])), attack
    )


def test_no_pair_at_all_ends_in_one_line_after_those_of_the_pairs(scene):
    all_broken(scene)
    run = benchmark(scene)
    stands(run, Attack("all broken", list, (1,), "no pair of set could be scored"))
    assert run.stderr.count("warning: ") == len(PAIRS)


@pytest.mark.usefixtures("unguarded")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_benchmark_keeps_the_rows_that_are_done(scene, monkeypatch, number):
    original = watch.SavingWatch.image

    def image(self, name):
        if name == "set c max":
            os.kill(os.getpid(), number)
        original(self, name)

    monkeypatch.setattr(watch.SavingWatch, "image", image)
    run = benchmark(scene)
    assert run.code == 128 + number
    assert "Traceback" not in run.stderr
    assert "pairs.tsv" in run.stderr
    assert {row["pair"] for row in rows(scene)} == {"a", "b"}
    assert sorted(path.name for path in scene.out.iterdir()) == ["pairs.tsv", "unfinished"]


def test_a_killed_benchmark_has_left_rows(scene, monkeypatch):
    """They are written while it runs, not in the end alone."""
    monkeypatch.setattr(watch, "SECONDS_BETWEEN_FILES", -1.0)
    left = []

    def image(self, name):
        left.append((self.out / "pairs.tsv").is_file() and len(rows(scene)))

    monkeypatch.setattr(watch.SavingWatch, "image", image)
    assert benchmark(scene).code == 0
    per_pair = len(left) // 3
    assert left == [False] * per_pair + [per_pair] * per_pair + [2 * per_pair] * per_pair


def test_a_full_disk_is_said_in_one_line(scene, monkeypatch):
    def replace(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", replace)
    refused(benchmark(scene), Attack("a full disk", list, (1,), "No space left"))
    assert not list(scene.out.iterdir())


def test_progress_is_told_without_a_terminal(scene, monkeypatch):
    monkeypatch.setattr(watch, "SECONDS_BETWEEN_LINES", -1.0)
    run = benchmark(scene)
    assert run.code == 0
    assert "1/21 images] set a average\n" in run.stderr
    assert run.stderr.count("\n") == 21


def stopped(scene: Scene, monkeypatch, *words: object) -> None:
    """A benchmark that two of three pairs were scored by."""

    def image(self, name):
        if name.startswith("set c"):
            os.kill(os.getpid(), signal.SIGTERM)
        original(self, name)

    original = watch.SavingWatch.image
    with monkeypatch.context() as patch:
        patch.setattr(watch.SavingWatch, "image", image)
        assert benchmark(scene, *words).code == 143


def scored_by(scene: Scene, monkeypatch, *words: object, **models: object) -> list[str]:
    """The pairs that a resumed benchmark scores itself."""
    pairs = []

    def score(tally, column, *rest, **options):
        pairs.append(tally.pair_set.pairs[column].name)
        return original(tally, column, *rest, **options)

    original = scoring._score_pair
    with monkeypatch.context() as patch:
        patch.setattr(scoring, "_score_pair", score)
        assert benchmark(scene, "--resume", *words, **models).code == 0
    return pairs


def without_times(scene: Scene) -> dict[str, object]:
    table = [{**row, "ms": ""} for row in rows(scene)]
    pictures = {path.name: path.read_bytes() for path in scene.out.glob("*.png")}
    return {"pairs": table, **pictures}


@pytest.mark.usefixtures("unguarded")
def test_a_stopped_benchmark_resumes_with_the_pairs_that_are_left(scene, tmp_path, monkeypatch):
    whole = Scene(scene.bids, tmp_path / "whole", scene.work)
    assert benchmark(whole).code == 0
    stopped(scene, monkeypatch)
    assert scored_by(scene, monkeypatch) == ["c"]
    assert without_times(scene) == without_times(whole)
    assert not (scene.out / "unfinished").exists()


def damage(scene: Scene, keep: int) -> None:
    for path in scene.out.glob("unfinished/*"):
        os.truncate(path, keep)


def flip(scene: Scene) -> None:
    for path in scene.out.glob("unfinished/*"):
        content = bytearray(path.read_bytes())
        content[80:-200:7] = bytes(255 - each for each in content[80:-200:7])
        path.write_bytes(content)


CHANGES = {
    "an image": (lambda s: save(s.bids / "set" / "pet" / "a.png", gray(SIDE, 5)), ["a", "c"]),
    "empty": (lambda s: damage(s, 0), ["a", "b", "c"]),
    "flipped": (flip, ["a", "b", "c"]),
    "half": (lambda s: damage(s, 1000), ["a", "b", "c"]),
}


@pytest.mark.usefixtures("unguarded")
@pytest.mark.parametrize("name", CHANGES)
def test_what_has_changed_is_scored_again(scene, monkeypatch, name):
    change, again = CHANGES[name]
    stopped(scene, monkeypatch)
    change(scene)
    assert scored_by(scene, monkeypatch) == again


@pytest.mark.usefixtures("unguarded")
def test_other_methods_and_images_made_elsewhere_are_scored_again(scene, monkeypatch):
    for name in PAIRS:
        save(scene.bids / "theirs" / f"{name}.png", gray(SIDE))
    theirs = ("--external", f"theirs={scene.bids / 'theirs'}")
    stopped(scene, monkeypatch, *theirs)
    save(scene.bids / "theirs" / "b.png", gray(SIDE, 3))
    assert scored_by(scene, monkeypatch, *theirs) == ["b", "c"]
    stopped(scene, monkeypatch)
    assert scored_by(scene, monkeypatch, models=("average",)) == ["a", "b", "c"]


@pytest.mark.usefixtures("unguarded")
def test_without_resume_a_benchmark_begins_again(scene, monkeypatch):
    stopped(scene, monkeypatch)
    assert len(list((scene.out / "unfinished").iterdir())) == 2
    monkeypatch.setattr(scoring, "_score_pair", None)
    with pytest.raises(TypeError):
        benchmark(scene)
    assert not (scene.out / "unfinished").exists()


def test_what_a_reader_sees_is_kept_as_it_was(tmp_path):
    condition = Condition("functional", 2.0)
    seen = Visibility((LesionScore(condition, 0.1, math.nan, 1 / 3),), 0.7, (0.25, 0.5), 0.0)
    values = {"VIF": np.array([0.1, np.nan]), "ms": np.array([1.0, 2.0])}
    picture = np.arange(12, dtype=np.uint8).reshape(3, 4)
    kept = KeptPairs(tmp_path / "kept")
    kept.keep("a", ScoredPair(values, [picture, None], [seen, None], 7))
    found = kept.find("a")
    assert repr(found) == repr(ScoredPair(values, [picture, None], [seen, None], 7))
    assert kept.find("b") is None
