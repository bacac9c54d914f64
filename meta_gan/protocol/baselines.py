"""Baselines: plain augmentations of the support images, with the interface of a model (`adapt`, then `sample`).

They learn nothing. Sample i is made from support image i modulo k with draws of (seed, i), so it depends neither on the
number of samples nor on the other samples.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from meta_gan.checks import check_integer, check_number
from meta_gan.tasks.pixels import check_images, to_uint8

ZOOM = 4
CHUNK = 2**21  # values that are warped at once

Draws = list[np.random.Generator]


class AdaptedBaseline(NamedTuple):
    """A baseline with its support set, float32[k, height, width, channels] in [-1, 1]."""

    baseline: Baseline
    support: np.ndarray

    def sample(self, count: int, seed: int = 0) -> np.ndarray:
        """Make images of the class.

        Args:
            count: number of images, >= 1.
            seed: in the int32 range; the same seed gives the same images.

        Returns:
            float32[count, height, width, channels] in [-1, 1].

        Raises:
            ValueError: an argument is out of range.
        """
        count, key = check_integer(count, "count", 1), check_integer(seed, "seed") % 2**32
        images = self.support[np.arange(count) % len(self.support)]
        return self.baseline.change(images, [np.random.default_rng([key, i]) for i in range(count)], self.support)


@dataclass(frozen=True)
class Baseline(ABC):
    """The base of the baselines."""

    def adapt(self, support: np.ndarray, steps: int | None = None, seed: int = 0) -> AdaptedBaseline:
        """Take a support set.

        Args:
            support: uint8[k, height, width, channels], or floats in [-1, 1], k >= 1.
            steps: ignored; a model's `adapt` has it.
            seed: likewise.

        Returns:
            An `AdaptedBaseline`.

        Raises:
            ValueError: `support` has another rank, range or dtype, is empty or is not finite.

        Example:
            >>> Shift(pixels=2).adapt(np.zeros((5, 28, 28, 1), np.uint8)).sample(100, seed=0).shape
            (100, 28, 28, 1)
        """
        return AdaptedBaseline(self, check_images(support, np.shape(support)[1:]))

    @abstractmethod
    def change(self, images: np.ndarray, draws: Draws, support: np.ndarray) -> np.ndarray:
        """Return changed images: float32[n, height, width, channels], each with its own generator, of a support set."""


@dataclass(frozen=True)
class Copy(Baseline):
    """The support images."""

    def change(self, images: np.ndarray, draws: Draws, support: np.ndarray) -> np.ndarray:
        return images


@dataclass(frozen=True)
class Repeat(Baseline):
    """The first support image, repeated: a control that all scores should detect."""

    def change(self, images: np.ndarray, draws: Draws, support: np.ndarray) -> np.ndarray:
        return np.repeat(support[:1], len(images), axis=0)


@dataclass(frozen=True)
class Shift(Baseline):
    """The support images shifted down and right by whole pixels, both drawn uniformly from -pixels..pixels.

    Args:
        pixels: the largest shift, >= 0. Uncovered pixels get the level of `background`.

    Raises:
        ValueError: `pixels` is below 0.
    """

    pixels: int = 2

    def __post_init__(self) -> None:
        check_integer(self.pixels, "pixels", 0)

    def change(self, images: np.ndarray, draws: Draws, support: np.ndarray) -> np.ndarray:
        moves = np.stack([draw.integers(-self.pixels, self.pixels + 1, 2) for draw in draws])
        _, height, width, _ = images.shape
        rows, columns = (np.arange(size) - moves[:, axis, None] for axis, size in enumerate((height, width)))
        inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None]
        which = np.arange(len(images))[:, None, None]
        moved = images[which, rows[:, :, None] % height, columns[:, None] % width]
        return np.where(inside[..., None], moved, background(images)[:, None, None])


@dataclass(frozen=True)
class Affine(Baseline):
    """The support images under random affine maps about their centre: scaled, sheared, rotated, then shifted.

    This is careful data augmentation: at 4 times the resolution, bilinear both ways and averaged, so that thin strokes
    survive two interpolations. In drawings (see `is_drawing`) the contrast is restored: ink x in [0, 1] becomes
    (x - .25) / .5, clipped. Uncovered pixels get the level of `background`. Each amount is uniform in [-limit, limit].

    Args:
        rotation: radians, >= 0; positive draws turn counter-clockwise.
        scale: change of the size relative to 1, in [0, 1).
        shear: horizontal shear, >= 0.
        pixels: shift in each direction, >= 0.

    Raises:
        ValueError: a limit is out of range.
    """

    rotation: float = 0.25
    scale: float = 0.15
    shear: float = 0.2
    pixels: float = 2.0

    def __post_init__(self) -> None:
        for name, end in (("rotation", np.inf), ("scale", 1), ("shear", np.inf), ("pixels", np.inf)):
            check_number(getattr(self, name), name, least=0, below=end)

    def change(self, images: np.ndarray, draws: Draws, support: np.ndarray) -> np.ndarray:
        angle, size, slant, down, right = np.stack([draw.uniform(-1, 1, 5) for draw in draws]).T
        cosine, sine = np.cos(self.rotation * angle), np.sin(self.rotation * angle)
        size, slant = 1 + self.scale * size, self.shear * slant
        # Coordinates are (row, column), rows downwards; `back` maps points of the new image to the old one.
        turn = np.array([[cosine, -sine], [sine, cosine]])
        lean = np.array([[size, 0 * size], [size * slant, size]])
        back = np.linalg.inv(np.einsum("ijn,jkn->nik", turn, lean))
        moves = self.pixels * np.stack([down, right], axis=1)
        step = max(1, CHUNK // (ZOOM**2 * images[0].size))
        starts = range(0, len(images), step)
        warped = np.concatenate([warp(*(a[i : i + step] for a in (images, back, moves))) for i in starts])
        return restore_contrast(warped, support)


def restore_contrast(images: np.ndarray, support: np.ndarray) -> np.ndarray:
    """Return interpolated images of a support set, with the contrast of drawings (see `is_drawing`) restored."""
    # (x - .25) / .5 of ink x = (v + 1) / 2 is 2 v; so it is for dark ink on light, (1 - v) / 2.
    return np.clip(2 * images, -1, 1) if is_drawing(support) else images


def warp(images: np.ndarray, back: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """Return images under affine maps, computed at 4 times their resolution and averaged.

    Args:
        images: float32[n, height, width, channels].
        back: float[n, 2, 2], the maps from (row, column) about the centre of a new image to those of the old one.
        moves: float[n, 2], the shift of the new image, pixels down and right.

    Returns:
        float32[n, height, width, channels]; pixels from outside an old image have the level of its `background`.
    """
    rows, columns = images.shape[1] * ZOOM, images.shape[2] * ZOOM
    centre = (np.array([rows, columns]) - 1) / 2
    new = np.indices((rows, columns)).reshape(2, -1).T - centre - ZOOM * moves[:, None]
    return sample_at(images, new @ back.swapaxes(1, 2) + centre)


def sample_at(images: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return images sampled at points of 4 times their resolution, bilinearly, and averaged back to theirs.

    Args:
        images: float32[n, height, width, channels].
        points: float[n, 16 * height * width, 2], the (row, column) of each fine pixel's value, in fine pixels.

    Returns:
        float32[n, height, width, channels]; points outside an image have the level of its `background`.
    """
    count, height, width, channels = images.shape
    rows, columns, stride = height * ZOOM, width * ZOOM, width * ZOOM + 2
    framed = np.empty((count, rows + 2, stride, channels), np.float32)
    framed[:] = background(images)[:, None, None]
    framed[:, 1:-1, 1:-1] = enlarge(enlarge(images, 1), 2)
    # Shifted by the frame of one pixel, which represents everything outside.
    old = np.clip(points + 1, 0, [rows + 1, columns + 1])
    # The last pixel of the frame is reached from the one before it, with weight 1.
    corner = np.minimum(old.astype(np.intp), [rows, columns])
    down, right = np.moveaxis(old - corner, -1, 0).astype(np.float32)[..., None]
    index = (np.arange(count)[:, None] * (rows + 2) + corner[..., 0]) * stride + corner[..., 1]
    pixels = framed.reshape(-1, channels)
    upper, lower = (pixels[i] * (1 - right) + pixels[i + 1] * right for i in (index, index + stride))
    fine = upper * (1 - down) + lower * down
    return fine.reshape(count, height, ZOOM, width, ZOOM, channels).mean(axis=(2, 4))


