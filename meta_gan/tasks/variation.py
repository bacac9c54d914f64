"""Families of variation: random changes of a picture, alike in kind and strength within a task.

`vary` draws, for each task, which changes there are and how strong they are, and then changes every picture of the task
with its own draws. It is a pure function of a key in TensorFlow operations, for pictures of any size.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from meta_gan.tasks.colours import random_colours, smooth_noise
from meta_gan.tasks.sampling import ALGORITHM
from meta_gan.types import Tensor

_NUMBERS = 192  # more than all draws of `vary` and of `colours` together
_BLOCK = 8  # side of the blocks of the lossy compression, as in JPEG


class Draws:
    """Random numbers of a key: each call takes the next of one block, which is far fewer operations than to draw anew.

    Args:
        key: int32[2].
        tasks: number of tasks.
        count: pictures of each task.
    """

    def __init__(self, key: Tensor, tasks: int, count: int) -> None:
        """See the class."""
        self.tasks, self.count, self._taken, self._fields = tasks, count, 0, 0
        block, self._key = tf.unstack(tf.random.split(key, 2, alg=ALGORITHM))
        self._block = tf.random.stateless_uniform([tasks, count + 1, _NUMBERS], block, alg=ALGORITHM)

    def _take(self, pictures: slice, shape: tuple[int, ...]) -> Tensor:
        start, self._taken = self._taken, self._taken + math.prod(shape)
        assert self._taken <= _NUMBERS
        taken = self._block[:, pictures, start : self._taken]
        return tf.reshape(taken, [*taken.shape[:2], *shape])

    def task(self, *shape: int) -> Tensor:
        """Return float32[tasks, 1, *shape], uniform in [0, 1)."""
        return self._take(slice(0, 1), shape)

    def strength(self, most: float, present: float = 0.5) -> Tensor:
        """Return float32[tasks, 1], 0 with probability 1 - present, else uniform in [0, most)."""
        size, chance = tf.unstack(self.task(2), axis=-1)
        return tf.where(chance < present, most * size, 0.0)

    def each(self, *shape: int) -> Tensor:
        """Return float32[tasks, count, *shape], uniform in [-1, 1)."""
        return 2.0 * self._take(slice(1, None), shape) - 1.0

    def normal(self, *shape: int) -> Tensor:
        """Return float32[tasks, count, *shape], standard normal."""
        self._fields += 1
        key = tf.random.fold_in(self._key, self._fields, alg=ALGORITHM)
        return tf.random.stateless_normal([self.tasks, self.count, *shape], key, alg=ALGORITHM)


class Limits(NamedTuple):
    """The largest strength of every variation; a strength of 0 leaves it out.

    Attributes:
        rotation: radians.
        scale: of the natural logarithm of the size; crops are its positive draws.
        shear: horizontal shift per row.
        shift: relative to the side.
        bend: standard deviation of a smooth displacement, relative to the side.
        stroke: share of the way to the lightest, or darkest, level in a 3 x 3 neighbourhood, in [0, 1].
        light: change of contrast and of brightness, and of brightness across the picture, in levels of [-1, 1].
        cast: change of each channel, in levels of [-1, 1]; of pictures in colour alone.
        background: probability that a picture on an even background gets another.
        blur: standard deviation of a Gaussian, in pixels of a side of 32.
        compression: step of the quantised frequencies of 8 x 8 blocks, in levels of [-1, 1].
        noise: standard deviation, in levels of [-1, 1].
        occlusion: side of a rectangle that hides a part, relative to the picture's.
    """

    rotation: float = 0.5
    scale: float = 0.3
    shear: float = 0.3
    shift: float = 0.12
    bend: float = 0.05
    stroke: float = 1.0
    light: float = 0.5
    cast: float = 0.3
    background: float = 0.5
    blur: float = 1.2
    compression: float = 0.5
    noise: float = 0.15
    occlusion: float = 0.4


LIMITS = Limits()


def vary(images: Tensor, key: Tensor, limits: Limits = LIMITS) -> Tensor:
    """Change pictures by a family of variation drawn for each task.

    Each kind of change is present in a task with probability one half, with a strength drawn for the task; each picture
    of the task then has its own draw of that strength. So the pictures of one task differ in the same ways, to the same
    degree, and those of another task in other ways.

    Args:
        images: float32[tasks, count, height, width, channels] in [-1, 1], of static shape.
        key: int32[2]; the same key gives the same changes.
        limits: the largest strengths.

    Returns:
        float32 of the same shape in [-1, 1].

    Example:
        >>> vary(tf.zeros([2, 5, 32, 32, 3]), tf.constant([0, 1])).shape
        TensorShape([2, 5, 32, 32, 3])
    """
    tasks, count = images.shape[:2]
    draws = Draws(key, tasks, count)
    for change in CHANGES:
        images = change(images, draws, limits)
    return tf.clip_by_value(images, -1.0, 1.0)


def _sides(images: Tensor) -> tuple[int, int]:
    return images.shape[2], images.shape[3]


def _spread(values: Tensor) -> Tensor:
    """Return values float32[tasks, count] (or [tasks, 1]) with axes for rows, columns and channels."""
    return values[..., None, None, None]


def _warped(images: Tensor, draws: Draws, limits: Limits) -> Tensor:
    """Pose and elastic bend: the pictures sampled at moved points; beyond the border they continue as at it."""
    height, width = _sides(images)
    side = float(max(height, width))
    angle = draws.strength(limits.rotation) * draws.each()
    size = tf.exp(-draws.strength(limits.scale) * draws.each())
    lean = draws.strength(limits.shear) * draws.each()
    shift = draws.strength(limits.shift)[..., None] * draws.each(2) * side
    cosine, sine = tf.cos(angle) * size, tf.sin(angle) * size
    grid = np.indices((height, width)).astype(np.float32)
    rows, columns = (grid[axis] - (grid[axis].shape[axis] - 1) / 2 for axis in (0, 1))
    cosine, sine, lean = (value[..., None, None] for value in (cosine, sine, lean))
    down = cosine * rows - sine * columns
    right = sine * rows + cosine * columns + lean * rows
    coarse = draws.task() * 4.0 + 3.0  # waves across the picture
    field = smooth_noise(draws.normal(_GRID, _GRID, 2), coarse, height, width)
    field *= _spread(draws.strength(limits.bend)) * side
    down += shift[..., 0, None, None] + field[..., 0] + (height - 1) / 2
    right += shift[..., 1, None, None] + field[..., 1] + (width - 1) / 2
    return sample_bilinear(images, down, right)


_GRID = 12


def sample_bilinear(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Sample pictures between their pixels.

    Args:
        images: float32[tasks, count, height, width, channels].
        rows: float32[tasks, count, h, w], in pixels; clipped to the picture.
        columns: likewise.

    Returns:
        float32[tasks, count, h, w, channels].
    """
    height, width = _sides(images)
    rows, columns = (tf.clip_by_value(v, 0.0, n - 1.0) for v, n in ((rows, height), (columns, width)))
    # The last row and column are reached from the ones before them, with weight 1.
    top, left = (tf.minimum(tf.floor(v), max(n - 2.0, 0.0)) for v, n in ((rows, height), (columns, width)))
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    index = tf.cast(top, tf.int32) * width + tf.cast(left, tf.int32)
    flat = tf.reshape(images, [*images.shape[:2], height * width, images.shape[-1]])
    row, column = (width if height > 1 else 0), (1 if width > 1 else 0)
    corners = [tf.gather(flat, index + step, batch_dims=2) for step in (0, column, row, row + column)]
    # In this form weights of 0 and 1 give a pixel to the bit.
    upper, lower = (near * (1.0 - right) + far * right for near, far in (corners[:2], corners[2:]))
    return upper * (1.0 - down) + lower * down


