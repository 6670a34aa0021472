"""``fusionprep train`` with broken data, options and checkpoints, and when it is stopped."""

import os
import pickle
import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from fusionprep.training import progress, run
from fusionprep.training.log import read_log
from fusionprep.training.recipes import get_recipe
from tests.faults.attacks import Attack, Scene, in_table
from tests.faults.command import fusionprep, gray, pipe, refused, save
from tests.faults.test_pictures import png

MODEL = "densefuse"
CONFIG = "epochs = 3\nsteps_per_epoch = 2\nbatch_size = 2\ncrop = 24\nseed = 3\n"
PATIENTS = (("train", "A"), ("train", "B"), ("val", "C"))


@pytest.fixture
def scene(tmp_path) -> Scene:
    """Three pairs of small slices, and a configuration."""
    write_data(tmp_path)
    return Scene(tmp_path, tmp_path / "out", tmp_path / "work")


def write_data(folder: Path) -> None:
    lines = ["dataset,split,file,subject"]
    for index, (split, subject) in enumerate(PATIENTS):
        lines.append(f"set,{split},{index}.png,{subject}")
        for number, modality in enumerate(("mri", "pet")):
            image = gray(seed=index + number)
            save(folder / "set" / split / modality / f"{index}.png", image)
    (folder / "slices.csv").write_text("\n".join(lines))
    (folder / "own.toml").write_text(CONFIG)


def train(scene: Scene, *words: object):
    config = () if "--resume" in words else ("--config", scene.bids / "own.toml")
    out = ("--out", scene.out)
    return fusionprep(scene, "train", MODEL, "--data", scene.bids, *out, *config, *words)


def table(change: Callable[[str], str | bytes]) -> Callable:
    def prepare(scene: Scene) -> None:
        path = scene.bids / "slices.csv"
        text = change(path.read_text())
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    return prepare


def picture(make: Callable[[Path], object]) -> Callable:
    """One of the pictures is another thing."""

    def prepare(scene: Scene) -> None:
        path = scene.bids / "set" / "train" / "pet" / "0.png"
        path.unlink()
        make(path)

    return prepare


def option(line: str) -> Callable:
    def prepare(scene: Scene) -> None:
        with (scene.bids / "own.toml").open("a") as stream:
            stream.write(line + "\n")

    return prepare


def placed(make: Callable[[Path], object], name: str) -> Callable:
    return lambda scene: ((scene.bids / name).unlink(missing_ok=True), make(scene.bids / name))


def sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 2**40)


def not_finite(scene: Scene) -> None:
    from safetensors.torch import save_file

    from fusionprep.models.registry import get_model

    state = get_model(MODEL).build().state_dict()
    name = next(iter(state))
    save_file(state | {name: state[name] * float("nan")}, scene.bids / "nan.safetensors")
    option(f'initial_weights = "{scene.bids / "nan.safetensors"}"')(scene)


