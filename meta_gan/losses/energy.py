"""Distances between two samples: the energy distance, unbiased and twice differentiable, and the gap in variety.

Pairwise distances are computed from differences, not from |x|^2 + |y|^2 - 2 x y. In float32, on points of 784 numbers,
that form was measured to be .1 to .4 % off for points that differ by 1 % of their size, and 200 to 700 % off at .01 %;
subtracting the mean first helps a tight cloud, but not two close points in a wide one, such as a generator's copies.
Differences are right to 1e-7. On one core, with the gradient, 16 against 16 points (a few-shot task) take .4 ms instead
of .2 ms, but 64 against 64 take 13 ms instead of .5 ms, and n * m * size numbers of memory.
"""

from __future__ import annotations

import tensorflow as tf

from meta_gan.losses.base import check_same_shape
from meta_gan.types import Tensor


def _rows(x: Tensor) -> Tensor:
    """Return float[n, size], one example per row."""
    return tf.reshape(x, [tf.shape(x)[0], -1])


def pairwise_distances(x: Tensor, y: Tensor) -> Tensor:
    """Return the Euclidean distance of every example of `x` from every example of `y`.

    The derivatives of a distance of exactly 0 are 0, not NaN, so that points may be compared with themselves.

    Args:
        x: float[n, *example], examples; all axes but the first are flattened.
        y: float[m, *example], examples of the same shape.

    Returns:
        float[n, m], >= 0.

    Raises:
        ValueError: if the examples differ in shape.

    Example:
        >>> pairwise_distances(tf.constant([[0.0, 0.0]]), tf.constant([[3.0, 4.0], [0.0, 0.0]])).numpy()
        array([[5., 0.]], dtype=float32)
    """
    x = tf.convert_to_tensor(x)
    y = tf.convert_to_tensor(y, dtype=x.dtype)
    check_same_shape(x, y, "'x' and 'y'", first_axis=1)
    squares = tf.reduce_sum(tf.square(_rows(x)[:, None] - _rows(y)[None]), axis=-1)
    # The root's slope is infinite at 0, and 0 times infinity is NaN, so the root is not taken of zeros. It is taken of
    # NaN, which must not become a distance of 0: the samples of a GAN that diverged would seem perfect.
    apart = tf.not_equal(squares, 0)
    return tf.where(apart, tf.sqrt(tf.where(apart, squares, tf.ones_like(squares))), tf.zeros_like(squares))


def mean_within(x: Tensor, biased: bool = False) -> Tensor:
    """Return the mean distance of two different examples of `x`.

    Args:
        x: float[n, *example], n >= 1.
        biased: whether every example is also paired with itself, at a distance of 0.

    Returns:
        float[], >= 0, of the dtype of `x`; 0 for a single example, which has no pairs.

    Example:
        >>> float(mean_within(tf.constant([[0.0], [2.0], [4.0]])))  # (2 + 2 + 4) / 3, rounded to float32
        2.6666667461395264
    """
    x = tf.convert_to_tensor(x)
    n = tf.shape(x)[0]
    pairs = tf.cast(n * (n if biased else tf.maximum(n - 1, 1)), x.dtype)
    return tf.reduce_sum(pairwise_distances(x, x)) / pairs


def energy_distance(x: Tensor, y: Tensor, biased: bool = False) -> Tensor:
    """Return 2 E|x - y| - E|x - x'| - E|y - y'|, unbiased: no example is paired with itself.

    Args:
        x: float[n, *example], examples, n >= 1; n need not be known when traced.
        y: float[m, *example], examples of the same shape, m >= 1.
        biased: whether examples are also paired with themselves: the V-statistic, the distance of the two samples as
            they are, which is >= 0 (up to rounding) and too large by about E|x - x'| / n + E|y - y'| / m.

    Returns:
        float[], of the dtype of `x`; its expectation is 0 when both are drawn from one distribution, and > 0
        otherwise, so one value may fall below 0. A sample of one example has no pairs, and its own term is 0.

    Raises:
        ValueError: if the examples differ in shape.

    Example:
        >>> float(energy_distance(tf.constant([[0.0], [2.0]]), tf.constant([[5.0]])))  # 2 * (5 + 3) / 2 - 2
        6.0

    Reference:
        Szekely and Rizzo, Energy statistics: A class of statistics based on distances, 2013. We depart in leaving out
        the self pairs, which bias it upwards.
    """
    x = tf.convert_to_tensor(x)
    y = tf.convert_to_tensor(y, dtype=x.dtype)
    return 2.0 * tf.reduce_mean(pairwise_distances(x, y)) - mean_within(x, biased) - mean_within(y, biased)


def variety_gap(x: Tensor, y: Tensor) -> Tensor:
    """Return the square of E|x - x'| - E|y - y'|, by which two samples differ in variety.

    The energy distance may also fall for samples that vary more than the examples they imitate; this term keeps their
    variety equal. Given `y`, its expectation exceeds the square of the expected difference by the variance of the mean
    distance within `x`, which shrinks as `x` grows.

    Args:
        x: float[n, *example], n >= 1; for n = 1 its mean distance counts as 0.
        y: float[m, *example], m >= 1.

    Returns:
        float[], >= 0, of the dtype of `x`.

    Example:
        >>> float(variety_gap(tf.constant([[0.0], [2.0]]), tf.constant([[5.0], [10.0]])))  # (2 - 5)^2
        9.0
    """
    x = tf.convert_to_tensor(x)
    return tf.square(mean_within(x) - mean_within(tf.convert_to_tensor(y, dtype=x.dtype)))
