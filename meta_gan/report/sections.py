"""The sections of a report: named facts and tables, which Markdown and HTML show alike."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from meta_gan.report.reports import Report

NULL = "—"
BARS = ("copy", "shift", "affine", "elastic", "trivial")
"""The rows of plain augmentations, which a model has to beat."""
QUICK = "QUICK FORM: not a result to publish"


class Metric(NamedTuple):
    """A score: its label, which way is better, what it means, and whether it is written with its sign."""

    label: str
    better: str
    meaning: str
    signed: bool = False

    @property
    def heading(self) -> str:
        """The label, and which way is better."""
        return f"{self.label} {self.better}"


METRICS = {
    "energy_distance": Metric(
        "energy distance", "↓ 0", "the primary score: generated against held-out images of the same class; 0 = real"
    ),
    "recognisability": Metric(
        "recognisability", "↑", "share of generated images whose nearest class prototype is their own class's"
    ),
    "relative_diversity": Metric(
        "diversity", "→ 1", "mean distance between two images of a class, generated over real; 1 = real, 0 = all equal"
    ),
    "copy_rate": Metric("copy rate", "↓", "share of generated images that are, pixel by pixel, copies of the support"),
    "support_closeness": Metric(
        "support closeness", "→ 1", "distance to the nearest support image over that of real images; 0 = copies"
    ),
    "classification_gain": Metric(
        "classification gain", "↑", "accuracy of a small CNN on real + generated, minus that on real images alone", True
    ),
    "classification_accuracy": Metric("classification accuracy", "↑", "that CNN's accuracy on real + generated images"),
    "prototypical_accuracy": Metric(
        "prototypical accuracy", "↑", "nearest-prototype accuracy, prototypes of real + generated images"
    ),
    "prototypical_gain": Metric("prototypical gain", "↑", "the same minus that of prototypes of real images", True),
    "frechet_distance": Metric(
        "Fréchet distance", "↓", "secondary: pooled over classes at a fixed N; read it against the floor"
    ),
    "kernel_distance": Metric(
        "kernel distance", "↓", "secondary: pooled over classes at a fixed N; read it against the floor"
    ),
    "precision": Metric("precision", "↑", "secondary: share of generated images among the real ones"),
    "recall": Metric("recall", "↑", "secondary: share of real images among the generated ones"),
    "density": Metric("density", "→ 1", "secondary: how many real neighbourhoods hold a generated image; 1 = real"),
    "coverage": Metric("coverage", "↑", "secondary: share of real images with a generated image in reach"),
}


class Cell(NamedTuple):
    """A value as text, then a note in smaller type, then an exact value such as a checksum."""

    text: str = ""
    note: str = ""
    code: str = ""


def _cells(values: Iterable[Any]) -> list[Cell]:
    return [value if isinstance(value, Cell) else Cell(plain(value)) for value in values]


class Table:
    """A table: its title, the heads of the columns, and rows of cells, the first of which names the row."""

    def __init__(self, title: str, head: list[str], rows: Iterable[Iterable[Any]]):
        self.title, self.head, self.rows = title, head, [_cells(row) for row in rows]
        texts = [[row[place].text for row in self.rows] for place in range(len(head))]
        # Columns of numbers are set flush right.
        self.numeric = [all(re.fullmatch(rf"[-+.,\d]+|{NULL}", text) for text in column) for column in texts]


Facts = list[tuple[str, list[Any]]]


class Section:
    """A part of a report: its title, named facts as pairs of a name and cells, and tables."""

    def __init__(self, title: str, facts: Iterable[tuple[str, Sequence[Any]]] = (), tables: Iterable[Table] = ()):
        self.title, self.facts, self.tables = title, [(name, _cells(values)) for name, values in facts], list(tables)


def decimals(values: Iterable[float]) -> int:
    """Return how many decimals to print numbers with: two digits below 1, three from 1 on.

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
        signed: whether to write a plus.

    Example:
        >>> " ".join(score({"mean": 0.241, "low": 0.218, "high": 0.26})[:2])
        '.24 (.22–.26)'
    """
    mean, low, high = ((entry or {}).get(key) for key in ("mean", "low", "high"))
    if mean is None or not math.isfinite(mean):
        return Cell(NULL)
    if low is None or high is None or not math.isfinite(low + high):
        return Cell(short(mean, signed=signed))
    places = decimals([mean, low, high])
    ends = [short(end, places, signed) for end in (low, high)]
    # A dash between two numbers must not look like a minus.
    between = " to " if signed or any(end[0] == "-" for end in ends) else "–"
    return Cell(short(mean, places, signed), f"({between.join(ends)})")


def interval(entry: Mapping[str, float] | None) -> str:
    """Return a mean with its interval, each to three decimals; a dash for None."""
    if entry is None:
        return NULL
    return f"{entry['mean']:.3f}" + ("" if entry["low"] is None else f" ({entry['low']:.3f} to {entry['high']:.3f})")


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


def curve_steps(curves: Iterable[Iterable[str | int]]) -> list[int]:
    """Return the adaptation steps of all curves, sorted.

    Example:
        >>> curve_steps([{"10": None, "0": None}, {"5": None}])
        [0, 5, 10]
    """
    return sorted({int(step) for curve in curves for step in curve})


def _heads(steps: list[int]) -> list[str]:
    return [f"{step:,} step{'' if step == 1 else 's'}" for step in steps]


def _protocol(report: Report) -> Section:
    protocol = report.protocol
    counts = {
        "classes": "classes",
        "shots": "support images a class",
        "steps": "adaptation steps",
        "draws": "draws of the support",
        "samples": "generated images a class",
        "ways": "classes to recognise among",
        "pooled_count": "images of each kind in the pooled distances",
    }
    checksum = protocol.get("data_sha256") or ""
    data = [
        Cell(protocol["data"], "sha256" if checksum else "", checksum),
        f"images of {' × '.join(map(str, protocol['example_shape']))}",
        Cell(f"split {protocol['split']}", "sha256", protocol["split_sha256"] or NULL),
        Cell("allocation", "sha256", protocol["allocation_sha256"] or NULL),
    ]
    kinds = protocol["classification"]
    facts: Facts = [
        ("form", [QUICK if report.quick else "full"]),
        ("data", data),
        ("settings", [f"{what} {plain(protocol[key])}" for key, what in counts.items()]),
        ("seed", [str(protocol["seed"])]),
        ("classification", [plain(kinds).replace("_", " ").replace(";", ",") if kinds else "not measured"]),
        ("brackets", ["95 % bootstrap intervals over classes"]),
    ]
    return Section("Protocol", [*facts, *(("note", [str(note)]) for note in protocol["notes"] or [])])


def _measured(report: Report) -> dict[str, Metric]:
    """Return the metrics that some row has under some judge."""
    scores = [by_judge[judge] for by_judge in report.scored.values() for judge in by_judge]
    return {key: metric for key, metric in METRICS.items() if any(score(s.get(key)).text != NULL for s in scores)}


def _row_name(report: Report, row: str) -> Cell:
    """Return a row's name, marked if it is a control or was scored on fewer classes than the other rows."""
    classes = report.row_info[row]["classes"]
    notes = ["control"] if row in report.controls else []
    notes += [f"{plain(classes)} classes"] if classes != report.protocol["classes"] else []
    return Cell(row, f"({', '.join(notes)})" if notes else "")