DATA = {
    "table-empty": Attack("an empty table", table(lambda _: ""), (1,), "is an empty file"),
    "table-header": Attack("a header alone", table(lambda t: t[:26]), (1,), "lists no slice"),
    "table-no-column": Attack("a column less", table(lambda t: t[8:]), (1,), "lacks the column"),
    "table-not-text": Attack(
        "not UTF-8", table(lambda t: t.encode() + b"\xff"), (1,), "cannot read",
    ),
    "table-null": Attack(
        "null characters", table(lambda t: t + "\n\0,\0,\0,\0"), (1,), "slices.csv",
    ),
    "table-long-cell": Attack(
        "a cell of 200,000 characters", table(lambda t: t + "\n" + "a" * 200_000), (1,), "field"
    ),
    "table-short-row": Attack("a row cut off", table(lambda t: t + "\nset,train"), (1,), "line 5"),
    "table-long-row": Attack(
        "a row too long", table(lambda t: t + "\na,b,c,d,e"), (1,), "split 'b'",
    ),
    "table-split": Attack(
        "another split", table(lambda t: t.replace("val", "v")), (1,), "split 'v'",
    ),
    "table-leak": Attack("a patient twice", table(lambda t: t.replace("C", "A")), (1,), "both"),
    "table-absolute": Attack(
        "a file elsewhere", table(lambda t: t.replace("0.png", "/etc/0.png")), (1,), "not the name"
    ),
    "table-above": Attack(
        "a folder above", table(lambda t: t.replace("set,", "..,")), (1,), "slices.csv"
    ),
    "table-pattern": Attack(
        "a pattern", table(lambda t: t.replace("0.png", "*.png")), (1,), "in no folder"
    ),
    "table-stars": Attack(
        "two stars", table(lambda t: t.replace("0.png", "**")), (1,), "in no folder",
    ),
    "table-no-file": Attack(
        "a file that is not there", table(lambda t: t.replace("0.png", "9.png")), (1,), "9.png"
    ),
    "table-fifo": Attack("a pipe", placed(pipe, "slices.csv"), (1,), "is a pipe"),
    "table-folder": Attack("a folder", placed(Path.mkdir, "slices.csv"), (1,), "is a folder"),
    "table-sparse": Attack("a terabyte", placed(sparse, "slices.csv"), (1,), "MB"),
    "table-endless": Attack(
        "a device", placed(lambda p: p.symlink_to("/dev/zero"), "slices.csv"), (1,), "a device"
    ),
    "no-training": Attack(
        "no training pair", table(lambda t: t.replace("train", "val")), (1,), "no train pair|in no"
    ),
    "picture-bomb": Attack(
        "a bomb", picture(lambda p: p.write_bytes(png(60000, 60000))), (1,), "0.png is too large"
    ),
    "picture-text": Attack("text", picture(lambda p: p.write_bytes(b"text")), (1,), "identify"),
    "picture-empty": Attack("no bytes", picture(Path.touch), (1,), "is an empty file"),
    "picture-fifo": Attack("a pipe", picture(pipe), (1,), "0.png is a pipe"),
    "picture-gone": Attack(
        "a link to nowhere", picture(lambda p: p.symlink_to("no")), (1,), "0.png",
    ),
    "picture-size": Attack(
        "of another size", picture(lambda p: save(p, gray(50))), (1,), "50 x 50 pixels, its mri"
    ),
    "weights-nan": Attack("weights that are NaN", not_finite, (1,), "not finite"),
    "weights-gone": Attack(
        "weights that are not there", option('initial_weights = "no.safetensors"'), (1,), "No such"
    ),
    "loss-nan": Attack(
        "a rate that no loss stands", option("learning_rate = 1000.0"), (1,), "no longer finite"
    ),
    "out-file": Attack("the output is a file", lambda s: s.out.write_text(""), (1, 2, 64), "out"),
    "out-toml": Attack(
        "its options are a folder", lambda s: (s.out / f"{MODEL}.toml").mkdir(parents=True), (1,),
        "cannot write to the training folder",
    ),
    "out-log": Attack(
        "its log is a folder", lambda s: (s.out / "log.csv").mkdir(parents=True), (1,),
        "cannot write to the training folder",
    ),
    "out-checkpoint": Attack(
        "its checkpoints are a file",
        lambda s: (s.out.mkdir(), (s.out / "checkpoints").write_text("")), (1,),
        "cannot write to the training folder",
    ),
}  # fmt: skip


@in_table(DATA)
def test_a_training_that_cannot_be_is_said_in_one_line(attack, scene):
    attack.prepare(scene)
    refused(train(scene), attack)


class Command:
    """Runs a command when it is unpickled."""

    def __reduce__(self):
        return os.system, ("true",)


def changed(change: Callable[[dict], object]) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        content = torch.load(path, weights_only=True)
        change(content)
        torch.save(content, path)

    return make


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def replaced(make: Callable[[Path], object]) -> Callable[[Path], None]:
    return lambda path: (path.unlink(), make(path))


