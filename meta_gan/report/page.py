"""A report as one self-contained page: no script, and nothing that is loaded from anywhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from html import escape
from typing import Any

import numpy as np

from meta_gan.report import figures
from meta_gan.report.sections import CURVE, JUDGES, MODELS, SCORES, sections, title
from meta_gan.report.style import STYLE
from meta_gan.report.tables import NULL, QUICK, Cell, Section, Table, check_report, numeric
from meta_gan.tasks.pictures import GAP, grid
from meta_gan.tasks.pixels import to_float

SAMPLES, NEAREST = "Samples", "Nearest support images"
READABLE = 28
"""Images of fewer rows of pixels are enlarged by a whole factor."""


def _identifier(section_title: str) -> str:
    return section_title.lower().replace(" ", "-")


def _cell(cell: Cell) -> str:
    parts = [f"<bdi>{escape(cell.text)}</bdi>" if cell.text else ""]
    parts += [f"<small>{escape(cell.note)}</small>" if cell.note else ""]
    parts += [f"<code>{escape(cell.code)}</code>" if cell.code else ""]
    return " ".join(part for part in parts if part)


def _box(kind: str, label: str, inside: str) -> str:
    """A box that scrolls sideways by itself, also by keyboard."""
    return f'<div class="{kind}" role="region" tabindex="0" aria-label="{escape(label)}">{inside}</div>'


def _head(name: str) -> str:
    # An arrow stays on the line of the word before it.
    return re.sub("(?<=[↑↓→]) | (?=[↑↓→])", "\u00a0", escape(name))


def _table(table: Table, label: str) -> str:
    sides = ["n" if right else "t" for right in numeric(table)]
    head = "".join(
        f'<th scope="col" class="{side}">{_head(name)}</th>' for side, name in zip(sides, table.head, strict=True)
    )
    body = []
    for row in table.rows:
        cells = [f'<td class="{side}">{_cell(cell)}</td>' for side, cell in zip(sides[1:], row[1:], strict=True)]
        body.append(f'<tr><th scope="row">{_cell(row[0])}</th>{"".join(cells)}</tr>')
    heading = f"<h3>{escape(table.title)}</h3>\n" if table.title else ""
    lines = "\n".join(body)
    grid = f"<table><thead><tr>{head}</tr></thead><tbody>\n{lines}\n</tbody></table>"
    return heading + _box("scroll", table.title or label, grid)


def _section(section: Section, plots: str = "") -> str:
    facts = [
        f"<dt>{escape(name)}</dt><dd>{', '.join(_cell(cell) for cell in cells)}</dd>" for name, cells in section.facts
    ]
    parts = [f"<dl>{''.join(facts)}</dl>" if facts else "", plots]
    parts += [_table(table, section.title) for table in section.tables]
    return _wrap(section.title, "\n".join(part for part in parts if part))


def _wrap(name: str, inside: str) -> str:
    return f'<section id="{_identifier(name)}">\n<h2>{escape(name)}</h2>\n{inside}\n</section>'


def _swatch(line: figures.Line) -> str:
    dashes = f' stroke-dasharray="{" ".join(f"{1.5 * dash:g}" for dash in line.dashes)}"' if line.dashes else ""
    stroke = f'<path d="M1 5H33" stroke="{line.colour}" stroke-width="2"{dashes}/>'
    dot = "" if line.colour == "currentColor" else f'<circle cx="17" cy="5" r="3" fill="{line.colour}"/>'
    icon = f'<svg class="swatch" viewBox="0 0 34 10" aria-hidden="true">{stroke}{dot}</svg>'
    return f"<li>{icon}<bdi>{escape(line.name)}</bdi></li>"


def _panels(
    report: Mapping[str, Any], plot: Callable[[Mapping[str, Any], str, str], str], prefix: str, caption: str
) -> str:
    panels = [
        f"<figure><figcaption>Judge <bdi>{escape(judge)}</bdi></figcaption>"
        f"{plot(report, judge, f'{prefix}{place}')}</figure>"
        for place, judge in enumerate(report["judges"])
    ]
    return f'<div class="panels">{"".join(panels)}</div>\n<p>{caption}</p>'


def _intervals(report: Mapping[str, Any]) -> str:
    caption = (
        "Means and intervals; hollow: another row of the same model; dashed: the best of copy, shift and affine. "
        "The axis is logarithmic but linear about 0."
    )
    return _panels(report, figures.interval_plot, "i", caption)


def _curves(report: Mapping[str, Any]) -> str:
    keys = "".join(_swatch(line) for line in figures.lines(report))
    caption = "Bands are intervals. Steps are evenly spaced; the other axis is logarithmic but linear about 0."
    return f'<ul class="key">{keys}</ul>\n' + _panels(report, figures.curve_plot, "c", caption)


def _image(levels: np.ndarray, alt: str, scale: int) -> str:
    height, width = levels.shape[:2]
    size = f'width="{width * scale}" height="{height * scale}"'
    return f'<img src="{figures.png_uri(levels)}" {size} alt="{escape(alt)}">'


def _samples(row: str, gallery: Mapping[str, Any]) -> str:
    support, samples, classes = gallery["support"], gallery["samples"], gallery["classes"]
    height, width = support.shape[2:4]
    scale = max(1, READABLE // height)
    names = "".join(f'<li title="{escape(name)}"><bdi>{escape(name)}</bdi></li>' for name in classes)
    split = support.shape[1] * (width + GAP) * scale + figures.SEPARATOR * scale // 2
    alt = (
        f"{row}: {len(classes)} classes, a row each; {support.shape[1]} support images, then {samples.shape[1]} samples"
    )
    heads = f'<span style="width:{split}px">support</span><span>samples</span>'
    inside = (
        f'<div class="sheet" style="--row:{(height + GAP) * scale}px"><ol>{names}</ol>'
        f'<div><div class="heads">{heads}</div>{_image(figures.side_by_side(support, samples), alt, scale)}</div></div>'
    )
    box = _box("scroll", f"samples of {row}", inside)
    return f"<figure><figcaption><bdi>{escape(row)}</bdi></figcaption>{box}</figure>"


def _pair(pair: Mapping[str, Any]) -> str:
    levels = grid([to_float(np.stack([pair["generated"], pair["support"]]))])
    scale = 2 * max(1, READABLE // pair["generated"].shape[0])
    mark = " <strong>copy</strong>" if pair["copy"] else ""
    alt = f"generated image of {pair['class']}, and the support image nearest to it{', a copy' if pair['copy'] else ''}"
    kind = ' class="copy"' if pair["copy"] else ""
    name = f'<bdi class="name" title="{escape(pair["class"])}">{escape(pair["class"])}</bdi>'
    return f"<li{kind}>{_image(levels, alt, scale)}{name}<span>{pair['distance']:.4g}{mark}</span></li>"


def _nearest(row: str, gallery: Mapping[str, Any]) -> str:
    pairs = sorted(gallery["nearest"], key=lambda pair: pair["distance"])
    copies = sum(bool(pair["copy"]) for pair in pairs)
    strip = _box("scroll", f"nearest pairs of {row}", f'<ul class="pairs">{"".join(map(_pair, pairs))}</ul>')
    count = f"copies: {copies} of the {len(pairs)} shown" if pairs else NULL
    return f"<h3><bdi>{escape(row)}</bdi> <small>{count}</small></h3>\n{strip if pairs else ''}"


def _gallery_sections(galleries: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The sections of pictures by their titles; none without galleries."""
    if not galleries:
        return {}
    sheets = "\n".join(_samples(row, gallery) for row, gallery in galleries.items() if gallery["classes"])
    order = "<p>A row for each class: the support images, then samples.</p>"
    strips = "\n".join(_nearest(row, gallery) for row, gallery in galleries.items())
    legend = (
        "<p>Generated image, then the support image nearest to it, with their pixel distance; the closest pairs first. "
        "Copies are framed.</p>"
    )
    return {SAMPLES: f'{order}\n<div class="sheets">{sheets}</div>', NEAREST: f"{legend}\n{strips}"}


