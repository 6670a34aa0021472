"""Small files of a participant that the group report shows or reads: figures and errors."""

from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path

from fusionprep.reports.records import Derivative, split_name


def find_figures(output_dir: Path, label: str) -> dict[tuple, str]:
    """Thumbnails and planes of a participant, by what they show."""
    found: dict[tuple, str] = {}
    for path in sorted((output_dir / f"sub-{label}" / "figures").glob("*.png")):
        entities, suffix = split_name(path.name)
        for kind in ("thumb", "planes"):
            if entities.get("desc", "").startswith(kind):
                rest = entities["desc"].removeprefix(kind)
                relative = path.relative_to(output_dir).as_posix()
                found[_key(kind, rest, suffix, entities)] = relative
                # one drawn at another resolution shows the same
                coarse = {name: entities[name] for name in entities if name != "res"}
                found.setdefault(_key(kind, rest, suffix, coarse), relative)
    return found


def figure_of(figures: Mapping[tuple, str], kind: str, fused: Derivative) -> str | None:
    """The figure of a kind, ``thumb`` or ``planes``, that goes with a fused image."""
    rest = fused.entities.get("desc", "").removeprefix("fused")
    coarse = {name: fused.entities[name] for name in fused.entities if name != "res"}
    for entities in (fused.entities, coarse):
        found = figures.get(_key(kind, rest, fused.suffix, entities))
        if found is not None:
            return found
    return None


def _key(kind: str, rest: str, suffix: str, entities: Mapping[str, str]) -> tuple:
    others = frozenset((name, label) for name, label in entities.items() if name != "desc")
    return kind, rest, suffix, others


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
    path = output_dir / f"sub-{label}" / "figures" / f"sub-{label}_desc-errors_T1w.html"
    if not path.is_file():
        return None
    parser = _Errors()
    parser.feed(path.read_text(encoding="utf-8", errors="replace"))
    return [" ".join(text.split()) for text in parser.messages or parser.steps]
