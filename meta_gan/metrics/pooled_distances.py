"""Fréchet and kernel distances of images pooled over classes, with bootstrap intervals over those classes.

Neither detects copies or images of the wrong class, so they do not replace the scores of single classes. The Fréchet
distance is biased upwards, more so for fewer rows: report it beside that of real images at the same number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from meta_gan.metrics.bootstrap import Interval, percentile_bounds, resampled_counts
from meta_gan.metrics.distances import check_features

# Rows of one kernel block, so that the kernel of all pairs is never in memory at once.
_BLOCK_ROWS = 512


def _moments(x: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean float64[d] and unbiased covariance float64[d, d] of rows that count `weights` times each."""
    rows, times = x[weights > 0], weights[weights > 0].astype(np.float64)
    mean = times @ rows / times.sum()
    centred = (rows - mean) * np.sqrt(times)[:, None]
    return mean, centred.T @ centred / (times.sum() - 1)


def _root(covariance: np.ndarray) -> np.ndarray:
    """Return the symmetric root, in which eigenvalues that are rounding errors count as 0.

    The root of a rounding error of 1e-16 would be 1e-8, once for each direction without variance.
    """
    values, vectors = np.linalg.eigh(covariance)
    values[values < values[-1] * len(values) * np.finfo(np.float64).eps] = 0
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def frechet_from_moments(mean1: np.ndarray, cov1: np.ndarray, mean2: np.ndarray, cov2: np.ndarray) -> float:
    """Return |mean1 - mean2|^2 + Tr(cov1 + cov2 - 2 (cov1 cov2)^(1/2)), the Fréchet distance of normal distributions.

    Args:
        mean1: float[d].
        cov1: float[d, d], symmetric and positive semidefinite; it may be singular.
        mean2: float[d].
        cov2: float[d, d], likewise.

    Returns:
        >= 0, the squared 2-Wasserstein distance.

    Example:
        >>> frechet_from_moments(np.zeros(1), np.eye(1), np.full(1, 3.0), 4 * np.eye(1))             # 3^2 + (2 - 1)^2
        10.0

    Reference:
        Dowson and Landau, The Fréchet distance between multivariate normal distributions, 1982.
    """
    # The trace of the root of a product is the sum of the singular values of the product of the roots, which are real.
    overlap = np.linalg.svd(_root(cov1) @ _root(cov2), compute_uv=False).sum()
    squared = np.square(mean1 - mean2).sum() + np.trace(cov1) + np.trace(cov2) - 2 * overlap
    return max(float(squared), 0.0)


def frechet_distance(x: ArrayLike, y: ArrayLike) -> float:
    """Return the Fréchet distance of two sets of features; with Inception's features it is the FID.

    Args:
        x: float[n, d], n >= 2.
        y: float[m, d], m >= 2.

    Returns:
        >= 0, from unbiased covariances. The distance itself is biased upwards, about in proportion to 1 / n + 1 / m.

    Raises:
        ValueError: as `check_features`.

    Example:
        >>> frechet_distance([[0.0], [2.0]], [[3.0], [5.0]])
        9.0

    Reference:
        Heusel et al., GANs Trained by a Two Time-Scale Update Rule [...], 2017. Bias: Bińkowski et al., 2018.
    """
    first = check_features(x, "x", least=2)
    second = check_features(y, "y", least=2, dimension=first.shape[1])
    return frechet_from_moments(*_moments(first, np.ones(len(first))), *_moments(second, np.ones(len(second))))


