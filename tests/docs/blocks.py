"""The blocks of code of the documentation."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
REASONS = ("download", "SLURM", "docker", "training")
"""Why a block may be left out: what it needs is not there, or takes hours."""

_FENCE = re.compile(
    r"(?:^<!-- not run: (?P<reason>[^>]*) -->\n)?^```(?P<language>\w*)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_APP = re.compile(r"^fusionapp (?!demo\b)(?!.*--dry-run)(?!--)", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One block of a page.

    Attributes
    ----------
    page, line
        Where its first line is; the page as a path from the root of the repository.
    language
        As the page names it: ``sh``, ``python``, ``yaml``; empty where it names none.
    code
        Its text.
    reason
        Why it is not run; None for a block that is.
    """

    page: str
    line: int
    language: str
    code: str
    reason: str | None

    @property
    def runs_the_app(self) -> bool:
        """Whether images are processed, or what was made of them is read."""
        return bool(_APP.search(self.code.replace("\\\n", " "))) or "out/" in self.code


def blocks_of(path: Path) -> Iterator[Block]:
    """All blocks of a page, in order."""
    text = path.read_text("utf-8")
    for match in _FENCE.finditer(text):
        line = text.count("\n", 0, match.start("code")) + 1
        page = path.relative_to(ROOT).as_posix()
        yield Block(page, line, match["language"], match["code"], match["reason"])


def all_blocks(language: str) -> list[Block]:
    """The blocks of all pages in one language."""
    return [block for page in PAGES for block in blocks_of(page) if block.language == language]