CHECKPOINTS = {
    "empty": ("no bytes", lambda p: p.write_bytes(b""), "is an empty file"),
    "text": ("text", lambda p: p.write_bytes(b"checkpoint"), "cannot resume"),
    "zip": ("the start of a ZIP", lambda p: p.write_bytes(b"PK\3\4" + bytes(99)), "cannot resume"),
    "half": ("half of it", cut, "cannot resume"),
    "code": (
        "a pickle that runs a command", lambda p: p.write_bytes(pickle.dumps(Command())),
        "cannot resume",
    ),
    "code-in-zip": ("likewise, in a ZIP", lambda p: torch.save(Command(), p), "cannot resume"),
    "number": ("a number", lambda p: torch.save(5, p), "cannot resume"),
    "list": ("a list", lambda p: torch.save([], p), "it holds no epoch"),
    "nothing": ("an empty table", lambda p: torch.save({}, p), "it holds no epoch"),
    "no-state": ("no weights", changed(lambda c: c.pop("state_dict")), "no state_dict"),
    "no-records": ("no records", changed(lambda c: c["callbacks"].clear()), "cannot resume"),
    "other-state": (
        "other weights", changed(lambda c: c["state_dict"].update(more=torch.ones(1))), "another"
    ),
    "number-state": ("a number as weights", changed(lambda c: c.update(state_dict=1)), "cannot"),
    "fifo": ("a pipe", replaced(pipe), "is a pipe"),
    "folder": ("a folder", replaced(Path.mkdir), "is a folder"),
    "device": ("endless", replaced(lambda p: p.symlink_to("/dev/zero")), "is a device"),
}  # fmt: skip
RESUMED = {
    f"checkpoint-{name}": Attack(what, make, (1,), says)
    for name, (what, make, says) in CHECKPOINTS.items()
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Iterator[Scene]:
    """A run that was not stopped; not to be changed."""
    folder = tmp_path_factory.mktemp("trained")
    write_data(folder)
    scene = Scene(folder, folder / "out", folder / "work")
    run = train(scene)
    assert run.code == 0, run.stderr
    return scene


@in_table(RESUMED)
def test_a_checkpoint_that_cannot_be_used_is_said_in_one_line(attack, trained, tmp_path):
    out = shutil.copytree(trained.out, tmp_path / "out")
    attack.prepare(out / "checkpoints" / "last.ckpt")
    scene = Scene(trained.bids, out, trained.work)
    log = (out / "log.csv").read_bytes()
    refused(train(scene, "--resume", "--epochs", 4), attack)
    assert (out / "log.csv").read_bytes() == log


@pytest.mark.usefixtures("unguarded")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_training_goes_on_to_the_same(trained, tmp_path, monkeypatch, number):
    scene = Scene(trained.bids, tmp_path / "out", tmp_path / "work")
    original = run._progress

    def stopped(record, options):
        if record.epoch == 2:
            os.kill(os.getpid(), number)
        return original(record, options)

    with monkeypatch.context() as patch:
        patch.setattr(run, "_progress", stopped)
        first = train(scene)
    assert first.code == 128 + number
    assert "Traceback" not in first.stderr
    assert "go on with --resume" in first.stderr
    assert signal.getsignal(number) is not signal.SIG_IGN
    assert len(read_log(scene.out / "log.csv")) == 2
    assert train(scene, "--resume").code == 0
    assert read_losses(scene.out) == read_losses(trained.out)
    name = f"{MODEL}.safetensors"
    assert (scene.out / name).read_bytes() == (trained.out / name).read_bytes()


def read_losses(out: Path) -> list[dict[str, float]]:
    return [record.losses for record in read_log(out / "log.csv")]


def test_a_full_disk_keeps_the_last_checkpoint(trained, tmp_path, monkeypatch):
    scene = Scene(trained.bids, tmp_path / "out", tmp_path / "work")
    whole, calls = Path.replace, []

    def replace(self, target):
        if Path(target).name == "last.ckpt":
            calls.append(target)
            if len(calls) == 2:
                raise OSError(28, "No space left on device")
        return whole(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        refused(train(scene), Attack("a full disk", list, (1,), "No space left"))
    assert train(scene, "--resume").code == 0
    assert read_losses(scene.out) == read_losses(trained.out)


def test_a_loss_that_is_not_finite_keeps_the_epochs_before(scene, monkeypatch):
    recipe = type(get_recipe(MODEL))
    original, asked = recipe.loss_terms, []

    def loss_terms(self, *arguments):
        asked.append(1)
        factor = 1.0 if len(asked) < 5 else float("nan")
        return {name: factor * value for name, value in original(self, *arguments).items()}

    monkeypatch.setattr(recipe, "loss_terms", loss_terms)
    refused(train(scene), Attack("NaN", list, (1,), "no longer finite after epoch 2"))
    assert len(read_log(scene.out / "log.csv")) == 1
    assert torch.load(scene.out / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] == 0
    assert (scene.out / f"{MODEL}.safetensors").is_file()


def test_a_limit_on_the_size_of_files_is_said_in_one_line(scene):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        refused(train(scene), Attack("no large files", list, (1,), "cannot write"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_long_epoch_shows_signs_of_life_without_a_terminal(scene, monkeypatch):
    monkeypatch.setattr(progress, "SECONDS", 0.0)
    found = train(scene, "--epochs", 1)
    assert found.code == 0
    assert "epoch 1, step 2/2\n" in found.stderr
