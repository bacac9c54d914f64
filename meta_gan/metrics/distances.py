"""Euclidean distances between rows of features, in float64.

scipy computes them from differences, not from x.x + y.y - 2 x.y: equal rows are at distance 0 exactly, and a pair of
rows has the same bits in either order and in any batch. Comparisons with a distance that was itself measured (a copy
threshold, the radius of a ball) rely on this.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import cdist, pdist

from meta_gan.checks import check_finite


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
    return cdist(first, check_features(y, "y", dimension=first.shape[1]))


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
    return pdist(check_features(x, "x", least=2))
