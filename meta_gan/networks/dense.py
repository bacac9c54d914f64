"""Fully connected generator, discriminator and encoder, for examples of any shape: points, curves, small images.

The networks of the original GAN (Goodfellow et al., 2014), without its maxout and dropout. With a smooth `activation`
the whole game has derivatives of every order everywhere, which finite-difference tests need.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Any

import keras

from meta_gan.checks import check_choice, check_integer
from meta_gan.networks.base import SLOPE, Discriminator, Encoder, Generator, LayerFactory, Network, Shape

_SLOPES = {"leaky_relu": SLOPE, "tanh": 1.0, "softplus": 0.0}  # negative slopes for the scale of the initial weights
ACTIVATIONS, OUTPUTS = tuple(_SLOPES), ("tanh", "linear")


class _MLP(Network):
    """Base of the three networks: hidden layers, each with its activation, and a readout."""

    def _stack(self, depth: int, activation: str, stream: str, outputs: int, name: str, output: str = "linear") -> None:
        """Check the arguments and stack the layers, of which the last is `name` with `outputs` units."""
        self.depth = check_integer(depth, "depth", 0)
        self.activation = check_choice(activation, "activation", ACTIVATIONS)
        dtype, generates = self.dtype_policy, isinstance(self, Generator)
        shape = (self.latent_dim,) if generates else self.example_shape
        make, inputs = LayerFactory(self.seed, stream, dtype, build=False), math.prod(shape)
        stack = [] if generates else [keras.layers.Flatten("channels_last", name="flatten", dtype=dtype)]
        for index in range(self.depth):
            stack.append(make.dense(inputs, self.width, f"hidden_{index}", _SLOPES[activation]))
            if activation == "leaky_relu":
                stack.append(keras.layers.LeakyReLU(SLOPE, name=f"activate_{index}", dtype=dtype))
            else:
                stack.append(keras.layers.Activation(activation, name=f"activate_{index}", dtype=dtype))
            inputs = self.width
        stack.append(make.dense(inputs, outputs, name, 1.0, activation=output))
        if generates:
            stack.append(keras.layers.Reshape(self.example_shape, name="reshape", dtype=dtype))
        self.stack(shape, stack)


@keras.saving.register_keras_serializable("meta_gan")
class MLPGenerator(_MLP, Generator):
    """Dense layers from `z` to an example.

    Args:
        example_shape: shape of one example, of any rank >= 1, such as (2,) for points.
        latent_dim: int >= 1, size of `z`.
        width: int >= 1, units of each hidden layer.
        depth: int >= 0, number of hidden layers; 0 is a linear map.
        output: "tanh" for examples in [-1, 1], or "linear".
        activation: "leaky_relu" (slope .2), or the smooth "tanh" or "softplus".
        seed: int >= 0, seed of the initial weights.
        **kwargs: `name`, `dtype` and the other arguments of a Keras model.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> MLPGenerator((2,), latent_dim=3)(tf.zeros([5, 3])).shape
        TensorShape([5, 2])
    """

    attribute_names = MappingProxyType({"output": "output_activation"})

    def __init__(
        self,
        example_shape: Shape,
        latent_dim: int = 16,
        width: int = 128,
        depth: int = 2,
        output: str = "tanh",
        activation: str = "leaky_relu",
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(example_shape, latent_dim, seed, width=width, **kwargs)
        self.output_activation = check_choice(output, "output", OUTPUTS)
        size = math.prod(self.example_shape)
        self._stack(depth, activation, "MLPGenerator", size, "example", self.output_activation)


@keras.saving.register_keras_serializable("meta_gan")
class MLPDiscriminator(_MLP, Discriminator):
    """Dense layers from an example to one logit.

    Args:
        example_shape: shape of one example, of any rank >= 1.
        width: int >= 1, units of each hidden layer.
        depth: int >= 0, number of hidden layers; 0 is a linear discriminator.
        activation: "leaky_relu" (slope .2), or the smooth "tanh" or "softplus".
        seed: int >= 0, seed of the initial weights.
        **kwargs: `name`, `dtype` and the other arguments of a Keras model.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> MLPDiscriminator((2,))(tf.zeros([5, 2])).shape
        TensorShape([5, 1])
    """

    def __init__(
        self,
        example_shape: Shape,
        width: int = 128,
        depth: int = 2,
        activation: str = "leaky_relu",
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(example_shape, seed, width, **kwargs)
        self._stack(depth, activation, "MLPDiscriminator", 1, "logit")


@keras.saving.register_keras_serializable("meta_gan")
class MLPEncoder(_MLP, Encoder):
    """Dense layers from an example of any shape to the statistics of z.

    Args:
        example_shape: shape of one example, of any rank >= 1.
        latent_dim: int >= 1, size of z.
        width: int >= 1, units of each hidden layer.
        depth: int >= 0, number of hidden layers; 0 is a linear map.
        activation: "leaky_relu" (slope .2), or the smooth "tanh" or "softplus".
        seed: int >= 0, seed of the initial weights.
        **kwargs: `name`, `dtype` and the other arguments of a Keras model.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> MLPEncoder((2,), latent_dim=3)(tf.zeros([5, 2])).shape
        TensorShape([5, 6])
    """

    def __init__(
        self,
        example_shape: Shape,
        latent_dim: int = 16,
        width: int = 128,
        depth: int = 2,
        activation: str = "leaky_relu",
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(example_shape, latent_dim, seed, width=width, **kwargs)
        self._stack(depth, activation, "MLPEncoder", 2 * self.latent_dim, "statistics")


def mlp(
    example_shape: Shape,
    latent_dim: int = 16,
    width: int = 128,
    depth: int = 2,
    output: str = "tanh",
    activation: str = "leaky_relu",
    seed: int = 0,
    **kwargs: Any,
) -> tuple[MLPGenerator, MLPDiscriminator]:
    """Return a fully connected generator and a discriminator of the same width and depth.

    Args:
        example_shape, latent_dim, width, depth, output, activation: see `MLPGenerator`.
        seed: int >= 0; the two networks draw their initial weights from different streams of it.
        **kwargs: `dtype` and other arguments of both Keras models.

    Returns:
        `(generator, discriminator)`.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> generator, discriminator = mlp((2,), latent_dim=3, output="linear")
        >>> discriminator(generator(tf.zeros([5, 3]))).shape
        TensorShape([5, 1])
    """
    generator = MLPGenerator(example_shape, latent_dim, width, depth, output, activation, seed, **kwargs)
    return generator, MLPDiscriminator(example_shape, width, depth, activation, seed, **kwargs)
