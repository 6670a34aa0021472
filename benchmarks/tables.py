"""Tables of measured figures in Markdown, made from ``benchmarks/results``.

A benchmark stores what it measured with ``--record NOTE``; this script writes the tables between
their markers again. With ``--check`` it writes nothing, names the pages whose tables are not those
of the stored figures, and exits with 1. A page calls a table by the name of its file and its own::

    <!-- table: volume_fusion/costs -->
    <!-- end of table -->
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RESULTS = HERE / "results"
PAGES = ("*.md", "docs/**/*.md", "benchmarks/*.md")
BLOCK = re.compile(r"(<!-- table: (\w+)/(\w+) -->\n)(.*?)(<!-- end of table -->)", re.DOTALL)
NUMBER = re.compile(r"-?\d+(?:\.(\d+))?")
PARTS = ("columns", "rows")
ALIGNED = {"---": "left", "---:": "right", ":---:": "centre"}


def main(argv: Sequence[str] | None = None) -> int:
    """Write the tables of all pages, or check them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing")
    arguments = parser.parse_args(argv)
    pages = sorted(path for pattern in PAGES for path in ROOT.glob(pattern))
    used: set[str] = set()
    differing = []
    for page in pages:
        text = page.read_text(encoding="utf-8")
        made, names = with_tables(text, read_results())
        used |= names
        if made != text:
            differing.append(page)
            if not arguments.check:
                page.write_text(made, encoding="utf-8")
    for page in differing:
        verb = "differs from benchmarks/results; run benchmarks/tables.py" * arguments.check
        print(f"{page.relative_to(ROOT)} {verb or 'written'}")
    unused = sorted(set(all_tables(read_results())) - used)
    if unused:
        print(f"in no page: {', '.join(unused)}")
    return int(bool(unused) or (arguments.check and bool(differing)))


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--record`` to the options of a benchmark."""
    parser.add_argument(
        "--record",
        metavar="NOTE",
        help="store the figures in benchmarks/results for the tables of the docs; NOTE says what"
        " the machine was, e.g. 'otherwise idle'",
    )


def record(name: str, tables: Mapping[str, str], note: str | None) -> None:
    """Store tables of a benchmark, and write them into the pages; without a note do nothing.

    Tables that this run has not measured are kept.

    Parameters
    ----------
    name
        Of the benchmark.
    tables
        Name to table in Markdown.
    note
        Of ``--record``.
    """
    if note is None:
        return
    path = RESULTS / f"{name}.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    run = measured_now(note)
    known |= {title: {**run, **parse(text)} for title, text in tables.items()}
    path.parent.mkdir(exist_ok=True)
    path.write_text(to_json(known), encoding="utf-8")
    main([])


def measured_now(note: str) -> dict[str, str]:
    """What was run, when, on which version and machine; no paths of the machine."""
    from fusionprep import __version__

    words = [Path(sys.argv[0]).name, *sys.argv[1:]]
    if "--record" in words:
        del words[words.index("--record") : words.index("--record") + 2]
    plain = [re.sub(r"[^=]*/", "", word.rstrip("/")) for word in words]
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude", "*"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return {
        "command": " ".join(["python", f"benchmarks/{plain[0]}", *plain[1:]]),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "version": f"{__version__} ({described.stdout.strip()})",
        "machine": f"{os.cpu_count()} processors ({platform.machine()}), {note}",
    }


def read_results() -> dict[str, Any]:
    """All stored files by name."""
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(RESULTS.glob("*.json"))
    }


def all_tables(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """``benchmark/table`` of all stored tables."""
    return [f"{name}/{title}" for name, tables in results.items() for title in tables]


def with_tables(text: str, results: Mapping[str, Mapping[str, Any]]) -> tuple[str, set[str]]:
    """A page with its tables written again, and the tables it has.

    Raises
    ------
    KeyError
        When the page calls a table that is not stored.
    """
    used = set()

    def written(match: re.Match[str]) -> str:
        begin, name, title, _, end = match.groups()
        if title not in results.get(name, {}):
            raise KeyError(f"there is no table {name}/{title} in benchmarks/results")
        used.add(f"{name}/{title}")
        stored = results[name][title]
        return "\n".join([begin, markdown(stored), "", provenance(stored), "", end])

    return BLOCK.sub(written, text), used


def provenance(stored: Mapping[str, Any]) -> str:
    """One line that says where a table's figures come from."""
    # of figures that were typed once, the day that they were written down is known, not the version
    told = [f"{'Measured' if stored.get('version') else 'Written down'} {stored['date']}"]
    told += [f"version {stored['version']}"] if stored.get("version") else []
    told += [stored["machine"]] if stored.get("machine") else []
    return f"*{', '.join(told)}: `{stored['command']}`*"


def markdown(stored: Mapping[str, Any]) -> str:
    """A stored table in Markdown."""
    columns = stored["columns"]
    marks = {align: mark for mark, align in ALIGNED.items()}
    lines = [
        _line(column["title"] for column in columns),
        f"|{'|'.join(marks[column['align']] for column in columns)}|",
    ]
    forms = [column.get("format", "") for column in columns]
    for row in stored["rows"]:
        cells = zip(row, forms, strict=True)
        lines.append(
            _line(cell if isinstance(cell, str) else format(cell, form) for cell, form in cells)
        )
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return re.sub(r" {2,}", " ", f"| {' | '.join(cells)} |")


def parse(text: str) -> dict[str, Any]:
    """A table in Markdown as it is stored: columns of numbers are numbers, with their format.

    Returns
    -------
    dict
        ``columns``, each with ``title``, ``align`` and, where it has numbers, ``format``; ``rows``.
    """
    lines = [line.strip() for line in text.strip().splitlines()]
    titles, marks, *rows = ([cell.strip() for cell in line[1:-1].split("|")] for line in lines)
    columns: list[dict[str, str]] = [
        {"title": title, "align": ALIGNED[mark]} for title, mark in zip(titles, marks, strict=True)
    ]
    cells: list[list[Any]] = [list(row) for row in rows]
    for index, column in enumerate(columns):
        numbers = [NUMBER.fullmatch(row[index]) for row in cells if row[index]]
        decimals = {len(number[1] or "") if number else -1 for number in numbers}
        # a column of mixed text keeps it as it is
        if len(decimals) != 1 or -1 in decimals:
            continue
        column["format"] = f".{decimals.pop()}f"
        for row in cells:
            row[index] = float(row[index]) if row[index] else ""
    return {"columns": columns, "rows": cells}


def to_json(known: Mapping[str, Any]) -> str:
    """JSON with each column and each row of a table on one line."""
    tables = []
    for title, stored in known.items():
        lines = [f"  {_plain(key)}: {_plain(stored[key])}" for key in stored if key not in PARTS]
        for key in PARTS:
            items = ",\n".join(f"   {_plain(item)}" for item in stored[key])
            lines.append(f"  {_plain(key)}: [\n{items}\n  ]")
        tables.append(f" {_plain(title)}: {{\n" + ",\n".join(lines) + "\n }")
    return "{\n" + ",\n".join(tables) + "\n}\n"


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    sys.exit(main())
