"""Command lines and training configurations of ``fusionprep`` that cannot be right."""

import contextlib
import io
import os
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from fusionprep.cli import main
from tests.faults.attacks import time_limit
from tests.faults.test_usage import DEEP, HUGE, LONG


@pytest.fixture
def places(tmp_path) -> Path:
    """Two volumes, a pair of slices, and what is in the way."""
    grid = np.indices((16, 16, 12)) - np.array([8, 8, 6]).reshape(3, 1, 1, 1)
    ball = (np.linalg.norm(grid, axis=0) < 5).astype(np.float32)
    for name, level in (("mri", 500 + grid[1]), ("pet", 9000 + grid[0])):
        image = nib.Nifti1Image(ball * level.astype(np.float32), np.diag([2.0, 2, 2, 1]))
        nib.save(image, tmp_path / f"{name}.nii")
    for name in ("mri", "ct"):
        (tmp_path / "pairs" / name).mkdir(parents=True)
        Image.fromarray(np.eye(60, dtype=np.uint8)).save(tmp_path / "pairs" / name / "a.png")
    (tmp_path / "folder").mkdir()
    for name in ("text", "text.nii"):
        (tmp_path / name).write_text("text")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


def attempt(places: Path, *words: str) -> tuple[int, str]:
    """Exit code and stderr of the command."""
    stdout, stderr = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr), time_limit():
        try:
            code = main([word.format(here=places) for word in words])
        except SystemExit as end:
            code = int(end.code or 0)
    return code, stderr.getvalue()


def files_of(places: Path) -> dict[Path, int]:
    return {path: path.lstat().st_mtime_ns for path in sorted(places.rglob("*"))}


FUSE = ("fuse", "{here}/mri.nii", "{here}/pet.nii", "--model", "max")
TO = ("-o", "{here}/out.nii")
EXPORT = ("export-onnx", "unet")
JOIN = ("join-vgg19", "{here}/text", "-o", "{here}/out.safetensors")
COMPARE = ("benchmark", "--models", "max", "--no-reader", "--pairs")
PAIRS = (*COMPARE, "{here}/pairs", "--out", "{here}/out")
TRAIN = ("train", "unet", "--data", "{here}/folder", "--out", "{here}/out")

