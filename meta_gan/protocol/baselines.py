"""The plain augmentations that a model has to beat, with the face of a model: `adapt`, then `sample`.

They learn nothing. Image i is made from support image i modulo k by draws of (seed, i), so that it depends neither on
the count nor on the other images. `Affine` is data augmentation as one would do it with care: at four times the
resolution, so that thin strokes survive two interpolations.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from meta_gan.checks import check_integer, check_number
from meta_gan.tasks.pixels import check_images, to_uint8

ZOOM = 4
CHUNK = 2**21  # values that are warped at once

Change = Callable[[np.ndarray, list[np.random.Generator]], np.ndarray]


class AdaptedBaseline:
    """What `Baseline.adapt` returns: images of the class by a fixed recipe.

    Args:
        images: float32[k, height, width, channels] in [-1, 1], taken in turn.
        change: from float32[n, height, width, channels] and a generator for each to the changed images.
    """

    def __init__(self, images: np.ndarray, change: Change):
        self.images, self.change = images, change

    def sample(self, count: int, seed: int = 0) -> np.ndarray:
        """Makes images of the class.

        Args:
            count: how many, >= 1.
            seed: int32 range; the same seed gives the same images; image i does not depend on `count`.

        Returns:
            float32[count, height, width, channels] in [-1, 1].

        Raises:
            ValueError: `count` below 1, or a seed outside the int32 range.
        """
        count, key = check_integer(count, "count", 1), check_integer(seed, "seed") % 2**32
        draws = [np.random.default_rng([key, i]) for i in range(count)]
        return self.change(self.images[np.arange(count) % len(self.images)], draws)


@dataclass(frozen=True)
class Baseline(ABC):
    """What the plain augmentations share."""

    name: ClassVar[str]

    def adapt(self, support: Any, steps: int | None = None, seed: int = 0) -> AdaptedBaseline:
        """Takes a support set; nothing is learned, so `steps` and `seed` change nothing.

        Args:
            support: uint8[k, height, width, channels], or floats of that shape in [-1, 1], k >= 1.
            steps: ignored, there because a model has it.
            seed: likewise; the seed of `sample` counts.

        Returns:
            An `AdaptedBaseline`.

        Raises:
            ValueError: a support of another rank, range or dtype, with NaN, or empty.

        Example:
            >>> Shift(pixels=2).adapt(np.zeros((5, 28, 28, 1), np.uint8)).sample(100, seed=0).shape
            (100, 28, 28, 1)
        """
        return self.adapted(check_images(support, np.shape(support)[1:]))

    @abstractmethod
    def adapted(self, support: np.ndarray) -> AdaptedBaseline:
        """Does what `adapt` promises, with a support of float32[k, height, width, channels] in [-1, 1]."""


@dataclass(frozen=True)
class Copy(Baseline):
    """The support images, in turn."""

    name: ClassVar[str] = "copy"

    def adapted(self, support: np.ndarray) -> AdaptedBaseline:
        return AdaptedBaseline(support, lambda images, draws: images)


@dataclass(frozen=True)
class Repeat(Baseline):
    """The first support image, again and again: a control that every score should see through."""

    name: ClassVar[str] = "one image repeated"

    def adapted(self, support: np.ndarray) -> AdaptedBaseline:
        return AdaptedBaseline(support[:1], lambda images, draws: images)


@dataclass(frozen=True)
class Shift(Baseline):
    """The support images moved by whole pixels, down and right by two draws from -pixels..pixels; (0, 0) may occur.

    Args:
        pixels: greatest shift in each direction, >= 0. What is uncovered becomes `background`.

    Raises:
        ValueError: `pixels` below 0.
    """

    pixels: int = 2
    name: ClassVar[str] = "shift"

    def __post_init__(self) -> None:
        check_integer(self.pixels, "pixels", 0)

    def adapted(self, support: np.ndarray) -> AdaptedBaseline:
        return AdaptedBaseline(support, self._change)

    def _change(self, images: np.ndarray, draws: list[np.random.Generator]) -> np.ndarray:
        moves = np.stack([draw.integers(-self.pixels, self.pixels + 1, 2) for draw in draws])
        _, height, width, _ = images.shape
        rows, columns = (np.arange(size) - moves[:, axis, None] for axis, size in enumerate((height, width)))
        inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None]
        which = np.arange(len(images))[:, None, None]
        moved = images[which, rows[:, :, None] % height, columns[:, None] % width]
        return np.where(inside[..., None], moved, background(images)[:, None, None])


@dataclass(frozen=True)
class Affine(Baseline):
    """The support images under random affine maps about their centre: scaled, sheared, turned, then moved.

    Bilinear both ways at 4 times the resolution, averaged back; on drawings (see `is_drawing`) ink x of [0, 1] then
    becomes (x - .25) / .5, clipped. What is uncovered becomes `background`. Each draw is uniform in its range.

    Args:
        rotation: greatest angle, radians, either way; positive turns counter-clockwise.
        scale: greatest departure of the size from 1, in [0, 1).
        shear: greatest horizontal shear, either way.
        pixels: greatest shift, pixels, in each direction.

    Raises:
        ValueError: an argument below 0 or not finite, or `scale` of 1 or more.
    """

    rotation: float = 0.25
    scale: float = 0.15
    shear: float = 0.2
    pixels: float = 2.0
    name: ClassVar[str] = "affine"

    def __post_init__(self) -> None:
        for name, end in (("rotation", np.inf), ("scale", 1), ("shear", np.inf), ("pixels", np.inf)):
            check_number(getattr(self, name), name, least=0, below=end)

    def adapted(self, support: np.ndarray) -> AdaptedBaseline:
        drawing = is_drawing(support)

        def change(images: np.ndarray, draws: list[np.random.Generator]) -> np.ndarray:
            warped = self._warped(images, draws)
            # (x - .25) / .5 of ink x = (v + 1) / 2 is 2 v; of ink (1 - v) / 2, dark on light, as well.
            return np.clip(2 * warped, -1, 1) if drawing else warped

        return AdaptedBaseline(support, change)

    def _warped(self, images: np.ndarray, draws: list[np.random.Generator]) -> np.ndarray:
        angle, size, slant, down, right = np.stack([draw.uniform(-1, 1, 5) for draw in draws]).T
        cosine, sine = np.cos(self.rotation * angle), np.sin(self.rotation * angle)
        size, slant = 1 + self.scale * size, self.shear * slant
        # In (row, column), rows downwards; `back` leads from a point of the new image to one of the old.
        turn = np.array([[cosine, -sine], [sine, cosine]])
        lean = np.array([[size, 0 * size], [size * slant, size]])
        back = np.linalg.inv(np.einsum("ijn,jkn->nik", turn, lean))
        moves = self.pixels * np.stack([down, right], axis=1)
        step = max(1, CHUNK // (ZOOM**2 * images[0].size))
        starts = range(0, len(images), step)
        return np.concatenate([warp(*(a[i : i + step] for a in (images, back, moves))) for i in starts])


def warp(images: np.ndarray, back: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """Draws images anew under affine maps at 4 times their resolution, and averages back.

    Args:
        images: float32[n, height, width, channels].
        back: float[n, 2, 2], from (row, column) about the centre of a new image to those of the old one.
        moves: float[n, 2], pixels down and right, in the new image.

    Returns:
        float32[n, height, width, channels]; what lies outside of the old image is its `background`.
    """
    count, height, width, channels = images.shape
    rows, columns, stride = height * ZOOM, width * ZOOM, width * ZOOM + 2
    framed = np.empty((count, rows + 2, stride, channels), np.float32)
    framed[:] = background(images)[:, None, None]
    framed[:, 1:-1, 1:-1] = _enlarged(_enlarged(images, 1), 2)
    centre = (np.array([rows, columns]) - 1) / 2
    new = np.indices((rows, columns)).reshape(2, -1).T - centre - ZOOM * moves[:, None]
    # One pixel further by the frame, which stands for all that lies outside.
    old = np.clip(new @ back.swapaxes(1, 2) + centre + 1, 0, [rows + 1, columns + 1])
    # The last pixel of the frame is reached with a weight of 1 from the one before it.
    corner = np.minimum(old.astype(np.intp), [rows, columns])
    down, right = np.moveaxis(old - corner, -1, 0).astype(np.float32)[..., None]
    index = (np.arange(count)[:, None] * (rows + 2) + corner[..., 0]) * stride + corner[..., 1]
    pixels = framed.reshape(-1, channels)
    upper, lower = (pixels[i] * (1 - right) + pixels[i + 1] * right for i in (index, index + stride))
    fine = upper * (1 - down) + lower * down
    return fine.reshape(count, height, ZOOM, width, ZOOM, channels).mean(axis=(2, 4))


def _enlarged(images: np.ndarray, axis: int) -> np.ndarray:
    """Linear interpolation between pixels' centres along an axis; constant beyond the outermost."""
    size = images.shape[axis]
    centres = np.clip((np.arange(size * ZOOM) + 0.5) / ZOOM - 0.5, 0, size - 1)
    low = centres.astype(np.intp)
    part = np.expand_dims((centres - low).astype(np.float32), tuple(i for i in range(images.ndim) if i != axis))
    high = np.minimum(low + 1, size - 1)
    return np.take(images, low, axis) * (1 - part) + np.take(images, high, axis) * part


