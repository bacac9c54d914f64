"""Plots and pictures inside a page."""

from __future__ import annotations

import base64
import io
import re
import warnings
import xml.etree.ElementTree as ElementTree

import matplotlib
import numpy as np
import pytest
from PIL import Image

from meta_gan.report import Report, figures
from meta_gan.report.figures import COLOURS, DASHES, picture, png_uri
from meta_gan.report.sections import BARS
from meta_gan.tasks.pictures import GAP_LEVEL
from tests.report.reports import ROWS, STEPS, content, entry


def curve_plot(found, *arguments):
    """The plot of the curves of a report's JSON object."""
    return figures.curve_plot(Report.from_dict(found), *arguments)


def interval_plot(found, *arguments):
    """The plot of the intervals of a report's JSON object."""
    return figures.interval_plot(Report.from_dict(found), *arguments)


def lines(found):
    """The lines of a report's JSON object."""
    return figures.lines(Report.from_dict(found))


PLOTS = [curve_plot, interval_plot]


def decoded(uri):
    """The pixels of a data URI, uint8[height, width, channels]."""
    kind, data = uri.split(",")
    assert kind == "data:image/png;base64"
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data, validate=True))))
    return pixels if pixels.ndim == 3 else pixels[..., None]


def parsed(svg):
    """The element as a tree."""
    return ElementTree.fromstring(svg)


def texts(svg):
    """The texts of a plot."""
    return ["".join(node.itertext()).strip() for node in parsed(svg).iter("text")]


def strokes(svg):
    """The colours of all lines, and of markers."""
    return set(re.findall(r"stroke: ([^;\"]+)", svg))


def marks(svg, colour=""):
    """The places (x, y), y from the top, of the markers of a colour, without ticks on the left or lower edge."""
    found = [(float(node.get("x")), float(node.get("y")), node.get("style", "")) for node in parsed(svg).iter("use")]
    # Bands are at x = 0.
    found = [place for place in found if place[0] > 0]
    left, bottom = min(x for x, *_ in found), max(y for _, y, _ in found)
    return sorted((x, y) for x, y, style in found if x > left and y < bottom and f"stroke: {colour}" in style)


def heights(svg, colour):
    """How far the markers of a colour are from the top, from left to right."""
    return [y for _, y in marks(svg, colour)]


@pytest.mark.parametrize("channels", [1, 3])
def test_png_round_trip(channels):
    levels = np.random.default_rng(0).integers(0, 256, (6, 5, channels), np.uint8)
    np.testing.assert_array_equal(decoded(png_uri(levels)), levels)


def test_png_of_the_same_pixels_is_the_same():
    levels = np.arange(24, dtype=np.uint8).reshape(4, 6, 1)
    assert png_uri(levels) == png_uri(levels.copy()) != png_uri(levels + 1)


def test_a_picture_has_a_gap_between_images():
    first, second = np.full((1, 1, 1), 255, np.uint8), np.zeros((1, 1, 1), np.uint8)
    gap = [GAP_LEVEL] * 4
    row = [255, *gap[:2], 0]
    np.testing.assert_array_equal(picture([[first, second]] * 2)[..., 0], [row, gap, gap, row])


def test_lines_are_the_models_then_the_reference_rows():
    found = lines(content(rows=("oracle", *BARS, "mine"), models=("mine", "other")))
    assert [line.name for line in found] == ["mine", "other", "oracle", *BARS]
    assert [line.colour for line in found] == [*COLOURS[:2], *["currentColor"] * 6]
    assert len({line.dashes for line in found[2:]}) == 6
    assert [line.name for line in lines(content(rows=("shift", "mine"), models=()))] == ["shift"]


def test_many_models_stay_apart():
    names = tuple(f"model {place}" for place in range(len(COLOURS) * len(DASHES)))
    found = lines(content(models=names, rows=("mine",)))
    assert len({(line.colour, line.dashes) for line in found}) == len(names)


@pytest.mark.parametrize("plot", PLOTS)
def test_a_plot_is_one_labelled_element_that_loads_nothing(plot):
    svg = plot(content(), "proto-a", "p")
    root = parsed(svg)
    assert root.tag == "svg" and root.get("role") == "img" and "judge proto-a" in root.get("aria-label")
    assert root.get("width") is None and len(root.get("viewBox").split()) == 4
    assert not re.search(r"https?:|<!|<\?|<style|<metadata|<image|DejaVu", svg)


@pytest.mark.parametrize("plot", PLOTS)
def test_a_plot_takes_the_colour_of_the_page(plot):
    svg = plot(content(), "proto-a", "p")
    colours = strokes(svg) | set(re.findall(r"fill: ([^;\"]+)", svg))
    assert colours <= {"currentColor", "none", *COLOURS} and {"currentColor", COLOURS[0]} <= colours