def _stroked(images: Tensor, draws: Draws, limits: Limits) -> Tensor:
    """Thicker or thinner strokes: each picture between itself and its lightest or darkest neighbours."""
    amount = _spread(draws.strength(limits.stroke) * draws.each())
    flat = tf.reshape(images, [-1, *images.shape[2:]])
    light = tf.reshape(tf.nn.max_pool2d(flat, 3, 1, "SAME"), images.shape)
    dark = tf.reshape(-tf.nn.max_pool2d(-flat, 3, 1, "SAME"), images.shape)
    return images + tf.maximum(amount, 0.0) * (light - images) + tf.maximum(-amount, 0.0) * (dark - images)


def _backed(images: Tensor, draws: Draws, limits: Limits) -> Tensor:
    """Another background for pictures whose border has one level, in the colours of the task."""
    border = tf.concat([images[:, :, 0], images[:, :, -1], images[:, :, :, 0], images[:, :, :, -1]], axis=2)
    level = tf.reduce_mean(border, axis=2)[:, :, None, None]
    even = tf.reduce_max(tf.math.reduce_std(border, axis=2), axis=-1) < 0.05
    present = (draws.task() < limits.background) & even
    away = tf.reduce_max(tf.abs(images - level), axis=-1, keepdims=True)
    own = tf.clip_by_value(4.0 * away, 0.0, 1.0)  # 1 where a pixel is certainly not background
    paper = random_colours(draws, images.shape[2:])
    return tf.where(_spread(present), own * images + (1.0 - own) * paper, images)


