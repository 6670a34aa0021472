"""Tables of the docs are those of the stored figures."""

import json

import pytest
import tables

COSTS = """\
| | CPU s | peak MB | ratio |
|---|---:|---:|---|
| average | 2.50 | 508 | (1.0×) |
| densefuse | 10.90 | | (4.2×) |
"""
PAGE = "Before.\n\n<!-- table: some/costs -->\n{}<!-- end of table -->\n\nAfter.\n"
RUN = {
    "command": "python benchmarks/some.py WORK",
    "date": "2026-01-02",
    "version": "0.1.0 (abcdef0)",
    "machine": "2 processors",
}


@pytest.fixture
def results() -> dict:
    return {"some": {"costs": RUN | tables.parse(COSTS)}}


def test_the_docs_agree_with_the_stored_figures(capsys):
    code = tables.main(["--check"])
    assert code == 0, capsys.readouterr().out


def test_a_table_is_stored_as_numbers_and_comes_back_as_it_was(results):
    stored = json.loads(tables.to_json(results["some"]))["costs"]
    assert stored == results["some"]["costs"]
    assert stored["rows"] == [["average", 2.5, 508, "(1.0×)"], ["densefuse", 10.9, "", "(4.2×)"]]
    assert tables.markdown(stored) + "\n" == COSTS


def test_a_page_has_the_table_and_what_was_run(results):
    page, used = tables.with_tables(PAGE.format("whatever was here\n"), results)
    assert used == {"some/costs"}
    assert COSTS in page
    said = "*Measured 2026-01-02, version 0.1.0 (abcdef0), 2 processors: `python benchmarks/some.py"
    assert f"{said} WORK`*" in page
    assert page.startswith("Before.\n")
    assert page.endswith("\n\nAfter.\n")
    assert tables.with_tables(page, results)[0] == page


def test_a_figure_that_was_typed_is_found(results):
    page, _ = tables.with_tables(PAGE.format(""), results)
    assert tables.with_tables(page.replace("10.90", "9.90"), results)[0] == page


def test_a_table_that_is_not_stored_is_named(results):
    with pytest.raises(KeyError, match="some/costs"):
        tables.with_tables(PAGE.format(""), {})


def test_what_was_run_names_no_place_of_this_machine(monkeypatch):
    words = [
        "/somewhere/benchmarks/some.py",
        "/home/me/work",
        "--t1w=/data/x.nii",
        "--threads",
        "1",
    ]
    monkeypatch.setattr("sys.argv", [*words, "--record", "otherwise idle"])
    run = tables.measured_now("otherwise idle")
    assert run["command"] == "python benchmarks/some.py work --t1w=x.nii --threads 1"
    assert run["machine"].endswith("otherwise idle")
