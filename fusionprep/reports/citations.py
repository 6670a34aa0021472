"""The methods text of a run and the references it cites."""

import re
from importlib import resources
from pathlib import Path

from fusionprep.files import write_whole

CITATION = re.compile(r"\[@(\w+)\]|@(\w+)")
_SIDE_BY_SIDE = re.compile(r"\[@\w+\](?:\s+\[@\w+\])+")


def write_citations(boilerplate: str, logs: Path) -> None:
    """Write ``CITATION.md`` (to paste into a paper) and ``CITATION.bib`` (what it cites).

    Parameters
    ----------
    boilerplate
        Text with citations as pandoc has them, ``[@key]``, from the workflow that was built.

    Raises
    ------
    KeyError
        When a key is not in the package's bibliography.
    """
    library = read_bibliography()
    keys = list(dict.fromkeys(a or b for a, b in CITATION.findall(boilerplate)))

    def cited(match: re.Match) -> str:
        return _cite(match, library)

    def cited_together(match: re.Match) -> str:
        each = CITATION.sub(cited, match[0])
        return re.sub(r"\)\s+\(", "; ", each)

    text = CITATION.sub(cited, _SIDE_BY_SIDE.sub(cited_together, boilerplate))
    paragraphs = (" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n"))
    sentences = "\n\n".join(paragraphs)
    references = "\n".join(f"- {_reference(library[key])}" for key in keys)
    markdown = f"# Methods\n\n{sentences}\n\n## References\n\n{references}\n"
    bibliography = "\n\n".join(library[key] for key in keys) + "\n"
    write_whole(logs / "CITATION.md", lambda path: path.write_text(markdown, "utf-8"))
    write_whole(logs / "CITATION.bib", lambda path: path.write_text(bibliography, "utf-8"))


def read_bibliography() -> dict[str, str]:
    """BibTeX entries of the package by key."""
    text = resources.files("fusionprep").joinpath("data", "boilerplate.bib").read_text("utf-8")
    entries = re.split(r"\n(?=@)", text.strip())
    keys = (re.match(r"@\w+\{(\w+),", entry) for entry in entries)
    return {key[1]: entry.strip() for key, entry in zip(keys, entries, strict=True) if key}


def _field(entry: str, name: str) -> str:
    match = re.search(rf"^\s*{name} = \{{(.*)\}},?$", entry, re.MULTILINE)
    plain = re.sub(r"\{\\.\{?([A-Za-z])\}?\}", r"\1", match[1]) if match else ""
    return plain.replace("\\&", "&").replace("--", "–")


def _authors(entry: str) -> list[str]:
    return [author.strip() for author in _field(entry, "author").split(" and ")]


def _cite(match: re.Match, library: dict[str, str]) -> str:
    entry = library[match[1] or match[2]]
    surnames = [author.split(",")[0] for author in _authors(entry)]
    names = surnames[0] if len(surnames) == 1 else f"{surnames[0]} et al."
    if len(surnames) == 2:
        names = " & ".join(surnames)
    year = _field(entry, "year")
    return f"({names}, {year})" if match[1] else f"{names} ({year})"


def _reference(entry: str) -> str:
    authors = _authors(entry)
    named = [author for author in authors[:6] if author != "others"]
    names = "; ".join(named) + ("; et al." if len(named) < len(authors) else "")
    place = ", ".join(filter(None, (_field(entry, "journal"), _field(entry, "volume"))))
    doi = _field(entry, "doi")
    link = f" https://doi.org/{doi}" if doi else ""
    pages = f":{_field(entry, 'pages')}" if _field(entry, "pages") else ""
    return f"{names} ({_field(entry, 'year')}). {_field(entry, 'title')}. {place}{pages}.{link}"
