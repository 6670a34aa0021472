"""Templates of the package's HTML pages."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

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