USAGE: dict[str, tuple[Sequence[str], str]] = {
    "none": ((), "required: COMMAND"),
    "command": (("fuze",), "invalid choice: 'fuze'"),
    "command-long": ((LONG,), "invalid choice"),
    "fuse-nothing": (("fuse",), "required: MRI"),
    "fuse-model": ((*FUSE, *TO, "--model", "best"), "invalid choice: 'best'"),
    "fuse-model-long": ((*FUSE, *TO, "--model", LONG), "invalid choice"),
    "fuse-output-blank": ((*FUSE, "-o", ""), "the path is empty"),
    "fuse-output-long": ((*FUSE, "-o", f"{{here}}/{LONG}.nii"), "File name too long"),
    "fuse-output-loop": ((*FUSE, "-o", "{here}/loop/a.nii"), "Too many levels of symbolic"),
    "fuse-output-bytes": ((*FUSE, "-o", "{here}/\udcff.nii"), "not in UTF-8"),
    "fuse-output-folder": ((*FUSE, "-o", "{here}/folder"), "is a folder; name a file"),
    "export-folder": ((*EXPORT, "-o", "{here}/folder"), "is a folder; name a file"),
    "join-folder": (("join-vgg19", "{here}/text", "-o", "{here}/folder"), "is a folder; name a"),
    "fuse-output-nul": ((*FUSE, "-o", "{here}/a\0.nii"), "NUL character"),
    "fuse-output-input": ((*FUSE, "-o", "{here}/pet.nii", "--overwrite"), "would replace"),
    "fuse-output-kind": ((*FUSE, "-o", "{here}/out.txt"), "must all be NIfTI"),
    "fuse-input-blank": (("fuse", "", "{here}/pet.nii", *TO), "the path is empty"),
    "fuse-input-long": (("fuse", LONG, "{here}/pet.nii", *TO), "File name too long"),
    "fuse-input-nul": (("fuse", "a\0", "{here}/pet.nii", *TO), "NUL character"),
    "fuse-input-loop": (("fuse", "{here}/loop", "{here}/pet.nii", *TO), "Too many levels"),
    "fuse-input-folder": (("fuse", "{here}/folder", "{here}/pet.nii", *TO), "must all be NIfTI"),
    "fuse-input-pipe": (("fuse", "{here}/pipe", "{here}/pet.nii", *TO), "must all be NIfTI"),
    "fuse-mask-blank": ((*FUSE, *TO, "--mask", ""), "the path is empty"),
    "fuse-mask-folder": ((*FUSE, *TO, "--mask", "{here}/folder"), "must all be NIfTI"),
    "fuse-weights-none": ((*FUSE, *TO, "--weights", "{here}/text"), "max has no weights"),
    "fuse-weights-blank": ((*FUSE, *TO, "--weights", ""), "the path is empty"),
    "fuse-batch-nan": ((*FUSE, *TO, "--batch-size", "nan"), "'nan' is not a whole number"),
    "fuse-batch-zero": ((*FUSE, *TO, "--batch-size", "0"), "must be at least 1, not 0"),
    "fuse-batch-negative": ((*FUSE, *TO, "--batch-size", "-3"), "must be at least 1"),
    "fuse-batch-digits": ((*FUSE, *TO, "--batch-size", HUGE), "is not a whole number"),
    "fuse-batch-large": ((*FUSE, *TO, "--batch-size", "9" * 20), "must be at most"),
    "fuse-batch-power": ((*FUSE, *TO, "--batch-size", "²"), "is not a whole number"),
    "fuse-device": ((*FUSE, *TO, "--device", "tpu"), "invalid choice: 'tpu'"),
    "fuse-planes": ((*FUSE, *TO, "--planes", ""), "invalid choice: ''"),
    "fuse-modality": ((*FUSE, *TO, "--functional-modality", "meg"), "invalid choice: 'meg'"),
    "fuse-option": ((*FUSE, *TO, "--zoom", "2"), "unrecognized arguments: --zoom"),
    "export-model": (("export-onnx", "best", *TO), "invalid choice: 'best'"),
    "export-blank": ((*EXPORT, "-o", ""), "the path is empty"),
    "export-itself": (
        (*EXPORT, "--weights", "{here}/text", "-o", "{here}/text"),
        "would replace",
    ),
    "join-itself": (("join-vgg19", "{here}/text", "-o", "{here}/text"), "would replace"),
    "export-none": (("export-onnx", "max", "--weights", "x", *TO), "max has no weights"),
    "join-blank": (("join-vgg19", "", *TO), "the path is empty"),
    "join-digits": ((*JOIN, "--sha256", "zz"), "is not the beginning of a SHA-256"),
    "join-digits-blank": ((*JOIN, "--sha256", ""), "is not the beginning of a SHA-256"),
    "benchmark-nothing": (("benchmark",), "required: --pairs"),
    "benchmark-models": ((*PAIRS, "--models", "max", "max"), "two methods are called 'max'"),
    "benchmark-model": ((*PAIRS, "--models", "best"), "invalid choice: 'best'"),
    "benchmark-out-blank": ((*COMPARE, "{here}/pairs", "--out", ""), "the path is empty"),
    "benchmark-out-file": ((*COMPARE, "{here}/pairs", "--out", "{here}/text"), "is not a folder"),
    "benchmark-pairs-blank": ((*COMPARE, "", "--out", "{here}/out"), "the path is empty"),
    "benchmark-pairs-twice": (
        (*COMPARE, "{here}/pairs", "{here}/pairs", "--out", "{here}/out"),
        "given twice",
    ),
    "benchmark-subfolder": ((*PAIRS, "--anatomical", "../x"), "no subfolder of anatomical"),
    "benchmark-stride": ((*PAIRS, "--stride", "0"), "must be at least 1"),
    "benchmark-stride-digits": ((*PAIRS, "--stride", HUGE), "is not a whole number"),
    "benchmark-threads": ((*PAIRS, "--threads", "9999999"), "must be at most 1024"),
    "benchmark-external": ((*PAIRS, "--external", "mine="), "'mine=' is not NAME=DIR"),
    "benchmark-external-long": ((*PAIRS, "--external", f"a={LONG}"), "File name too long"),
    "benchmark-weights": ((*PAIRS, "--weights", "max={here}/text"), "max has no weights"),
    "benchmark-weights-other": ((*PAIRS, "--weights", "unet=x"), "unet"),
    "train-model": (("train", "best", "--data", "{here}/folder"), "invalid choice: 'best'"),
    "train-data-blank": (("train", "unet", "--data", ""), "the path is empty"),
    "train-out-file": (
        ("train", "unet", "--data", "{here}/folder", "--out", "{here}/text"),
        "is not a folder",
    ),
    "train-epochs": ((*TRAIN, "--epochs", "0"), "must be at least 1"),
    "train-epochs-float": ((*TRAIN, "--epochs", "1.5"), "is not a whole number"),
    "train-steps": ((*TRAIN, "--steps-per-epoch", "-1"), "must be at least 1"),
    "train-minutes-nan": ((*TRAIN, "--minutes", "nan"), "must be above 0"),
    "train-minutes-inf": ((*TRAIN, "--minutes", "inf"), "must be above 0"),
    "train-minutes-word": ((*TRAIN, "--minutes", "ten"), "'ten' is not a number"),
    "train-seed": ((*TRAIN, "--seed", "-1"), "must be at least 0"),
    "train-seed-large": ((*TRAIN, "--seed", "9" * 30), "must be at most 4294967295"),
    "train-config-missing": ((*TRAIN, "--config", "{here}/none"), "No such file"),
    "train-config-folder": ((*TRAIN, "--config", "{here}/folder"), "it is a folder"),
    "train-config-pipe": ((*TRAIN, "--config", "{here}/pipe"), "it is empty"),
    "train-config-device": ((*TRAIN, "--config", "/dev/zero"), "larger than"),
    "train-config-loop": ((*TRAIN, "--config", "{here}/loop"), "Too many levels"),
}
TRAINING_FILES: dict[str, tuple[str | bytes, str]] = {
    "binary": (b"\x80\xff" * 50, "cannot read the training configuration"),
    "broken": ("epochs =", "cannot read the training configuration"),
    "deep": ("epochs = " + "[" * DEEP, "cannot read the training configuration"),
    "digits": (f"epochs = {HUGE}", "cannot read the training configuration"),
    "hex": (f"epochs = 0x{HUGE}", "option epochs .* wrong type"),
    "hex-float": (f"learning_rate = 0x{HUGE}", "option learning_rate .* wrong type"),
    "date": ("epochs = 2020-01-02", "option epochs .* wrong type"),
    "nan": ("epochs = nan", "option epochs .* wrong type"),
    "list": ("epochs = [1]", "option epochs .* wrong type"),
    "table": ("[epochs]\na = 1", "option epochs .* wrong type"),
    "unknown": ("epoch = 1", "unknown training option .* epoch"),
    "negative": ("batch_size = -1", "batch_size must be at least 1, not -1"),
    "crop": ("crop = 9999999", "crop must be at most"),
    "rate-nan": ("learning_rate = nan", "learning_rate must be greater than 0"),
    "rate-inf": ("learning_rate = inf", "learning_rate must be greater than 0"),
    "decay-nan": ("learning_rate_decay = nan", "learning_rate_decay must be greater"),
    "minutes-inf": ("minutes = inf", "minutes must be greater than 0"),
    "gain-nan": ("smallest_gain = nan", "smallest_gain must lie between"),
    "share-nan": ("validation_share = nan", "validation_share must lie between"),
    "loss-nan": ("loss_weights = {ssim = nan}", "the weight of the loss 'ssim'"),
    "loss-date": ("loss_weights = {ssim = 2020-01-02}", "option loss_weights .* wrong type"),
    "subjects": ("validation_subjects = [['01']]", "validation_subjects .* wrong type"),
    "precision": ("precision = '128'", "precision cannot be '128'; choose from"),
    "devices": ("devices = 'tpu'", "devices cannot be 'tpu'"),
    "devices-zero": ("devices = 0", "devices cannot be 0"),
    "weights-blank": ("initial_weights = ''", "initial_weights is empty"),
    "weights-nul": ('initial_weights = "a\\u0000"', "holds a NUL character"),
    "vgg-long": (f"perceptual_weights = '{LONG}'", "File name too long"),
    "threads": ("threads = 0", "threads must be at least 1"),
    "seed": ("seed = -1", "seed must be at least 0"),
}


