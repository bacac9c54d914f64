"""Support-conditioned generator: sees the support images, and fuses them into new examples of their class.

Every sample starts from one support image, the anchor, and leans towards another, the partner; both are chosen by
the first two numbers of z. Features of the whole set, matched place by place, say how the two and the others
differ; a decoder turns them and z into a smooth warp of the anchor, a threshold of its ink, and a correction of what
a warp cannot do. So a class that was never seen is drawn from what is there, and varied as training classes vary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from meta_gan.checks import check_choice, check_integer, check_number
from meta_gan.layers import FiLM, MetaBatchNormalization, UpsampleNearest, warping
from meta_gan.layers.resizing import bilinear_matrix
from meta_gan.networks.base import Generator, seeded_normal
from meta_gan.networks.fusion_parts import (
    Matching,
    Pyramid,
    Renderer,
    convolution,
    dense,
    leaky,
    require_sides,
    require_support,
)

NORMALIZATIONS = ("meta", "none")
CHOICES = 2
"""The leading numbers of z that choose support images and vary nothing else."""
_STYLE, _SUMMARY, _KEY, _VALUE, _NOISE = 96, 64, 32, 32, 8
_SMALL = 0.02  # of readouts that start as nearly nothing: the first samples are support images, matched half way


def choose(u: Any, count: Any) -> Any:
    """Return int32[n] in [0, count): standard normal numbers `u` float[n] as equally likely choices of `count`."""
    share = 0.5 * (1.0 + tf.math.erf(u / math.sqrt(2.0)))
    return tf.minimum(tf.cast(share * tf.cast(count, u.dtype), tf.int32), count - 1)


@keras.saving.register_keras_serializable("meta_gan")
class FusionGenerator(Generator):
    """Draws new examples of a class from z and its support images.

    Args:
        example_shape: (height, width, channels), sides multiples of 4 from 8 to 64.
        latent_dim: int >= 3; `stratified` = 2 of them choose the anchor and the partner.
        width: int >= 1, features at full size.
        embedding_dim: int >= 0, the size of the task code; 0 for none.
        normalization: "meta", `MetaBatchNormalization` on the style, or "none", `FiLM` alone.
        detail: int >= 1, fine pixels along a pixel in the renderer.
        temperature: float > 0, what z, beyond the choices, is multiplied by when not training: above 1 samples lie
            farther from their anchors and from one another than in training.
        seed: int >= 0, of the initial weights.
        **kwargs: `name`, `dtype` and the other arguments of a Keras model.

    `call(z, conditioning)` takes a dict with `support` float[k, *example_shape], any k >= 1, and with `embedding_dim` > 0
    `code` float[embedding_dim]. Row i depends on row i of z alone.

    Raises:
        ValueError: if an argument is out of range, or the conditioning lacks an entry.

    Example:
        >>> generator = FusionGenerator((28, 28, 1), latent_dim=16, width=8)
        >>> generator(tf.zeros([3, 16]), conditioning={"support": tf.zeros([5, 28, 28, 1])}).shape
        TensorShape([3, 28, 28, 1])

    References:
        Hong et al., F2GAN: Fusing-and-Filling GAN for Few-shot Image Generation, 2020, for fusing support images by
        attention and filling in what is missing. We depart in warping one image on a fine grid, instead of adding
        features of several, and in what the warp is told: where each place of one image lies in the others.
    """

    sees_support = True
    stratified = CHOICES

    def __init__(
        self,
        example_shape: Sequence[int],
        latent_dim: int = 64,
        width: int = 16,
        embedding_dim: int = 0,
        normalization: str = "meta",
        detail: int = 2,
        seed: int = 0,
        temperature: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(example_shape, latent_dim, seed, **kwargs)
        self.sides = require_sides(example_shape)
        check_integer(latent_dim, "latent_dim", CHOICES + 1)
        self.width, self.embedding_dim = (
            check_integer(width, "width", 1),
            check_integer(embedding_dim, "embedding_dim", 0),
        )
        self.normalization = check_choice(normalization, "normalization", NORMALIZATIONS)
        self.detail, self.temperature = (
            check_integer(detail, "detail", 1),
            check_number(temperature, "temperature", above=0),
        )
        self._make_encoder()
        self._make_decoder()
        self.build((None, self.latent_dim))

    def _make_encoder(self) -> None:
        make, policy, (height, width, channels) = seeded_normal(self.seed, "fusion"), self.dtype_policy, self.sides
        quarter = (height // 4, width // 4)
        self.pyramid = Pyramid(channels, self.width, make, name="pyramid", dtype=policy)
        self.matching = Matching(quarter, 4 * self.width, _KEY, _VALUE, make, name="matching", dtype=policy)
        pooled = 4 * self.width * (quarter[0] // 2) * (quarter[1] // 2)
        self.summary = dense(make, pooled, _SUMMARY, "summary", policy)
        told = self.latent_dim - CHOICES + 3 * _SUMMARY + self.embedding_dim
        self.style = [
            dense(make, told, 128, "style_0", policy),
            dense(make, 128, _STYLE, "style_1", policy),
        ]
        self.noise = dense(make, self.latent_dim - CHOICES, quarter[0] * quarter[1] * _NOISE, "noise", policy)

    def _make_decoder(self) -> None:
        make, policy, w = seeded_normal(self.seed, "fusion_decoder"), self.dtype_policy, self.width
        given = 2 * 4 * w + _NOISE + _VALUE + 4
        self.quarter = [convolution(make, given, 4 * w, "quarter_0", policy)]
        self.quarter.append(convolution(make, 4 * w, 4 * w, "quarter_1", policy))
        self.half = [convolution(make, 4 * w + 2 * w, 3 * w, "half_0", policy)]
        self.half.append(convolution(make, 3 * w, 3 * w, "half_1", policy))
        self.to_full = convolution(make, 3 * w, w, "to_full", policy, 1)
        self.full = [convolution(make, w + 2 * self.sides[2], w, "full_0", policy)]
        self.full.append(convolution(make, w, w, "full_1", policy))
        self.modulations = [
            self._modulation(x.filters, i) for i, x in enumerate([*self.quarter, *self.half, *self.full])
        ]
        small = seeded_normal(self.seed, "fusion_readouts")

        def tiny(fan_in: int, slope: float) -> Any:
            return small(fan_in / _SMALL**2, slope)

        self.local_shift = convolution(tiny, 3 * w, 2, "local_shift", policy)
        self.correction = convolution(tiny, w, 2 * self.sides[2], "correction", policy)
        # Six numbers of an affine map, two shares of the matched shifts, threshold and contrast.
        self.globals = dense(tiny, _STYLE, 10, "globals", policy)
        self.twice = UpsampleNearest(2, name="twice", dtype=policy)
        self.renderer = Renderer(self.sides[:2], self.detail, name="renderer", dtype=policy)

    def _modulation(self, channels: int, index: int) -> keras.layers.Layer:
        options = {
            "initial_deviation": 0.05,
            "seed": self.seed + 7 * index,
            "name": f"modulation_{index}",
            "dtype": self.dtype_policy,
        }
        layer = MetaBatchNormalization(blend=0.9, **options) if self.normalization == "meta" else FiLM(**options)
        layer.build((None, None, None, channels), (None, _STYLE))
        return layer

    def call(self, z: Any, conditioning: Any = None, training: bool = False) -> Any:
        """Return examples float[n, *example_shape] of `z` float[n, latent_dim], for the support set in `conditioning`."""
        support, code = require_support(conditioning, type(self).__name__, self.embedding_dim)
        count = tf.shape(support)[0]
        anchor, partner = choose(z[:, 0], count), choose(z[:, 1], count)
        _, half, quarter = self.pyramid(support)
        noise = z[:, CHOICES:] if training else self.temperature * z[:, CHOICES:]
        style = self._style(noise, quarter, code, anchor, partner)
        shifts, gathered = self.matching(quarter)
        towards = tf.gather_nd(shifts, tf.stack([partner, anchor], axis=-1))
        mean = tf.gather(tf.reduce_mean(shifts, axis=0), anchor)
        told = tf.concat([tf.gather(gathered, anchor), towards, mean], axis=-1)
        x = self._decode(noise, half, quarter, told, style, anchor, partner)
        settings = self.globals(style)
        local = self._shift(x, towards, mean, settings)
        threshold, contrast = (settings[:, i, None, None, None] for i in (8, 9))
        sharp, plain = self.renderer(support, anchor, local, threshold, contrast)
        return self._finish(x, sharp, plain, style)

    def _style(self, z: Any, quarter: Any, code: Any, anchor: Any, partner: Any) -> Any:
        """Return float[n, style]: z, the task's code, the set's mean, and how anchor and partner differ from it."""
        pooled = tf.nn.avg_pool2d(quarter, 2, 2, "VALID")
        each = self.summary(tf.reshape(pooled, [tf.shape(pooled)[0], -1]))
        mean = tf.reduce_mean(each, axis=0, keepdims=True)
        rows = [mean] if code is None else [mean, code[None]]
        tiled = [tf.repeat(row, tf.shape(z)[0], axis=0) for row in rows]
        told = tf.concat([z, *tiled, tf.gather(each, anchor) - mean, tf.gather(each, partner) - mean], axis=-1)
        return leaky(self.style[1](leaky(self.style[0](told))))

    def _decode(self, z: Any, half: Any, quarter: Any, told: Any, style: Any, anchor: Any, partner: Any) -> Any:
        """Return features float[n, h/2, w/2, 3 width]."""
        height, width = self.sides[0] // 4, self.sides[1] // 4
        rows = tf.shape(z)[0]
        maps = [tf.reshape(self.noise(z), [rows, height, width, _NOISE])]
        maps.append(tf.reshape(told, [rows, height, width, _VALUE + 4]))
        x = tf.concat([tf.gather(quarter, anchor), tf.gather(quarter, partner), *maps], axis=-1)
        for layer, modulate in zip(self.quarter, self.modulations[:2], strict=True):
            x = leaky(modulate(layer(x), style))
        x = tf.concat([self.twice(x), tf.gather(half, anchor)], axis=-1)
        for layer, modulate in zip(self.half, self.modulations[2:4], strict=True):
            x = leaky(modulate(layer(x), style))
        return x

    def _shift(self, x: Any, towards: Any, mean: Any, settings: Any) -> Any:
        """Return the whole warp float[n, h/2, w/2, 2]: local, towards partner and mean, and affine."""
        height, width = self.sides[0] // 4, self.sides[1] // 4
        shares = settings[:, 6:8, None, None] + 0.5
        matched = tf.reshape(shares[:, 0] * towards + shares[:, 1] * mean, [-1, height, width, 2])
        local = self.local_shift(x) + warping.resize(matched, bilinear_matrix(height, 2), bilinear_matrix(width, 2))
        # Averaged over 3x3, a warp folds strokes less.
        local = tf.nn.avg_pool2d(local, 3, 1, "SAME")
        grid = tf.cast(warping.grid(2 * height, 2 * width), x.dtype)
        affine = tf.reshape(settings[:, :6], [-1, 1, 1, 2, 3])
        return local + tf.reduce_sum(affine[..., :2] * grid[None, :, :, None, :], axis=-1) + affine[..., 2]

    def _finish(self, x: Any, sharp: Any, plain: Any, style: Any) -> Any:
        """Return the rendered image with the decoder's contrast and correction, in logits of the pixel's level."""
        y = tf.concat([sharp, plain, self.twice(self.to_full(x))], axis=-1)
        for layer, modulate in zip(self.full, self.modulations[4:], strict=True):
            y = leaky(modulate(layer(y), style))
        gain, offset = tf.split(self.correction(y), 2, axis=-1)
        # Levels of exactly -1 and 1 have infinite logits.
        level = tf.atanh(0.97 * self.renderer.mix(sharp, plain))
        return tf.tanh(level * (1.0 + gain) + offset)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        own = {"width": self.width, "embedding_dim": self.embedding_dim, "normalization": self.normalization}
        return {**super().get_config(), **own, "detail": self.detail, "temperature": self.temperature}
