"""Attacks on the command ``fusionprep``, which is run in this process."""

import contextlib
import io
import os
from pathlib import Path

import numpy as np
from PIL import Image

from fusionprep.cli import main
from tests.app.runs import Run, unfinished
from tests.faults.attacks import Attack, Scene, stands, time_limit


def gray(side: int = 40, seed: int = 0) -> np.ndarray:
    """A slice of smooth levels on black, (side, side) uint8."""
    across, down = np.indices((side, side)) - side / 2
    level = 120 + 60 * np.sin(across / (2 + seed)) + 20 * np.cos(down / 3)
    return np.where(np.hypot(across, down) < 0.42 * side, level, 0).astype(np.uint8)


def save(path: Path, image: np.ndarray | None = None) -> Path:
    """Write a good slice."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(gray() if image is None else image).save(path)
    return path


def fusionprep(scene: Scene, *words: object) -> Run:
    """Run the command; an exception that escapes it is a failure."""
    stdout, stderr = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr), time_limit():
        try:
            code = main([str(word) for word in words])
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    return Run(int(code), stdout.getvalue(), stderr.getvalue(), scene.out, scene.work)


def refused(run: Run, attack: Attack) -> None:
    """Assert that one line was said and nothing was left."""
    stands(run, attack)
    lines = [line for line in run.stderr.splitlines() if not line.startswith("usage:")]
    assert len(lines) == 1, run.stderr
    assert lines[0].startswith("fusionprep"), run.stderr
    assert not run.output_dir.is_dir() or not unfinished(run.output_dir)


def pipe(path: Path) -> Path:
    """A pipe into which nobody writes."""
    os.mkfifo(path)
    return path