def _check_galleries(report: Mapping[str, Any], galleries: Mapping[str, Any]) -> None:
    for row, gallery in galleries.items():
        path = f"galleries[{row!r}]"
        if row not in report["rows"] and row not in report["controls"]:
            raise ValueError(f"`galleries` must be of rows of the report. Received: {row!r}")
        _check_keys(gallery, ("classes", "support", "samples", "nearest"), path)
        count = len(gallery["classes"])
        for key in ("support", "samples") if count else ():
            _check_images(gallery[key], (count, None), f"{path}[{key!r}]")
        for place, pair in enumerate(gallery["nearest"]):
            _check_keys(pair, ("class", "generated", "support", "distance", "copy"), f"{path}['nearest'][{place}]")
            for key in ("generated", "support"):
                _check_images(pair[key], (), f"{path}['nearest'][{place}][{key!r}]")


def _check_keys(holder: Mapping[str, Any], keys: tuple[str, ...], path: str) -> None:
    for key in keys:
        if key not in holder:
            raise ValueError(f"`{path}` must have the key {key!r}. Received: {sorted(holder)}")


def _check_images(images: np.ndarray, leading: tuple[int | None, ...], path: str) -> None:
    """`leading` are the sizes before height, width and channels, None for any."""
    fits = images.ndim == len(leading) + 3 and images.shape[-1] in (1, 3) and images.size > 0
    fits = fits and all(size in (None, have) for size, have in zip(leading, images.shape, strict=False))
    if not fits or images.dtype != np.uint8:
        wanted = ", ".join([*("n" if size is None else str(size) for size in leading), "height, width, 1 or 3"])
        raise ValueError(f"`{path}` must be uint8[{wanted}]. Received: {images.dtype}{list(images.shape)}")


