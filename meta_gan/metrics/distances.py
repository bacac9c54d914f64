"""Euclidean distances between rows of features, in float64.

They are computed from differences, not from x.x + y.y - 2 x.y: equal rows are at distance 0 exactly, and a pair of rows
has the same bits in either order and in any batch. Comparisons with a distance that was itself measured (a copy
threshold, the radius of a ball) rely on this.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from meta_gan.checks import check_finite

# Differences of one block of pairs: half a megabyte, which stays in a core's cache.
_BLOCK = 1 << 16


def check_features(features: ArrayLike, argument: str, least: int = 1, dimension: int | None = None) -> np.ndarray:
    """Return features as float64.

    Args:
        features: real numbers [n, d], finite.
        argument: their name in messages.
        least: the smallest n allowed.
        dimension: the d required; None for any d >= 1.

    Returns:
        float64[n, d].

    Raises:
        ValueError: another shape, dtype or size, or values that are not finite.

    Example:
        >>> check_features([[0, 1]], "generated").dtype
        dtype('float64')
    """
    array = np.asarray(features)
    if not (np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer)):
        raise ValueError(f"{argument!r} must be real numbers. Received: dtype {array.dtype}")
    wide = array.ndim == 2 and array.shape[1] >= 1 and array.shape[1] == (dimension or array.shape[1])
    if not wide or len(array) < least:
        wanted = f"[n, {dimension or 'd'}] with n >= {least}"
        raise ValueError(f"{argument!r} must have shape {wanted}. Received: shape {array.shape}")
    return np.ascontiguousarray(check_finite(array, argument), np.float64)


def _distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    columns = max(1, min(len(y), _BLOCK // x.shape[1]))
    rows = max(1, _BLOCK // (columns * x.shape[1]))
    squared = np.empty((len(x), len(y)))
    for i in range(0, len(x), rows):
        for j in range(0, len(y), columns):
            difference = x[i : i + rows, None] - y[None, j : j + columns]
            squared[i : i + rows, j : j + columns] = np.einsum("ijk,ijk->ij", difference, difference)
    return np.sqrt(squared, out=squared)


def pairwise_distances(x: ArrayLike, y: ArrayLike) -> np.ndarray:
    """Return the distances between all rows of `x` and all rows of `y`.

    Args:
        x: float[n, d], n >= 1.
        y: float[m, d], m >= 1.

    Returns:
        float64[n, m]; exactly 0 for equal rows, and exactly the transpose of `pairwise_distances(y, x)`.

    Raises:
        ValueError: as `check_features`.

    Example:
        >>> pairwise_distances([[0.0, 0.0]], [[3.0, 4.0], [0.0, 0.0]]).tolist()
        [[5.0, 0.0]]
    """
    first = check_features(x, "x")
    return _distances(first, check_features(y, "y", dimension=first.shape[1]))


def pair_distances(x: ArrayLike) -> np.ndarray:
    """Return the distance of every pair of different rows, once; their mean is unbiased.

    Args:
        x: float[n, d], n >= 2.

    Returns:
        float64[n (n - 1) / 2], bit for bit the upper triangle of `pairwise_distances(x, x)`.

    Raises:
        ValueError: as `check_features`.

    Example:
        >>> pair_distances([[0.0], [1.0], [3.0]]).tolist()
        [1.0, 3.0, 2.0]
    """
    rows = check_features(x, "x", least=2)
    return np.concatenate([_distances(rows[i : i + 1], rows[i + 1 :])[0] for i in range(len(rows) - 1)])
