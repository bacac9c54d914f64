"""Scores of one class: its generated images against its support images and against held-out real images.

Features are float[n, d] of a feature network. Pixels are [n, ...], uint8 or floats in [-1, 1]; uint8 is scaled to
[-1, 1], so the two can be compared. All distances are Euclidean and computed in float64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from meta_gan.checks import check_integer, check_number
from meta_gan.metrics.distances import check_features, pair_distances, pairwise_distances


def _flat_pixels(pixels: ArrayLike, argument: str, least: int = 1, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Return images as float64[n, pixels] in [-1, 1]; uint8 is converted through float32, as it is for a model."""
    array = np.asarray(pixels)
    if array.ndim < 2 or len(array) < least or not array[:1].size or (shape or array.shape[1:]) != array.shape[1:]:
        wanted = ", ".join(str(size) for size in shape) if shape else "..."
        raise ValueError(f"{argument!r} must have shape [n, {wanted}] with n >= {least}. Received: shape {array.shape}")
    if array.dtype == np.uint8:
        array = (array / 127.5 - 1.0).astype(np.float32)
    elif not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"{argument!r} must be uint8 or floating point. Received: dtype {array.dtype}")
    return check_features(array.reshape(len(array), -1), argument, least)


def energy_distance(generated: ArrayLike, real: ArrayLike) -> float:
    """Return the energy distance 2 E|x - y| - E|x - x'| - E|y - y'|: 0 for equal distributions, positive for others.

    Args:
        generated: float[n, d], n >= 2, features of generated images of a class.
        real: float[m, d], m >= 2, features of held-out real images of that class.

    Returns:
        The unbiased estimate (no image is paired with itself), which can be negative.

    Raises:
        ValueError: as `check_features`.

    Example:
        >>> energy_distance([[0.0], [2.0]], [[1.0], [3.0]])                # 2 * 1.5 - 2 - 2
        -1.0

    Reference:
        Székely and Rizzo, Energy statistics: A class of statistics based on distances, 2013.
        We depart in the U-statistic; theirs includes the pairs of a row with itself and is biased upwards.
    """
    x = check_features(generated, "generated", least=2)
    y = check_features(real, "real", least=2, dimension=x.shape[1])
    return float(2 * pairwise_distances(x, y).mean() - pair_distances(x).mean() - pair_distances(y).mean())


def recognisability(generated: ArrayLike, prototypes: ArrayLike, target: int) -> float:
    """Return the share of generated images that are nearest to the prototype of their own class.

    Args:
        generated: float[n, d], features of generated images of one class.
        prototypes: float[classes, d], the mean feature of each of two or more classes.
        target: index of the images' class in `prototypes`.

    Returns:
        In [0, 1]; a tie counts as wrong. Chance is 1 / classes.

    Raises:
        ValueError: `target` is out of range, or as `check_features`.

    Example:
        >>> recognisability([[0.1], [0.9], [0.5]], [[0.0], [1.0]], target=0)         # right, wrong, a tie
        0.3333333333333333

    Reference:
        Snell et al., Prototypical Networks for Few-shot Learning, 2017, equation 2, without the softmax.
    """
    x = check_features(generated, "generated")
    centres = check_features(prototypes, "prototypes", least=2, dimension=x.shape[1])
    check_integer(target, "target", 0, len(centres) - 1)
    distances = pairwise_distances(x, centres)
    return float((distances[:, target] < np.delete(distances, target, axis=1).min(axis=1)).mean())


def relative_diversity(generated: ArrayLike, real: ArrayLike) -> float:
    """Return the mean distance between two generated images over that between two real ones of the class.

    Args:
        generated: float[n, d], n >= 2.
        real: float[m, d], m >= 2.

    Returns:
        >= 0: 1 means as diverse as real images, 0 one image repeated; NaN where all real rows are equal. Both means are
        unbiased (no image is paired with itself); their ratio is unbiased only for large m.

    Raises:
        ValueError: as `check_features`.

    Example:
        >>> relative_diversity([[0.0], [1.0]], [[5.0], [7.0]])
        0.5
    """
    x = check_features(generated, "generated", least=2)
    y = check_features(real, "real", least=2, dimension=x.shape[1])
    scale = pair_distances(y).mean()
    return float(pair_distances(x).mean() / scale) if scale > 0 else math.nan