def refused(places: Path, words: Sequence[str], says: str) -> None:
    before = files_of(places)
    code, said = attempt(places, *words)
    assert code == 64, said
    assert said.startswith("fusionprep"), said
    assert said.count("\n") == 1, said
    assert len(said) < 1500
    assert "Traceback" not in said
    with pytest.raises(AssertionError, match=says):
        raise AssertionError(said)
    assert files_of(places) == before


@pytest.mark.parametrize("name", USAGE)
def test_a_wrong_command_line_ends_in_one_line(places, name):
    words, says = USAGE[name]
    refused(places, words, says)


@pytest.mark.parametrize("name", TRAINING_FILES)
def test_a_wrong_training_configuration_ends_in_one_line(places, name):
    content, says = TRAINING_FILES[name]
    file = places / "training.toml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    refused(places, (*TRAIN, "--config", str(file)), says)


UNUSABLE: dict[str, tuple[Sequence[str], str]] = {
    "fuse-missing": (("fuse", "{here}/none.nii", "{here}/pet.nii", *TO), "there is no file"),
    "fuse-output-there": ((*FUSE, "-o", "{here}/text.nii"), "exists; choose another"),
    "export-weights-folder": ((*EXPORT, "--weights", "{here}/folder", *TO), "is a folder"),
    "join-missing": (("join-vgg19", "{here}/none", *TO), "No such file"),
    "join-other": (JOIN, "the SHA-256 of"),
    "benchmark-missing": ((*COMPARE, "{here}/none", "--out", "{here}/out"), "there is no folder"),
    "benchmark-file": ((*COMPARE, "{here}/text", "--out", "{here}/out"), "there is no folder"),
    "train-missing": (("train", "unet", "--data", "{here}/none"), "holds no training data"),
    "train-file": (("train", "unet", "--data", "{here}/text"), "holds no training data"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_files_that_are_not_there_are_no_wrong_use(places, name):
    words, says = UNUSABLE[name]
    code, said = attempt(places, *words)
    assert (code, said.count("\n")) == (1, 1), said
    assert says in said
