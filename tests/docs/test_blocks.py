"""The commands and the code of the pages work as they are written."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.docs.blocks import PAGES, REASONS, ROOT, Block, all_blocks, blocks_of

LARGEST_SHARE = 0.25
SECONDS = 900
LANGUAGES = ("sh", "python")


def _to_run() -> Iterator[object]:
    for page in PAGES:
        blocks = [b for b in blocks_of(page) if b.language in LANGUAGES and b.reason is None]
        if blocks:
            slow = any(block.runs_the_app for block in blocks)
            name = page.relative_to(ROOT).as_posix()
            yield pytest.param(blocks, id=name, marks=pytest.mark.slow if slow else ())


@pytest.fixture
def folder(request, tmp_path) -> Path:
    """A folder of the page's own, which has what it does not write itself."""
    blocks = request.getfixturevalue("blocks")
    slow = any(block.runs_the_app for block in blocks)
    root = request.getfixturevalue("processed" if slow else "scene")
    text = "".join(block.code for block in blocks)
    begins_with_nothing = re.search(r"^fusionapp demo bids$", text, re.MULTILINE)
    for path in root.iterdir():
        if not (begins_with_nothing and path.name in ("bids", "out", "work")):
            (tmp_path / path.name).symlink_to(path)
    return tmp_path


@pytest.mark.parametrize("blocks", _to_run())
def test_blocks_of(blocks, folder, environment, monkeypatch):
    """In their order, one after the other, names of Python kept from block to block."""
    names: dict[str, object] = {}
    monkeypatch.chdir(folder)
    for block in blocks:
        if block.language == "sh":
            _run(block, folder, environment)
        else:
            code = "\n" * (block.line - 1) + block.code
            exec(compile(code, block.page, "exec"), names)


def _run(block: Block, folder: Path, environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.code],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    said = f"{done.stdout[-3000:]}{done.stderr[-3000:]}"
    assert done.returncode == 0, f"{block.page}:{block.line}:\n{block.code}\n{said}"


def test_few_blocks_are_left_out_and_each_for_a_reason():
    blocks = all_blocks("sh")
    left_out = [block for block in blocks if block.reason is not None]
    assert {block.reason for block in left_out} <= set(REASONS)
    assert 0 < len(left_out) <= LARGEST_SHARE * len(blocks)


def test_every_mark_stands_above_a_block():
    marks = sum(page.read_text("utf-8").count("<!-- not run:") for page in PAGES)
    blocks = [block for page in PAGES for block in blocks_of(page)]
    assert marks == sum(block.reason is not None for block in blocks)


def test_blocks_say_their_language():
    """Else a command could slip past: only figures of folders and files have none."""
    for page in PAGES:
        for block in blocks_of(page):
            assert block.language or not re.search(
                r"^(fusionapp|fusionprep|python|pip|make) ", block.code, re.MULTILINE
            ), f"{block.page}:{block.line}"
