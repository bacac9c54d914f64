"""The task encoder: a support set in, one code of the task out, whatever the number and order of the images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from meta_gan.checks import check_choice, check_integer, check_shape
from meta_gan.networks.base import Network, seeded_normal

POOLINGS = ("mean", "attention")
_SLOPE = 0.2
_SMALLEST_SIDE = 4


@keras.saving.register_keras_serializable("meta_gan")
class TaskEncoder(Network):
    """Encodes a support set as one code, the same for every order of the images and right for any number >= 1.

    Each example goes through strided convolutions to a code of its own; the codes are pooled, brought to a root mean
    square of 1, and the trainable vector `context`, which starts at 0, is added. The context is what context-only
    adaptation moves: with the mask `/context$` the inner loop refines the code of a task and nothing else.

    Args:
        example_shape: (height, width, channels), sides of at least 8; or of sounds and texts (length, channels), a length
            of at least 8, with convolutions along it.
        embedding_dim: int >= 1, the size of the code.
        width: int >= 1, channels of the first convolution; they double with every halving, up to four times.
        pooling: "mean", or "attention": a mean weighted by the softmax of a learned score of each image.
        seed: int >= 0, of the initial weights.
        **kwargs: `name`, `dtype` and the other arguments of a Keras model.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> TaskEncoder((28, 28, 1), embedding_dim=16)(tf.zeros([5, 28, 28, 1])).shape
        TensorShape([16])

    References:
        Zaheer et al., Deep Sets, 2017; Ilse et al., Attention-based Deep Multiple Instance Learning, 2018, for the
        weighted mean; Zintgraf et al., Fast Context Adaptation via Meta-Learning (CAVIA), 2019, for the context,
        which we add to an encoder's code instead of starting from nothing.
    """

    def __init__(
        self,
        example_shape: Sequence[int],
        embedding_dim: int = 64,
        width: int = 16,
        pooling: str = "mean",
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.example_shape = check_shape(example_shape)
        if len(self.example_shape) not in (2, 3) or min(self.example_shape[:-1]) < 2 * _SMALLEST_SIDE:
            raise ValueError(
                f"`example_shape` must be (height, width, channels) with sides of at least {2 * _SMALLEST_SIDE}, or "
                f"(length, channels) with such a length. Received: example_shape={self.example_shape}"
            )
        self.embedding_dim = check_integer(embedding_dim, "embedding_dim", 1)
        self.width = check_integer(width, "width", 1)
        self.pooling = check_choice(pooling, "pooling", POOLINGS)
        self.seed = check_integer(seed, "seed", 0)
        self._make()

    def _make(self) -> None:
        normal = seeded_normal(self.seed, "TaskEncoder")
        *lengths, channels = self.example_shape
        side, kind = min(lengths), keras.layers.Conv2D if len(lengths) == 2 else keras.layers.Conv1D
        layers: list[keras.layers.Layer] = []
        while side >= 2 * _SMALLEST_SIDE - 1:
            wider = self.width * min(2 ** len(layers), 4)
            kernel = normal(4 ** len(lengths) * channels, _SLOPE)
            layers.append(
                kind(
                    wider,
                    4,
                    strides=2,
                    padding="same",
                    data_format="channels_last",
                    activation=keras.layers.LeakyReLU(_SLOPE, dtype=self.dtype_policy),
                    kernel_initializer=kernel,
                    name=f"down_{len(layers)}",
                    dtype=self.dtype_policy,
                )
            )
            side, channels = -(-side // 2), wider
        size = channels * math.prod(-(-n // 2 ** len(layers)) for n in lengths)
        flatten = keras.layers.Flatten(dtype=self.dtype_policy)
        readout = keras.layers.Dense(
            self.embedding_dim, kernel_initializer=normal(size, 1.0), name="readout", dtype=self.dtype_policy
        )
        inputs = keras.Input(self.example_shape, dtype=self.compute_dtype)
        self.body = keras.Sequential([inputs, *layers, flatten, readout], name="body")
        if self.pooling == "attention":
            self.score = keras.layers.Dense(
                1, use_bias=False, kernel_initializer="zeros", name="score", dtype=self.dtype_policy
            )
            self.score.build((None, self.embedding_dim))
        self.context = self.add_weight(name="context", shape=(self.embedding_dim,), initializer="zeros")
        self.build((None, *self.example_shape))

    def call(self, support: Any, training: bool = False) -> Any:
        """Return the code float[embedding_dim] of `support` float[k, *example_shape], k >= 1."""
        codes = self.body(support, training=training)
        if self.pooling == "attention":
            code = tf.reduce_sum(codes * tf.nn.softmax(self.score(codes), axis=0), axis=0)
        else:
            code = tf.reduce_mean(codes, axis=0)
        # Of a fixed size, so that what it conditions sees the same scale for one image as for many.
        return code * tf.math.rsqrt(tf.reduce_mean(tf.square(code)) + 1e-3) + self.context

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        own = {"example_shape": self.example_shape, "embedding_dim": self.embedding_dim, "width": self.width}
        return {**super().get_config(), **own, "pooling": self.pooling, "seed": self.seed}