def background(images: np.ndarray) -> np.ndarray:
    """float32[n, channels], the median level of each image's border: the outermost row or column on each side."""
    sides = [images[:, 0], images[:, -1], images[:, 1:-1, 0], images[:, 1:-1, -1]]
    return np.median(np.concatenate(sides, axis=1), axis=1)


def is_drawing(images: np.ndarray) -> bool:
    """Tells whether images, float32[n, height, width, channels] in [-1, 1] judged together, are drawings.

    The greys of drawings are the soft edges of strokes: there is one channel, at least 65 % of all pixels are within 32
    levels of black or white, and at most 15 % of the others are away from an edge (levels differ by less than 128 in
    the 3 x 3 pixels around). The first share alone does not tell scans of digits (USPS) from shoes (Fashion-MNIST).
    """
    if images.shape[-1] != 1:
        return False
    levels = to_uint8(images[..., 0])
    grey = (levels > 32) & (levels < 223)
    around = sliding_window_view(np.pad(levels, ((0, 0), (1, 1), (1, 1)), mode="edge"), (3, 3), axis=(1, 2))
    flat = around.max(axis=(3, 4)) - around.min(axis=(3, 4)) < 128
    return bool(grey.mean() <= 0.35 and (grey & flat).sum() <= 0.15 * grey.sum())
