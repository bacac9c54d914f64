"""Plots and pictures for a page, as SVG elements and data URIs of PNG files.

Matplotlib draws the plots without its global state, and two calls give the same bytes. The ink is the page's text
colour, so that plots follow a light or dark scheme.
"""

from __future__ import annotations

import base64
import io
import math
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
from markupsafe import Markup

from meta_gan.report.sections import BARS, curve_steps
from meta_gan.tasks.pictures import grid
from meta_gan.tasks.pixels import to_float

if TYPE_CHECKING:
    from meta_gan.report.reports import Report

# Each has a contrast of 3 or more on white and on the dark page.
COLOURS = ("#2f7de1", "#d9690f", "#159a50", "#b14ad9", "#d6336c", "#0c8f9c", "#8a7a1c")
DASHES: tuple[tuple[float, ...], ...] = ((), (6, 2), (2, 2), (8, 2, 2, 2), (1, 3), (10, 4, 1, 4, 1, 4))
REFERENCES = ("oracle", *BARS)
INK = "#010203"
STYLE: Any = {
    "svg.hashsalt": "meta_gan",
    "svg.fonttype": "none",
    "font.family": ["DejaVu Sans"],
    "font.size": 11.0,
    "axes.unicode_minus": False,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
    "grid.color": INK,
    "grid.alpha": 0.15,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
WIDTH = 5.6


class Line(NamedTuple):
    """The style in which a row is drawn: its name, colour (CSS), and dashes (empty for a solid line)."""

    name: str
    colour: str
    dashes: tuple[float, ...]


def picture(rows: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Lay rows of images uint8[height, width, channels] out as one picture; see `meta_gan.tasks.pictures.grid`."""
    return grid([to_float(np.stack(row)) for row in rows])


def png_uri(levels: np.ndarray) -> str:
    """Return a picture uint8[height, width, 1 or 3] as the data URI of a PNG.

    Example:
        >>> png_uri(np.zeros((2, 2, 1), np.uint8))[:22]
        'data:image/png;base64,'
    """
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(levels[..., 0] if levels.shape[-1] == 1 else levels).save(file, format="PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def lines(report: Report) -> list[Line]:
    """Return the lines of the learning curves: of the models, then of the oracle and of plain augmentations."""
    models = [
        Line(name, COLOURS[place % len(COLOURS)], DASHES[place // len(COLOURS) % len(DASHES)])
        for place, name in enumerate(report.curve)
    ]
    references = [Line(row, "currentColor", dashes) for row, dashes in zip(REFERENCES, DASHES, strict=True)]
    return [*models, *(line for line in references if line.name in report.rows)]


@contextmanager
def canvas(width: float, height: float, **settings: Any) -> Iterator[Any]:
    """Yield an empty figure for drawing, whatever matplotlib's settings are, and put these back afterwards.

    Args:
        width: in inches.
        height: in inches.
        settings: settings of matplotlib beside those in `STYLE`.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE | settings)
        # The browser draws letters that matplotlib's font lacks.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        yield Figure(figsize=(width, height), layout="constrained")


def _svg(figure: Any, label: str, prefix: str) -> Markup:
    """Return a figure as an element for a page, in the page's font and text colour, with a label and unique ids."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    root = ElementTree.fromstring(file.getvalue())
    for node in list(root.iter()):
        node.tag = node.tag.rpartition("}")[2]
        attributes = {name.rpartition("}")[2]: value for name, value in node.items()}
        node.attrib.clear()
        for name, value in attributes.items():
            value = f"{prefix}-{value}" if name == "id" else value.replace("url(#", f"url(#{prefix}-")
            value = value.replace("#", f"#{prefix}-") if name == "href" else value.replace(INK, "currentColor")
            node.set(name, value.replace("'DejaVu Sans'", "system-ui, sans-serif"))
        for child in [child for child in node if child.tag.endswith(("}metadata", "}style"))]:
            node.remove(child)
    box = root.get("viewBox", "")
    root.attrib.clear()
    root.attrib.update({"role": "img", "aria-label": label, "viewBox": box})
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _number(entry: Mapping[str, Any] | None) -> tuple[float, float, float] | None:
    """Return mean, low and high; the mean three times if there is no interval."""
    if entry is None or entry["mean"] is None:
        return None
    mean = float(entry["mean"])
    low, high = (mean if entry[end] is None else float(entry[end]) for end in ("low", "high"))
    return mean, low, high


def _distance_axis(axes: Any, name: str, values: Sequence[float]) -> None:
    """Scale an axis by a symmetric logarithm: factors are what counts, and unbiased distances may be below 0."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    top = math.floor(math.log10(max(1e-6, *(abs(value) for value in values))))
    lowest = min(-1, top - 1)
    ticks = [digit * 10.0**power for power in range(lowest, top + 1) for digit in (1, 2, 5)]
    getattr(axes, f"set_{name}scale")("symlog", linthresh=10.0**lowest, linscale=0.4)
    axis = getattr(axes, f"{name}axis")
    scale = axis.get_transform()
    low, high = scale.transform([min(values), max(values)])
    margin = max(0.05 * (high - low), 1e-9)
    axes.set(**{f"{name}lim": scale.inverted().transform([low - margin, high + margin])})
    axis.set_major_locator(FixedLocator([0.0, *ticks, *(-tick for tick in ticks)]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("0.", ".", 1)))
    axis.set_minor_locator(NullLocator())
    axis.set_label_text("energy distance (0 = real)")
    axes.grid(axis=name)


def curve_plot(report: Report, judge: str, prefix: str) -> Markup:
    """Draw energy distance against adaptation steps: a line for each model, a level for each reference row.

    Args:
        report: with at least one model.
        judge: whose scores.
        prefix: of the element's ids; another for every plot of a page.

    Returns:
        An `<svg>` element.
    """
    curves = {
        name: {int(s): found for s, e in by[judge].get("energy_distance", {}).items() if (found := _number(e))}
        for name, by in report.curve.items()
    }
    levels = {row: _number(report.rows.get(row, {}).get(judge, {}).get("energy_distance")) for row in REFERENCES}
    steps = curve_steps(curves.values())
    values = [0.0, *(level[0] for level in levels.values() if level)]
    with canvas(WIDTH, 3.7) as figure:
        axes = figure.subplots()
        for line in lines(report):
            level, curve, style = levels.get(line.name), curves.get(line.name), (0, line.dashes or None)
            if curve is None:
                if level:
                    axes.axhline(level[0], color=INK, linestyle=style, linewidth=1.2, alpha=0.75)
                continue
            places = [steps.index(step) for step in sorted(curve)]
            mean, low, high = np.array([curve[step] for step in sorted(curve)]).reshape(-1, 3).T
            axes.fill_between(places, low, high, color=line.colour, alpha=0.18, linewidth=0)
            axes.plot(
                places,
                mean,
                color=line.colour,
                linestyle=style,
                marker="o",
                markersize=4,
                linewidth=2,
            )
            values += [*low, *high]
        axes.set_xticks(range(len(steps)), [f"{step:,}" for step in steps])
        axes.set_xlabel("adaptation steps")
        _distance_axis(axes, "y", values)
        return _svg(figure, f"Energy distance against adaptation steps, judge {judge}", prefix)


def interval_plot(report: Report, judge: str, prefix: str) -> Markup:
    """Draw the energy distance of every row and control with its interval, and the best plain augmentation.

    Args:
        report: of any rows.
        judge: whose scores.
        prefix: of the element's ids; another for every plot of a page.

    Returns:
        An `<svg>` element.
    """
    rows, values = report.scored, [0.0]
    colours = {line.name: line.colour for line in lines(report) if line.name in report.curve}
    with canvas(WIDTH, 0.8 + 0.36 * len(rows)) as figure:
        axes = figure.subplots()
        for place, (name, by_judge) in enumerate(rows.items()):
            number = _number(by_judge[judge].get("energy_distance"))
            owner = next((model for model in colours if name == model or name.startswith(f"{model}, ")), None)
            colour = colours[owner] if owner is not None else INK
            if number is None:
                continue
            axes.plot(number[1:], [place, place], color=colour, linewidth=3, alpha=0.45, solid_capstyle="butt")
            face = colour if name == owner or owner is None else "none"
            axes.plot([number[0]], [place], "o", color=colour, markerfacecolor=face, markersize=5)
            values += number
        if bar := report.best_bar(judge):
            axes.axvline(bar[1], color=INK, linewidth=1.2, linestyle=(0, (3, 3)), alpha=0.75)
        names = ["\n".join(textwrap.wrap(name, 24, max_lines=2, placeholder=" …")) for name in rows]
        axes.set_yticks(range(len(rows)), names, parse_math=False, linespacing=1.0)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        _distance_axis(axes, "x", values)
        return _svg(figure, f"Energy distance of every row with its interval, judge {judge}", prefix)