def feature_deviation(features: ArrayLike) -> float:
    """Return the standard deviation of the features of images of one class.

    Args:
        features: float[n, d], n >= 2.

    Returns:
        >= 0: the root of the summed squared distances to the mean over n - 1.

    Raises:
        ValueError: as `check_features`.

    Example:
        >>> feature_deviation([[0.0, 0.0], [6.0, 8.0]])                          # mean (3, 4), sqrt(25 + 25)
        7.0710678118654755

    Reference:
        Boutin et al., Diversity vs. Recognizability: Human-like generalization in one-shot generative models, 2022,
        whose diversity it is.
    """
    x = check_features(features, "features", least=2)
    return float(np.sqrt(np.square(x - x.mean(axis=0)).sum() / (len(x) - 1)))


def copy_threshold(real_pixels: ArrayLike) -> float:
    """Return the pixel distance below which a generated image counts as a copy.

    Args:
        real_pixels: [n, ...], n >= 2, all real images of a class, uint8 or floats in [-1, 1].

    Returns:
        The first percentile of the distances between two real images, rounded down to a distance that occurs, in units
        of [-1, 1]. With up to 100 pairs it is the smallest distance; it is 0 where 1 % of the pairs are equal images.

    Raises:
        ValueError: fewer than two images, another dtype, or values that are not finite.

    Example:
        >>> copy_threshold([[0.0], [1.0], [0.25]])                                    # of .25, .75 and 1
        0.25
    """
    return float(np.percentile(pair_distances(_flat_pixels(real_pixels, "real_pixels", least=2)), 1, method="lower"))