def _kernel_sums(x: np.ndarray, y: np.ndarray, starts: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return float64[C, C'], sums of (x.y / d + 1)^3 over blocks of rows: of x from `starts`, of y from `others`."""
    columns = np.empty((len(x), len(others)))
    for i in range(0, len(x), _BLOCK_ROWS):
        kernel = (x[i : i + _BLOCK_ROWS] @ y.T / x.shape[1] + 1) ** 3
        columns[i : i + _BLOCK_ROWS] = np.add.reduceat(kernel, others, axis=1)
    return np.add.reduceat(columns, starts, axis=0)


def _within(x: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the kernel sums and numbers of pairs between classes [C, C], without pairs of an image with itself."""
    starts = np.cumsum(sizes) - sizes
    sums = _kernel_sums(x, x, starts, starts)
    own = (np.square(x).sum(axis=1) / x.shape[1] + 1) ** 3
    return sums - np.diag(np.add.reduceat(own, starts)), np.outer(sizes, sizes) - np.diag(sizes)


def _kernel(x: np.ndarray, y: np.ndarray, x_sizes: np.ndarray, y_sizes: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return float64[resamples], the kernel distances with each class drawn `counts` times."""
    between = _kernel_sums(x, y, np.cumsum(x_sizes) - x_sizes, np.cumsum(y_sizes) - y_sizes)
    blocks = [_within(x, x_sizes), _within(y, y_sizes), (between, np.outer(x_sizes, y_sizes))]
    drawn = counts.astype(np.float64)
    x_mean, y_mean, between_mean = (
        ((drawn @ sums) * drawn).sum(axis=1) / ((drawn @ pairs) * drawn).sum(axis=1) for sums, pairs in blocks
    )
    return x_mean + y_mean - 2 * between_mean


def kernel_distance(x: ArrayLike, y: ArrayLike) -> float:
    """Return the squared maximum mean discrepancy under the kernel (x.y / d + 1)^3; with Inception's features, the KID.

    Args:
        x: float[n, d], n >= 2.
        y: float[m, d], m >= 2.

    Returns:
        E k(x, x') + E k(y, y') - 2 E k(x, y), unbiased (no row is paired with itself), so it can be negative.

    Raises:
        ValueError: as `check_features`.

    Example:
        >>> kernel_distance([[0.0], [1.0]], [[1.0], [1.0]])              # 1 + 8 - 2 * (1 + 1 + 8 + 8) / 4
        0.0

    Reference:
        Bińkowski et al., Demystifying MMD GANs, 2018. We depart in one estimate from all rows; theirs is a mean
        over random subsets.
    """
    first = check_features(x, "x", least=2)
    second = check_features(y, "y", least=2, dimension=first.shape[1])
    return float(_kernel(first, second, np.array([len(first)]), np.array([len(second)]), np.ones((1, 1)))[0])


def _pooled(classes: Sequence[ArrayLike], argument: str, dimension: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of all classes and the number of rows of each."""
    if not len(classes):
        raise ValueError(f"{argument!r} must have at least one class. Received: none")
    wide = dimension or check_features(classes[0], f"{argument}[0]", least=2).shape[1]
    rows = [check_features(each, f"{argument}[{i}]", 2, wide) for i, each in enumerate(classes)]
    return np.concatenate(rows), np.array([len(each) for each in rows])


def _both(
    generated: Sequence[ArrayLike], real: Sequence[ArrayLike]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    numbers = len(generated), len(real)
    if numbers[0] != numbers[1]:
        raise ValueError(f"'generated' and 'real' must have the same number of classes. Received: {numbers}")
    x, x_sizes = _pooled(generated, "generated")
    y, y_sizes = _pooled(real, "real", x.shape[1])
    return x, y, x_sizes, y_sizes


def _around(value: float, resampled: np.ndarray, level: float, classes: int) -> Interval:
    """Return the value with the percentiles of the resamples' deviations from their own mean.

    A resample repeats classes, so it has fewer distinct rows, and its Fréchet distance is biased further upwards: all
    plain percentiles can exceed the value. The interval describes the spread at the present number of rows instead.
    """
    low, high = percentile_bounds(resampled - resampled.mean(), level)
    return Interval(value, value + low, value + high) if classes > 1 else Interval(value, math.nan, math.nan)


def frechet_interval(
    generated: Sequence[ArrayLike], real: Sequence[ArrayLike], resamples: int = 200, level: float = 0.95, seed: int = 0
) -> Interval:
    """Return the Fréchet distance of all classes pooled, with its bootstrap interval over classes.

    Args:
        generated: arrays float[n_c, d], n_c >= 2, one per class.
        real: arrays float[m_c, d], m_c >= 2, of the same classes in the same order.
        resamples: number of resamples, >= 1; each costs as much as one distance.
        level: share of the resamples inside the interval, in (0, 1).
        seed: >= 0, of the resamples.

    Returns:
        The interval, around `frechet_distance` of all rows; `low` >= 0, and both ends are NaN for a single class. It
        shows how the value varies with the classes, at this number of rows, and does not correct its bias.

    Raises:
        ValueError: different numbers of classes, an option is out of range, or as `check_features`.

    Example:
        >>> round(frechet_interval([[[0.0], [2.0]]] * 3, [[[3.0], [5.0]]] * 3).mean, 6)
        9.0

    Reference:
        Heusel et al., 2017. We depart in the interval: percentiles of the deviations from their mean.
    """
    x, y, x_sizes, y_sizes = _both(generated, real)
    resampled = []
    for count in resampled_counts(len(x_sizes), resamples, seed):
        moments = [_moments(rows, np.repeat(count, sizes)) for rows, sizes in ((x, x_sizes), (y, y_sizes))]
        resampled.append(frechet_from_moments(*moments[0], *moments[1]))
    mean, low, high = _around(frechet_distance(x, y), np.array(resampled), level, len(x_sizes))
    return Interval(mean, float(np.maximum(low, 0.0)), high)


def kernel_interval(
    generated: Sequence[ArrayLike], real: Sequence[ArrayLike], resamples: int = 200, level: float = 0.95, seed: int = 0
) -> Interval:
    """Return the kernel distance of all classes pooled, with its bootstrap interval over classes.

    Args:
        generated: arrays float[n_c, d], n_c >= 2, one per class.
        real: arrays float[m_c, d], m_c >= 2, of the same classes in the same order.
        resamples: number of resamples, >= 1.
        level: share of the resamples inside the interval, in (0, 1).
        seed: >= 0, of the resamples, which are those of `frechet_interval`.

    Returns:
        The interval, around `kernel_distance` of all rows; both ends are NaN for a single class. An image is never
        paired with itself, even where a resample draws its class twice. Real images against others of the same classes
        score slightly below 0, because pairs of one class are a larger share between the sets than within them.

    Raises:
        ValueError: as `frechet_interval`.

    Example:
        >>> kernel_interval([[[1.0], [1.0]]] * 3, [[[0.0], [0.0]]] * 3)                # 8 + 1 - 2 * 1
        Interval(mean=7.0, low=7.0, high=7.0)

    Reference:
        Bińkowski et al., 2018. We depart in the interval: over classes, not over subsets of images.
    """
    x, y, x_sizes, y_sizes = _both(generated, real)
    counts = resampled_counts(len(x_sizes), resamples, seed)
    value, *resampled = _kernel(x, y, x_sizes, y_sizes, np.concatenate([np.ones_like(counts[:1]), counts]))
    return _around(float(value), np.array(resampled), level, len(x_sizes))
