"""What a report says, as facts and tables that are rendered as Markdown (`report.py`) and as a page (`html.py`).

A report is the dictionary that an evaluation writes as `report.json`. Both renderings show these sections, so that
they cannot disagree.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

NULL = "—"
QUICK = "QUICK FORM: not a result to publish"
BARS = ("copy", "shift", "affine")
REFERENCES = ("oracle", *BARS)


class Column(NamedTuple):
    """A score: its label, which way is better, what it means, and whether it is written with its sign."""

    label: str
    better: str
    meaning: str
    signed: bool = False


COLUMNS = {
    "energy_distance": Column(
        "energy distance", "↓ 0", "the primary score: generated against held-out images of the same class; 0 = real"
    ),
    "recognisability": Column(
        "recognisability", "↑", "share of generated images whose nearest class prototype is their own class's"
    ),
    "relative_diversity": Column(
        "diversity", "→ 1", "mean distance between two images of a class, generated over real; 1 = real, 0 = all equal"
    ),
    "copy_rate": Column("copy rate", "↓", "share of generated images that are, pixel by pixel, copies of the support"),
    "support_closeness": Column(
        "support closeness", "→ 1", "distance to the nearest support image over that of real images; 0 = copies"
    ),
    "classification_gain": Column(
        "classification gain", "↑", "accuracy of a small CNN on real + generated, minus that on real images alone", True
    ),
    "classification_accuracy": Column("classification accuracy", "↑", "that CNN's accuracy on real + generated images"),
    "prototypical_accuracy": Column(
        "prototypical accuracy", "↑", "nearest-prototype accuracy, prototypes of real + generated images"
    ),
    "prototypical_gain": Column("prototypical gain", "↑", "the same minus that of prototypes of real images", True),
    "frechet_distance": Column(
        "Fréchet distance", "↓", "secondary: pooled over classes at a fixed N; read it against the floor"
    ),
    "kernel_distance": Column(
        "kernel distance", "↓", "secondary: pooled over classes at a fixed N; read it against the floor"
    ),
    "precision": Column("precision", "↑", "secondary: share of generated images among the real ones"),
    "recall": Column("recall", "↑", "secondary: share of real images among the generated ones"),
    "density": Column("density", "→ 1", "secondary: how many real neighbourhoods hold a generated image; 1 = real"),
    "coverage": Column("coverage", "↑", "secondary: share of real images with a generated image in reach"),
}

REQUIRED = {
    "report": ("protocol", "judges", "rows", "controls", "floor", "row_info", "curve", "models", "times"),
    "protocol": (
        *("name", "task", "form", "data", "example_shape", "split", "split_sha256", "allocation_sha256", "shots"),
        *("steps", "classes", "draws", "seed", "samples", "ways", "pooled_count", "classification", "notes"),
    ),
    "judges": ("sha256", "network", "method", "augmentation", "trained_on", "features", "validation_accuracy"),
    "models": ("algorithm", "inner_steps", "parameters", "weights_sha256", "training", "stability"),
    "floor": ("frechet_distance", "kernel_distance", "count"),
    "row_info": ("what", "classes", "classification_classes"),
    "times": ("machine", "total_seconds", "rows", "curve"),
}


class Cell(NamedTuple):
    """One entry: its text, then a note in smaller type, then an exact value such as a checksum."""

    text: str = ""
    note: str = ""
    code: str = ""


class Table(NamedTuple):
    """A table: the title, the heads of the columns, and rows of cells, of which the first names the row."""

    title: str
    head: list[str]
    rows: list[list[Cell]]


def numeric(table: Table) -> list[bool]:
    """Return for each column whether it holds numbers, which are set flush right.

    Example:
        >>> numeric(Table("", ["row", "copy rate"], [[Cell("shift"), Cell(".06")]]))
        [False, True]
    """
    texts = [[row[place].text for row in table.rows] for place in range(len(table.head))]
    return [all(re.fullmatch(rf"[-+.,\d]+|{NULL}", text) for text in column) for column in texts]


class Section(NamedTuple):
    """A part of a report: its title, named facts, and tables."""

    title: str
    facts: list[tuple[str, list[Cell]]]
    tables: list[Table]


def _require(holder: Any, keys: Iterable[str], path: str = "") -> None:
    if not isinstance(holder, Mapping):
        raise ValueError(f"`report{path and '.' + path}` must be a dictionary. Received: {type(holder).__name__}")
    for key in keys:
        if key not in holder:
            full = f"{path}.{key}" if path else key
            raise ValueError(f"`report` must have the key {full!r}. Received: {sorted(map(str, holder))}")


def _check_scores(scores: Any, path: str) -> None:
    _require(scores, (), path)
    for name, entry in scores.items():
        if entry is not None:
            _require(entry, ("mean", "low", "high"), f"{path}.{name}")


def check_report(report: Any) -> None:
    """Check that a report has all that is shown.

    Args:
        report: the dictionary of `report.json`.

    Raises:
        ValueError: if a key is missing, which is named with its path, or the form is neither full nor quick.

    Example:
        `check_report(json.loads(Path("report.json").read_text()))`
    """
    _require(report, REQUIRED["report"])
    for key in REQUIRED["report"]:
        _require(report[key], REQUIRED.get(key, ()) if key in ("protocol", "times") else (), key)
    if report["protocol"]["form"] not in ("full", "quick"):
        raise ValueError(f"`protocol.form` must be 'full' or 'quick'. Received: {report['protocol']['form']!r}")
    judges, rows = report["judges"], [*report["rows"], *report["controls"]]
    for key, names in (("judges", judges), ("floor", judges), ("models", report["models"]), ("row_info", rows)):
        _require(report[key], names, key)
        for name in names:
            _require(report[key][name], REQUIRED[key], f"{key}.{name}")
    for key in ("rows", "controls", "curve"):
        for name, by_judge in report[key].items():
            _require(by_judge, judges, f"{key}.{name}")
            for judge in judges:
                path = f"{key}.{name}.{judge}"
                if key == "curve":
                    _require(by_judge[judge], (), path)
                    for metric, steps in by_judge[judge].items():
                        _check_scores(steps, f"{path}.{metric}")
                else:
                    _check_scores(by_judge[judge], path)


def decimals(values: Iterable[float]) -> int:
    """Return how many decimals numbers printed together get: two digits below 1, three from 1 on.

    Example:
        >>> [decimals([x]) for x in (0.0, 0.034, 0.24, 5.25, 32.6, 154.2)]
        [2, 3, 2, 2, 1, 0]
    """
    largest = max(abs(value) for value in values)
    exponent = math.floor(math.log10(largest)) if largest else 0
    return 1 - exponent if exponent < 0 else max(0, 2 - exponent)


def short(value: float | None, places: int | None = None, signed: bool = False) -> str:
    """Return a number without the zero before its point; a dash for None, NaN and infinities.

    Example:
        >>> short(0.243), short(-0.0051), short(None), short(1234.6), short(0.067, signed=True)
        ('.24', '-.0051', '—', '1,235', '+.067')
    """
    if value is None or not math.isfinite(value):
        return NULL
    places = decimals([value]) if places is None else places
    text = f"{value:{'+' if signed else ''},.{places}f}"
    sign, digits = (text[0], text[1:]) if text[0] in "+-" else ("", text)
    if not digits.strip("0."):
        sign = ""
    return sign + (digits[1:] if digits.startswith("0.") else digits)


def score(entry: Mapping[str, float | None] | None, signed: bool = False) -> Cell:
    """Return a mean with its interval in short form, all three with as many decimals as the largest needs.

    Args:
        entry: {"mean", "low", "high"}, each a number or None; or None.
        signed: whether a plus is written.

    Example:
        >>> " ".join(score({"mean": 0.241, "low": 0.218, "high": 0.26})[:2])
        '.24 (.22–.26)'
    """
    mean, low, high = (entry or {}).get("mean"), (entry or {}).get("low"), (entry or {}).get("high")
    if mean is None or not math.isfinite(mean):
        return Cell(NULL)
    if low is None or high is None or not math.isfinite(low + high):
        return Cell(short(mean, signed=signed))
    places = decimals([mean, low, high])
    ends = [short(end, places, signed) for end in (low, high)]
    # A dash between two numbers must not look like a minus.
    between = " to " if signed or any(end[0] == "-" for end in ends) else "–"
    return Cell(short(mean, places, signed), f"({between.join(ends)})")


def plain(value: Any) -> str:
    """Return any value of a report as text: thousands apart, lists and dictionaries in words, a dash for None.

    Example:
        >>> plain({"steps": 20000, "rate": 0.001, "encoder": True, "note": None})
        'steps 20,000; rate 0.001; encoder yes; note —'
    """
    if value is None:
        return NULL
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return "; ".join(f"{key} {plain(entry)}" for key, entry in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(plain(entry) for entry in value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else str(value)
