"""The word list of ``make lint``: it finds what it should, and nothing in the repository."""

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "prose.py"


@pytest.fixture(scope="module")
def prose():
    spec = importlib.util.spec_from_file_location("prose", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _found(prose, path, text):
    path.write_text(text, "utf-8")
    return [(line, phrase) for line, phrase, _ in prose.findings(path)]


LIST = [
    ("weights of an own training", "an own"),
    ("the option goes before the file", "goes before"),
    ("a folder that is none.", "is none"),
    ("a level from which on it is bone", "from which on"),
    ("begin anew", "anew"),
    ("halved thrice", "thrice"),
    ("less is read, lest it overflow", "lest"),
    ("that is no news", "is no news"),
    ("scores could not be had", "could not be had"),
    ("two steps failed alike", "alike"),
    ("`module load` and the like", "and the like"),
    ("it is no table", "is no table"),
]


@pytest.mark.parametrize(("sentence", "phrase"), LIST)
def test_planted_phrase_is_found(prose, tmp_path, sentence, phrase):
    assert (2, phrase) in _found(prose, tmp_path / "a.md", f"# Title\n{sentence}\n")


def test_line_is_that_of_the_phrase(prose, tmp_path):
    code = (
        '"""Title.\n\nText that begins anew.\n"""\n\n'
        "# One option goes\n# before the other.\n"
        'x = (\n    f"{x} of an "\n    "own training"\n)\n'
    )
    expected = [(3, "anew"), (6, "goes before"), (9, "an own")]
    assert _found(prose, tmp_path / "a.py", code) == expected


def test_code_is_not_prose(prose, tmp_path):
    code = "a = lest if b is None else anew\nfor x in turns:\n    thrice(x, is_none=1)\n"
    assert not _found(prose, tmp_path / "a.py", code)


def test_what_an_f_string_computes_is_not_prose(prose, tmp_path):
    assert not _found(prose, tmp_path / "a.py", "x = f'so {anew} far'\n")


def test_prints_and_exits_with_1(prose, tmp_path, capsys):
    path = tmp_path / "a.md"
    path.write_text("Begin anew.\n")
    assert prose.main([path]) == 1
    assert capsys.readouterr().out == f"{path}:1: 'anew': again\n"


def test_every_kind_of_file_is_read(prose):
    read = {path.relative_to(prose.ROOT).as_posix() for path in prose.files()}
    assert {
        "README.md",
        "fusionprep/data/report-group.tpl",
        "fusionprep/reports/subject/spec.py",
        "fusionprep/data/weights/unet.md",
        "fusionprep/files.py",
        "tests/conftest.py",
    } <= read
    assert "fusionprep/data/weights/unet.json" not in read


def test_repository_is_clean(prose, capsys):
    code = prose.main(prose.files())
    assert not capsys.readouterr().out
    assert code == 0
