"""What a generator minimises beside the adversarial loss, and how a support set is split for an inner step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from meta_gan.checks import check_number
from meta_gan.losses import energy_distance, pairwise_distances, variety_gap
from meta_gan.losses.base import Configured

COARSE = 4
"""Pixels along a side of the blocks that the coarse energy distance averages over."""
_STRIDES = (0.6180339887498949, 0.41421356237309515, 0.7320508075688772)


@keras.saving.register_keras_serializable("meta_gan")
@dataclass(frozen=True)
class Terms(Configured):
    """Weights of the terms of a generator's loss, each >= 0, one of them > 0.

    Attributes:
        adversarial: of the adversarial loss.
        features: of the energy distance between generated and real examples, in the features of the game's net
            `features` (which must then be given; it is frozen, and must never be a judge).
        nearness: what the distance to the nearest support image is multiplied by, when it joins the features as one
            number more: so that generated examples keep the distance from the support set that real ones do.
        variety: of the squared difference between the mean distances of two generated and of two real examples, in the
            same features: so that generated examples are as unlike one another as real ones, no more and no less.
        pixels: of the energy distance in pixels, averaged over blocks of 4x4, as a root mean square.
        mode_seeking: of the mode-seeking regulariser, by which two z of one task must give two images.
        likelihood: of the mean negative log-likelihood of real examples, in nats, under a generator that has one
            (`networks.TextGenerator`).

    Raises:
        ValueError: a weight that is negative or not finite, all of them 0, or one that `features` carries without it.

    Example:
        >>> Terms(adversarial=0.1, features=1.0).pixels
        0.0

    References: Szekely and Rizzo, "Energy statistics", 2013; Bellemare et al., "The Cramer distance as a solution to
        biased Wasserstein gradients", 2017, for energy distances as a generator's loss; Mao et al., "Mode seeking
        generative adversarial networks", 2019.
    """

    adversarial: float = 1.0
    features: float = 0.0
    nearness: float = 0.0
    variety: float = 0.0
    pixels: float = 0.0
    mode_seeking: float = 0.0
    likelihood: float = 0.0

    def __post_init__(self) -> None:
        weights = self.get_config()
        for name, value in weights.items():
            check_number(value, name, least=0)
        if not any((self.adversarial, self.features, self.pixels, self.mode_seeking, self.likelihood)):
            raise ValueError(f"a generator needs a term of weight > 0. Received: {weights}")
        if (self.nearness or self.variety) and not self.features:
            raise ValueError(f"the terms 'nearness' and 'variety' need the term 'features'. Received: {weights}")


def coarse(images: Any) -> Any:
    """Means over blocks of 4x4 pixels, float[n, d], in a unit in which a Euclidean distance is a root mean square."""
    blocks = images
    if images.shape.rank == 4:
        blocks = tf.nn.avg_pool2d(images, COARSE, COARSE, "SAME")
    rows = tf.reshape(blocks, [tf.shape(images)[0], -1])
    return rows / tf.sqrt(tf.cast(tf.shape(rows)[1], rows.dtype))


def split(support: Any, holdout: int, seed: Any) -> tuple[Any, Any]:
    """Splits a support set at random into what an inner step trains on and what it conditions on.

    Args:
        support: float[k, *example], any k >= 1.
        holdout: images held out, >= 1; at most k - 1 are, and a single image is both.
        seed: int32[2].

    Returns:
        `(held out, the others)`.
    """
    count = tf.shape(support)[0]
    keys = tf.random.stateless_uniform([count], seed, alg="philox")
    order = tf.argsort(keys, stable=True)
    held = tf.minimum(holdout, count - 1)
    shuffled = tf.gather(support, order)
    return shuffled[: tf.maximum(held, 1)], shuffled[held:]


def with_nearness(features: Any, support: Any, weight: float) -> Any:
    """Features float[n, d], and `weight` times the distance to the nearest of `support` float[k, d] as one more."""
    nearest = tf.reduce_min(pairwise_distances(features, support), axis=1, keepdims=True)
    return tf.concat([features, weight * nearest], axis=1)


def in_features(terms: Terms, fake: Any, real: Any, support: Any) -> Any:
    """The terms that compare features: the energy distance, with `nearness` if it is weighed, and `variety`.

    Args:
        terms: the weights.
        fake: float[n, d], features of generated examples.
        real: float[m, d], of real ones.
        support: float[k, d], of the support images; None unless `terms.nearness`.

    Returns:
        float[], their weighted sum.
    """
    value = terms.variety * variety_gap(fake, real) if terms.variety else tf.zeros([], fake.dtype)
    if terms.nearness:
        fake, real = (with_nearness(x, support, terms.nearness) for x in (fake, real))
    return value + terms.features * energy_distance(fake, real)


def spread(num: Any, columns: int, seed: Any) -> Any:
    """Standard normal numbers that fill each column evenly: of any rows in a row, about equally many in each part.

    Column j is a Kronecker sequence, the start drawn uniformly and the stride irrational, through the normal's
    quantile. Each number alone is standard normal, and row i does not depend on `num`.

    Args:
        num: int or int32[], rows.
        columns: 1 to 3.
        seed: int32[2].

    Returns:
        float64[num, columns].

    Raises:
        ValueError: columns out of range.

    Reference: Niederreiter, "Random Number Generation and Quasi-Monte Carlo Methods", 1992, chapter 3.
    """
    if not 1 <= columns <= len(_STRIDES):
        raise ValueError(f"`columns` must lie in [1, {len(_STRIDES)}]. Received: {columns!r}")
    start = tf.random.stateless_uniform([columns], seed, dtype=tf.float64, alg="philox")
    rows = tf.cast(tf.range(num), tf.float64)[:, None]
    share = tf.math.floormod(start + rows * tf.constant(_STRIDES[:columns], tf.float64), 1.0)
    # The quantiles of 0 and 1 are infinite.
    return tf.math.ndtri(tf.clip_by_value(share, 1e-6, 1.0 - 1e-6))
