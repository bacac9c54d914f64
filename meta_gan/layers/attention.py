"""Self-attention over the positions of an image's features."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from meta_gan.checks import check_integer
from meta_gan.layers.spectral import SpectralConv2D
from meta_gan.types import Tensor


@keras.saving.register_keras_serializable("meta_gan")
class SelfAttention2D(keras.layers.Layer):
    """Add to every position a weighted mean over all positions: x + gamma * attention(x).

    Queries and keys are 1x1 convolutions with channels // 8 (at least 1) filters, values with channels // 2 (at least
    1), and a last convolution restores the channels; none has a bias. Keys and values are computed from a 2x2 mean of
    x if both sides are even, which quarters the cost. gamma starts at 0, and so the layer starts as the identity.

    Args:
        spectral: bool, whether the convolutions are `SpectralConv2D`, whose state training calls update.
        seed: int >= 0, the seed of the initial kernels.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Raises:
        ValueError: if `seed` is out of range, or the input is not [n, height, width, channels] of known sizes.

    Example:
        >>> SelfAttention2D()(tf.ones([5, 14, 14, 16])).shape
        TensorShape([5, 14, 14, 16])

    Reference:
        Zhang et al., Self-Attention Generative Adversarial Networks, 2019; the sizes are those of the authors'
        code. We depart in pooling by the mean: a maximum has no second derivative where its winner changes, and
        under XLA those of max pooling are wrong by 3e-3. As a mean and a 1x1 convolution commute, we pool x once
        instead of keys and values.
    """

    def __init__(self, spectral: bool = False, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.spectral, self.seed = bool(spectral), check_integer(seed, "seed", 0)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the four convolutions and gamma for inputs of `input_shape`, [n, height, width, channels]."""
        if len(input_shape) != 4 or None in input_shape[1:]:
            raise ValueError(
                "'input_shape' of SelfAttention2D must be (n, height, width, channels), with known height, width and "
                f"channels. Received: {tuple(input_shape)}"
            )
        _, self.height, self.width, channels = (int(size or 0) for size in input_shape)
        self.pooled = self.height % 2 == self.width % 2 == 0
        narrow, half = max(channels // 8, 1), max(channels // 2, 1)
        self.query = self._project("query", 0, channels, narrow)
        self.key = self._project("key", 1, channels, narrow)
        self.value = self._project("value", 2, channels, half)
        self.output_projection = self._project("output", 3, half, channels)
        self.gamma = self.add_weight(name="gamma", shape=(), initializer="zeros", autocast=False)

    def _project(self, name: str, stream: int, inputs: int, filters: int) -> keras.layers.Layer:
        key = int(np.random.SeedSequence([self.seed, stream]).generate_state(1)[0])
        kind = SpectralConv2D if self.spectral else keras.layers.Conv2D
        convolution = kind(
            filters,
            1,
            use_bias=False,
            data_format="channels_last",
            kernel_initializer=keras.initializers.GlorotUniform(seed=key >> 1),
            name=name,
            dtype=self.dtype_policy,
        )
        convolution.build((None, None, None, inputs))
        return convolution

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Return float[n, height, width, channels], of the shape of `inputs`."""
        options = {"training": training} if self.spectral else {}
        pooled = inputs
        if self.pooled:
            pooled = ops.average_pool(inputs, 2, strides=2, data_format="channels_last")
        query, key, value = (
            ops.reshape(project(x, **options), (-1, x.shape[1] * x.shape[2], project.filters))
            for project, x in ((self.query, inputs), (self.key, pooled), (self.value, pooled))
        )
        # As in the paper, without a division by sqrt(size). Half precision is too coarse for the exponentials.
        logits = ops.cast(ops.matmul(query, ops.transpose(key, (0, 2, 1))), self.variable_dtype)
        weights = ops.cast(ops.softmax(logits, axis=-1), self.compute_dtype)
        seen = ops.reshape(ops.matmul(weights, value), (-1, self.height, self.width, self.value.filters))
        return inputs + ops.cast(self.gamma, self.compute_dtype) * self.output_projection(seen, **options)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return `input_shape`."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "spectral": self.spectral, "seed": self.seed}
