"""The picture of the plane of diversity and recognisability, and where a curve crosses people's diversity."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from meta_gan.report.figures import COLOURS, INK, canvas

if TYPE_CHECKING:
    from meta_gan.report.reports import PlaneReport

_MARKERS = "sD^vPX*"


def recognised_at(points: Mapping[str, Mapping[str, Mapping[str, float]]], diversity: float = 1.0) -> float | None:
    """Return the recognisability of a curve at a diversity, interpolated linearly; None outside of the curve.

    Args:
        points: by setting, {"diversity": {"mean": ...}, "recognisability": {"mean": ...}}.
        diversity: 1 for people's.

    Example:
        >>> at = lambda d, r: {"diversity": {"mean": d}, "recognisability": {"mean": r}}
        >>> recognised_at({"guidance=2": at(0.5, 1.0), "guidance=1": at(1.5, 0.0)})
        0.5
    """
    means = sorted((point["diversity"]["mean"], point["recognisability"]["mean"]) for point in points.values())
    for (low, first), (high, last) in pairwise(means):
        if low <= diversity <= high and high > low:
            return first + (last - first) * (diversity - low) / (high - low)
    return None


def save_plane(path: str | os.PathLike[str], report: PlaneReport) -> None:
    """Draw the points of a report as a PNG: models in colour, plain augmentations grey, people as a cross.

    Args:
        path: the file to write.
        report: of any methods.

    Example:
        >>> save_plane("plane.png", PlaneReport.from_dict(plane.run()))
    """
    with canvas(7.2, 5.0) as figure:
        axes, models = figure.subplots(), 0
        for number, (name, points) in enumerate(report.curves.items()):
            x, y = ([point[score]["mean"] for point in points.values()] for score in ("diversity", "recognisability"))
            style: dict[str, Any] = {"color": "#888888", "linestyle": (0, (3, 3)), "linewidth": 1.2}
            if name in report.models:
                style, models = {"color": COLOURS[models % len(COLOURS)], "linewidth": 2}, models + 1
            axes.plot(x, [100 * value for value in y], marker=_MARKERS[number % len(_MARKERS)], label=name, **style)
            for setting, place in zip(points, zip(x, y, strict=True), strict=True):
                text = setting.partition("=")[2]
                at = (place[0], 100 * place[1])
                axes.annotate(text, at, (4, 4), textcoords="offset points", fontsize=8, color=style["color"])
        people = (report.people[score]["mean"] for score in ("diversity", "recognisability"))
        axes.plot(next(people), 100 * next(people), "+", color=INK, markersize=16, markeredgewidth=2.5, label="people")
        axes.axvline(1.0, color=INK, linewidth=0.8, alpha=0.4)
        axes.set(xlabel="diversity (people = 1)", ylabel=f"recognised, {report.protocol['ways']}-way one-shot, %")
        axes.grid(visible=True)
        axes.legend(loc="lower left", frameon=False)
        figure.savefig(path, format="png", dpi=110, facecolor="white")
