"""Normalisation layers whose derivatives are right to any order.

Keras's own layers take the variance from `keras.ops.moments`, which stops the gradient of the mean inside it. The first
derivative is then exact, and the second silently wrong by up to 45 %, so that a player with second-order gradients or a
gradient penalty must not contain them. Here the variance is mean((x - mean)^2), and no gradient is stopped. Channels
come last, and statistics are computed in the variables' dtype, so that float16 inputs do not overflow.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from meta_gan.checks import check_integer, check_number
from meta_gan.types import Tensor

_EPSILON = 1e-3  # Keras's default; small values let nearly constant images have huge second derivatives.


def _moments(x: Any, axes: tuple[int, ...]) -> tuple[Any, Any]:
    """Return mean and variance over `axes`, kept as axes of size 1, without stopping any gradient."""
    mean = ops.mean(x, axis=axes, keepdims=True)
    return mean, ops.mean(ops.square(x - mean), axis=axes, keepdims=True)


class _Normalization(keras.layers.Layer):
    """Base of the four layers: a scale and an offset per channel, and the configuration."""

    def __init__(self, epsilon: float = _EPSILON, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.epsilon = check_number(epsilon, "epsilon", above=0)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the weights for inputs of `input_shape`, [n, ..., channels] with known channels."""
        if len(input_shape) < 2 or input_shape[-1] is None:
            raise ValueError(
                f"'input_shape' of {type(self).__name__} must have a batch axis and a last axis of known size. "
                f"Received: {tuple(input_shape)}"
            )
        # `autocast=False`: under a mixed policy Keras would pass the weights in half precision.
        self.scale = self.add_weight(name="scale", shape=(input_shape[-1],), initializer="ones", autocast=False)
        self.offset = self.add_weight(name="offset", shape=(input_shape[-1],), initializer="zeros", autocast=False)

    def _axes(self, rank: int) -> tuple[int, ...]:
        """Return the axes over which an input of this rank is normalised."""
        raise NotImplementedError

    def call(self, inputs: Tensor) -> Tensor:
        """Return float[n, ..., channels], of the shape of `inputs`."""
        x = ops.cast(inputs, self.variable_dtype)
        return self._scale_and_shift(self._standardize(x, *_moments(x, self._axes(len(x.shape)))))

    def _standardize(self, x: Any, mean: Any, variance: Any) -> Any:
        return (x - mean) * ops.rsqrt(variance + self.epsilon)

    def _scale_and_shift(self, x: Any) -> Any:
        return ops.cast(x * self.scale + self.offset, self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return `input_shape`."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "epsilon": self.epsilon}


@keras.saving.register_keras_serializable("meta_gan")
class BatchNormalization(_Normalization):
    """Normalise each channel over the batch in training, and by moving averages at inference.

    The moving averages are non-trainable weights (`moving_mean`, `moving_variance`), whose new values `stateless_call`
    returns. Their gradient is not stopped; that is the caller's choice.

    Args:
        momentum: float in [0, 1], the weight of the old moving average in a training call.
        epsilon: float > 0, added to the variance.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> BatchNormalization()(tf.constant([[-1.0], [1.0]]), training=True).numpy().round(2)
        array([[-1.],
               [ 1.]], dtype=float32)

    Reference:
        Ioffe and Szegedy, Batch Normalization, 2015. We depart in averaging the biased variance, as Keras does.
    """

    def __init__(self, momentum: float = 0.99, epsilon: float = _EPSILON, **kwargs: Any) -> None:
        super().__init__(epsilon=epsilon, **kwargs)
        self.momentum = check_number(momentum, "momentum", least=0, most=1)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make scale, offset and moving averages for inputs of `input_shape`, [n, ..., channels]."""
        super().build(input_shape)
        channels = (input_shape[-1],)
        self.moving_mean = self.add_weight(
            name="moving_mean", shape=channels, initializer="zeros", trainable=False, autocast=False
        )
        self.moving_variance = self.add_weight(
            name="moving_variance", shape=channels, initializer="ones", trainable=False, autocast=False
        )

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Return float[n, ..., channels]; in training, also update the moving averages.

        As in Keras, a layer with `trainable = False` uses its averages and does not update them.
        """
        x = ops.cast(inputs, self.variable_dtype)
        if not (training and self.trainable):
            return self._scale_and_shift(self._standardize(x, self.moving_mean, self.moving_variance))
        mean, variance = _moments(x, tuple(range(len(x.shape) - 1)))
        for average, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            average.assign(self.momentum * average + (1 - self.momentum) * ops.reshape(value, (-1,)))
        return self._scale_and_shift(self._standardize(x, mean, variance))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "momentum": self.momentum}


