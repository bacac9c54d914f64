"""The task encoder: maps a support set to one task embedding, for any number and order of the examples."""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf

from meta_gan.checks import check_choice, check_integer
from meta_gan.networks.base import SLOPE, LayerFactory, Network, Shape, channels_at, of_policy
from meta_gan.types import Tensor

POOLINGS = ("mean", "attention")
_SMALLEST_SIDE = 4


@keras.saving.register_keras_serializable("meta_gan")
class TaskEncoder(Network):
    """Encode a support set as one task embedding, the same for every order of the examples, for any number >= 1.

    Strided convolutions embed each example; the embeddings are pooled and scaled to a root mean square of 1, and the
    trainable vector `context`, which starts at 0, is added. Context-only adaptation moves this vector: with the mask
    `/context$` the inner loop adapts the task embedding and nothing else.

    Args:
        example_shape: (height, width, channels), sides of at least 8; or for sounds and texts (length, channels), a
            length of at least 8, with convolutions along it.
        embedding_dim: int >= 1, size of the task embedding.
        width: int >= 1, channels of the first convolution; they double at each halving, up to 4 * width.
        pooling: "mean", or "attention": a mean weighted by the softmax of a learned score of each example.
        seed: int >= 0, seed of the initial weights.
        **kwargs: `name`, `dtype` and the other arguments of a Keras model.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> TaskEncoder((28, 28, 1), embedding_dim=16)(tf.zeros([5, 28, 28, 1])).shape
        TensorShape([16])

    References:
        Zaheer et al., Deep Sets, 2017; Ilse et al., Attention-based Deep Multiple Instance Learning, 2018, for the
        weighted mean; Zintgraf et al., Fast Context Adaptation via Meta-Learning (CAVIA), 2019, for the context, which
        is added to the encoder's output here and starts from nothing there.
    """

    def __init__(
        self,
        example_shape: Shape,
        embedding_dim: int = 64,
        width: int = 16,
        pooling: str = "mean",
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(example_shape, seed, width, embedding_dim, **kwargs)
        if len(self.example_shape) not in (2, 3) or min(self.example_shape[:-1]) < 2 * _SMALLEST_SIDE:
            raise ValueError(
                "'example_shape' must be (height, width, channels) or (length, channels), with sides of at least "
                f"{2 * _SMALLEST_SIDE}. Received: {self.example_shape}"
            )
        check_integer(embedding_dim, "embedding_dim", 1)
        self.pooling = check_choice(pooling, "pooling", POOLINGS)
        self._make(LayerFactory(self.seed, "TaskEncoder", self.dtype_policy, build=False))

    def _make(self, make: LayerFactory) -> None:
        *sides, channels = self.example_shape
        side, policy = min(sides), self.dtype_policy
        stack: list[keras.layers.Layer] = []
        while side >= 2 * _SMALLEST_SIDE - 1:
            level, filters = len(stack), channels_at(self.width, len(stack))
            activation = keras.layers.LeakyReLU(SLOPE, dtype=policy)
            options = {"rank": len(sides), "activation": activation}
            stack.append(make.convolution(channels, filters, 4, f"down_{level}", 2, **options))
            side, channels = -(-side // 2), filters
        size = channels * math.prod(-(-n // 2 ** len(stack)) for n in sides)
        stack.append(keras.layers.Flatten("channels_last", dtype=policy))
        stack.append(make.dense(size, self.embedding_dim, "readout", 1.0))
        inputs = keras.Input(self.example_shape, dtype=self.compute_dtype)
        self.body = of_policy(keras.Sequential([inputs, *stack], name="body"), policy)
        if self.pooling == "attention":
            self.score = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros", name="score", dtype=policy)
            self.score.build((None, self.embedding_dim))
        self.context = self.add_weight(name="context", shape=(self.embedding_dim,), initializer="zeros")
        self.build((None, *self.example_shape))

    def call(self, support: Tensor, training: bool = False) -> Tensor:
        """Return the task embedding float[embedding_dim] of `support` float[k, *example_shape], k >= 1."""
        embeddings = self.body(support, training=training)
        if self.pooling == "attention":
            pooled = tf.reduce_sum(embeddings * tf.nn.softmax(self.score(embeddings), axis=0), axis=0)
        else:
            pooled = tf.reduce_mean(embeddings, axis=0)
        # Of a fixed scale, so that the conditioned networks receive the same for one example as for many.
        return pooled * tf.math.rsqrt(tf.reduce_mean(tf.square(pooled)) + 1e-3) + self.context
