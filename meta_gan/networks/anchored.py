"""`AnchoredGenerator`: base of generators whose samples start from one support example, chosen by z."""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf

from meta_gan.checks import check_integer, check_number
from meta_gan.layers import FiLM, MetaBatchNormalization
from meta_gan.layers.portable import erf
from meta_gan.networks.base import Generator, Shape, leaky_relu
from meta_gan.types import Tensor

CHOICES = 2
"""The leading numbers of z, which choose support examples and vary nothing else."""
_ENOUGH = 5.0  # support examples from which on the temperature no longer depends on their number


def choose(u: Tensor, count: Any) -> Tensor:
    """Return int32[n] in [0, count): equally likely choices from standard normal numbers `u` float[n]."""
    share = 0.5 * (1.0 + erf(u / math.sqrt(2.0)))
    return tf.minimum(tf.cast(share * tf.cast(count, u.dtype), tf.int32), count - 1)


class AnchoredGenerator(Generator):
    """Base of generators whose samples start from one support example, the anchor, and move towards another.

    A subclass makes the two dense layers `style` before its first call.

    Args:
        temperature: float > 0, multiplies z, beyond the choices, outside training.
        one_shot_temperature: float > 0, in its place with one support example, because samples that all start from one
            example vary too little; or None. From one to five examples it falls to `temperature`, linearly in 1 / k.
        example_shape, latent_dim, seed, **kwargs: see `Generator`.
    """

    sees_support = True
    stratified = CHOICES
    sampling = ("temperature", "one_shot_temperature")
    style: list[keras.layers.Layer]

    def __init__(
        self,
        example_shape: Shape,
        latent_dim: int,
        seed: int,
        temperature: float,
        one_shot_temperature: float | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(example_shape, check_integer(latent_dim, "latent_dim", self.stratified + 1), seed, **kwargs)
        self.temperature = check_number(temperature, "temperature", above=0)
        if one_shot_temperature is not None:
            one_shot_temperature = check_number(one_shot_temperature, "one_shot_temperature", above=0)
        self.one_shot_temperature = one_shot_temperature

    def _modulation(self, channels: int, index: int, style: int, rank: int, meta: bool) -> keras.layers.Layer:
        """Return a layer that modulates features float[n, *`rank` axes, channels] by the style float[n, style]."""
        options: dict[str, Any] = {"initial_deviation": 0.05, "seed": self.seed + 7 * index}
        options |= {"name": f"modulation_{index}", "dtype": self.dtype_policy}
        layer = MetaBatchNormalization(blend=0.9, **options) if meta else FiLM(**options)
        layer.build((None,) * (rank + 1) + (channels,), (None, style))
        return layer

    def _noise(self, z: Tensor, count: Tensor, training: bool) -> Tensor:
        """Return the numbers of z beyond the choices, outside training multiplied by the temperature of `count`
        support examples."""
        noise = z[:, self.stratified :]
        if training:
            return noise
        if self.one_shot_temperature is None:
            return self.temperature * noise
        # 1 with one example, 0 with _ENOUGH or more.
        share = tf.nn.relu(_ENOUGH / tf.cast(count, z.dtype) - 1.0) / (_ENOUGH - 1.0)
        return (self.temperature + (self.one_shot_temperature - self.temperature) * share) * noise

    def _style(self, noise: Tensor, each: Tensor, embedding: Tensor | None, *chosen: Tensor) -> Tensor:
        """Return float[n, style] from noise, task embedding and the summaries `each` float[k, size] of the examples:
        their mean, and how the chosen ones, int32[n] each, differ from it."""
        mean = tf.reduce_mean(each, axis=0, keepdims=True)
        rows = [mean] if embedding is None else [mean, embedding[None]]
        tiled = [tf.repeat(row, tf.shape(noise)[0], axis=0) for row in rows]
        x = tf.concat([noise, *tiled, *[tf.gather(each, which) - mean for which in chosen]], axis=-1)
        return leaky_relu(self.style[1](leaky_relu(self.style[0](x))))
