"""Bootstrap intervals over classes, the unit that a few-shot result generalises over.

A resample draws as many classes as there are, with replacement, and is kept as the number of times that each class
was drawn: whatever is summed over classes is then a product with that matrix.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from meta_gan.checks import check_integer, check_number


class Interval(NamedTuple):
    """A score and the ends of its interval; NaN where there is none.

    Example:
        >>> Interval(0.5, 0.25, float("nan")).as_dict()
        {'mean': 0.5, 'low': 0.25, 'high': None}
    """

    mean: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float | None]:
        """Returns {"mean", "low", "high"} for JSON: rounded to six significant digits, None for NaN."""
        return {key: None if math.isnan(x) else float(f"{x:.6g}") for key, x in self._asdict().items()}


UNDEFINED = Interval(math.nan, math.nan, math.nan)


def resampled_counts(classes: int, resamples: int, seed: int) -> np.ndarray:
    """Draws the classes of every resample: with replacement, as many as there are.

    Args:
        classes: >= 1, how many classes there are.
        resamples: >= 1, how many times they are drawn.
        seed: >= 0; the draws depend on it and on the two sizes only, so that scores of one run share them.

    Returns:
        int64[resamples, classes], how often each class was drawn; every row sums to `classes`.

    Raises:
        ValueError: an argument that is not a whole number of that range.

    Example:
        >>> resampled_counts(3, 2, seed=0).sum(axis=1).tolist()
        [3, 3]
    """
    for name, value, least in (("classes", classes, 1), ("resamples", resamples, 1), ("seed", seed, 0)):
        check_integer(value, name, least)
    drawn = np.random.default_rng(seed).integers(classes, size=(resamples, classes))
    flat = (drawn + classes * np.arange(resamples)[:, None]).ravel()
    return np.bincount(flat, minlength=resamples * classes).reshape(resamples, classes)


def percentile_bounds(resampled: Any, level: float = 0.95) -> tuple[float, float]:
    """Returns the two percentiles that enclose the middle share `level` of the resampled scores.

    Args:
        resampled: float[resamples], finite.
        level: in (0, 1).

    Returns:
        The percentiles 50 (1 - level) and 50 (1 + level), interpolated linearly.

    Raises:
        ValueError: a level outside (0, 1), or scores of another shape or not finite.

    Example:
        >>> [round(bound, 9) for bound in percentile_bounds(range(101), 0.9)]
        [5.0, 95.0]
    """
    check_number(level, "level", above=0, below=1)
    scores = np.asarray(resampled, np.float64)
    if scores.ndim != 1 or not scores.size or not np.isfinite(scores).all():
        raise ValueError(f"`resampled` must be finite numbers of shape [n], n >= 1. Received: {scores}")
    low, high = np.percentile(scores, [50 * (1 - level), 50 * (1 + level)])
    return float(low), float(high)


def bootstrap_mean(values: Any, resamples: int = 1000, level: float = 0.95, seed: int = 0) -> Interval:
    """Returns the mean over classes with its percentile bootstrap interval.

    Args:
        values: float[C], one score a class; a NaN is a class where the score is undefined, and is left out.
        resamples: >= 1.
        level: in (0, 1), the share of the resampled means inside.
        seed: >= 0, decides the draws.

    Returns:
        The interval. One value has a mean but no ends (NaN), because nothing is known of the spread; no value has
        neither. Of few classes the interval is too narrow, by about sqrt(1 - 1/C).

    Raises:
        ValueError: values of another shape or infinite, or an option outside its range.

    Example:
        >>> bootstrap_mean([2.0, 2.0, float("nan")])
        Interval(mean=2.0, low=2.0, high=2.0)

    Reference:
        Efron, Better Bootstrap Confidence Intervals, 1987: the plain percentile interval.
    """
    scores = np.asarray(values, np.float64)
    if scores.ndim != 1 or np.isinf(scores).any():
        raise ValueError(f"`values` must be numbers of shape [classes], finite or NaN. Received: {scores}")
    scores = scores[~np.isnan(scores)]
    # Options are checked even where they are not needed: an error must not depend on the scores.
    counts = resampled_counts(max(scores.size, 1), resamples, seed)
    low, high = percentile_bounds(counts.sum(axis=1), level)
    if not scores.size:
        return UNDEFINED
    mean = float(scores.mean())
    if scores.size == 1:
        return Interval(mean, math.nan, math.nan)
    # The deviations, so that equal values have an interval of exactly no width.
    low, high = percentile_bounds(counts @ (scores - mean) / scores.size, level)
    return Interval(mean, mean + low, mean + high)
