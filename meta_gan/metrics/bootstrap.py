"""Means over classes with bootstrap confidence intervals."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from meta_gan.checks import check_integer, check_number


class Interval(NamedTuple):
    """A score with the ends of its confidence interval; NaN where undefined.

    Example:
        >>> Interval(0.5, 0.25, float("nan")).as_dict()
        {'mean': 0.5, 'low': 0.25, 'high': None}
    """

    mean: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float | None]:
        """Return {"mean", "low", "high"} for JSON, rounded to six significant digits, with None for NaN."""
        return {key: None if math.isnan(x) else float(f"{x:.6g}") for key, x in self._asdict().items()}


def resampled_counts(classes: int, resamples: int, seed: int) -> np.ndarray:
    """Draw bootstrap resamples of the classes, as the number of times that each class is drawn.

    A resample has as many classes as there are, drawn with replacement. A sum over its classes is a product with a row
    of the result.

    Args:
        classes: number of classes, >= 1.
        resamples: number of resamples, >= 1.
        seed: >= 0. The draws depend on the arguments only, so all scores of a report share them.

    Returns:
        int64[resamples, classes]; every row sums to `classes`.

    Raises:
        ValueError: an argument is not an integer in its range.

    Example:
        >>> resampled_counts(3, 2, seed=0).sum(axis=1).tolist()
        [3, 3]
    """
    for name, value, least in (("classes", classes, 1), ("resamples", resamples, 1), ("seed", seed, 0)):
        check_integer(value, name, least)
    drawn = np.random.default_rng(seed).integers(classes, size=(resamples, classes))
    flat = (drawn + classes * np.arange(resamples)[:, None]).ravel()
    return np.bincount(flat, minlength=resamples * classes).reshape(resamples, classes)


def percentile_bounds(resampled: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Return the percentiles that enclose the middle share `level` of resampled scores.

    Args:
        resampled: float[resamples], finite.
        level: in (0, 1).

    Returns:
        The percentiles 50 (1 - level) and 50 (1 + level), interpolated linearly.

    Raises:
        ValueError: `level` is out of range, or `resampled` has another shape or is not finite.

    Example:
        >>> [round(bound, 9) for bound in percentile_bounds(range(101), 0.9)]
        [5.0, 95.0]
    """
    check_number(level, "level", above=0, below=1)
    scores = np.asarray(resampled, np.float64)
    if scores.ndim != 1 or not scores.size or not np.isfinite(scores).all():
        raise ValueError(f"'resampled' must be finite numbers of shape [n], n >= 1. Received: {scores}")
    low, high = np.percentile(scores, [50 * (1 - level), 50 * (1 + level)])
    return float(low), float(high)


def bootstrap_mean(values: ArrayLike, resamples: int = 1000, level: float = 0.95, seed: int = 0) -> Interval:
    """Return the mean over classes with its percentile bootstrap interval.

    Args:
        values: float[classes]; a class whose value is NaN is left out.
        resamples: number of resamples, >= 1.
        level: share of the resampled means inside the interval, in (0, 1).
        seed: >= 0, of the resamples.

    Returns:
        The interval. A single value has a mean but no ends (NaN); without values the mean is NaN too. With few classes
        the interval is too narrow, by about sqrt(1 - 1 / classes).

    Raises:
        ValueError: `values` has another shape or is infinite, or an option is out of range.

    Example:
        >>> bootstrap_mean([2.0, 2.0, float("nan")])
        Interval(mean=2.0, low=2.0, high=2.0)

    Reference:
        Efron, Better Bootstrap Confidence Intervals, 1987: the plain percentile interval.
    """
    scores = np.asarray(values, np.float64)
    if scores.ndim != 1 or np.isinf(scores).any():
        raise ValueError(f"'values' must be numbers of shape [classes], finite or NaN. Received: {scores}")
    scores = scores[~np.isnan(scores)]
    # Options are checked even where they are not used: whether a call raises must not depend on the scores.
    counts = resampled_counts(max(scores.size, 1), resamples, seed)
    percentile_bounds(counts[:, 0], level)
    if not scores.size:
        return Interval(math.nan, math.nan, math.nan)
    mean = float(scores.mean())
    if scores.size == 1:
        return Interval(mean, math.nan, math.nan)
    # Deviations from the mean, so that the interval of equal values has width 0 exactly.
    low, high = percentile_bounds(counts @ (scores - mean) / scores.size, level)
    return Interval(mean, mean + low, mean + high)
