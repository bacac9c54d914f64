"""Distances between rows of features, and the scores that compare two sets by their nearest neighbours.

Distances are Euclidean, in float64, from differences and never from x.x + y.y - 2 x.y: equal rows are at exactly 0,
and a pair has the same distance to the last bit from either side and in any company. Comparisons with a distance
that was itself measured (a copy threshold, the radius of a ball) rely on it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from meta_gan.checks import check_finite, check_integer

# Numbers held at a time by the differences of one block of pairs: half a megabyte, which stays in a core's cache.
_BLOCK = 1 << 16


def check_features(features: Any, argument: str, least: int = 1, dimension: int | None = None) -> np.ndarray:
    """Checks features, and returns them as float64.

    Args:
        features: real numbers [n, d], finite.
        argument: the name that the messages use.
        least: the smallest n allowed.
        dimension: the d that they must have, or None for any d >= 1.

    Returns:
        float64[n, d].

    Raises:
        ValueError: another shape, dtype or size, a NaN or an infinity.

    Example:
        >>> check_features([[0, 1]], "generated").dtype
        dtype('float64')
    """
    array = np.asarray(features)
    if not (np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer)):
        raise ValueError(f"`{argument}` must be real numbers. Received: dtype {array.dtype}")
    wide = array.ndim == 2 and array.shape[1] >= 1 and array.shape[1] == (dimension or array.shape[1])
    if not wide or len(array) < least:
        wanted = f"[n, {dimension or 'd'}] with n >= {least}"
        raise ValueError(f"`{argument}` must have shape {wanted}. Received: shape {array.shape}")
    return np.ascontiguousarray(check_finite(array, argument), np.float64)


def _distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Returns the distances of checked rows, block by block."""
    columns = max(1, min(len(y), _BLOCK // x.shape[1]))
    rows = max(1, _BLOCK // (columns * x.shape[1]))
    squared = np.empty((len(x), len(y)))
    for i in range(0, len(x), rows):
        for j in range(0, len(y), columns):
            difference = x[i : i + rows, None] - y[None, j : j + columns]
            squared[i : i + rows, j : j + columns] = np.einsum("ijk,ijk->ij", difference, difference)
    return np.sqrt(squared, out=squared)


def pairwise(x: Any, y: Any) -> np.ndarray:
    """Returns all Euclidean distances, in memory of the order of n * m.

    Args:
        x: float[n, d].
        y: float[m, d].

    Returns:
        float64[n, m]; exactly 0 for equal rows, and pairwise(y, x) is exactly the transpose.

    Raises:
        ValueError: no rows, different d, a NaN or an infinity.

    Example:
        >>> pairwise([[0.0, 0.0]], [[3.0, 4.0], [0.0, 0.0]]).tolist()
        [[5.0, 0.0]]
    """
    first = check_features(x, "x")
    return _distances(first, check_features(y, "y", dimension=first.shape[1]))


def pair_distances(x: Any) -> np.ndarray:
    """Returns the distance of every pair of different rows, once; their mean is unbiased.

    Args:
        x: float[n, d], n >= 2.

    Returns:
        float64[n (n - 1) / 2], in the order of the upper triangle of `pairwise(x, x)`, to the last bit.

    Raises:
        ValueError: fewer than two rows, a NaN or an infinity.

    Example:
        >>> pair_distances([[0.0], [1.0], [3.0]]).tolist()
        [1.0, 3.0, 2.0]
    """
    rows = check_features(x, "x", least=2)
    return np.concatenate([_distances(rows[i : i + 1], rows[i + 1 :])[0] for i in range(len(rows) - 1)])


def _radii(x: np.ndarray, nearest: int) -> np.ndarray:
    """Returns float64[n], the distance of each row to its `nearest`-th neighbour, itself not counted."""
    return np.partition(_distances(x, x), nearest, axis=1)[:, nearest]


def precision_recall_density_coverage(real: Any, generated: Any, nearest: int = 5) -> dict[str, float]:
    """Compares two sets by the balls that reach from each row to its k-th neighbour within its own set.

    Args:
        real: float[n, d], n > nearest.
        generated: float[m, d], m > nearest.
        nearest: k >= 1, the neighbour that a ball reaches to.

    Returns:
        precision, in [0, 1]: share of generated rows inside any ball of a real row.
        recall, in [0, 1]: share of real rows inside any ball of a generated row.
        density, >= 0: mean number of balls of real rows that a generated row is inside of, over k; 1 is expected
            of equal distributions.
        coverage, in [0, 1]: share of the balls of real rows that hold a generated row; 1 - 2^-k is about expected of
            equal distributions with n = m.
        All depend on n and m: compare at equal sizes only. None sees whether images are copies.

    Raises:
        ValueError: a bad `nearest`, too few rows, different d, a NaN or an infinity.

    Example:
        >>> precision_recall_density_coverage([[0.0], [1.0], [2.0]], [[0.5], [9.0]], nearest=1)
        {'precision': 0.5, 'recall': 1.0, 'density': 1.0, 'coverage': 0.6666666666666666}

    Reference:
        Kynkäänniemi et al., Improved Precision and Recall Metric for Assessing Generative Models, 2019;
        Naeem et al., Reliable Fidelity and Diversity Metrics for Generative Models, 2020. Balls are
        closed as in the first; the code of the second has open ones, which differ where rows are repeated.
    """
    nearest = check_integer(nearest, "nearest", 1)
    x = check_features(real, "real", least=nearest + 1)
    y = check_features(generated, "generated", least=nearest + 1, dimension=x.shape[1])
    distances = _distances(x, y)
    within_real = distances <= _radii(x, nearest)[:, None]
    within_generated = distances <= _radii(y, nearest)
    return {
        "precision": float(within_real.any(axis=0).mean()),
        "recall": float(within_generated.any(axis=1).mean()),
        "density": float(within_real.sum(axis=0).mean() / nearest),
        "coverage": float(within_real.any(axis=1).mean()),
    }
