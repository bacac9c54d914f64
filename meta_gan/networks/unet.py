"""A small U-Net as the velocity of a flow, conditioned on the support set in three ways."""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf

from meta_gan.checks import IMAGE_AXES, check_shape
from meta_gan.layers import FiLM, GroupNormalization, UpsampleNearest
from meta_gan.networks.base import LayerFactory, Shape
from meta_gan.networks.flow import FlowGenerator
from meta_gan.types import Tensor

_TIMES, _STYLE, _HEADS, _GROUPS = 32, 128, 4, 8
_FASTEST = 1000.0  # radians from noise to example of the fastest wave that encodes the time
_SMALL = 0.1  # scale of the last layer of each residual branch
_NEVER = -1e9  # added to the scores of the support set's positions where a row is not conditioned


def silu(x: Tensor) -> Tensor:
    """Return x sigmoid(x), of plain operations, whose derivatives of any order are right."""
    return x * tf.sigmoid(x)


def _normalization(channels: int, name: str, policy: Any) -> keras.layers.Layer:
    layer = GroupNormalization(math.gcd(_GROUPS, channels), name=name, dtype=policy)
    layer.build((None, None, None, channels))
    return layer


class Residual(keras.layers.Layer):
    """Two convolutions beside a skip connection, modulated by a style.

    Args:
        channels: number of input and output channels.
        make: factory of the layers.
        last: factory of the second convolution, with small weights.
        seed: int >= 0, seed of the modulation.
        **kwargs: `name` and other arguments of a Keras layer.
    """

    def __init__(self, channels: int, make: LayerFactory, last: LayerFactory, seed: int, **kwargs: Any) -> None:
        super().__init__(dtype=make.dtype, **kwargs)
        self.before = _normalization(channels, "before", make.dtype)
        self.first = make.convolution(channels, channels, 3, "first")
        self.between = _normalization(channels, "between", make.dtype)
        self.modulation = FiLM(initial_deviation=0.05, seed=seed, name="modulation", dtype=make.dtype)
        self.modulation.build((None, None, None, channels), (None, _STYLE))
        self.second = last.convolution(channels, channels, 3, "second")
        self.built = True

    def call(self, x: Tensor, style: Tensor) -> Tensor:
        """Return features of the shape of `x` float[n, h, w, channels], modulated by `style` float[n, 128]."""
        y = self.first(silu(self.before(x)))
        y = self.second(silu(self.modulation(self.between(y), style)))
        return x + y


