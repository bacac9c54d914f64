"""Conversions between bytes and the range [-1, 1]: levels, channels and polarity; and the check of image arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from meta_gan.checks import IMAGE_AXES, check_examples, check_shape
from meta_gan.tasks.errors import DataError, data_errors

LEVELS = (np.arange(256) / 127.5 - 1.0).astype(np.float32)
"""float32[256]: level x as x / 127.5 - 1. A table, so that eager, graph and compiled code agree exactly."""

_TOGETHER = 2**20
"""Values that are converted at a time."""
LIGHT_ON_DARK, DARK_ON_LIGHT = "light-on-dark", "dark-on-light"


def to_float(images: np.ndarray) -> np.ndarray:
    """Return uint8 levels as float32 in [-1, 1].

    Example:
        >>> to_float(np.array([0, 255], np.uint8)).tolist()
        [-1.0, 1.0]
    """
    return LEVELS[images]


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Return floats in [-1, 1] as the nearest uint8 levels; values outside are clipped first.

    Example:
        >>> to_uint8(np.array([-1.0, 0.0, 1.0])).tolist()
        [0, 128, 255]
    """
    return np.rint((np.clip(images, -1.0, 1.0) + 1.0) * 127.5).astype(np.uint8)


def luminance(images: np.ndarray) -> np.ndarray:
    """Return the ITU-R 601 luminance of uint8[..., 3] as uint8[..., 1]; equal channels keep their level."""
    pixels = images.reshape(-1, 3)
    grey = np.empty(len(pixels), np.uint8)
    # In parts, since four bytes a channel are held.
    for start in range(0, len(pixels), _TOGETHER):
        weighted = pixels[start : start + _TOGETHER].astype(np.uint32) @ np.array([299, 587, 114], np.uint32)
        grey[start : start + _TOGETHER] = (weighted + 500) // 1000
    return grey.reshape(*images.shape[:-1], 1)


def to_channels(images: np.ndarray, channels: int) -> np.ndarray:
    """Return uint8[..., c] with `channels` channels: 3 to 1 by luminance, 1 to many by repetition, else a DataError."""
    have = images.shape[-1]
    if have == channels:
        return images
    if have == 3 and channels == 1:
        return luminance(images)
    if have == 1:
        return np.repeat(images, channels, axis=-1)
    raise DataError(f"images of {have} channels cannot become images of {channels} channels. Received: {images.shape}")


def votes(images: np.ndarray) -> tuple[int, int]:
    """Return how many of uint8[n, height, width, channels] are light on dark, and how many are dark on light.

    The background of an image is the median level of its border (the outermost row or column on each side). An image
    is dark on light if that level is closer to its brightest level than to its darkest, and light on dark if it is
    closer to the darkest. It is counted as neither if the level is half way, as in an image of one level. Extremes are
    used, not means, because a photo of paper is often darker at its edges than in the middle.
    """
    step = max(1, _TOGETHER // images[0].size) if len(images) else 1
    counts = [_votes(images[start : start + step]) for start in range(0, len(images), step)]
    return sum(light for light, _ in counts), sum(dark for _, dark in counts)


def _votes(images: np.ndarray) -> tuple[int, int]:
    grey = images.astype(np.float32).mean(axis=-1)
    border = [grey[:, 0, :], grey[:, -1, :], grey[:, 1:-1, 0], grey[:, 1:-1, -1]]
    background = np.median(np.concatenate(border, axis=1), axis=1)
    middle = (grey.min(axis=(1, 2)) + grey.max(axis=(1, 2))) / 2
    return int((background < middle).sum()), int((background > middle).sum())


def polarity_of(images: np.ndarray, at_most: int = 2000) -> str:
    """Return "dark-on-light" if more of `at_most` evenly spaced images are so, else "light-on-dark"; see `votes`.

    Example:
        >>> polarity_of(np.pad(np.full((1, 2, 2, 1), 255, np.uint8), ((0, 0), (3, 3), (3, 3), (0, 0))))
        'light-on-dark'
    """
    stride = -(-len(images) // at_most)
    light, dark = votes(images[::stride])
    return DARK_ON_LIGHT if dark > light else LIGHT_ON_DARK


def check_images(images: ArrayLike, image_shape: Sequence[int], argument: str = "support") -> np.ndarray:
    """Return images as float32 in [-1, 1] after checking them.

    Args:
        images: uint8[n, height, width, channels] in 0..255, or floats of the same shape in [-1, 1], n >= 1.
        image_shape: the (height, width, channels) that the model was built for.
        argument: the name in the message.

    Returns:
        float32[n, height, width, channels] in [-1, 1]; floats at most 0.001 outside are clipped.

    Raises:
        DataError: another rank, shape or dtype, no image, NaN or infinity, or values outside [-1, 1].

    Example:
        >>> check_images(np.zeros((5, 28, 28, 1), np.uint8), (28, 28, 1)).shape
        (5, 28, 28, 1)
    """
    with data_errors():
        return check_examples(images, check_shape(image_shape, "image_shape", IMAGE_AXES), argument)
