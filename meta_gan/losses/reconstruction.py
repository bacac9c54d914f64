"""Likelihoods of examples in [-1, 1] and divergences of latents, in nats, and the mean absolute difference."""

from __future__ import annotations

import math
from dataclasses import dataclass

import keras
import tensorflow as tf

from meta_gan.checks import check_number
from meta_gan.losses.base import Configured
from meta_gan.types import Tensor

_LEAST_NOISE = 1e-6  # less vanishes in float32


def _wide(x: Tensor) -> Tensor:
    """Return `x` in float32 at least, because a sum over an image overflows half precision."""
    return tf.cast(x, tf.float32) if x.dtype in (tf.float16, tf.bfloat16) else x


def _each(values: Tensor) -> Tensor:
    """Return float[n], the sum over all numbers of each example."""
    return tf.reduce_sum(tf.reshape(values, [tf.shape(values)[0], -1]), axis=1)


@keras.saving.register_keras_serializable("meta_gan")
@dataclass(frozen=True)
class Bernoulli(Configured):
    """Likelihood of numbers -1 and 1, where a decoder's output x in [-1, 1] gives 1 the probability (1 + x) / 2.

    Numbers between -1 and 1 count as their share of both, as is customary for grey levels; the result is a true
    likelihood only for examples of two levels. Outputs outside [-1, 1] are clipped, and so have no gradient.

    Attributes:
        noise: probability in [1e-6, 1) that a number is a fair coin's whatever the decoder's output, which bounds the
            cost of a certain and wrong output by log(2 / noise) nats.

    Raises:
        ValueError: `noise` outside [1e-6, 1).

    Example:
        >>> round(float(Bernoulli().log_likelihood(tf.ones([1, 3]), tf.zeros([1, 3]))[0]), 4)  # 3 log(1 / 2)
        -2.0794

    Reference: Kingma and Welling, "Auto-Encoding Variational Bayes", 2014, appendix C. We depart in the noise.
    """

    noise: float = 1e-3

    def __post_init__(self) -> None:
        check_number(self.noise, "noise", least=_LEAST_NOISE, below=1)

    def log_likelihood(self, examples: Tensor, outputs: Tensor) -> Tensor:
        """Return float[n], the log-probability of `examples` given a decoder's `outputs`, both float[n, *example].

        Its dtype is that of `outputs`, but float32 for half precision.
        """
        outputs = tf.clip_by_value(_wide(outputs), -1.0, 1.0)
        shares, floor = 0.5 * (1.0 + tf.cast(examples, outputs.dtype)), 0.5 * self.noise
        # Add from the noise up: 1 - noise as a factor would round to 1, and a certain output to the logarithm of 0.
        up, down = (floor + 0.5 * (1.0 - self.noise) * (1.0 + side) for side in (outputs, -outputs))
        return _each(shares * tf.math.log(up) + (1.0 - shares) * tf.math.log(down))


@keras.saving.register_keras_serializable("meta_gan")
@dataclass(frozen=True)
class Gaussian(Configured):
    """Likelihood of numbers that are normal about a decoder's output, all with the same standard deviation.

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
        check_number(self.deviation, "deviation", above=0)

    def log_likelihood(self, examples: Tensor, outputs: Tensor) -> Tensor:
        """Return float[n], the log-density of `examples` given a decoder's `outputs`, both float[n, *example].

        Its dtype is that of `outputs`, but float32 for half precision.
        """
        outputs = _wide(outputs)
        offset = math.log(self.deviation) + 0.5 * math.log(2.0 * math.pi)
        return -_each(0.5 * tf.square((tf.cast(examples, outputs.dtype) - outputs) / self.deviation) + offset)


def mean_absolute(examples: Tensor, others: Tensor) -> Tensor:
    """Return the mean absolute difference, float[], between two float[n, *example] of the same shape.

    Example:
        >>> float(mean_absolute(tf.constant([[0.0, 1.0]]), tf.constant([[0.5, -0.5]])))
        1.0
    """
    return tf.reduce_mean(tf.abs(examples - others))


def normal_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence of diagonal normals from the standard normal.

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


def normal_log_density(x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the logarithm of the density of diagonal normals.

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
