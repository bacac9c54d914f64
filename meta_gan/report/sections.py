"""What of a report is shown, and in which order; `report.py` and `html.py` render it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meta_gan.report.tables import (
    BARS,
    COLUMNS,
    NULL,
    QUICK,
    Cell,
    Section,
    Table,
    plain,
    score,
    short,
)

PROTOCOL, SCORES, LEGEND, ROWS = "Protocol", "Scores", "What the columns mean", "Rows"
FLOOR, CURVE, MODELS, JUDGES, TIMES = "Floor", "Learning speed", "Models", "Judges", "Times"


def title(report: Mapping[str, Any]) -> str:
    """Return the title: the protocol's name, its task and the data."""
    protocol = report["protocol"]
    task = f", task {protocol['task']}" if protocol["task"] else ""
    return f"{protocol['name']}{task}: {protocol['data']}"


def best_bar(report: Mapping[str, Any], judge: str) -> tuple[str, float] | None:
    """Return which of copy, shift and affine has the lowest energy distance under a judge, and that distance.

    "Beats augmentation" means a lower one. None if none of the three was scored.

    Example:
        >>> best_bar({"rows": {"copy": {"j": {"energy_distance": {"mean": 0.5, "low": 0.4, "high": 0.6}}}}}, "j")
        ('copy', 0.5)
    """
    entries = {row: report["rows"].get(row, {}).get(judge, {}).get("energy_distance") for row in BARS}
    means = {row: entry["mean"] for row, entry in entries.items() if entry and entry["mean"] is not None}
    return min(means.items(), key=lambda item: item[1]) if means else None


def _protocol(report: Mapping[str, Any]) -> Section:
    protocol = report["protocol"]
    counts = {
        "classes": "classes",
        "shots": "support images a class",
        "steps": "adaptation steps",
        "draws": "draws of the support",
        "samples": "generated images a class",
        "ways": "classes to recognise among",
        "pooled_count": "images of each kind in the pooled distances",
    }
    data = [
        Cell(protocol["data"], "sha256" if protocol.get("data_sha256") else "", protocol.get("data_sha256") or ""),
        Cell(f"images of {' × '.join(map(str, protocol['example_shape']))}"),
        Cell(f"split {protocol['split']}", "sha256", protocol["split_sha256"] or NULL),
        Cell("allocation", "sha256", protocol["allocation_sha256"] or NULL),
    ]
    kinds = protocol["classification"]
    facts = [
        ("form", [Cell(QUICK if protocol["form"] == "quick" else "full")]),
        ("data", data),
        ("settings", [*(Cell(f"{what} {plain(protocol[key])}") for key, what in counts.items())]),
        ("seed", [Cell(str(protocol["seed"]))]),
        ("classification", [Cell(plain(kinds).replace("_", " ").replace(";", ",") if kinds else "not measured")]),
        ("brackets", [Cell("95 % bootstrap intervals over classes")]),
    ]
    return Section(PROTOCOL, [*facts, *(("note", [Cell(str(note))]) for note in protocol["notes"] or [])], [])


