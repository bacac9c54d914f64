"""Scores of rows: per class by the pure metrics, then means and intervals over classes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from meta_gan import metrics
from meta_gan.judges.judge import Judge
from meta_gan.metrics import pooled_distances as pooled
from meta_gan.metrics.bootstrap import Interval, bootstrap_mean
from meta_gan.metrics.class_scores import precision_recall_density_coverage
from meta_gan.protocol import allocation as protocol
from meta_gan.protocol.allocation import Allocation
from meta_gan.tasks import Source

CURVE_METRICS = (
    "energy_distance",
    "recognisability",
    "relative_diversity",
    "copy_rate",
    "support_closeness",
)
MOST_REAL_PAIRS = 100
"""Of a class with more images, the first so many give the threshold of a copy."""
Images = Sequence[np.ndarray | None]
"""For each class uint8[n, *example], or None where a row has no image of the class."""


@dataclass(frozen=True)
class Deal:
    """The evaluated classes of a source, and for one draw which of their images play which part."""

    source: Source
    classes: np.ndarray
    parts: Sequence[Allocation]

    @property
    def names(self) -> list[str]:
        """The classes' names, in order."""
        return [self.source.class_names[index] for index in self.classes]

    def images(self, part: str) -> list[np.ndarray]:
        """The images of a part (support, oracle or references), class by class."""
        return [self.source.images[getattr(dealt, part)] for dealt in self.parts]

    def oracle(self) -> list[np.ndarray | None]:
        """The oracle images of each class, None where there are too few for any."""
        return [made if len(made) else None for made in self.images("oracle")]

    def wrong(self, count: int) -> list[np.ndarray | None]:
        """For each class up to `count` real images of the class half-way round the order; None for a lone class."""
        images = [np.concatenate(parts) for parts in zip(self.images("support"), self.images("oracle"), strict=True)]
        half = len(images) // 2
        return [images[(place + half) % len(images)][:count] if half else None for place in range(len(images))]

    def pooled_counts(self, samples: int) -> list[int]:
        """How many images of each class the pooled distances take: as many as the oracle has, at most `samples`."""
        return [min(len(dealt.oracle), len(dealt.references), samples) for dealt in self.parts]

    def others(self) -> list[int]:
        """The source's classes that have images and are not evaluated."""
        return [int(index) for index in np.unique(self.source.labels) if index not in self.classes]

    def members(self, index: int) -> np.ndarray:
        """The first 100 images of a class."""
        return self.source.images[np.flatnonzero(self.source.labels == index)[:MOST_REAL_PAIRS]]

    def thresholds(self) -> list[float]:
        """Below which pixel distance an image of each class is a copy; see `metrics.copy_threshold`."""
        return [metrics.copy_threshold(self.members(index)) for index in self.classes]


def copy_rates(images: Images, support: Sequence[np.ndarray], thresholds: Sequence[float]) -> np.ndarray:
    """The copy rate of each class, float64[classes], NaN where there is no image; no judge is needed for it."""
    rates = [
        np.nan if made is None else metrics.copy_rate(made, near, limit)
        for made, near, limit in zip(images, support, thresholds, strict=True)
    ]
    return np.array(rates)


class Scorer:
    """One judge's scores against one deal.

    Args:
        judge: whose features count.
        deal: support and references.
        ways: among how many classes samples are recognised. Where fewer are evaluated, classes of the other splits,
            which the generator may have seen, stand beside them.
    """

    def __init__(self, judge: Judge, deal: Deal, ways: int = protocol.WAYS):
        self.judge, self.deal = judge, deal
        self.support = self.features(deal.images("support"))
        self.references = self.features(deal.images("references"))
        others = deal.others() if len(deal.classes) < ways else []
        found = [*self.references, *self.features([deal.members(index) for index in others])]
        self.prototypes = np.stack([features.mean(axis=0) for features in found])
        names = [*deal.names, *[deal.source.class_names[index] for index in others]]
        self.ways = [protocol.opponents(names, position, ways) for position in range(len(deal.names))]

    def features(self, images: Images) -> list[Any]:
        """The features of each class's images, float32[n, d], None for None."""
        present = [made for made in images if made is not None]
        sizes = np.cumsum([len(made) for made in present])[:-1]
        parts = iter(np.split(self.judge.features(np.concatenate(present)), sizes) if present else [])
        return [None if made is None else next(parts) for made in images]

    def per_class(self, features: Sequence[Any], copies: np.ndarray) -> dict[str, np.ndarray]:
        """The scores that have a value for every class, float64[classes], NaN where a row has no image of it."""
        rows = [self._class(position, found) for position, found in enumerate(features)]
        scores = {name: np.array([row.get(name, np.nan) for row in rows]) for name in CURVE_METRICS}
        for name in ("precision", "recall", "density", "coverage"):
            scores[name] = np.array([row.get(name, np.nan) for row in rows])
        return {**scores, "copy_rate": copies}

    def _class(self, position: int, made: Any) -> dict[str, float]:
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
        if len(real) >= protocol.MANY_REFERENCES:
            scores |= precision_recall_density_coverage(real, made)
        return scores

    def pooled(self, features: Sequence[Any], counts: Sequence[int]) -> dict[str, Interval | None]:
        """Fréchet and kernel distance of all classes at once, from the first `counts[c]` images of class c.

        None where a row has not as many images of every class, for these distances depend on their number.
        """
        names = ("frechet_distance", "kernel_distance")
        if not sum(counts) or any(f is None or len(f) < n for f, n in zip(features, counts, strict=True)):
            return dict.fromkeys(names)
        made = [found[:n] for found, n in zip(features, counts, strict=True) if n]
        real = [found[:n] for found, n in zip(self.references, counts, strict=True) if n]
        return dict(zip(names, (pooled.frechet_interval(made, real), pooled.kernel_interval(made, real)), strict=True))

    def prototypical(self, features: Sequence[Any] | None, draws: np.ndarray) -> np.ndarray:
        """The few-shot classifier's accuracy on the references, float64[draws].

        Args:
            features: added to the support's before the prototypes are taken; None for the support alone.
            draws: int[draws, ways], the classes (by position) of every episode; an episode with a class of which
                there is no image has NaN.
        """
        values = []
        for ways in draws:
            added = [None] * len(ways) if features is None else [features[way] for way in ways]
            if features is not None and any(part is None for part in added):
                values.append(np.nan)
                continue
            shown = [
                self.support[way] if more is None else np.concatenate([self.support[way], more])
                for way, more in zip(ways, added, strict=True)
            ]
            values.append(metrics.prototypical_accuracy(shown, [self.references[way] for way in ways]))
        return np.array(values)


def over_draws(values: Sequence[np.ndarray]) -> np.ndarray:
    """The mean over draws of values of each class, NaN where no draw has one."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mean of empty slice")
        return np.nanmean(np.stack(values), axis=0)


def intervals(scores: dict[str, np.ndarray]) -> dict[str, Any]:
    """Means and bootstrap intervals as the report holds them; None where a score is nowhere defined."""
    found = {name: bootstrap_mean(values) for name, values in scores.items()}
    return {name: None if np.isnan(value.mean) else value.as_dict() for name, value in found.items()}
