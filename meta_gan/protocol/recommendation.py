"""The advice that follows from a comparison of augmentations: a pure function of what each held-out picture scored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from meta_gan.metrics import Interval, bootstrap_mean

NOTHING = "nothing"
"""The row without added pictures, with which all others are paired."""
PLAIN = ("shift", "affine", "elastic", "trivial")
"""The rows of plain augmentations, which need no model."""
GENERATED, MIXED = "generated", "generated + best plain"
"""The rows with pictures of a model."""
ROWS = (NOTHING, *PLAIN, GENERATED, MIXED)
RESAMPLES = 2000
GUESSED = 0.8
"""The level of the intervals by which a plain row is the best guess where no row helps measurably."""


class Recommendation(NamedTuple):
    """What to do with a data set.

    Attributes:
        method: the recommended row; None if none helps measurably or probably.
        guessed: whether `method` is the best guess: that it helps is probable, but not measured with 95 % confidence.
        accuracy: of every row, the share of held-out pictures that are classified right, with its 95 % interval.
        gain: of every row but `nothing`, its accuracy less that of `nothing`, paired by picture.
        best_plain: the plain row of the highest mean gain among those that help, or among all if none helps.
        over_plain: of every generated row, its accuracy less that of `best_plain`, paired by picture.
        pictures: number of held-out pictures.
    """

    method: str | None
    guessed: bool
    accuracy: dict[str, Interval]
    gain: dict[str, Interval]
    best_plain: str
    over_plain: dict[str, Interval]
    pictures: int

    def lines(self) -> tuple[str, str]:
        """Return two lines for people: what helps and by how much, and what is recommended.

        Example:
            >>> recommend({row: np.ones(4) for row in ROWS}).lines()[1]
            'Recommended: add no pictures.'
        """
        best = max(self.gain, key=lambda row: self.gain[row].mean) if self.method is None else self.method
        counted = (
            f"{100 * self.accuracy[best].mean:.1f} % of {self.pictures} held-out pictures are classified right, with "
            f"no added pictures {100 * self.accuracy[NOTHING].mean:.1f} % ({_points(self.gain[best])})"
        )
        if self.method is None:
            return f"None of them helps measurably here. The best, {best}: {counted}.", "Recommended: add no pictures."
        if self.guessed:
            said = f"None of them helps measurably here. The likeliest to help is '{best}': {counted}."
            return said, f"Recommended: {best}, as a best guess; more pictures would tell."
        return f"It helps to add pictures by '{best}': {counted}.", f"Recommended: {best}.{self._reason()}"

    def _reason(self) -> str:
        """Return why a plain row, or a generated one, is recommended and not the other."""
        if self.method in self.over_plain:
            found = self.over_plain[self.method]
            shown = f"against {self.best_plain}, the best plain augmentation, {_points(found)}"
            return f" {shown[0].upper()}{shown[1:]}."
        row = max(self.over_plain, key=lambda row: self.over_plain[row].mean, default=None)
        if row is None:
            return ""
        return f" Pictures of a model are not measurably better: {row} against it {_points(self.over_plain[row])}."


def recommend(correct: Mapping[str, np.ndarray], seed: int = 0) -> Recommendation:
    """Return the advice of a comparison.

    A row helps if the 95 % interval of its gain over `nothing` is above 0; the intervals are bootstrapped over pictures
    and paired by picture. The recommended row is the helping one of the highest mean gain, except that a generated row
    must also be better than the plain row of the highest mean gain among those that help, if any does: the interval of
    their paired difference must be above 0. Otherwise that plain row is recommended, which costs less. Of rows with
    equal gains the first in the order of `ROWS` counts. If no row helps, the plain row of the highest mean gain among
    those whose 80 % interval is above 0 is recommended as the best guess: it costs next to nothing.

    The recommended gain is the highest of several, so its expectation on new pictures is a little lower.

    Args:
        correct: for `nothing`, one or more plain and any generated rows, float[pictures] in [0, 1]: the share of the
            trained classifiers that classify each held-out picture right. All rows have the same pictures in one order.
        seed: of the resamples, >= 0.

    Returns:
        A `Recommendation`.

    Raises:
        ValueError: unknown rows, no row `nothing`, no plain row, or rows of different lengths.

    Example:
        >>> rows = {"nothing": np.zeros(8), "shift": np.ones(8), "generated": np.ones(8)}
        >>> recommend(rows).method
        'shift'
    """
    values = {row: np.asarray(correct[row], np.float64) for row in ROWS if row in correct}
    plain = [row for row in PLAIN if row in values]
    if set(correct) - set(ROWS) or NOTHING not in values or not plain:
        raise ValueError(f"'correct' must be of rows of {ROWS}, with 'nothing' and a plain one. Received: {[*correct]}")
    if len({row.shape for row in values.values()}) > 1 or values[NOTHING].ndim != 1 or not values[NOTHING].size:
        shapes = {name: row.shape for name, row in values.items()}
        raise ValueError(f"'correct' must have one value for each picture in every row. Received: shapes {shapes}")
    accuracy = {row: _interval(value, seed) for row, value in values.items()}
    gain = {row: _gain(values, row, NOTHING, seed) for row in values if row != NOTHING}
    helping = [row for row in gain if gain[row].low > 0]
    helping_plain = [row for row in helping if row in plain]
    best_plain = max(helping_plain or plain, key=lambda row: gain[row].mean)
    over = {row: _gain(values, row, best_plain, seed) for row in (GENERATED, MIXED) if row in values}
    method = max(helping, key=lambda row: gain[row].mean, default=None)
    if method in over and helping_plain and not over[method].low > 0:
        method = best_plain
    guessed = method is None
    if guessed:
        probable = [row for row in plain if _interval(values[row] - values[NOTHING], seed, GUESSED).low > 0]
        method = max(probable, key=lambda row: gain[row].mean, default=None)
    return Recommendation(
        method, guessed and method is not None, accuracy, gain, best_plain, over, len(values[NOTHING])
    )


def _gain(values: Mapping[str, np.ndarray], row: str, other: str, seed: int) -> Interval:
    return _interval(values[row] - values[other], seed)


def _interval(values: np.ndarray, seed: int, level: float = 0.95) -> Interval:
    # Shares such as 1 / 3 are not exact, and a bound of 0 must not come out above 0.
    mean, low, high = (round(end, 9) + 0.0 for end in bootstrap_mean(values, RESAMPLES, level, seed))
    return Interval(mean, low, high)


def _points(gain: Interval) -> str:
    low, high = (f"{100 * end:+.1f}" for end in (gain.low, gain.high))
    return f"{100 * gain.mean:+.1f} points, 95 % interval {low} to {high}"
