"""The files of the page that draws and shows, for the demo's server and for the static page of the documentation."""

from __future__ import annotations

from pathlib import Path

import jinja2

FILES = Path(__file__).parent / "page"
"""Scripts, style and icon; `demo.js` is the script of the served page alone."""
TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, script: str, count: int, folder: Path | None = None) -> str:
    """Return the HTML of a page.

    Args:
        template: the name of a template that extends `page.html`.
        script: the address of the page's script, relative to the page.
        count: number of samples at first.
        folder: where to look for templates before those of the demo.

    Example:
        `render("demo.html", "demo.js", 24)`
    """
    folders = [TEMPLATES] if folder is None else [folder, TEMPLATES]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(script=script, count=count)
