"""Fully connected generator and discriminator, for examples of any shape: points, curves, small images.

The networks of the original GAN (Goodfellow et al., 2014), without its maxout and dropout. With a smooth
`activation` the whole game has derivatives of every order everywhere, which finite-difference tests want.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras

from meta_gan.checks import check_choice, check_integer
from meta_gan.networks.base import Discriminator, Generator, seeded_normal

ACTIVATIONS = ("leaky_relu", "tanh", "softplus")
OUTPUTS = ("tanh", "linear")
_SLOPES = {"leaky_relu": 0.2, "tanh": 1.0, "softplus": 0.0}  # what the initial weights are scaled for


def hidden_layers(
    inputs: int, width: int, depth: int, activation: str, normal: Any, dtype: Any
) -> list[keras.layers.Layer]:
    """Return `depth` dense layers of `width` units, each with its activation."""
    stack: list[keras.layers.Layer] = []
    for index in range(depth):
        kernel = normal(width if index else inputs, _SLOPES[activation])
        stack.append(keras.layers.Dense(width, kernel_initializer=kernel, name=f"hidden_{index}", dtype=dtype))
        if activation == "leaky_relu":
            stack.append(keras.layers.LeakyReLU(_SLOPES[activation], name=f"activate_{index}", dtype=dtype))
        else:
            stack.append(keras.layers.Activation(activation, name=f"activate_{index}", dtype=dtype))
    return stack


@keras.saving.register_keras_serializable("meta_gan")
class MLPGenerator(Generator):
    """Dense layers from `z` to an example.

    Args:
        example_shape: the shape of one example, of any rank >= 1, such as (2,) for points.
        latent_dim: int >= 1, the size of `z`.
        width: int >= 1, units of each hidden layer.
        depth: int >= 0, hidden layers; 0 is a linear map.
        output: "tanh" for examples in [-1, 1], or "linear".
        activation: "leaky_relu" (slope .2), or the smooth "tanh" or "softplus".
        seed: int >= 0, the seed of the initial weights.
        **kwargs: `name`, `dtype` and the other arguments of a Keras model.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> MLPGenerator((2,), latent_dim=3)(tf.zeros([5, 3])).shape
        TensorShape([5, 2])
    """

    def __init__(
        self,
        example_shape: Sequence[int],
        latent_dim: int = 16,
        width: int = 128,
        depth: int = 2,
        output: str = "tanh",
        activation: str = "leaky_relu",
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(example_shape, latent_dim, seed, **kwargs)
        self.width = check_integer(width, "width", 1)
        self.depth = check_integer(depth, "depth", 0)
        self.output_activation = check_choice(output, "output", OUTPUTS)
        self.activation = check_choice(activation, "activation", ACTIVATIONS)
        normal, dtype = seeded_normal(self.seed, "MLPGenerator"), self.dtype_policy
        stack = hidden_layers(self.latent_dim, self.width, self.depth, self.activation, normal, dtype)
        example = keras.layers.Dense(
            math.prod(self.example_shape),
            activation=self.output_activation,
            kernel_initializer=normal(self.width if self.depth else self.latent_dim),
            name="example",
            dtype=dtype,
        )
        reshape = keras.layers.Reshape(self.example_shape, name="reshape", dtype=dtype)
        self.stack((self.latent_dim,), [*stack, example, reshape])

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        own = {
            "width": self.width,
            "depth": self.depth,
            "output": self.output_activation,
            "activation": self.activation,
        }
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("meta_gan")
class MLPDiscriminator(Discriminator):
    """Dense layers from an example to one logit.

    Args:
        example_shape: the shape of one example, of any rank >= 1.
        width: int >= 1, units of each hidden layer.
        depth: int >= 0, hidden layers; 0 is a linear critic.
        activation: "leaky_relu" (slope .2), or the smooth "tanh" or "softplus".
        seed: int >= 0, the seed of the initial weights.
        **kwargs: `name`, `dtype` and the other arguments of a Keras model.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> MLPDiscriminator((2,))(tf.zeros([5, 2])).shape
        TensorShape([5, 1])
    """

    def __init__(
        self,
        example_shape: Sequence[int],
        width: int = 128,
        depth: int = 2,
        activation: str = "leaky_relu",
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(example_shape, seed, **kwargs)
        self.width = check_integer(width, "width", 1)
        self.depth = check_integer(depth, "depth", 0)
        self.activation = check_choice(activation, "activation", ACTIVATIONS)
        normal, dtype = seeded_normal(self.seed, "MLPDiscriminator"), self.dtype_policy
        inputs = math.prod(self.example_shape)
        stack = hidden_layers(inputs, self.width, self.depth, self.activation, normal, dtype)
        kernel = normal(self.width if self.depth else inputs)
        flatten = keras.layers.Flatten(name="flatten", dtype=dtype)
        logit = keras.layers.Dense(1, kernel_initializer=kernel, name="logit", dtype=dtype)
        self.stack(self.example_shape, [flatten, *stack, logit])

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        own = {"width": self.width, "depth": self.depth, "activation": self.activation}
        return {**super().get_config(), **own}


def mlp(
    example_shape: Sequence[int],
    latent_dim: int = 16,
    width: int = 128,
    depth: int = 2,
    output: str = "tanh",
    activation: str = "leaky_relu",
    seed: int = 0,
    **kwargs: Any,
) -> tuple[MLPGenerator, MLPDiscriminator]:
    """Return a generator and a discriminator of one width and depth.

    Args:
        example_shape: the shape of one example, of any rank >= 1.
        latent_dim: int >= 1, the size of `z`.
        width: int >= 1, units of each hidden layer.
        depth: int >= 0, hidden layers of each network.
        output: "tanh" for examples in [-1, 1], or "linear".
        activation: "leaky_relu" (slope .2), or the smooth "tanh" or "softplus".
        seed: int >= 0, the seed of the initial weights; the two networks draw from different streams of it.
        **kwargs: `dtype` and other arguments of both Keras models.

    Returns:
        (generator, discriminator).

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> generator, discriminator = mlp((2,), latent_dim=3, output="linear")
        >>> discriminator(generator(tf.zeros([5, 3]))).shape
        TensorShape([5, 1])
    """
    generator = MLPGenerator(example_shape, latent_dim, width, depth, output, activation, seed, **kwargs)
    return generator, MLPDiscriminator(example_shape, width, depth, activation, seed, **kwargs)
