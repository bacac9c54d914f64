"""Likelihoods of examples in [-1, 1] and divergences of codes, in nats, and how far examples differ: pure functions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from meta_gan.checks import check_number
from meta_gan.losses.base import Configured

_LEAST_NOISE = 1e-6  # less is nothing in float32


def _wide(x: Any) -> Any:
    """In float32 at least: a sum over an image overflows half precision."""
    return tf.cast(x, tf.float32) if x.dtype in (tf.float16, tf.bfloat16) else x


def _each(values: Any) -> Any:
    """Float[n]: the sum over all numbers of each example."""
    return tf.reduce_sum(tf.reshape(values, [tf.shape(values)[0], -1]), axis=1)


@keras.saving.register_keras_serializable("meta_gan")
@dataclass(frozen=True)
class Bernoulli(Configured):
    """Every number is -1 or 1, and a decoder's word x in [-1, 1] gives 1 the probability (1 + x) / 2, but for noise.

    Examples between -1 and 1 count as their share of both, as is customary for grey levels; the result is a likelihood
    of examples of two levels only. A word outside of [-1, 1] counts as the end that it is past, and learns nothing.

    Attributes:
        noise: chance in [1e-6, 1) that a number is a fair coin's whatever the decoder says, which keeps a certain and
            wrong word from costing infinitely much: at most log(2 / noise) nats.

    Raises:
        ValueError: `noise` outside [1e-6, 1).

    Example:
        >>> round(float(Bernoulli().log_likelihood(tf.ones([1, 3]), tf.zeros([1, 3]))[0]), 4)  # 3 log(1 / 2)
        -2.0794

    Reference: Kingma and Welling, "Auto-Encoding Variational Bayes", 2014, appendix C. We depart in the noise.
    """

    noise: float = 1e-3

    def __post_init__(self) -> None:
        check_number(self.noise, "noise", least=0)
        if not _LEAST_NOISE <= self.noise < 1:
            raise ValueError(f"`noise` must lie in [{_LEAST_NOISE}, 1). Received: noise={self.noise!r}")

    def log_likelihood(self, examples: Any, words: Any) -> Any:
        """Return float[n], the log-probability of `examples` given a decoder's `words`, both float[n, *example].

        Of the dtype of `words`, but float32 for half precision.
        """
        words = tf.clip_by_value(_wide(words), -1.0, 1.0)
        shares, floor = 0.5 * (1.0 + tf.cast(examples, words.dtype)), 0.5 * self.noise
        # From the noise up: 1 - noise as a factor would round to 1, and a certain word to the logarithm of 0.
        up, down = (floor + 0.5 * (1.0 - self.noise) * (1.0 + side) for side in (words, -words))
        return _each(shares * tf.math.log(up) + (1.0 - shares) * tf.math.log(down))


@keras.saving.register_keras_serializable("meta_gan")
@dataclass(frozen=True)
class Gaussian(Configured):
    """Every number is normal about a decoder's word, all with one standard deviation.

    Attributes:
        deviation: finite and > 0, in units of the examples, which span 2.

    Raises:
        ValueError: `deviation` that is not finite and > 0.

    Example:
        >>> round(float(Gaussian(1.0).log_likelihood(tf.zeros([1, 1]), tf.zeros([1, 1]))[0]), 4)  # -log(2 pi) / 2
        -0.9189
    """

    deviation: float = 0.2

    def __post_init__(self) -> None:
        check_number(self.deviation, "deviation", least=0)
        if not self.deviation:
            raise ValueError("`deviation` must be > 0. Received: deviation=0")

    def log_likelihood(self, examples: Any, words: Any) -> Any:
        """Return float[n], the log-density of `examples` given a decoder's `words`, both float[n, *example].

        Of the dtype of `words`, but float32 for half precision.
        """
        words = _wide(words)
        offset = math.log(self.deviation) + 0.5 * math.log(2.0 * math.pi)
        return -_each(0.5 * tf.square((tf.cast(examples, words.dtype) - words) / self.deviation) + offset)


def mean_absolute(examples: Any, others: Any) -> Any:
    """Return the mean absolute difference, float[], of two float[n, *example] of the same shape.

    Example:
        >>> float(mean_absolute(tf.constant([[0.0, 1.0]]), tf.constant([[0.5, -0.5]])))
        1.0
    """
    return tf.reduce_mean(tf.abs(examples - others))


def normal_divergence(mean: Any, log_variance: Any) -> Any:
    """Return the Kullback-Leibler divergence of normals with independent numbers from the standard normal.

    Args:
        mean: float[n, latent].
        log_variance: float[n, latent].

    Returns:
        float[n], >= 0, in nats, of the dtype of `mean`.

    Example:
        >>> float(normal_divergence(tf.constant([[3.0, 4.0]]), tf.zeros([1, 2]))[0])  # (9 + 16) / 2
        12.5
    """
    return 0.5 * tf.reduce_sum(tf.square(mean) + tf.exp(log_variance) - 1.0 - log_variance, axis=1)


def normal_log_density(x: Any, mean: Any, log_variance: Any) -> Any:
    """Return the logarithm of the density of normals with independent numbers.

    Args:
        x: float[..., n, latent].
        mean: of the shape and dtype of `x`.
        log_variance: of the shape and dtype of `x`.

    Returns:
        float[..., n], in nats, of the dtype of `x`.

    Example:
        >>> round(float(normal_log_density(tf.zeros([1, 2]), tf.zeros([1, 2]), tf.zeros([1, 2]))[0]), 4)  # -log(2 pi)
        -1.8379
    """
    squares = tf.square(x - mean) * tf.exp(-log_variance)
    return -0.5 * tf.reduce_sum(squares + log_variance + math.log(2.0 * math.pi), axis=-1)
