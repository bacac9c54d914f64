"""`Row`: the images and scores of a method in a report; and the scores of all rows under all judges."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from meta_gan import metrics
from meta_gan.judges import Judge
from meta_gan.metrics import Interval, bootstrap_mean
from meta_gan.protocol.allocation import Allocation, Images, opponents
from meta_gan.protocol.classification import NONE, class_draws
from meta_gan.protocol.methods import ORACLE
from meta_gan.protocol.settings import COLLAPSED, RATE_SCALES, Settings

CLASS_SCORES = ("energy_distance", "recognisability", "relative_diversity", "copy_rate", "support_closeness")
"""The scores of every class, which the curve has too."""
MANY_SCORES = ("precision", "recall", "density", "coverage")
MANY_REFERENCES = 200
"""The number of reference images of a class from which on `MANY_SCORES` are measured."""
POOLED_SCORES = ("frechet_distance", "kernel_distance")
PROTOTYPE_SEED = 1


@dataclass(frozen=True)
class Row:
    """A row of a report: images of every class, and where their scores go.

    Attributes:
        name: of the row; on a curve, the number of inner steps.
        images: from the number of a draw to the images of each class.
        place: "rows", "controls" or "curve".
        method: the name of the method whose curve it is on.
    """

    name: str
    images: Callable[[int], Images]
    place: str
    method: str = ""


class Scorer:
    """The scores of images under one judge, for one draw of the support sets.

    Args:
        judge: the judge.
        allocation: the support and reference images.
        ways: number of classes among which samples are recognised. If fewer are evaluated, classes of the other splits
            are added, which the generator may have been trained on.
    """

    def __init__(self, judge: Judge, allocation: Allocation, ways: int = 20):
        self.judge, self.allocation = judge, allocation
        self.support = self.features(allocation.images("support"))
        self.references = self.features(allocation.images("references"))
        others = allocation.others() if len(allocation.classes) < ways else []
        found = [*self.references, *self.features([allocation.members(index) for index in others])]
        self.prototypes = np.stack([features.mean(axis=0) for features in found])
        names = [*allocation.names, *[allocation.source.class_names[index] for index in others]]
        self.ways = [opponents(names, position, ways) for position in range(len(allocation.names))]

    def features(self, images: Images) -> list[Any]:
        """Return the features of the images of each class, float32[n, d]; None for None."""
        present = [made for made in images if made is not None]
        sizes = np.cumsum([len(made) for made in present])[:-1]
        parts = iter(np.split(self.judge.features(np.concatenate(present)), sizes) if present else [])
        return [None if made is None else next(parts) for made in images]

    def class_scores(self, features: Sequence[Any], copies: np.ndarray) -> dict[str, np.ndarray]:
        """Return the scores of each class, float64[classes], NaN where a row has no images; `copies` are copy rates."""
        rows = [self._scores_of(position, found) for position, found in enumerate(features)]
        scores = {name: np.array([row.get(name, np.nan) for row in rows]) for name in (*CLASS_SCORES, *MANY_SCORES)}
        return {**scores, "copy_rate": copies}

    def _scores_of(self, position: int, made: np.ndarray | None) -> dict[str, float]:
        if made is None:
            return {}
        real, ways = self.references[position], self.ways[position]
        scores = {
            "energy_distance": metrics.energy_distance(made, real),
            "relative_diversity": metrics.relative_diversity(made, real),
            "support_closeness": metrics.support_closeness(made, self.support[position], real),
        }
        if len(ways) > 1:
            scores["recognisability"] = metrics.recognisability(made, self.prototypes[ways], 0)
        if len(real) >= MANY_REFERENCES:
            scores |= metrics.precision_recall_density_coverage(real, made)
        return scores

    def pooled_scores(self, features: Sequence[Any], counts: Sequence[int]) -> dict[str, Interval | None]:
        """Return the Fréchet and kernel distances of all classes pooled, of the first `counts[c]` images of class c.

        They are None if a class has fewer images, because these distances depend on the number of images.
        """
        if not sum(counts) or any(f is None or len(f) < n for f, n in zip(features, counts, strict=True)):
            return dict.fromkeys(POOLED_SCORES)
        made, real = (
            [found[:n] for found, n in zip(each, counts, strict=True) if n] for each in (features, self.references)
        )
        intervals = metrics.frechet_interval(made, real), metrics.kernel_interval(made, real)
        return dict(zip(POOLED_SCORES, intervals, strict=True))

    def prototypical_accuracy(self, features: Sequence[Any] | None, groups: np.ndarray) -> np.ndarray:
        """Return the accuracy on the references of nearest-prototype classifiers, float64[groups].

        Args:
            features: added to those of the support before prototypes are computed; None for the support alone.
            groups: int[groups, ways], positions of the classes of each classifier. The accuracy of a group is NaN if
                `features` has nothing of one of its classes.
        """
        values = []
        for ways in groups:
            known = [self.support[way] for way in ways]
            if features is not None:
                added = [features[way] for way in ways]
                if any(part is None for part in added):
                    values.append(np.nan)
                    continue
                known = [np.concatenate(pair) for pair in zip(known, added, strict=True)]
            values.append(metrics.prototypical_accuracy(known, [self.references[way] for way in ways]))
        return np.array(values)


def copy_rates(images: Images, support: Sequence[np.ndarray], thresholds: Sequence[float]) -> np.ndarray:
    """Return the copy rate of each class, float64[classes], NaN where there are no images."""
    rates = [
        np.nan if made is None else metrics.copy_rate(made, near, limit)
        for made, near, limit in zip(images, support, thresholds, strict=True)
    ]
    return np.array(rates)


def score_rows(
    rows: Sequence[Row],
    scorers: Sequence[Sequence[Scorer]],
    settings: Settings,
    progress: Callable[[str, int, int], None],
) -> dict[str, Any]:
    """Return the parts of a report that need judges.

    Args:
        rows: in the order of the report.
        scorers: for each judge, one scorer for each draw.
        settings: of the evaluation.
        progress: called with "scores" and the numbers of scored rows, of all judges, and of all.

    Returns:
        {"judges", "rows", "controls", "curve", "floor", "none"}. Pooled distances and the nearest-prototype classifier
        are those of the first draw.
    """
    allocations = [scorer.allocation for scorer in scorers[0]]
    thresholds, counts = allocations[0].thresholds(), allocations[0].pooled_counts(settings.samples)
    groups = _prototype_groups(len(allocations[0].classes), settings)
    alone = [of_judge[0].prototypical_accuracy(None, groups) for of_judge in scorers]
    parts: dict[str, Any] = {"judges": {}, "rows": {}, "controls": {}, "curve": {}, "floor": {}, NONE: {}}
    for of_judge, accuracies in zip(scorers, alone, strict=True):
        parts["judges"][of_judge[0].judge.name] = _describe_judge(of_judge[0].judge)
        parts[NONE][of_judge[0].judge.name] = {"prototypical_accuracy": _interval(accuracies)}
    done = 0
    for row in rows:
        images = [row.images(draw) for draw in range(len(allocations))]
        support = [allocation.images("support") for allocation in allocations]
        copies = [copy_rates(each, near, thresholds) for each, near in zip(images, support, strict=True)]
        for of_judge, accuracies in zip(scorers, alone, strict=True):
            judge, features = (
                of_judge[0].judge.name,
                [s.features(each) for s, each in zip(of_judge, images, strict=True)],
            )
            each = [s.class_scores(f, c) for s, f, c in zip(of_judge, features, copies, strict=True)]
            scores = class_intervals({name: mean_over_draws([found[name] for found in each]) for name in each[0]})
            if row.place == "curve":
                curve = parts["curve"].setdefault(row.method, {}).setdefault(judge, {})
                for name in CLASS_SCORES:
                    curve.setdefault(name, {})[row.name] = scores[name]
            else:
                for name, value in of_judge[0].pooled_scores(features[0], counts).items():
                    scores[name] = None if value is None else value.as_dict()
                augmented = of_judge[0].prototypical_accuracy(features[0], groups)
                scores["prototypical_accuracy"] = _interval(augmented)
                scores["prototypical_gain"] = _interval(augmented - accuracies)
                parts[row.place].setdefault(row.name, {})[judge] = scores
            if row.name == ORACLE:
                floor = {name: scores[name] and scores[name]["mean"] for name in POOLED_SCORES}
                parts["floor"][judge] = {**floor, "count": sum(counts)}
            done += 1
            progress("scores", done, len(rows) * len(scorers))
    return parts


def _prototype_groups(classes: int, settings: Settings) -> np.ndarray:
    ways = min(settings.ways, classes)
    if ways < 2:
        return np.zeros((0, 0), np.int64)
    # If every group has all classes, one is enough, and it has no interval.
    return class_draws(classes, ways, settings.prototype_draws if ways < classes else 1, PROTOTYPE_SEED)


def mean_over_draws(values: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean over draws of the values of each class, NaN where no draw has a value."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mean of empty slice")
        return np.nanmean(np.stack(values), axis=0)


def class_intervals(scores: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return means and bootstrap intervals over classes as dictionaries; None for a score without values."""
    found = {name: bootstrap_mean(values) for name, values in scores.items()}
    return {name: None if np.isnan(value.mean) else value.as_dict() for name, value in found.items()}


