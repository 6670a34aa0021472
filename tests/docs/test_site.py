"""The built site: nothing missing, nothing from elsewhere, open to everybody."""

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.docs.blocks import PAGES, ROOT

LARGEST_README_LINES = 150
LARGEST_PICTURE = 200_000
# What a browser fetches when it opens a page; a link is fetched when somebody follows it.
FETCHED = {("img", "src"), ("script", "src"), ("link", "href"), ("source", "srcset")}
NOT_FETCHED = {"canonical", "prev", "next", "alternate"}


class Links(HTMLParser):
    """Anchors of a page, and the addresses it names.

    Attributes
    ----------
    anchors
        Every ``id``.
    addresses
        Address, and whether the page fetches it by itself.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.addresses: list[tuple[str, bool]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        self.anchors.update(filter(None, (found.get("id"), found.get("name"))))
        quiet = found.get("rel") in NOT_FETCHED
        for name in ("href", "src", "srcset"):
            if found.get(name):
                fetched = (tag, name) in FETCHED and not quiet
                self.addresses.append((str(found[name]), fetched))


@cache
def _links(path: Path) -> Links:
    return Links(path.read_text("utf-8"))


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    """The site as ``make docs`` builds it: a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def _internal(site: Path) -> Iterator[tuple[Path, str, Path, str]]:
    """Page, address, file and anchor of every link within the site."""
    for page in sorted(site.rglob("*.html")):
        if page.name == "404.html":
            continue
        for address, _ in _links(page).addresses:
            parts = urlsplit(address)
            if not parts.scheme and not parts.netloc:
                target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
                target = target / "index.html" if target.is_dir() else target
                yield page, address, target, parts.fragment


def test_every_link_within_the_site_leads_somewhere(site):
    wrong = [
        f"{page.relative_to(site)}: {address}"
        for page, address, target, anchor in _internal(site)
        if not target.is_file()
        or (anchor and target.suffix == ".html" and unquote(anchor) not in _links(target).anchors)
    ]
    assert not wrong


def test_nothing_is_fetched_from_elsewhere(site):
    fetched = {
        address
        for page in site.rglob("*.html")
        for address, by_itself in _links(page).addresses
        if by_itself and urlsplit(address).netloc
    }
    assert not fetched


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("page", ["index", "outputs", "options"])
def test_pages_are_open_to_everybody(site, visit, page, width):
    visited = visit(site / f"{page}.html", width=width)
    assert visited.violations() == []
    assert visited.too_wide() == []
    assert visited.requests == []


def test_every_page_of_functions_shows_them(site):
    text = (site / "api" / "image.html").read_text("utf-8")
    assert 'id="fusionprep.image.bias.correct_bias"' in text
    assert "Raises" in text


def test_readme_is_short_and_has_two_pictures():
    text = (ROOT / "README.md").read_text("utf-8")
    assert text.count("\n") <= LARGEST_README_LINES
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    assert len(pictures) == 2
    assert all((ROOT / picture).is_file() for picture in pictures)


def test_pictures_are_small_and_used():
    used = " ".join(page.read_text("utf-8") for page in PAGES)
    for picture in (ROOT / "docs" / "images").iterdir():
        assert picture.stat().st_size < LARGEST_PICTURE, picture
        assert picture.name in used, picture