def _scored(report: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {**report["rows"], **report["controls"]}


def _measured(report: Mapping[str, Any]) -> list[str]:
    """The metrics that some row has under some judge."""
    return [
        metric
        for metric in COLUMNS
        if any(score(row[judge].get(metric)).text != NULL for row in _scored(report).values() for judge in row)
    ]


def _name(report: Mapping[str, Any], row: str) -> Cell:
    """A row's name, with what sets it apart: that it is a control, or of fewer classes than the rest."""
    classes = report["row_info"][row]["classes"]
    notes = ["control"] if row in report["controls"] else []
    notes += [f"{plain(classes)} classes"] if classes != report["protocol"]["classes"] else []
    return Cell(row, f"({', '.join(notes)})" if notes else "")


def _scores(report: Mapping[str, Any]) -> Section:
    metrics = _measured(report)
    head = ["row", *(f"{COLUMNS[metric].label} {COLUMNS[metric].better}" for metric in metrics)]
    tables, facts = [], []
    for judge in report["judges"]:
        rows = [
            [_name(report, row), *(score(by_judge[judge].get(key), COLUMNS[key].signed) for key in metrics)]
            for row, by_judge in _scored(report).items()
        ]
        tables.append(Table(f"Judge {judge}", head, rows))
        bar = best_bar(report, judge)
        if bar:
            entry = report["rows"][bar[0]][judge]["energy_distance"]
            facts.append(
                (f"to beat augmentation under {judge}", [Cell(f"energy distance below that of {bar[0]}"), score(entry)])
            )
        alone = report.get("none", {}).get(judge) or {}
        found = [(COLUMNS[key].label, score(entry)) for key, entry in alone.items() if key in COLUMNS and entry]
        if found:
            facts.append(
                (f"without generated images under {judge}", [Cell(f"{label} {c.text}", c.note) for label, c in found])
            )
    absent = [COLUMNS[metric].label for metric in COLUMNS if metric not in metrics]
    return Section(SCORES, [*facts, *([("not measured", [Cell(", ".join(absent))])] if absent else [])], tables)


def _legend(report: Mapping[str, Any]) -> Section:
    facts = [("↑, ↓, → 1", [Cell("higher is better, lower is better, best at 1")])]
    facts += [(f"{c.label} {c.better}", [Cell(c.meaning)]) for c in (COLUMNS[metric] for metric in _measured(report))]
    return Section(LEGEND, facts, [])


def _rows(report: Mapping[str, Any]) -> Section:
    keys = ("what", "classes", "classification_classes")
    rows = [[Cell(row), *(Cell(plain(report["row_info"][row][key])) for key in keys)] for row in _scored(report)]
    return Section(ROWS, [], [Table("", ["row", "what it is", "classes", "classes in classification"], rows)])


def _floor(report: Mapping[str, Any]) -> Section:
    rows = [
        [
            Cell(judge),
            Cell(plain(floor["count"])),
            Cell(short(floor["frechet_distance"])),
            Cell(short(floor["kernel_distance"])),
        ]
        for judge, floor in ((judge, report["floor"][judge]) for judge in report["judges"])
    ]
    facts = [
        ("what it is", [Cell("real images against other real images at the same N: no generator is expected below it")])
    ]
    return Section(FLOOR, facts, [Table("", ["judge", "N", "Fréchet distance", "kernel distance"], rows)])


def curve_steps(curves: Any) -> list[int]:
    """Return the adaptation steps of a curve's entries, all together and in order.

    Example:
        >>> curve_steps([{"10": None, "0": None}, {"5": None}])
        [0, 5, 10]
    """
    return sorted({int(step) for curve in curves for step in curve})


def _heads(steps: list[int]) -> list[str]:
    return [f"{step:,} step{'' if step == 1 else 's'}" for step in steps]


def _curve(report: Mapping[str, Any]) -> Section:
    tables = []
    for judge in report["judges"]:
        by_model = {model: by_judge[judge] for model, by_judge in report["curve"].items()}
        metrics = list(dict.fromkeys(metric for curves in by_model.values() for metric in curves))
        steps = curve_steps(curve for curves in by_model.values() for curve in curves.values())
        rows = [
            [Cell(COLUMNS[metric].label if metric in COLUMNS else metric), Cell(model)]
            + [score(curves[metric].get(str(step))) for step in steps]
            for metric in metrics
            for model, curves in by_model.items()
            if metric in curves
        ]
        tables.append(Table(f"Judge {judge}", ["score", "model", *_heads(steps)], rows))
    return Section(CURVE, [], tables if report["curve"] else [])


def _models(report: Mapping[str, Any]) -> Section:
    models = report["models"]
    rows = [
        [
            Cell(name),
            *(Cell(plain(model[key])) for key in ("algorithm", "inner_steps", "parameters")),
            Cell(code=model["weights_sha256"] or NULL),
            Cell(plain(model["training"])),
        ]
        for name, model in models.items()
    ]
    head = ["model", "algorithm", "inner steps", "parameters", "sha256 of the weights", "training"]
    tables = [Table("", head, rows)]
    stable = {name: model["stability"] for name, model in models.items() if model["stability"]}
    rates = list(dict.fromkeys(rate for entry in stable.values() for rate in entry.get("by_rate", {})))
    if stable:
        rows = [
            [Cell(name), Cell(short(entry.get("share_failed")))]
            + [_failures(entry.get("by_rate", {}).get(rate)) for rate in rates]
            for name, entry in stable.items()
        ]
        title = "Stability: adaptations that diverge or collapse, by the factor on the inner rate"
        tables.append(Table(title, ["model", "share failed", *(f"× {rate}" for rate in rates)], rows))
    return Section(MODELS, [], tables if models else [])


def _failures(entry: Mapping[str, Any] | None) -> Cell:
    if not entry:
        return Cell(NULL)
    failed = f"{plain(entry['diverged'])} diverged, {plain(entry['collapsed'])} collapsed"
    return Cell(failed, f"of {plain(entry['adaptations'])}")


def _judges(report: Mapping[str, Any]) -> Section:
    keys = ("network", "method", "augmentation", "trained_on", "features")
    rows = [
        [
            Cell(name),
            *(Cell(plain(judge[key])) for key in keys),
            Cell(short(judge["validation_accuracy"])),
            Cell(code=judge["sha256"] or NULL),
        ]
        for name, judge in report["judges"].items()
    ]
    head = ["judge", "network", "method", "augmentation", "trained on", "features", "validation accuracy", "sha256"]
    return Section(JUDGES, [], [Table("", head, rows)])


def _times(report: Mapping[str, Any]) -> Section:
    times, tables = report["times"], []
    facts = [
        ("machine", [Cell(plain(times["machine"]))]),
        ("this call, without what it found made", [Cell(f"{short(times['total_seconds'])} s")]),
    ]
    if times["rows"]:
        rows = [[Cell(row), Cell(short((entry or {}).get("ms_per_class")))] for row, entry in times["rows"].items()]
        tables.append(Table("Making a class's images", ["row", "ms a class"], rows))
    steps = curve_steps(times["curve"].values())
    if steps:
        rows = [
            [Cell(name), *(Cell(short(entry.get(str(step)))) for step in steps)]
            for name, entry in times["curve"].items()
        ]
        tables.append(Table("Milliseconds a class by adaptation steps", ["model", *_heads(steps)], rows))
    return Section(TIMES, facts, tables)


def sections(report: Mapping[str, Any]) -> list[Section]:
    """Return what a report shows, in order; sections with nothing to show are left out.

    Args:
        report: the dictionary of `report.json`, checked with `check_report`.

    Example:
        `[section.title for section in sections(report)]`
    """
    parts = (_protocol, _scores, _legend, _rows, _floor, _curve, _models, _judges, _times)
    shown = [part(report) for part in parts]
    return [section for section in shown if section.tables or section.title in (PROTOCOL, LEGEND, TIMES)]
