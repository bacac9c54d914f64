"""Scores of one class: generated images against the support and against held-out real images of that class.

Features are float[n, d] of some judge; pixels are [n, ...], floating point in [-1, 1] or uint8, which is brought to
[-1, 1] first, so that both may be compared. Everything is computed in float64, with Euclidean distances.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from meta_gan.checks import check_integer, check_number
from meta_gan.metrics.neighbours import check_features, pair_distances, pairwise


def _flat(pixels: Any, argument: str, least: int = 1, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Returns images as float64[n, pixels] in [-1, 1] after the checks; uint8 by way of float32, as for a model."""
    array = np.asarray(pixels)
    if array.ndim < 2 or len(array) < least or not array[:1].size or (shape or array.shape[1:]) != array.shape[1:]:
        wanted = ", ".join(str(size) for size in shape) if shape else "..."
        raise ValueError(f"`{argument}` must have shape [n, {wanted}] with n >= {least}. Received: shape {array.shape}")
    if array.dtype == np.uint8:
        array = (array / 127.5 - 1.0).astype(np.float32)
    elif not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"`{argument}` must be uint8 or floating point. Received: dtype {array.dtype}")
    return check_features(array.reshape(len(array), -1), argument, least)


def energy_distance(generated: Any, real: Any) -> float:
    """Returns 2 E|x - y| - E|x - x'| - E|y - y'|: 0 for equal distributions, above 0 for any others.

    Args:
        generated: float[n, d], n >= 2, features of generated images of a class.
        real: float[m, d], m >= 2, features of held-out real images of that class.

    Returns:
        The unbiased estimate (no image is paired with itself), which may therefore be below 0.

    Raises:
        ValueError: fewer than two rows, different d, a NaN or an infinity.

    Example:
        >>> energy_distance([[0.0], [2.0]], [[1.0], [3.0]])                # 2 * 1.5 - 2 - 2
        -1.0

    Reference:
        Székely and Rizzo, Energy statistics: A class of statistics based on distances, 2013.
        We depart in the U-statistic; theirs counts the self pairs and is biased upwards.
    """
    x = check_features(generated, "generated", least=2)
    y = check_features(real, "real", least=2, dimension=x.shape[1])
    return float(2 * pairwise(x, y).mean() - pair_distances(x).mean() - pair_distances(y).mean())


def recognisability(generated: Any, prototypes: Any, target: int) -> float:
    """Returns the share of generated images that lie nearest to the prototype of their own class.

    Args:
        generated: float[n, d], features of images generated for one class.
        prototypes: float[ways, d], ways >= 2, the mean feature of each class.
        target: in [0, ways), the class meant.

    Returns:
        In [0, 1]; chance is 1 / ways. A tie counts as wrong, so that a constant judge scores 0 and not 1.

    Raises:
        ValueError: a target out of range, different d, no rows, a NaN or an infinity.

    Example:
        >>> recognisability([[0.1], [0.9], [0.5]], [[0.0], [1.0]], target=0)         # right, wrong, a tie
        0.3333333333333333

    Reference:
        Snell et al., Prototypical Networks for Few-shot Learning, 2017, equation 2, without the softmax.
    """
    x = check_features(generated, "generated")
    centres = check_features(prototypes, "prototypes", least=2, dimension=x.shape[1])
    check_integer(target, "target", 0, len(centres) - 1)
    distances = pairwise(x, centres)
    return float((distances[:, target] < np.delete(distances, target, axis=1).min(axis=1)).mean())


def relative_diversity(generated: Any, real: Any) -> float:
    """Returns the mean distance between two generated images over that between two real ones of the class.

    Args:
        generated: float[n, d], n >= 2.
        real: float[m, d], m >= 2.

    Returns:
        >= 0: 1 as diverse as real images, 0 one image repeated; NaN where all real rows are equal. Both means are
        unbiased (no self pairs), their ratio is so for large m only.

    Raises:
        ValueError: fewer than two rows, different d, a NaN or an infinity.

    Example:
        >>> relative_diversity([[0.0], [1.0]], [[5.0], [7.0]])
        0.5
    """
    x = check_features(generated, "generated", least=2)
    y = check_features(real, "real", least=2, dimension=x.shape[1])
    scale = pair_distances(y).mean()
    return float(pair_distances(x).mean() / scale) if scale > 0 else math.nan


def copy_threshold(real_pixels: Any) -> float:
    """Returns the distance below which a generated image counts as a copy: hardly any two real ones are so close.

    Args:
        real_pixels: [n, ...], n >= 2, all real images of a class, floating point in [-1, 1] or uint8.

    Returns:
        The first percentile of the distances of all pairs, one that occurs ("lower"), in units of [-1, 1]; 0 where
        that many real images are equal. It is the smallest distance where there are up to 100 pairs.

    Raises:
        ValueError: fewer than two images, another dtype, a NaN or an infinity.

    Example:
        >>> copy_threshold([[0.0], [1.0], [0.25]])                                    # of .25, .75 and 1
        0.25
    """
    return float(np.percentile(pair_distances(_flat(real_pixels, "real_pixels", least=2)), 1, method="lower"))