def _interval(values: np.ndarray) -> dict[str, float | None] | None:
    """Return the interval over groups of classes; None if one has no value."""
    return None if not len(values) or np.isnan(values).any() else bootstrap_mean(values).as_dict()


def _describe_judge(judge: Judge) -> dict[str, Any]:
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


def stability(scorer: Scorer, rates: Mapping[float, Sequence[np.ndarray]]) -> dict[str, Any] | None:
    """Return the share of adaptations that diverge or collapse at other inner rates.

    Args:
        scorer: of the first judge and draw.
        rates: for each of `RATE_SCALES` the images of the first classes, none of a class if the adaptation diverged.

    Returns:
        {"share_failed", "by_rate": {SCALE: {"diverged", "collapsed", "adaptations"}}}; None without classes.
    """
    classes = len(rates[RATE_SCALES[0]])
    if not classes:
        return None
    by_rate, failed = {}, 0
    for scale, images in rates.items():
        diversity = [
            metrics.relative_diversity(scorer.judge.features(made), real)
            for made, real in zip(images, scorer.references, strict=False)
            if len(made)
        ]
        counts = {"diverged": classes - len(diversity), "collapsed": sum(value < COLLAPSED for value in diversity)}
        failed += sum(counts.values())
        by_rate[f"{scale:g}"] = {**counts, "adaptations": classes}
    return {"share_failed": failed / (classes * len(RATE_SCALES)), "by_rate": by_rate}