def _scores(report: Report) -> Section:
    metrics = _measured(report)
    tables: list[Table] = []
    facts: Facts = []
    for judge in report.judges:
        rows = [
            [_row_name(report, row), *(score(by_judge[judge].get(key), m.signed) for key, m in metrics.items())]
            for row, by_judge in report.scored.items()
        ]
        tables.append(Table(f"Judge {judge}", ["row", *(metric.heading for metric in metrics.values())], rows))
        if bar := report.best_bar(judge):
            entry = report.rows[bar[0]][judge]["energy_distance"]
            below = [f"energy distance below that of {bar[0]}", score(entry)]
            facts.append((f"to beat augmentation under {judge}", below))
        alone = (report.none or {}).get(judge) or {}
        known = [(METRICS[key].label, score(entry)) for key, entry in alone.items() if key in METRICS and entry]
        if known:
            cells = [Cell(f"{label} {cell.text}", cell.note) for label, cell in known]
            facts.append((f"without generated images under {judge}", cells))
    if absent := [metric.label for key, metric in METRICS.items() if key not in metrics]:
        facts.append(("not measured", [", ".join(absent)]))
    return Section("Scores", facts, tables)


def _legend(report: Report) -> Section:
    facts = [("↑, ↓, → 1", ["higher is better, lower is better, best at 1"])]
    facts += [(metric.heading, [metric.meaning]) for metric in _measured(report).values()]
    return Section("What the columns mean", facts)


