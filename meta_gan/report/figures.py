"""Plots and pictures of a report, as text that a page holds inside itself: SVG elements and PNG data URIs.

The plots are drawn by matplotlib without its global state, in a form that two calls repeat byte for byte. Their ink
is the page's text colour, so that they follow a light or dark scheme; the letters are the page's own.
"""

from __future__ import annotations

import base64
import io
import math
import re
import textwrap
import warnings
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np

from meta_gan.report.sections import best_bar, curve_steps
from meta_gan.report.tables import REFERENCES
from meta_gan.tasks.pictures import GAP_LEVEL, grid
from meta_gan.tasks.pixels import to_float

# A contrast of 3 or more on white as well as on the dark page.
COLOURS = ("#2f7de1", "#d9690f", "#159a50", "#b14ad9", "#d6336c", "#0c8f9c", "#8a7a1c")
DASHES: tuple[tuple[float, ...], ...] = ((), (6, 2), (2, 2), (8, 2, 2, 2))
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
SEPARATOR = 8


class Line(NamedTuple):
    """How a model or a reference row is drawn: its name, colour (CSS), and dashes (empty for a solid line)."""

    name: str
    colour: str
    dashes: tuple[float, ...]


def png_uri(levels: np.ndarray) -> str:
    """Return a picture as the data URI of a PNG.

    Args:
        levels: uint8[height, width, 1 or 3].

    Example:
        >>> png_uri(np.zeros((2, 2, 1), np.uint8))[:22]
        'data:image/png;base64,'
    """
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(levels[..., 0] if levels.shape[-1] == 1 else levels).save(file, format="PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def side_by_side(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Lay two blocks of images beside each other, a row for each class, with a wider gap between them.

    Args:
        left: uint8[n, k, height, width, channels].
        right: uint8[n, m, height, width, channels].

    Returns:
        uint8[n * (height + 2) - 2, (k + m) * (width + 2) + 4, channels].

    Example:
        >>> side_by_side(np.zeros((3, 5, 8, 8, 1), np.uint8), np.zeros((3, 10, 8, 8, 1), np.uint8)).shape
        (28, 154, 1)
    """
    first, second = (grid([to_float(row) for row in block]) for block in (left, right))
    between = np.full((len(first), SEPARATOR, first.shape[-1]), GAP_LEVEL, np.uint8)
    return np.concatenate([first, between, second], axis=1)


def lines(report: Mapping[str, Any]) -> list[Line]:
    """Return the lines of the learning curves: those of the models, then those of oracle, copy, shift and affine.

    Example:
        >>> [line.name for line in lines({"curve": {"mine": {}}, "rows": {"oracle": {}, "mine": {}, "copy": {}}})]
        ['mine', 'oracle', 'copy']
    """
    models = [
        Line(name, COLOURS[place % len(COLOURS)], DASHES[place // len(COLOURS) % len(DASHES)])
        for place, name in enumerate(report["curve"])
    ]
    references = [Line(row, "currentColor", dashes) for row, dashes in zip(REFERENCES, DASHES, strict=True)]
    return [*models, *(line for line in references if line.name in report["rows"])]


def _ticks(values: Iterable[float]) -> tuple[list[float], float]:
    """Ticks 1, 2, 5 of every decade, and up to where the axis is linear about 0."""
    largest = max([abs(value) for value in values] + [1e-6])
    top = math.floor(math.log10(largest))
    first = min(-1, top - 1)
    ticks = [digit * 10.0**power for power in range(first, top + 1) for digit in (1, 2, 5)]
    return sorted([0.0, *ticks, *(-tick for tick in ticks)]), 10.0**first


def _scale(axes: Any, name: str, values: Sequence[float]) -> None:
    """A symmetric logarithm: the differences that count are of factors, and unbiased distances may be below 0."""
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    ticks, linear = _ticks(values)
    getattr(axes, f"set_{name}scale")("symlog", linthresh=linear, linscale=0.4)
    axis = getattr(axes, f"{name}axis")
    scale = axis.get_transform()
    low, high = scale.transform([min(values), max(values)])
    margin = max(0.05 * (high - low), 1e-9)
    axes.set(**{f"{name}lim": scale.inverted().transform([low - margin, high + margin])})
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_major_formatter(FixedFormatter([f"{tick:g}".replace("0.", ".", 1) for tick in ticks]))
    axis.set_minor_locator(NullLocator())


def _number(entry: Mapping[str, Any] | None) -> tuple[float, float, float] | None:
    """Mean, low and high; the mean thrice where there is no interval."""
    if entry is None or entry["mean"] is None:
        return None
    mean = float(entry["mean"])
    low, high = (mean if entry[end] is None else float(entry[end]) for end in ("low", "high"))
    return mean, low, high


def _svg(figure: Any, label: str, prefix: str) -> str:
    """The figure as an element for a page: without prolog, fonts and size of its own, and with ids of its own."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", file.getvalue(), flags=re.DOTALL)

    def tidy(match: re.Match[str]) -> str:
        tag = match.group()
        if tag.startswith("<svg"):
            box = re.search(r'viewBox="[^"]*"', tag)
            return f'<svg role="img" aria-label="{escape(label)}" {box.group() if box else ""}>'
        tag = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", tag)
        return re.sub(r"'DejaVu Sans'", "system-ui, sans-serif", tag).replace(INK, "currentColor")

    return re.sub(r"<[^>]*>", tidy, text[text.index("<svg") :]).strip()


