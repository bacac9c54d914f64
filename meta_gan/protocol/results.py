"""From images to the parts of a report: rows, controls, curves, floors, stability and times."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from meta_gan import metrics
from meta_gan.judges.judge import Judge
from meta_gan.metrics.bootstrap import bootstrap_mean
from meta_gan.protocol.classification import class_draws
from meta_gan.protocol.entrants import NONE, ORACLE
from meta_gan.protocol.generation import Contender, Store
from meta_gan.protocol.scoring import CURVE_METRICS, Deal, Scorer, copy_rates, intervals, over_draws
from meta_gan.protocol.settings import COLLAPSED, RATE_SCALES, Settings

PROTOTYPE_SEED = 1


@dataclass(frozen=True)
class Row:
    """A row of the report.

    Attributes:
        name: of the row; on a curve the number of steps.
        images: from a draw to each class's images, None where there are none.
        place: `rows`, `controls` or `curve`.
        owner: the model whose curve it is on.
    """

    name: str
    images: Callable[[int], list[np.ndarray | None]]
    place: str
    owner: str = ""


class Table:
    """All rows under all judges.

    Args:
        rows: in order.
        deals: one a draw.
        judges: at least one.
        settings: of the evaluation.
    """

    def __init__(self, rows: Sequence[Row], deals: Sequence[Deal], judges: Sequence[Judge], settings: Settings):
        self.rows, self.deals, self.judges, self.settings = rows, deals, judges, settings
        self.thresholds = deals[0].thresholds()
        self.counts = deals[0].pooled_counts(settings.samples)
        ways, classes = min(settings.ways, len(deals[0].classes)), len(deals[0].classes)
        # Where every group would be all classes, one group says it all, and has no interval.
        draws = settings.prototype_draws if ways < classes else 1
        self.groups = class_draws(classes, ways, draws, PROTOTYPE_SEED) if ways > 1 else np.zeros((0, 0), np.int64)
        self.judge_zero = Scorer(judges[0], deals[0], settings.ways)

    def report(self, progress: Callable[[str, int, int], None]) -> dict[str, Any]:
        """Scores everything: `judges`, `rows`, `controls`, `floor`, `curve` and `baseline` of the report."""
        parts: dict[str, Any] = {"rows": {}, "controls": {}, "curve": {}, "floor": {}, NONE: {}}
        total, done = len(self.judges) * len(self.rows), 0
        for judge in self.judges:
            scorers = [
                self.judge_zero if (judge, draw) == (self.judges[0], 0) else Scorer(judge, deal, self.settings.ways)
                for draw, deal in enumerate(self.deals)
            ]
            alone = scorers[0].prototypical(None, self.groups)
            parts[NONE][judge.name] = {"prototypical_accuracy": _interval(alone)}
            for row in self.rows:
                scores = self._scores(row, scorers, alone)
                self._place(parts, row, judge.name, scores)
                if row.name == ORACLE:
                    parts["floor"][judge.name] = _floor(scores, sum(self.counts))
                done += 1
                progress("scores", done, total)
        return {"judges": {judge.name: _described(judge) for judge in self.judges}, **parts}

    @staticmethod
    def _place(parts: dict[str, Any], row: Row, judge: str, scores: dict[str, Any]) -> None:
        if row.place != "curve":
            parts[row.place].setdefault(row.name, {})[judge] = scores
            return
        curve = parts["curve"].setdefault(row.owner, {}).setdefault(judge, {})
        for name in CURVE_METRICS:
            curve.setdefault(name, {})[row.name] = scores[name]

    def _scores(self, row: Row, scorers: Sequence[Scorer], alone: np.ndarray) -> dict[str, Any]:
        """One row under one judge; the pooled distances and the few-shot classifier are of the first draw."""
        each: list[dict[str, np.ndarray]] = []
        first: Any = None
        for draw, scorer in enumerate(scorers):
            images = row.images(draw)
            features = scorer.features(images)
            first = features if first is None else first
            copies = copy_rates(images, self.deals[draw].images("support"), self.thresholds)
            each.append(scorer.per_class(features, copies))
        scores = intervals({name: over_draws([found[name] for found in each]) for name in each[0]})
        if row.place == "curve":
            return scores
        for name, value in scorers[0].pooled(first, self.counts).items():
            scores[name] = None if value is None else value.as_dict()
        augmented = scorers[0].prototypical(first, self.groups)
        scores["prototypical_accuracy"] = _interval(augmented)
        scores["prototypical_gain"] = _interval(augmented - alone)
        return scores


def _interval(values: np.ndarray) -> dict[str, float | None] | None:
    """Over drawn episodes; None where one of them has no value."""
    return None if not len(values) or np.isnan(values).any() else bootstrap_mean(values).as_dict()


def _floor(scores: Mapping[str, Any], count: int) -> dict[str, Any]:
    """Real against real: what the pooled distances are between as many images of the same classes."""
    names = ("frechet_distance", "kernel_distance")
    return {**{name: scores[name] and scores[name]["mean"] for name in names}, "count": count}


def _described(judge: Judge) -> dict[str, Any]:
    data, recipe = judge.card.get("data") or {}, judge.card.get("recipe") or {}
    classes = data.get("classes")
    return {
        "sha256": judge.sha256,
        "network": recipe.get("network"),
        "method": recipe.get("method"),
        "augmentation": recipe.get("augmentation"),
        "trained_on": f"{len(classes)} classes of {data['name']}" if classes else None,
        "features": judge.dim,
        "validation_accuracy": (judge.card.get("validation") or {}).get("accuracy"),
    }


def whole(images: Sequence[np.ndarray | None]) -> list[np.ndarray] | None:
    """The images of a row that has some of every class, else None."""
    return None if any(made is None for made in images) else [made for made in images if made is not None]


def add_gains(report: dict[str, Any], found: Mapping[str, Any], judges: Sequence[str]) -> None:
    """Writes the classification gain into a report's rows: it is the same under every judge."""
    names = ("classification_accuracy", "classification_gain")
    for row in (*report["rows"].items(), *report["controls"].items()):
        for judge in judges:
            row[1][judge] |= {name: (found.get(row[0]) or {}).get(name) for name in names}
    for judge in judges:
        report[NONE][judge]["classification_accuracy"] = (found.get(NONE) or {}).get("classification_accuracy")


