"""Templates of the package's HTML pages."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

if TYPE_CHECKING:
    import jinja2

DATA = Path(__file__).parent / "data"
"""Where the templates lie, and what else the reports need."""

BUNDLES = DATA / "web"
"""Scripts of the pages, which `make web` builds."""


def page_template(name: str, **filters: Callable) -> "jinja2.Template":
    """A template of the package, to be rendered with values, which are escaped."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(str(DATA)),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters)
    return environment.get_template(name)


def embedded(value: Any) -> Markup:
    """JSON for use inside a script element, which nothing in it can close."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("</", "<\\/").replace("<!--", "\\u003c!--"))


def inlined(path: Path) -> Markup:
    """A script or style of the package, for use inside an element."""
    text = path.read_text(encoding="utf-8")
    # neither may close the element it is in
    text = re.sub(r"</(script|style)", r"<\\/\1", text, flags=re.IGNORECASE)
    return Markup(text.replace("<!--", "<\\!--"))