@pytest.mark.parametrize("plot", PLOTS)
def test_ids_are_unique_and_every_reference_has_its_target(plot):
    svgs = [plot(content(), judge, prefix) for judge, prefix in (("proto-a", "p"), ("class-b", "q"))]
    for svg, prefix in zip(svgs, "pq", strict=True):
        ids = re.findall(r'\bid="([^"]+)"', svg)
        assert len(ids) == len(set(ids)) and all(name.startswith(f"{prefix}-") for name in ids)
        used = re.findall(r'href="#([^"]+)"', svg) + re.findall(r"url\(#([^)]+)\)", svg)
        assert used and set(used) <= set(ids)


@pytest.mark.parametrize("plot", PLOTS)
def test_plots_ignore_the_users_settings(plot):
    first = plot(content(), "proto-a", "p")
    before = dict(matplotlib.rcParams)
    with matplotlib.rc_context({"lines.linewidth": 9.0, "axes.facecolor": "red", "font.size": 30.0}):
        assert plot(content(), "proto-a", "p") == first
        assert matplotlib.rcParams["font.size"] == 30.0
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("plot", PLOTS)
def test_pyplot_is_left_alone(plot):
    import matplotlib.pyplot as plt

    plot(content(), "proto-a", "p")
    assert not plt.get_fignums()


@pytest.mark.parametrize("plot", PLOTS)
def test_another_judge_is_another_plot(plot):
    found = content()
    found["rows"]["copy"]["class-b"]["energy_distance"] = entry(3.3)
    first, second = (re.sub(r"judge [\w-]+", "", plot(found, judge, "p")) for judge in ("proto-a", "class-b"))
    assert first != second


def test_curve_plot_labels_steps_and_axes():
    written = texts(curve_plot(content(), "proto-a", "p"))
    assert set(STEPS) <= set(written)
    assert {"adaptation steps", "energy distance (0 = real)", ".1", ".5", "1", "2"} <= set(written)


def test_a_falling_curve_falls():
    # Places count from the top, so a lower distance has a larger one.
    svg = curve_plot(content(), "proto-a", "p")
    places = heights(svg, COLOURS[0])
    assert len(places) == len(STEPS) and places == sorted(places) and len(set(places)) == len(STEPS)


def test_a_lower_curve_lies_lower():
    svg = curve_plot(content(models=("mine", "other")), "proto-a", "p")
    mine, other = (heights(svg, colour) for colour in COLOURS[:2])
    assert len(mine) == len(other) == 7 and all(a > b for a, b in zip(mine, other, strict=True))


def test_curve_plot_skips_nulls():
    found = content()
    curve = found["curve"]["mine"]["proto-a"]["energy_distance"]
    curve["5"], curve["10"]["mean"] = None, None
    assert len(heights(curve_plot(found, "proto-a", "p"), COLOURS[0])) == len(STEPS) - 2
    found["curve"]["mine"]["proto-a"] = {}
    found["rows"]["copy"]["proto-a"]["energy_distance"] = None
    assert heights(curve_plot(found, "proto-a", "p"), COLOURS[0]) == []


def test_interval_plot_names_every_row_in_order():
    written = texts(interval_plot(content(), "proto-a", "p"))
    names = [name for name in written if name in (*ROWS, "one image repeated", "wrong class")]
    assert names == [*ROWS, "one image repeated", "wrong class"]


def test_interval_plot_orders_rows_by_their_distance():
    svg = interval_plot(content(), "proto-a", "p")
    across = [x for x, _ in sorted(marks(svg), key=lambda place: place[1])]
    by_row = dict(zip((*ROWS, "one image repeated", "wrong class"), across, strict=True))
    order = ["oracle", "shift", "mine", "mine, 0 steps", "copy", "affine", "one image repeated", "wrong class"]
    assert sorted(by_row, key=by_row.__getitem__) == order


def test_interval_plot_skips_unscored_rows():
    found = content()
    before = heights(interval_plot(found, "proto-a", "p"), COLOURS[0])
    found["rows"]["mine"]["proto-a"]["energy_distance"] = None
    svg = interval_plot(found, "proto-a", "p")
    # The name stays, and so does the other row of the same model.
    assert "mine" in texts(svg) and len(before) == 2
    assert heights(svg, COLOURS[0]) == [max(before)]


def test_names_are_neither_formulas_nor_markup_and_long_ones_are_cut():
    names = ("_hidden", "$x^2$", "<b>&\"'", "日本語の字", "a long name " * 9, 'id="x" url(#y)')
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        svg = interval_plot(content(rows=names, models=names[:2]), "proto-a", "p")
        curve_plot(content(rows=names, models=names), "proto-a", "p")
    written = texts(svg)
    assert {*names[:4], names[5]} <= set(written)
    cut = [text for text in written if text.startswith("a long name")]
    assert len(" ".join(cut)) < 60 and cut[-1].endswith("…")


@pytest.mark.parametrize("scale", [0.0, 1e-4, 1.0, 1e4])
def test_plots_of_any_size_of_numbers(scale):
    found = content()
    for rows in (found["rows"], found["controls"]):
        for by_judge in rows.values():
            by_judge["proto-a"]["energy_distance"] = entry(0.7 * scale, 0.1 * scale)
    for plot in PLOTS:
        assert "0" in texts(plot(found, "proto-a", "p"))