def _draw(draw: Any, height: float, label: str, prefix: str) -> str:
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(), warnings.catch_warnings():
        # Whatever the user's own settings are.
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        # Letters that matplotlib's font lacks are drawn by the browser, which has others.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        draw(figure.subplots())
        return _svg(figure, label, prefix)


def curve_plot(report: Mapping[str, Any], judge: str, prefix: str) -> str:
    """Draw energy distance against adaptation steps: a line a model, a level for each reference row.

    Args:
        report: the dictionary of `report.json`, checked.
        judge: whose scores.
        prefix: of the element's ids; another for every plot of a page.

    Returns:
        An `<svg>` element.
    """
    curves = {
        name: {int(s): found for s, e in by[judge].get("energy_distance", {}).items() if (found := _number(e))}
        for name, by in report["curve"].items()
    }
    levels = {row: _number(report["rows"].get(row, {}).get(judge, {}).get("energy_distance")) for row in REFERENCES}
    steps = curve_steps(curves.values())

    def draw(axes: Any) -> None:
        values = [0.0, *(level[0] for level in levels.values() if level)]
        for line in lines(report):
            level, curve = levels.get(line.name), curves.get(line.name)
            stroke = (0, line.dashes) if line.dashes else "solid"
            if curve is None:
                if level:
                    axes.axhline(level[0], color=INK, linestyle=stroke, linewidth=1.2, alpha=0.75)
                continue
            places = [steps.index(step) for step in sorted(curve)]
            mean, low, high = np.array([curve[step] for step in sorted(curve)]).reshape(-1, 3).T
            axes.fill_between(places, low, high, color=line.colour, alpha=0.18, linewidth=0)
            axes.plot(places, mean, color=line.colour, linestyle=stroke, marker="o", markersize=4, linewidth=2)
            values += [*low, *high]
        axes.set_xticks(range(len(steps)), [f"{step:,}" for step in steps])
        _scale(axes, "y", values)
        axes.set_xlabel("adaptation steps")
        axes.set_ylabel("energy distance (0 = real)")
        axes.grid(axis="y")

    return _draw(draw, 3.7, f"Energy distance against adaptation steps, judge {judge}", prefix)


def interval_plot(report: Mapping[str, Any], judge: str, prefix: str) -> str:
    """Draw the energy distance of every row and control with its interval, and the bar of plain augmentation.

    Args:
        report: the dictionary of `report.json`, checked.
        judge: whose scores.
        prefix: of the element's ids; another for every plot of a page.

    Returns:
        An `<svg>` element.
    """
    rows = {**report["rows"], **report["controls"]}
    colours = {line.name: line.colour for line in lines(report) if line.name in report["curve"]}
    bar = best_bar(report, judge)

    def draw(axes: Any) -> None:
        values = [0.0]
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
        if bar:
            axes.axvline(bar[1], color=INK, linewidth=1.2, linestyle=(0, (3, 3)), alpha=0.75)
        names = ["\n".join(textwrap.wrap(name, 24, max_lines=2, placeholder=" …")) for name in rows]
        axes.set_yticks(range(len(rows)), names, parse_math=False, linespacing=1.0)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        _scale(axes, "x", values)
        axes.set_xlabel("energy distance (0 = real)")
        axes.grid(axis="x")

    return _draw(draw, 0.8 + 0.36 * len(rows), f"Energy distance of every row with its interval, judge {judge}", prefix)
