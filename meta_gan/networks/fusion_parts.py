"""Parts of the fusion networks: features of images at three sizes, matching across a support set, rendering."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from meta_gan.checks import check_shape
from meta_gan.layers import resizing, warping

SLOPE = 0.2
_SHARPNESS = 3.0  # what intensities are multiplied by ahead of tanh: an edge then lies within a pixel of the fine grid
_KEENNESS = 4.0
_SMALLEST, _LARGEST = 8, 64


def require_sides(example_shape: Sequence[int]) -> tuple[int, int, int]:
    """Return the three sides, refused with a ValueError unless both are multiples of 4 from 8 to 64."""
    shape = check_shape(example_shape)
    good = len(shape) == 3 and shape[2] <= 4 and all(n % 4 == 0 and _SMALLEST <= n <= _LARGEST for n in shape[:2])
    if not good:
        raise ValueError(
            f"`example_shape` must be (height, width, channels), sides multiples of 4 from {_SMALLEST} to {_LARGEST}, "
            f"1 to 4 channels. Received: example_shape={tuple(example_shape)}"
        )
    return shape[0], shape[1], shape[2]


def require_support(conditioning: Any, network: str, embedding_dim: int) -> tuple[Any, Any]:
    """Return `(support, code)` of a conditioning, refused with a ValueError if what the network needs is absent."""
    given = sorted(conditioning) if isinstance(conditioning, dict) else type(conditioning).__name__
    needed = ["support", *(["task_embedding"] if embedding_dim else [])]
    if not isinstance(conditioning, dict) or not set(needed) <= set(conditioning):
        raise ValueError(f"`{network}` needs a conditioning with {needed}. Received: {given}")
    return conditioning["support"], conditioning["task_embedding"] if embedding_dim else None


def convolution(
    make: Callable[..., Any], given: int, channels: int, name: str, dtype: Any, kernel: int = 3, strides: int = 1
) -> keras.layers.Conv2D:
    """Return a built convolution from `given` to `channels` channels, its kernel drawn by `make`."""
    layer = keras.layers.Conv2D(
        channels,
        kernel,
        strides=strides,
        padding="same",
        data_format="channels_last",
        kernel_initializer=make(kernel**2 * given, SLOPE),
        name=name,
        dtype=dtype,
    )
    layer.build((None, None, None, given))
    return layer


def dense(make: Callable[..., Any], given: int, units: int, name: str, dtype: Any) -> keras.layers.Dense:
    """Return a built dense layer from `given` to `units`, its kernel drawn by `make`."""
    layer = keras.layers.Dense(units, kernel_initializer=make(given, SLOPE), name=name, dtype=dtype)
    layer.build((None, given))
    return layer


def leaky(x: Any) -> Any:
    """Return the leaky rectifier of slope .2."""
    return tf.nn.leaky_relu(x, SLOPE)


class Pyramid(keras.layers.Layer):
    """Features of images at full, half and quarter size.

    Args:
        channels: of the images.
        width: features at full size; twice and four times as many at half and quarter size.
        make: makes initialisers, see `seeded_normal`.
        **kwargs: `name`, `dtype`.
    """

    def __init__(self, channels: int, width: int, make: Callable[..., Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        policy = self.dtype_policy
        self.full = convolution(make, channels, width, "full", policy)
        self.half = convolution(make, width, 2 * width, "half", policy, 4, 2)
        self.half_again = convolution(make, 2 * width, 2 * width, "half_again", policy)
        self.quarter = convolution(make, 2 * width, 4 * width, "quarter", policy, 4, 2)
        self.quarter_again = convolution(make, 4 * width, 4 * width, "quarter_again", policy)
        self.built = True

    def call(self, images: Any) -> tuple[Any, Any, Any]:
        """Return float[n, h, w, width], [n, h/2, w/2, 2 width] and [n, h/4, w/4, 4 width] of images [n, h, w, c]."""
        full = leaky(self.full(images))
        half = leaky(self.half_again(leaky(self.half(full))))
        return full, half, leaky(self.quarter_again(leaky(self.quarter(half))))


class Matching(keras.layers.Layer):
    """Finds every place of one support image in the others.

    Args:
        sides: (height, width) of the features.
        given: their channels.
        depth: size of the keys.
        values: size of what is gathered.
        make: makes initialisers.
        **kwargs: `name`, `dtype`.
    """

    def __init__(
        self, sides: tuple[int, int], given: int, depth: int, values: int, make: Callable[..., Any], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.places, self.depth, self.values_ = sides[0] * sides[1], depth, values
        self.grid = warping.grid(*sides).reshape(self.places, 2)
        self.key = dense(make, given, depth, "key", self.dtype_policy)
        self.value = dense(make, given, values, "value", self.dtype_policy)
        # Near places match before far ones; a normal of variance 1/4, for keys of length about sqrt(depth).
        self.position = self.add_weight(name="position", shape=(self.places, depth), initializer=make(8, 0.0))
        # The log of what scores are multiplied by: at first a place matches itself alone in its own image.
        self.keenness = self.add_weight(
            name="keenness", shape=(), initializer=keras.initializers.Constant(math.log(_KEENNESS))
        )
        self.built = True

    def call(self, features: Any) -> tuple[Any, Any]:
        """Match all pairs.

        Args:
            features: float[k, h, w, given].

        Returns:
            `(shifts float[k, k, h*w, 2], gathered float[k, h*w, values])`: `shifts[j, i]` is the way from a place in
            image j to its match in image i, in units of half an image; `gathered[j]` the mean over all images of what
            lies at the matches of j's places.
        """
        count = tf.shape(features)[0]
        keys = tf.reshape(self.key(features), [count, self.places, self.depth])
        keys = keys * tf.math.rsqrt(tf.reduce_mean(tf.square(keys), axis=-1, keepdims=True) + 1e-3) + self.position
        flat = tf.reshape(keys, [count * self.places, self.depth])
        scores = tf.matmul(flat, flat, transpose_b=True) * tf.exp(self.keenness) / math.sqrt(self.depth)
        share = tf.nn.softmax(tf.reshape(scores, [count, self.places, count, self.places]), axis=-1)
        grid = tf.cast(self.grid, features.dtype)
        shifts = tf.einsum("jpiq,qc->jipc", share, grid) - grid
        values = tf.reshape(self.value(features), [count, self.places, self.values_])
        gathered = tf.einsum("jpiq,iqc->jpc", share, values) / tf.cast(count, features.dtype)
        return shifts, gathered


class Renderer(keras.layers.Layer):
    """Warps images on a grid finer than their pixels, sharpens there, and averages down again.

    A drawing of 28x28 pixels is a mean over finer pixels of ink or no ink. Warped as it is, it blurs, and a network
    spends itself on undoing that; warped on a finer grid and brought back to ink or no ink before the mean is taken,
    it stays a drawing, and the threshold decides how thick its strokes are. A learned share goes to the image that
    is warped and not sharpened, for pictures that are more than two levels.

    Args:
        sides: (height, width) of the images, multiples of 2; the warp is given at half of them.
        detail: int >= 1, fine pixels along a pixel.
        **kwargs: `name`, `dtype`.
    """

    def __init__(self, sides: tuple[int, int], detail: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.detail = detail
        self.fine = [warping.cubic_matrix(side, detail) for side in sides]
        # Linear at this factor has kinks at every second pixel, which the eye does not see in a smooth shift.
        self.spread = [resizing.bilinear_matrix(side // 2, 2 * detail) for side in sides]
        self.grid = warping.grid(sides[0] * detail, sides[1] * detail)
        self.share = self.add_weight(name="share", shape=(), initializer="zeros")
        self.gain = self.add_weight(name="gain", shape=(), initializer="zeros")
        self.built = True

    def call(self, images: Any, chosen: Any, shift: Any, threshold: Any, contrast: Any) -> tuple[Any, Any]:
        """Render.

        Args:
            images: float[k, h, w, c] in [-1, 1].
            chosen: int32[n], the image of each row.
            shift: float[n, h/2, w/2, 2], from a place to where its colour is taken, in units of half an image.
            threshold: float[n, 1, 1, 1], added to intensities; positive is thicker.
            contrast: float[n, 1, 1, 1], the log of what sharpness is multiplied by.

        Returns:
            `(sharpened, plain)`: float[n, h, w, c] in [-1, 1] each.
        """
        fine = tf.gather(warping.resize(images, *self.fine), chosen)
        positions = tf.cast(self.grid, shift.dtype) + warping.resize(shift, *self.spread)
        warped = warping.sample_at(fine, positions)
        sharp = tf.tanh(_SHARPNESS * (warped * tf.exp(self.gain + contrast) + threshold))
        size = [self.detail, self.detail]
        sharp, plain = (tf.nn.avg_pool2d(x, size, size, "VALID") for x in (sharp, warped))
        return sharp, tf.clip_by_value(plain, -1.0, 1.0)

    def mix(self, sharp: Any, plain: Any) -> Any:
        """Return the learned mean of the two, at first .73 of the sharpened one."""
        share = tf.sigmoid(self.share + 1.0)
        return share * sharp + (1.0 - share) * plain