def _rows(report: Report) -> Section:
    keys = ("what", "classes", "classification_classes")
    rows = [[row, *(report.row_info[row][key] for key in keys)] for row in report.scored]
    return Section("Rows", tables=[Table("", ["row", "what it is", "classes", "classes in classification"], rows)])


def _floor(report: Report) -> Section:
    floors = {judge: report.floor[judge] for judge in report.judges}
    keys = ("frechet_distance", "kernel_distance")
    rows = [[judge, floor["count"], *(short(floor[key]) for key in keys)] for judge, floor in floors.items()]
    what = "real images against other real images at the same N: no generator is expected below it"
    table = Table("", ["judge", "N", *(METRICS[key].label for key in keys)], rows)
    return Section("Floor", [("what it is", [what])], [table])


def _curve(report: Report) -> Section:
    tables = []
    for judge in report.judges if report.curve else ():
        by_model = {model: by_judge[judge] for model, by_judge in report.curve.items()}
        metrics = dict.fromkeys(metric for curves in by_model.values() for metric in curves)
        steps = curve_steps(curve for curves in by_model.values() for curve in curves.values())
        rows = [
            [METRICS[metric].label if metric in METRICS else metric, model]
            + [score(curves[metric].get(str(step))) for step in steps]
            for metric in metrics
            for model, curves in by_model.items()
            if metric in curves
        ]
        tables.append(Table(f"Judge {judge}", ["score", "model", *_heads(steps)], rows))
    return Section("Learning speed", tables=tables)


def _models(report: Report) -> Section:
    if not report.models:
        return Section("Models")
    keys = ("algorithm", "inner_steps", "parameters")
    rows = [
        [name, *(card[key] for key in keys), Cell(code=card["weights_sha256"] or NULL), card["training"]]
        for name, card in report.models.items()
    ]
    head = ["model", "algorithm", "inner steps", "parameters", "sha256 of the weights", "training"]
    tables = [Table("", head, rows)]
    if stable := {name: card["stability"] for name, card in report.models.items() if card["stability"]}:
        counts = {name: entry.get("by_rate", {}) for name, entry in stable.items()}
        rates = list(dict.fromkeys(rate for by_rate in counts.values() for rate in by_rate))
        rows = [
            [name, short(entry.get("share_failed")), *(_failures(counts[name].get(rate)) for rate in rates)]
            for name, entry in stable.items()
        ]
        title = "Stability: adaptations that diverge or collapse, by the factor on the inner rate"
        tables.append(Table(title, ["model", "share failed", *(f"× {rate}" for rate in rates)], rows))
    return Section("Models", tables=tables)


def _failures(entry: Mapping[str, Any] | None) -> Cell:
    if not entry:
        return Cell(NULL)
    failed = f"{plain(entry['diverged'])} diverged, {plain(entry['collapsed'])} collapsed"
    return Cell(failed, f"of {plain(entry['adaptations'])}")


def _judges(report: Report) -> Section:
    keys = ("network", "method", "augmentation", "trained_on", "features")
    rows = [
        [name, *(card[key] for key in keys), short(card["validation_accuracy"]), Cell(code=card["sha256"] or NULL)]
        for name, card in report.judges.items()
    ]
    head = ["judge", "network", "method", "augmentation", "trained on", "features", "validation accuracy", "sha256"]
    return Section("Judges", tables=[Table("", head, rows)])


def _times(report: Report) -> Section:
    times, tables = report.times, []
    facts = [
        ("machine", [times["machine"]]),
        ("this call, without what it found made", [f"{short(times['total_seconds'])} s"]),
    ]
    if times["rows"]:
        rows = [[row, short((entry or {}).get("ms_per_class"))] for row, entry in times["rows"].items()]
        tables.append(Table("Making a class's images", ["row", "ms a class"], rows))
    if steps := curve_steps(times["curve"].values()):
        rows = [[name, *(short(entry.get(str(step))) for step in steps)] for name, entry in times["curve"].items()]
        tables.append(Table("Milliseconds a class by adaptation steps", ["model", *_heads(steps)], rows))
    return Section("Times", facts, tables)


def sections(report: Report) -> list[Section]:
    """Return the sections of a report in order, without those that have nothing to show.

    Example:
        `[section.title for section in sections(report)]`
    """
    parts = (_protocol, _scores, _legend, _rows, _floor, _curve, _models, _judges, _times)
    return [section for part in parts if (section := part(report)).facts or section.tables]
