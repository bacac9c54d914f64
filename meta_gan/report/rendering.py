"""Renderings of a report by Jinja2 templates, as Markdown and as one self-contained HTML page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup

from meta_gan.report import figures
from meta_gan.report.sections import NULL, QUICK, Cell, Section, sections

if TYPE_CHECKING:
    from meta_gan.report.reports import Report

READABLE = 28
"""A page enlarges images with fewer rows of pixels by a whole factor."""


def _environment(**options: Any) -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("meta_gan.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **options,
    )
    made.globals.update(NULL=NULL, QUICK=QUICK, READABLE=READABLE)
    return made


def _escape(value: Any) -> Markup:
    """Escape characters that Markdown or HTML would interpret, except underscores within words."""
    if isinstance(value, Markup):
        return value
    return Markup(re.sub(r"([\\`*\[\]<>|&~#]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", " ".join(str(value).split())))


def _markdown_cell(cell: Cell) -> Markup:
    code = cell.code if cell.code in ("", NULL) else f"`{re.sub('[`|]', '', cell.code)}`"
    return Markup(" ").join(part for part in (_escape(cell.text), _escape(cell.note), Markup(code)) if part)


# Jinja's own escaping, for HTML, comes after `finalize` and leaves its result as it is.
_MARKDOWN, _HTML = _environment(finalize=_escape), _environment()
_MARKDOWN.filters["cell"] = _markdown_cell
# An arrow stays on the line of the word before it.
_HTML.globals.update(picture=figures.picture, png_uri=figures.png_uri)
_HTML.filters["keep_arrows"] = lambda text: re.sub("(?<=[↑↓→]) | (?=[↑↓→])", "\u00a0", text)


def markdown(template: str, **values: Any) -> str:
    """Return a Markdown template filled with values, which are escaped."""
    return _MARKDOWN.get_template(template).render(values)


def style_sheet() -> str:
    """Return the CSS of a report's page."""
    return _HTML.get_template("style.css").render()


def page(report: Report, galleries: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the HTML page of a report; see `Report.to_html`."""
    pictured = {row: galleries[row] for row in report.scored if row in galleries}
    shown = sections(report)
    if pictured:
        place = next(place for place, section in enumerate(shown) if section.title in ("Models", "Judges"))
        shown[place:place] = [Section("Samples"), Section("Nearest support images")]
    plots = {"Scores": figures.interval_plot, **({"Learning speed": figures.curve_plot} if report.curve else {})}
    drawn = {
        title: {judge: plot(report, judge, f"{title[0]}{place}") for place, judge in enumerate(report.judges)}
        for title, plot in plots.items()
    }
    return _HTML.get_template("report.html").render(
        report=report, sections=shown, plots=drawn, lines=figures.lines(report), galleries=pictured
    )


def augmentation_page(report: Any, shown: list[Section], galleries: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the HTML page of an `AugmentationReport`; see `AugmentationReport.to_html`."""
    return _HTML.get_template("augmentation.html").render(report=report, sections=shown, galleries=galleries)