class SupportAttention(keras.layers.Layer):
    """Attention of every position over the positions of its own row and of all support examples.

    Args:
        sides: (height, width) of the features.
        channels: of the features, a multiple of 4.
        make: makes the layers.
        last: makes the output's projection, with small weights.
        **kwargs: `name` and other arguments of a Keras layer.
    """

    def __init__(
        self, sides: tuple[int, int], channels: int, make: LayerFactory, last: LayerFactory, **kwargs: Any
    ) -> None:
        super().__init__(dtype=make.dtype, **kwargs)
        self.places, self.channels = sides[0] * sides[1], channels
        self.before = _normalization(channels, "before", make.dtype)
        self.query, self.key, self.value = (make.dense(channels, channels, name, 1.0) for name in ("q", "k", "v"))
        self.position = self.add_weight(name="position", shape=(self.places, channels), initializer=make.draw(200, 1.0))
        self.projection = last.dense(channels, channels, "projection", 1.0)
        self.built = True

    def pairs(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the keys and values, float[n, heads, places, channels / heads], of features [n, h, w, channels]."""
        flat = tf.reshape(x, [-1, self.places, self.channels])
        return self._heads(self.key(flat + self.position)), self._heads(self.value(flat))

    def _heads(self, x: Tensor) -> Tensor:
        parts = tf.reshape(x, [tf.shape(x)[0], self.places, _HEADS, self.channels // _HEADS])
        return tf.transpose(parts, [0, 2, 1, 3])

    def call(self, x: Tensor, support: tuple[Tensor, Tensor] | None, keep: Tensor) -> Tensor:
        """Return float[n, h, w, channels].

        Args:
            x: float[n, h, w, channels].
            support: what `pairs` returned of the support examples, or None.
            keep: float[n], 0 for the rows that do not see the support set.
        """
        normal, rows = self.before(x), tf.shape(x)[0]
        flat = tf.reshape(normal, [-1, self.places, self.channels])
        query = self._heads(self.query(flat + self.position)) / math.sqrt(self.channels // _HEADS)
        keys, values = self.pairs(normal)
        scores = tf.matmul(query, keys, transpose_b=True)
        if support is not None:
            theirs = [self._all_places(part) for part in support]
            others = self._of_all_rows(tf.matmul(self._all_places(query), theirs[0], transpose_b=True), rows)
            scores = tf.concat([scores, others + _NEVER * (1.0 - keep)[:, None, None, None]], axis=-1)
        share = tf.nn.softmax(scores, axis=-1)
        seen = tf.matmul(share[..., : self.places], values)
        if support is not None:
            seen += self._of_all_rows(tf.matmul(self._all_places(share[..., self.places :]), theirs[1]), rows)
        together = tf.reshape(tf.transpose(seen, [0, 2, 1, 3]), [-1, self.places, self.channels])
        return x + tf.reshape(self.projection(together), tf.shape(x))

    def _all_places(self, x: Tensor) -> Tensor:
        """Return [n, heads, places, d] as [heads, n * places, d]."""
        return tf.reshape(tf.transpose(x, [1, 0, 2, 3]), [_HEADS, -1, tf.shape(x)[-1]])

    def _of_all_rows(self, x: Tensor, rows: Tensor) -> Tensor:
        """Undo `_all_places` for a number of rows."""
        parts = tf.reshape(x, [_HEADS, rows, self.places, tf.shape(x)[-1]])
        return tf.transpose(parts, [1, 0, 2, 3])


@keras.saving.register_keras_serializable("meta_gan")
class UNet(FlowGenerator):
    """A U-Net of three sizes as the velocity of a flow of pictures.

    It is conditioned on the support set by its task embedding, which modulates every block together with the time; by
    the anchor, whose pixels are channels of the input; and by attention, at a quarter of the size, over features of all
    support images.

    Args:
        example_shape: (height, width, channels), sides multiples of 4 from 8 to 64, 1 to 4 channels.
        width: int >= 4, a multiple of 4, channels at full size; twice and four times as many at half and quarter size.
        anchored, embedding_dim, solver, solver_steps, guidance, temperature, seed, **kwargs: see `FlowGenerator`.

    `call(z, conditioning)` takes a dict with `support` float[k, *example_shape] if `anchored`, any k >= 1, and with
    `embedding_dim` > 0 `task_embedding` float[embedding_dim]. Row i depends on row i of z alone.

    Raises:
        ValueError: if an argument is out of range, or the conditioning lacks an entry.

    Example:
        >>> generator = UNet((28, 28, 1), width=8, anchored=True, solver_steps=2)
        >>> generator(tf.zeros([3, 785]), conditioning={"support": tf.zeros([5, 28, 28, 1])}).shape
        TensorShape([3, 28, 28, 1])

    Reference:
        Ronneberger et al., U-Net: Convolutional Networks for Biomedical Image Segmentation, 2015, in the form of Ho
        et al., Denoising Diffusion Probabilistic Models, 2020. The departures: one block at each size, attention that
        reaches the support images, and an anchor among the inputs.
    """

    def __init__(
        self,
        example_shape: Shape,
        width: int = 32,
        anchored: bool = False,
        embedding_dim: int = 0,
        solver: str = "euler",
        solver_steps: int = 16,
        guidance: float = 1.0,
        temperature: float = 1.0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        sampling = (solver, solver_steps, guidance, temperature)
        super().__init__(example_shape, anchored, embedding_dim, *sampling, seed, width=width, **kwargs)
        height, length, channels = check_shape(self.example_shape, axes=IMAGE_AXES)
        if channels > 4 or not all(side % 4 == 0 and 8 <= side <= 64 for side in (height, length)):
            raise ValueError(
                "'example_shape' must have sides that are multiples of 4 from 8 to 64, and 1 to 4 channels. "
                f"Received: {self.example_shape}"
            )
        if self.width % 4:
            raise ValueError(f"'width' must be a multiple of 4. Received: {width!r}")
        make = LayerFactory(self.seed, "unet", self.dtype_policy)
        self._make(make, LayerFactory(self.seed, "unet_last", self.dtype_policy, _SMALL), channels)
        self.build((None, self.latent_dim))

    def _make(self, make: LayerFactory, last: LayerFactory, channels: int) -> None:
        w, seeds = self.width, iter(range(self.seed, self.seed + 1000, 13))
        height, length = self.example_shape[0] // 4, self.example_shape[1] // 4

        def residual(channels: int, name: str) -> Residual:
            return Residual(channels, make, last, next(seeds), name=name)

        self.time = [make.dense(2 * _TIMES, _STYLE, "time_0"), make.dense(_STYLE, _STYLE, "time_1", 1.0)]
        if self.embedding_dim:
            self.told = make.dense(self.embedding_dim, _STYLE, "told", 1.0)
        inputs = channels + (channels + 1 if self.anchored else 0)
        self.enter = make.convolution(inputs, w, 3, "enter", slope=1.0)
        self.down = [residual(w, "down_0"), residual(2 * w, "down_1")]
        self.shrink = [make.convolution(w, 2 * w, 4, "shrink_0", 2), make.convolution(2 * w, 4 * w, 4, "shrink_1", 2)]
        self.low = [residual(4 * w, "low_0"), residual(4 * w, "low_1")]
        self.attention = SupportAttention((height, length), 4 * w, make, last, name="attention")
        if self.anchored:
            self.features = [
                make.convolution(channels, 2 * w, 4, "features_0", 2),
                make.convolution(2 * w, 4 * w, 4, "features_1", 2),
            ]
            self.seen = _normalization(4 * w, "seen", make.dtype)
        # Added to the skip connection and not beside it: at the larger sizes that halves the cost.
        self.widen = [make.dense(4 * w, 2 * w, "widen_1", 1.0), make.dense(2 * w, w, "widen_0", 1.0)]
        self.up = [residual(2 * w, "up_1"), residual(w, "up_0")]
        self.leave = _normalization(w, "leave", make.dtype)
        self.readout = last.convolution(w, channels, 3, "readout", slope=1.0)
        self.twice = UpsampleNearest(2, name="twice", dtype=self.dtype_policy)

    def prepare(self, support: Tensor | None, embedding: Tensor | None) -> Any:
        """See `FlowGenerator.prepare`: the support set, its keys and values, and the readout of the embedding."""
        pairs, told = None, None
        if support is not None:
            features = self.features[1](silu(self.features[0](support)))
            pairs = self.attention.pairs(self.seen(features))
        if embedding is not None:
            told = self.told(embedding[None])
        return support, pairs, told

    def field(self, x: Tensor, time: Tensor, anchor: Tensor | None, keep: Tensor, prepared: Any) -> Tensor:
        """See `FlowGenerator.field`."""
        support, pairs, told = prepared
        style = self._style(time, keep, told)
        if support is not None:
            kept = tf.ones_like(x[..., :1]) * keep[:, None, None, None]
            x = tf.concat([x, tf.gather(support, anchor) * kept, kept], axis=-1)
        full = self.down[0](self.enter(x), style)
        half = self.down[1](self.shrink[0](full), style)
        low = self.low[0](self.shrink[1](half), style)
        low = self.low[1](self.attention(low, pairs, keep), style)
        half = self.up[0](half + self.twice(self.widen[0](low)), style)
        full = self.up[1](full + self.twice(self.widen[1](half)), style)
        return self.readout(silu(self.leave(full)))

    def _style(self, time: Tensor, keep: Tensor, told: Tensor | None) -> Tensor:
        """Return float[n, 128] of the time and, where `keep` is 1, of the task embedding."""
        waves = [_FASTEST ** (index / (_TIMES - 1)) for index in range(_TIMES)]
        angles = time[:, None] * tf.constant(waves, time.dtype)
        style = self.time[1](silu(self.time[0](tf.concat([tf.sin(angles), tf.cos(angles)], axis=-1))))
        return silu(style if told is None else style + keep[:, None] * told)