def stability(
    table: Table, store: Store, number: int, classes: Sequence[int], settings: Settings
) -> dict[str, Any] | None:
    """How many adaptations diverge, or collapse by the first judge, at other inner rates.

    Args:
        table: with the first judge's features of the references.
        store: with the images.
        number: of the contender.
        classes: the evaluated ones.
        settings: how many of them took part.

    Returns:
        `{"share_failed", "by_rate": {SCALE: {"diverged", "collapsed", "adaptations"}}}`; None if none was tried.
    """
    taking = list(enumerate(classes))[: settings.stability_classes]
    if not taking:
        return None
    scorer, by_rate, failed = table.judge_zero, {}, 0
    for scale in RATE_SCALES:
        counts = {"diverged": 0, "collapsed": 0, "adaptations": len(taking)}
        for position, index in taking:
            images = store.load(0, int(index), [key := f"{number}/rate/{scale:g}"])[key]
            if not len(images):
                counts["diverged"] += 1
                continue
            (features,) = scorer.features([images])
            diversity = metrics.relative_diversity(features, scorer.references[position])
            counts["collapsed"] += bool(diversity < COLLAPSED)
        failed += counts["diverged"] + counts["collapsed"]
        by_rate[f"{scale:g}"] = counts
    return {"share_failed": failed / (len(taking) * len(RATE_SCALES)), "by_rate": by_rate}


def times(store: Store, contenders: Sequence[Contender], classes: Sequence[int], seconds: float) -> dict[str, Any]:
    """Medians over classes of the milliseconds that adapting and sampling took; what two runs may differ in."""
    found: dict[str, Any] = {"machine": _machine(), "total_seconds": round(seconds, 1), "rows": {}, "curve": {}}
    for number, contender in enumerate(contenders):
        keys = {steps: f"{number}/ms/{steps}" for steps in contender.steps}
        each = [store.load(0, int(index), list(keys.values())) for index in classes]
        medians = {
            steps: round(float(np.median([float(made[key]) for made in each if key in made])), 2)
            for steps, key in keys.items()
        }
        found["rows"][contender.name] = {"ms_per_class": medians[contender.row_steps]}
        if contender.stable:
            found["curve"][contender.name] = {str(steps): value for steps, value in medians.items()}
    return found


def _machine() -> str:
    return (
        f"{os.cpu_count()} cores, {platform.machine()}, TensorFlow {tf.__version__}, Python {platform.python_version()}"
    )
