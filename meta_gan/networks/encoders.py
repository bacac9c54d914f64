"""Encoders of single examples: what a variational autoencoder has beside its decoder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras

from meta_gan.checks import check_choice, check_integer, check_shape
from meta_gan.networks.base import Network, seeded_normal
from meta_gan.networks.dcgan import count_levels
from meta_gan.networks.mlp import ACTIVATIONS, hidden_layers

_SLOPE = 0.2


class _Encoder(Network):
    """An encoder to `2 latent_dim` numbers; a subclass stacks its layers."""

    def __init__(self, example_shape: Sequence[int], latent_dim: int, width: int, seed: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.example_shape = check_shape(example_shape)
        self.latent_dim = check_integer(latent_dim, "latent_dim", 1)
        self.width, self.seed = check_integer(width, "width", 1), check_integer(seed, "seed", 0)

    def call(self, examples: Any, training: bool = False) -> Any:
        """Return float[n, 2 latent_dim], means and logarithms of variances, of `examples` float[n, *example_shape]."""
        return self.body(examples, training=training)

    def _statistics(self, inputs: int, normal: Any) -> keras.layers.Layer:
        return keras.layers.Dense(
            2 * self.latent_dim, kernel_initializer=normal(inputs), name="statistics", dtype=self.dtype_policy
        )

    def _leaky(self, name: str) -> keras.layers.Layer:
        return keras.layers.LeakyReLU(_SLOPE, name=name, dtype=self.dtype_policy)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        own = {
            "example_shape": self.example_shape,
            "latent_dim": self.latent_dim,
            "width": self.width,
            "seed": self.seed,
        }
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("meta_gan")
class ImageEncoder(_Encoder):
    """Stride-2 convolutions down from the image, as in a DCGAN's discriminator, then a dense layer.

    Args:
        example_shape: (height, width, channels), see `networks.dcgan.count_levels`.
        latent_dim: int >= 1, the size of z.
        width: int >= 1, channels after the first convolution; they double towards the base, up to 4 * width.
        seed: int >= 0, of the initial weights.
        **kwargs: `name`, `dtype` and the other arguments of a Keras model.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> ImageEncoder((28, 28, 1), latent_dim=16, width=8)(tf.zeros([5, 28, 28, 1])).shape
        TensorShape([5, 32])
    """

    def __init__(
        self, example_shape: Sequence[int], latent_dim: int = 64, width: int = 64, seed: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(example_shape, latent_dim, width, seed, **kwargs)
        normal, inputs = seeded_normal(self.seed, "ImageEncoder"), self.example_shape[-1]
        levels, stack = count_levels(self.example_shape), []
        for level in range(levels):
            channels = self.width * min(2**level, 4)
            stack.append(
                keras.layers.Conv2D(
                    channels,
                    4,
                    strides=2,
                    padding="same",
                    data_format="channels_last",
                    kernel_initializer=normal(16 * inputs, _SLOPE),
                    name=f"down_{level}",
                    dtype=self.dtype_policy,
                )
            )
            stack.append(self._leaky(f"relu_{level}"))
            inputs = channels
        stack.append(keras.layers.Flatten(name="flatten", dtype=self.dtype_policy))
        size = (self.example_shape[0] >> levels) * (self.example_shape[1] >> levels) * inputs
        self.stack(self.example_shape, [*stack, self._statistics(size, normal)])


@keras.saving.register_keras_serializable("meta_gan")
class MLPEncoder(_Encoder):
    """Dense layers from an example of any shape.

    Args:
        example_shape: the shape of one example, of any rank >= 1.
        latent_dim: int >= 1, the size of z.
        width: int >= 1, units of each hidden layer.
        depth: int >= 0, hidden layers; 0 is a linear map.
        activation: "leaky_relu" (slope .2), or the smooth "tanh" or "softplus".
        seed: int >= 0, of the initial weights.
        **kwargs: `name`, `dtype` and the other arguments of a Keras model.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> MLPEncoder((2,), latent_dim=3)(tf.zeros([5, 2])).shape
        TensorShape([5, 6])
    """

    def __init__(
        self,
        example_shape: Sequence[int],
        latent_dim: int = 16,
        width: int = 128,
        depth: int = 2,
        activation: str = "leaky_relu",
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(example_shape, latent_dim, width, seed, **kwargs)
        self.depth = check_integer(depth, "depth", 0)
        self.activation = check_choice(activation, "activation", ACTIVATIONS)
        normal, inputs = seeded_normal(self.seed, "MLPEncoder"), math.prod(self.example_shape)
        flatten = keras.layers.Flatten(name="flatten", dtype=self.dtype_policy)
        stack = hidden_layers(inputs, self.width, self.depth, self.activation, normal, self.dtype_policy)
        self.stack(
            self.example_shape, [flatten, *stack, self._statistics(self.width if self.depth else inputs, normal)]
        )

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "depth": self.depth, "activation": self.activation}
