"""Opening reports in Debian's Chromium, from files and without a network."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")

# WebGL is drawn in software where there is no GPU.
OPTIONS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
)

# What ends to the right of the window and lies neither in a box that scrolls by itself nor in a
# drawing, which clips.
STICKING_OUT = """() => {
  const overflow = (e) => getComputedStyle(e).overflowX
  const bounds = (e) => e.tagName === 'svg' || ['auto', 'scroll'].includes(overflow(e))
  const within = (e) => e !== document.body && (bounds(e) || within(e.parentElement))
  return [...document.querySelectorAll('body *')]
    .filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !within(e.parentElement))
    .map((e) => `${e.tagName} ${e.id} ${e.className}: ${e.textContent.trim().slice(0, 40)}`)
}"""


@dataclass
class Visit:
    """A page that was opened, with all that went wrong there.

    Attributes
    ----------
    page
        Playwright's page.
    errors
        Messages of the console, and exceptions nobody caught.
    requests
        Addresses asked for that are not files; none of them was answered.
    """

    page: object
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def violations(self) -> list[str]:
        """Serious and critical violations of the accessibility rules of axe-core."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page).response["violations"]
        return [
            f"{rule['id']}: {rule['help']}: {rule['nodes'][0]['html'][:200]}"
            for rule in found
            if rule["impact"] in ("serious", "critical")
        ]

    def too_wide(self) -> list[str]:
        """What widens the page beyond its window, with all details of the page opened."""
        self.page.evaluate("document.querySelectorAll('details').forEach((e) => { e.open = true })")
        found = self.page.evaluate(STICKING_OUT)
        width, across = self.page.evaluate("[innerWidth, document.documentElement.scrollWidth]")
        return found if across <= width else [f"page: {across} of {width} pixels", *found]


@pytest.fixture(scope="session")
def chromium() -> Iterator[object]:
    """Chromium as installed on this machine; tests that need it skip without."""
    from playwright.sync_api import sync_playwright

    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(OPTIONS))
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium):
    """Opens a file: ``visit(path, width=1280, height=900)`` gives a :class:`Visit`."""
    contexts = []

    def open_page(path: Path, *, width: int = 1280, height: int = 900, **options) -> Visit:
        context = chromium.new_context(
            viewport={"width": width, "height": height}, accept_downloads=True, **options
        )
        contexts.append(context)
        visited = Visit(context.new_page())

        def answer(route, request):
            if request.url.startswith(("file:", "data:", "blob:")):
                route.continue_()
            else:
                visited.requests.append(request.url)
                route.abort()

        visited.page.route("**/*", answer)
        visited.page.on(
            "console", lambda said: said.type == "error" and visited.errors.append(said.text)
        )
        visited.page.on("pageerror", lambda error: visited.errors.append(str(error)))
        visited.page.goto(Path(path).absolute().as_uri())
        return visited

    yield open_page
    for context in contexts:
        context.close()