def nearest(generated: Any, support: Any) -> tuple[np.ndarray, np.ndarray]:
    """Finds the support image nearest to each generated one.

    Args:
        generated: [n, ...], floating point in [-1, 1] or uint8.
        support: [k, ...], k >= 1, images of the same shape.

    Returns:
        int64[n], the index of the nearest (the first of equally near ones), and float64[n], its distance.

    Raises:
        ValueError: different image shapes, no image, another dtype, a NaN or an infinity.

    Example:
        >>> index, distance = nearest([[0.75]], [[0.0], [1.0]])
        >>> index.tolist(), distance.tolist()
        ([1], [0.25])
    """
    x = _flat(generated, "generated")
    distances = pairwise(x, _flat(support, "support", shape=np.asarray(generated).shape[1:]))
    index = distances.argmin(axis=1)
    return index.astype(np.int64), distances[np.arange(len(x)), index]


def copy_rate(generated_pixels: Any, support_pixels: Any, threshold: float) -> float:
    """Returns the share of generated images that are copies of a support image.

    Args:
        generated_pixels: [n, ...], floating point in [-1, 1] or uint8.
        support_pixels: [k, ...], k >= 1, images of the same shape.
        threshold: finite and >= 0, of `copy_threshold` for the class.

    Returns:
        In [0, 1]: how many are nearer than the threshold, or equal, which is a copy whatever the threshold. New
        real images score up to about k percent, a percent for each support image.

    Raises:
        ValueError: a bad threshold, and as `nearest` does.

    Example:
        >>> copy_rate([[0.5], [0.9], [0.0]], [[0.0], [1.0]], threshold=0.2)
        0.6666666666666666
    """
    check_number(threshold, "threshold", least=0)
    _, distance = nearest(generated_pixels, support_pixels)
    return float(((distance < threshold) | (distance == 0)).mean())


def support_closeness(generated: Any, support: Any, real: Any) -> float:
    """Returns how far generated images are from the support, relative to new real images of the class.

    Args:
        generated: float[n, d], features.
        support: float[k, d], of the images that the generator has seen.
        real: float[m, d], of real images that it has not seen.

    Returns:
        >= 0, the ratio of the mean distances to the nearest support image: 0 copies, 1 as new as real images, NaN
        where every real row equals a support row. Each mean is unbiased, the ratio for large m only.

    Raises:
        ValueError: no rows, different d, a NaN or an infinity.

    Example:
        >>> support_closeness([[0.5]], [[0.0], [9.0]], [[2.0], [10.0]])                # .5 over 1.5
        0.3333333333333333
    """
    x = check_features(generated, "generated")
    seen = check_features(support, "support", dimension=x.shape[1])
    y = check_features(real, "real", dimension=x.shape[1])
    scale = pairwise(y, seen).min(axis=1).mean()
    return float(pairwise(x, seen).min(axis=1).mean() / scale) if scale > 0 else math.nan


def prototypical_accuracy(support: Sequence[Any] | np.ndarray, queries: Sequence[Any] | np.ndarray) -> float:
    """Returns how many queries lie nearest to the mean support feature of their own class.

    Args:
        support: `ways` >= 2 arrays float[k_i, d], the features of each class to take the mean of.
        queries: as many arrays float[m_i, d], the features of each class to recognise.

    Returns:
        In [0, 1], the share of all queries together; a tie counts as wrong.

    Raises:
        ValueError: other than one array of queries a class, fewer than two classes, an empty class, different d, a
            NaN or an infinity.

    Example:
        >>> prototypical_accuracy([[[0.0], [2.0]], [[4.0]]], [[[1.5], [2.4]], [[2.6], [0.0]]])
        0.75

    Reference:
        Snell et al., Prototypical Networks for Few-shot Learning, 2017, equations 1 and 2.
    """
    if len(support) < 2 or len(support) != len(queries):
        lengths = f"{len(support)} and {len(queries)}"
        raise ValueError(f"`support` and `queries` must be equally many classes, at least 2. Received: {lengths}")
    means = [check_features(rows, f"support[{i}]").mean(axis=0) for i, rows in enumerate(support)]
    prototypes = np.stack([check_features(m[None], f"support[{i}]", 1, means[0].size)[0] for i, m in enumerate(means)])
    own = [check_features(rows, f"queries[{i}]", 1, means[0].size) for i, rows in enumerate(queries)]
    right = sum(recognisability(rows, prototypes, i) * len(rows) for i, rows in enumerate(own))
    return float(right / sum(len(rows) for rows in own))