def enlarge(images: np.ndarray, axis: int) -> np.ndarray:
    """Interpolate linearly to 4 times the pixels along an axis; constant beyond the centres of the outermost."""
    size = images.shape[axis]
    centres = np.clip((np.arange(size * ZOOM) + 0.5) / ZOOM - 0.5, 0, size - 1)
    low = centres.astype(np.intp)
    part = np.expand_dims((centres - low).astype(np.float32), tuple(i for i in range(images.ndim) if i != axis))
    high = np.minimum(low + 1, size - 1)
    return np.take(images, low, axis) * (1 - part) + np.take(images, high, axis) * part


def background(images: np.ndarray) -> np.ndarray:
    """Return the median level of each image's outermost rows and columns, float32[n, channels]."""
    sides = [images[:, 0], images[:, -1], images[:, 1:-1, 0], images[:, 1:-1, -1]]
    return np.median(np.concatenate(sides, axis=1), axis=1)


def is_drawing(images: np.ndarray) -> bool:
    """Return whether images, float32[n, height, width, channels] in [-1, 1], are drawings.

    In drawings, greys are the soft edges of strokes: there is one channel, at least 65 % of all pixels are within 32
    levels of black or white, and at most 15 % of the others are away from an edge (levels differ by less than 128 in
    the 3 x 3 pixels around). The first share alone does not separate scanned digits (USPS) from Fashion-MNIST.
    """
    if images.shape[-1] != 1:
        return False
    levels = to_uint8(images[..., 0])
    grey = (levels > 32) & (levels < 223)
    around = sliding_window_view(np.pad(levels, ((0, 0), (1, 1), (1, 1)), mode="edge"), (3, 3), axis=(1, 2))
    flat = around.max(axis=(3, 4)) - around.min(axis=(3, 4)) < 128
    return bool(grey.mean() <= 0.35 and (grey & flat).sum() <= 0.15 * grey.sum())
