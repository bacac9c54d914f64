"""Random colours: papers with gradients and textures, and ink on paper from drawings in grey."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from meta_gan.types import Tensor

if TYPE_CHECKING:
    from meta_gan.tasks.variation import Draws

CONTRAST = 0.8
"""The least difference of ink and paper in luminance, of levels in [-1, 1]."""
_WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)
_GRID = 12


def smooth_noise(noise: Tensor, waves: Tensor, height: int, width: int) -> Tensor:
    """Return noise smoothed to about `waves` waves across a picture, of variance 1 at every pixel.

    Args:
        noise: standard normal float32[tasks, count, k, k, channels].
        waves: float32[tasks, 1], > 0, at most about k / 2 to be representable.
        height: rows of the result.
        width: columns of the result.

    Returns:
        float32[tasks, count, height, width, channels].
    """
    knots = noise.shape[2]
    kernels = []
    for size in (height, width):
        place, knot = (np.arange(n, dtype=np.float32) / max(n - 1, 1) for n in (size, knots))
        distance = np.subtract.outer(place, knot) * 2.0
        kernel = tf.exp(-0.5 * tf.square(distance * waves[..., None, None]))
        kernels.append(kernel / tf.norm(kernel, axis=-1, keepdims=True))
    tall = tf.einsum("txhi,tnijc->tnhjc", kernels[0], noise)
    return tf.einsum("txwj,tnhjc->tnhwc", kernels[1], tall)


def random_colours(draws: Draws, shape: tuple[int, int, int]) -> Tensor:
    """Return papers: one colour for the task, around which those of its pictures differ, with gradient and texture.

    Args:
        draws: the numbers of a key.
        shape: (height, width, channels).

    Returns:
        float32[tasks, count, height, width, channels] in [-1, 1].
    """
    height, width, channels = shape
    colour = 2.0 * draws.task(channels) - 1.0 + draws.strength(0.6)[..., None] * draws.each(channels)
    slope = draws.strength(0.5)[..., None, None] * draws.each(2, channels)
    rows, columns = (np.linspace(-1.0, 1.0, n, dtype=np.float32) for n in (height, width))
    ramp = slope[:, :, None, None, 0] * rows[:, None, None] + slope[:, :, None, None, 1] * columns[:, None]
    texture = smooth_noise(draws.normal(_GRID, _GRID, 1), 1.0 + 5.0 * draws.task(), height, width)
    paper = colour[:, :, None, None] + ramp + draws.strength(0.3)[..., None, None, None] * texture
    return tf.clip_by_value(paper, -1.0, 1.0)


def coloured(ink: Tensor, draws: Draws) -> Tensor:
    """Return drawings in ink on paper, of random colours.

    Half of the tasks have one ink and one paper; in the others the colours of the pictures differ. Ink and paper differ
    in luminance by at least `CONTRAST`, so the drawing stays visible.

    Args:
        ink: float32[tasks, count, height, width, 1] in [0, 1], the share of ink.
        draws: the numbers of a key.

    Returns:
        float32[tasks, count, height, width, 3] in [-1, 1].
    """
    paper = random_colours(draws, (*ink.shape[2:4], 3))
    colour = 2.0 * draws.task(3) - 1.0 + draws.strength(0.6)[..., None] * draws.each(3)
    colour = tf.clip_by_value(colour, -1.0, 1.0)
    behind = tf.reduce_sum(tf.reduce_mean(paper, axis=(2, 3)) * _WEIGHTS, axis=-1, keepdims=True)
    difference = tf.reduce_sum(colour * _WEIGHTS, axis=-1, keepdims=True) - behind
    # Towards the side with more room, unless the ink is far enough away already.
    away = tf.where(behind > 0.0, -CONTRAST, CONTRAST)
    goal = behind + tf.where(tf.abs(difference) < CONTRAST, away, difference)
    # A mixture with black or white has any luminance between, whatever the colour's channels are.
    own = behind + difference
    end = tf.where(goal > own, 1.0, -1.0)
    share = tf.math.divide_no_nan(goal - own, end - own)
    colour += tf.clip_by_value(share, 0.0, 1.0) * (end - colour)
    return ink * colour[:, :, None, None] + (1.0 - ink) * paper