def _lit(images: Tensor, draws: Draws, limits: Limits) -> Tensor:
    """Contrast, brightness, and brightness that changes across the picture."""
    height, width = _sides(images)
    contrast = tf.exp(draws.strength(limits.light) * draws.each())
    brightness = draws.strength(limits.light) * draws.each()
    slope = draws.strength(limits.light)[..., None] * draws.each(2)
    rows, columns = (np.linspace(-1.0, 1.0, n, dtype=np.float32) for n in (height, width))
    ramp = slope[..., 0, None, None] * rows[:, None] + slope[..., 1, None, None] * columns
    return images * _spread(contrast) + _spread(brightness) + ramp[..., None]


def _cast(images: Tensor, draws: Draws, limits: Limits) -> Tensor:
    """A colour cast: another change of each channel."""
    channels = images.shape[-1]
    move = draws.strength(limits.cast)[..., None] * draws.each(channels)
    return images if channels == 1 else images + move[..., None, None, :]


def _blurred(images: Tensor, draws: Draws, limits: Limits) -> Tensor:
    """A Gaussian blur, by a product from the left and from the right."""
    height, width = _sides(images)
    pixels = limits.blur * max(height, width) / 32.0
    # So small a deviation is none at all: the kernel is then exactly the identity.
    deviation = tf.maximum(draws.strength(pixels) * tf.abs(draws.each()), 1e-3)
    kernels = []
    for size in (height, width):
        distance = np.subtract.outer(np.arange(size), np.arange(size)).astype(np.float32)
        kernel = tf.exp(-0.5 * tf.square(distance / deviation[..., None, None]))
        kernels.append(kernel / tf.reduce_sum(kernel, axis=-1, keepdims=True))
    images = tf.einsum("tnij,tnjwc->tniwc", kernels[0], images)
    return tf.einsum("tnij,tnhjc->tnhic", kernels[1], images)


def _cosines(size: int) -> np.ndarray:
    """Return float32[size, size]: the orthonormal cosine transform of every block of 8 along an axis."""
    frequency, place = np.indices((_BLOCK, _BLOCK))
    matrix = np.cos(math.pi * (2 * place + 1) * frequency / (2 * _BLOCK)) * math.sqrt(2 / _BLOCK)
    matrix[0] /= math.sqrt(2)
    return np.kron(np.eye(size // _BLOCK), matrix).astype(np.float32)


def _compressed(images: Tensor, draws: Draws, limits: Limits) -> Tensor:
    """Lossy compression as in JPEG: the frequencies of blocks rounded to multiples of a step, coarser for high ones."""
    height, width = _sides(images)
    pads = [(-size) % _BLOCK for size in (height, width)]
    padded = tf.pad(images, [[0, 0], [0, 0], [0, pads[0]], [0, pads[1]], [0, 0]], "SYMMETRIC") if any(pads) else images
    down, right = (_cosines(size) for size in padded.shape[2:4])
    waves = tf.einsum("ih,tnhwc,jw->tnijc", down, padded, right)
    frequency = np.add.outer(np.arange(padded.shape[2]) % _BLOCK, np.arange(padded.shape[3]) % _BLOCK)
    step = _spread(draws.strength(limits.compression) * tf.abs(draws.each()))
    present, step = step > 0.0, tf.maximum(step, 1e-6) * (0.2 + frequency[..., None].astype(np.float32) / 4.0)
    rounded = tf.einsum("ih,tnijc,jw->tnhwc", down, tf.round(waves / step) * step, right)
    return tf.where(present, rounded[:, :, :height, :width], images)


def _noisy(images: Tensor, draws: Draws, limits: Limits) -> Tensor:
    """Normal noise."""
    deviation = draws.strength(limits.noise) * tf.abs(draws.each())
    return images + _spread(deviation) * draws.normal(*images.shape[2:])


def _occluded(images: Tensor, draws: Draws, limits: Limits) -> Tensor:
    """A rectangle of one colour that hides a part."""
    sides = draws.strength(limits.occlusion, 0.25)[..., None] * tf.abs(draws.each(2))
    centre, colour = 0.5 + 0.5 * draws.each(2), draws.each(images.shape[-1])
    inside = []
    for axis, size in enumerate(_sides(images)):
        place = (np.arange(size, dtype=np.float32) + 0.5) / size
        inside.append(tf.abs(place - centre[..., axis, None]) < sides[..., axis, None] / 2.0)
    hidden = inside[0][..., :, None] & inside[1][..., None, :]
    return tf.where(hidden[..., None], colour[..., None, None, :], images)


Change = Callable[[Tensor, Draws, Limits], Tensor]
CHANGES: tuple[Change, ...] = (
    _stroked,
    _backed,
    _warped,
    _occluded,
    _lit,
    _cast,
    _blurred,
    _noisy,
    _compressed,
)