def nearest_images(generated: ArrayLike, support: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Find the support image nearest to each generated image, in pixels.

    Args:
        generated: [n, ...], uint8 or floats in [-1, 1].
        support: [k, ...], k >= 1, images of the same shape.

    Returns:
        int64[n], the index of the nearest image (the first of several), and float64[n], its distance.

    Raises:
        ValueError: different image shapes, no image, another dtype, or values that are not finite.

    Example:
        >>> index, distance = nearest_images([[0.75]], [[0.0], [1.0]])
        >>> index.tolist(), distance.tolist()
        ([1], [0.25])
    """
    x = _flat_pixels(generated, "generated")
    distances = pairwise_distances(x, _flat_pixels(support, "support", shape=np.asarray(generated).shape[1:]))
    index = distances.argmin(axis=1)
    return index.astype(np.int64), distances[np.arange(len(x)), index]


def copy_rate(generated_pixels: ArrayLike, support_pixels: ArrayLike, threshold: float) -> float:
    """Return the share of generated images that are copies of a support image.

    Args:
        generated_pixels: [n, ...], uint8 or floats in [-1, 1].
        support_pixels: [k, ...], k >= 1, images of the same shape.
        threshold: `copy_threshold` of the class, finite and >= 0.

    Returns:
        In [0, 1], the share at a distance below `threshold` or of 0. New real images score up to about .01 k: one
        percent for each support image.

    Raises:
        ValueError: `threshold` is out of range, or as `nearest_images`.

    Example:
        >>> copy_rate([[0.5], [0.9], [0.0]], [[0.0], [1.0]], threshold=0.2)
        0.6666666666666666
    """
    check_number(threshold, "threshold", least=0)
    _, distance = nearest_images(generated_pixels, support_pixels)
    return float(((distance < threshold) | (distance == 0)).mean())


def support_closeness(generated: ArrayLike, support: ArrayLike, real: ArrayLike) -> float:
    """Return how far generated images are from the support set, relative to new real images of the class.

    Args:
        generated: float[n, d], features.
        support: float[k, d], features of the support images.
        real: float[m, d], features of held-out real images.

    Returns:
        >= 0, the ratio of the mean distances to the nearest support image: 0 for copies, 1 for images as new as real
        ones, NaN where every real row equals a support row. Each mean is unbiased, the ratio only for large m.

    Raises:
        ValueError: as `check_features`.

    Example:
        >>> support_closeness([[0.5]], [[0.0], [9.0]], [[2.0], [10.0]])                # .5 over 1.5
        0.3333333333333333
    """
    x = check_features(generated, "generated")
    near = check_features(support, "support", dimension=x.shape[1])
    y = check_features(real, "real", dimension=x.shape[1])
    scale = pairwise_distances(y, near).min(axis=1).mean()
    return float(pairwise_distances(x, near).min(axis=1).mean() / scale) if scale > 0 else math.nan


def prototypical_accuracy(
    support: Sequence[ArrayLike] | np.ndarray, queries: Sequence[ArrayLike] | np.ndarray
) -> float:
    """Return the accuracy of a nearest-prototype classifier: the share of queries nearest to their own class's mean.

    Args:
        support: arrays float[k_i, d] of two or more classes, whose means are the prototypes.
        queries: arrays float[m_i, d] of the same classes, to be classified.

    Returns:
        In [0, 1], over the queries of all classes together; a tie counts as wrong.

    Raises:
        ValueError: different numbers of classes, fewer than two, an empty class, or as `check_features`.

    Example:
        >>> prototypical_accuracy([[[0.0], [2.0]], [[4.0]]], [[[1.5], [2.4]], [[2.6], [0.0]]])
        0.75

    Reference:
        Snell et al., Prototypical Networks for Few-shot Learning, 2017, equations 1 and 2.
    """
    if len(support) < 2 or len(support) != len(queries):
        lengths = f"{len(support)} and {len(queries)}"
        raise ValueError(f"'support' and 'queries' must be of the same classes, at least 2. Received: {lengths}")
    means = [check_features(rows, f"support[{i}]").mean(axis=0) for i, rows in enumerate(support)]
    prototypes = np.stack([check_features(m[None], f"support[{i}]", 1, means[0].size)[0] for i, m in enumerate(means)])
    own = [check_features(rows, f"queries[{i}]", 1, means[0].size) for i, rows in enumerate(queries)]
    right = sum(recognisability(rows, prototypes, i) * len(rows) for i, rows in enumerate(own))
    return float(right / sum(len(rows) for rows in own))


def precision_recall_density_coverage(real: ArrayLike, generated: ArrayLike, nearest: int = 5) -> dict[str, float]:
    """Compare two sets by balls around each row that reach to its k-th nearest neighbour in its own set.

    All four scores depend on n and m: compare them at equal sizes only. None detects copies.

    Args:
        real: float[n, d], n > nearest.
        generated: float[m, d], m > nearest.
        nearest: k >= 1.

    Returns:
        A dict of `precision`, in [0, 1], the share of generated rows inside a ball of a real row; `recall`, in [0, 1],
        the share of real rows inside a ball of a generated row; `density`, >= 0, the mean number of real balls that a
        generated row is inside of, over k, expected to be 1 for equal distributions; and `coverage`, in [0, 1], the
        share of real balls that contain a generated row, expected to be about 1 - 2^-k for equal distributions with
        n = m.

    Raises:
        ValueError: `nearest` is not an integer >= 1, too few rows, or as `check_features`.

    Example:
        >>> precision_recall_density_coverage([[0.0], [1.0], [2.0]], [[0.5], [9.0]], nearest=1)
        {'precision': 0.5, 'recall': 1.0, 'density': 1.0, 'coverage': 0.6666666666666666}

    Reference:
        Kynkäänniemi et al., Improved Precision and Recall Metric for Assessing Generative Models, 2019;
        Naeem et al., Reliable Fidelity and Diversity Metrics for Generative Models, 2020. Balls are
        closed as in the first; those of the second's code are open, which differs where rows are repeated.
    """
    check_integer(nearest, "nearest", 1)
    x = check_features(real, "real", least=nearest + 1)
    y = check_features(generated, "generated", least=nearest + 1, dimension=x.shape[1])
    distances = pairwise_distances(x, y)
    # A row is its own neighbour at distance 0, so the k-th other one is at index k.
    radii = [np.partition(pairwise_distances(rows, rows), nearest, axis=1)[:, nearest] for rows in (x, y)]
    within_real, within_generated = distances <= radii[0][:, None], distances <= radii[1]
    return {
        "precision": float(within_real.any(axis=0).mean()),
        "recall": float(within_generated.any(axis=1).mean()),
        "density": float(within_real.sum(axis=0).mean() / nearest),
        "coverage": float(within_real.any(axis=1).mean()),
    }