@keras.saving.register_keras_serializable("meta_gan")
class LayerNormalization(_Normalization):
    """Normalise each image over all its axes, then scale and shift each channel.

    Args:
        epsilon: float > 0, added to the variance.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Raises:
        ValueError: if `epsilon` is not positive.

    Example:
        >>> LayerNormalization()(tf.constant([[-1.0, 1.0]])).numpy().round(2)
        array([[-1.,  1.]], dtype=float32)

    Reference:
        Ba et al., Layer Normalization, 2016; over height, width and channels as in WGAN-GP. We depart in a scale and
        an offset per channel, not per activation, so that they do not depend on the image's size.
    """

    def _axes(self, rank: int) -> tuple[int, ...]:
        return tuple(range(1, rank))


@keras.saving.register_keras_serializable("meta_gan")
class InstanceNormalization(_Normalization):
    """Normalise each channel of each image over its positions.

    Args:
        epsilon: float > 0, added to the variance.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Raises:
        ValueError: if `epsilon` is not positive, or the input has no axis between the batch and the channels.

    Example:
        >>> InstanceNormalization()(tf.constant([[[-1.0], [1.0]]])).numpy().round(2)
        array([[[-1.],
                [ 1.]]], dtype=float32)

    Reference:
        Ulyanov et al., Instance Normalization, 2016.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the weights for inputs of `input_shape`, [n, ..., channels] of rank >= 3."""
        if len(input_shape) < 3:
            raise ValueError(
                "'input_shape' of InstanceNormalization must have axes of positions between batch and channels. "
                f"Received: {tuple(input_shape)}"
            )
        super().build(input_shape)

    def _axes(self, rank: int) -> tuple[int, ...]:
        return tuple(range(1, rank - 1))


@keras.saving.register_keras_serializable("meta_gan")
class GroupNormalization(_Normalization):
    """Normalise each group of neighbouring channels of each image over the group's values.

    Args:
        groups: int >= 1, a divisor of the number of channels.
        epsilon: float > 0, added to the variance.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Raises:
        ValueError: if an argument is out of range, or the groups do not divide the channels.

    Example:
        >>> GroupNormalization(groups=2)(tf.constant([[-1.0, 1.0, -9.0, 9.0]])).numpy().round(2)
        array([[-1.,  1., -1.,  1.]], dtype=float32)

    Reference:
        Wu and He, Group Normalization, 2018. With one group it is `LayerNormalization`, with one channel per group
        `InstanceNormalization`.
    """

    def __init__(self, groups: int = 8, epsilon: float = _EPSILON, **kwargs: Any) -> None:
        super().__init__(epsilon=epsilon, **kwargs)
        self.groups = check_integer(groups, "groups", 1)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the weights for `input_shape`, [n, ..., channels], channels a multiple of `groups`."""
        super().build(input_shape)
        if self.scale.shape[0] % self.groups:
            raise ValueError(
                f"'groups' must divide the channels. Received: {self.groups} for {self.scale.shape[0]} channels"
            )

    def call(self, inputs: Tensor) -> Tensor:
        """Return float[n, ..., channels], of the shape of `inputs`."""
        x = ops.cast(inputs, self.variable_dtype)
        # Over positions first, channel by channel: a sum over three of five axes takes three times as long.
        mean = self._over_groups(x)
        centred = x - mean
        variance = self._over_groups(ops.square(centred))
        return self._scale_and_shift(centred * ops.rsqrt(variance + self.epsilon))

    def _over_groups(self, x: Tensor) -> Tensor:
        """Return the means over positions and each group, [n, 1, ..., 1, channels], of x [n, ..., channels]."""
        axes, channels = tuple(range(1, len(x.shape) - 1)), self.scale.shape[0]
        means = ops.mean(x, axis=axes, keepdims=True) if axes else x
        grouped = ops.mean(ops.reshape(means, (-1, self.groups, channels // self.groups)), axis=2)
        return ops.reshape(ops.repeat(grouped, channels // self.groups, axis=1), (-1, *(1,) * len(axes), channels))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "groups": self.groups}