def html(report: Mapping[str, Any], galleries: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a report as a page.

    Args:
        report: the dictionary of `report.json`.
        galleries: for some or all rows and controls
            {"classes": n names, "support": uint8[n, k, height, width, channels], "samples": uint8[n, m, height, width,
            channels], "nearest": [{"class": name, "generated": uint8[height, width, channels], "support": likewise,
            "distance": pixel distance, "copy": whether it is one}]}; images of 1 or 3 channels.

    Returns:
        The text of an HTML file: what `markdown` says, plots, samples beside their support, and the generated images
        nearest to a support image. The same arguments give the same text.

    Raises:
        ValueError: if the report lacks a key, which is named; a gallery of no row, or of other arrays.

    Example:
        `Path("report.html").write_text(html(report, galleries), "utf-8")`
    """
    check_report(report)
    _check_galleries(report, galleries)
    pictured = {row: galleries[row] for row in (*report["rows"], *report["controls"]) if row in galleries}
    plots = {SCORES: _intervals, CURVE: _curves}
    pictures = {name: _wrap(name, inside) for name, inside in _gallery_sections(pictured).items()}
    parts: dict[str, str] = {}
    for section in sections(report):
        if section.title in (MODELS, JUDGES):
            parts |= pictures
        parts[section.title] = _section(section, plots[section.title](report) if section.title in plots else "")
    head, body = escape(title(report)), "\n".join(parts.values())
    banner = f'<p class="quick"><strong>{QUICK}</strong></p>\n' if report["protocol"]["form"] == "quick" else ""
    links = "".join(f'<a href="#{_identifier(name)}">{escape(name)}</a>' for name in parts)
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f"<title>{head}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<header>\n<h1><bdi>{head}</bdi></h1>\n{banner}<nav>{links}</nav>\n</header>\n"
        f"<main>\n{body}\n</main>\n</body>\n</html>\n"
    )
