"""Small files of a participant that the group report shows or reads: figures and errors."""

from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path

from fusionprep.bids import fused_names, names
from fusionprep.bids.types import ImageFile
from fusionprep.errors import UnreadableFileError
from fusionprep.reading import read_text
from fusionprep.reports.records import fused_desc

# What a small figure shows: its kind, the fused image, and where and of which scan that is.
_Key = tuple[str, fused_names.FusedDesc, frozenset[tuple[str, str]]]


def find_figures(output_dir: Path, label: str) -> dict[_Key, str]:
    """Thumbnails and planes of a participant, by what they show."""
    found: dict[_Key, str] = {}
    for path in sorted((output_dir / names.figures_folder(f"sub-{label}")).glob("*.png")):
        entities, _ = names.parse_name(path.name)
        for kind in (fused_names.THUMBNAIL, fused_names.PLANES):
            if desc := fused_names.FusedDesc.parse(entities.get("desc", ""), kind):
                relative = path.relative_to(output_dir).as_posix()
                found[_key(kind, desc, entities)] = relative
                # one drawn at another resolution shows the same
                found.setdefault(_key(kind, desc, entities, "res"), relative)
    return found


def figure_of(figures: Mapping[_Key, str], kind: str, fused: ImageFile) -> str | None:
    """The figure of a kind that goes with a fused image, e.g. its thumbnail."""
    desc = fused_desc(fused)
    keys = _key(kind, desc, fused.entities), _key(kind, desc, fused.entities, "res")
    return next((figures[key] for key in keys if key in figures), None)


def _key(
    kind: str, desc: fused_names.FusedDesc, entities: Mapping[str, str], *without: str
) -> _Key:
    left_out = ("desc", *without)
    return kind, desc, frozenset(item for item in entities.items() if item[0] not in left_out)


class _Errors(HTMLParser):
    """Messages, and names of crashed steps, of the section *Errors* of a subject report."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []
        self.steps: list[str] = []
        self._into: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        into = {"p": self.messages, "summary": self.steps}.get(tag)
        if into is not None and (tag == "summary" or ("class", "alert") in attrs):
            self._into = into
            into.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("p", "summary"):
            self._into = None

    def handle_data(self, data: str) -> None:
        if self._into is not None:
            self._into[-1] += data


def told_errors(output_dir: Path, label: str) -> list[str] | None:
    """What the section *Errors* of the subject report says; None without such a section."""
    name = names.block_name({"sub": label}, names.ERRORS)
    path = output_dir / names.figures_folder(f"sub-{label}") / f"{name}.html"
    try:
        text = read_text(path, errors="replace")
    except UnreadableFileError as error:
        return None if error.absent else [str(error)]
    parser = _Errors()
    parser.feed(text)
    return [" ".join(text.split()) for text in parser.messages or parser.steps]
