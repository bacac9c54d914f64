"""A user's labelled pictures, in the form of a model, and a model's pictures, in the form of the user's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from meta_gan.checks import UNSIGNED, value_range_of
from meta_gan.tasks import DataError
from meta_gan.tasks.media.pictures import resize_images
from meta_gan.tasks.pixels import luminance, polarity_of, to_float
from meta_gan.tasks.readers.arrays import plain_labels, to_levels

LEAST = 3
"""Pictures that every class needs: one to be held out, and a support and a query example to fine-tune on."""
CLASSIFIED_SIDE = 32
"""The longest side, in pixels, of the pictures that the comparison's classifiers are trained on."""


@dataclass(frozen=True, eq=False)
class LabelledPictures:
    """A user's pictures and labels.

    Attributes:
        given: the array X as the user gave it, [n, height, width, channels].
        levels: the same as uint8.
        indices: int32[n], the index of each label in `classes`.
        classes: the distinct labels, sorted, int64[classes] or str[classes].
        unsigned: whether floats are in [0, 1] and not in [-1, 1].
    """

    given: np.ndarray
    levels: np.ndarray
    indices: np.ndarray
    classes: np.ndarray
    unsigned: bool

    @property
    def labels(self) -> np.ndarray:
        """The label of each picture."""
        return self.classes[self.indices]

    @property
    def sizes(self) -> np.ndarray:
        """int64[classes], the number of pictures of each class."""
        return np.bincount(self.indices, minlength=len(self.classes))

    def index_of(self, label: Any) -> int:
        """Return the index of a label.

        Raises:
            ValueError: no picture has this label.
        """
        found = np.flatnonzero(self.classes == label)
        if not len(found):
            raise ValueError(f"'label' must be one of {_few(self.classes)}. Received: {label!r}")
        return int(found[0])

    def of_class(self, index: int) -> np.ndarray:
        """Return the levels of one class, uint8[k, height, width, channels]."""
        return self.levels[self.indices == index]

    def as_given(self, levels: np.ndarray) -> np.ndarray:
        """Return pictures, uint8[n, *shape of a picture of X], with the dtype and range of X."""
        dtype = self.given.dtype
        if dtype == np.bool_:
            return levels >= 128
        if not np.issubdtype(dtype, np.floating):
            return levels.astype(dtype)
        return (levels / 255 if self.unsigned else to_float(levels)).astype(dtype)


def labelled_pictures(images: Any, labels: Any) -> LabelledPictures:
    """Check a user's X and y.

    Args:
        images: uint8[n, height, width, 1 or 3], or other integers in 0..255, or bool; or floats in [-1, 1], or in
            [0, 1] if none is negative.
        labels: int[n] or str[n]; also as objects, bytes, a column [n, 1], or one-hot rows.

    Returns:
        `LabelledPictures`.

    Raises:
        ValueError: another shape, dtype or range, values that are not finite, fewer than two classes, or a class of
            fewer than `LEAST` pictures; the message names it.

    Example:
        >>> labelled_pictures(np.zeros((6, 8, 8, 1)), ["a", "b"] * 3).sizes.tolist()
        [3, 3]
    """
    given = np.asarray(images)
    if given.ndim != 4 or given.shape[-1] not in (1, 3) or not given.size:
        raise DataError(f"'X' must have shape [n, height, width, 1 or 3], n >= 1. Received: shape {given.shape}")
    levels = to_levels(given, "X")
    kinds = plain_labels(labels, len(given), "y")
    kinds = kinds if kinds.dtype.kind == "U" else kinds.astype(np.int64)
    classes, indices = np.unique(kinds, return_inverse=True)
    found = np.bincount(indices)
    if len(classes) < 2:
        raise DataError(f"'y' must be of two or more classes. Received: one, {classes[0].item()!r}")
    if (found < LEAST).any():
        small = int(np.argmin(found))
        raise DataError(
            f"'y' must have {LEAST} or more pictures of every class, of which some are held out. Received: "
            f"{found[small]} of class {classes[small].item()!r} ({(found < LEAST).sum()} of {len(classes)} classes "
            "have too few)"
        )
    unsigned = np.issubdtype(given.dtype, np.floating) and value_range_of(given, "X") == UNSIGNED
    return LabelledPictures(given, levels, indices.astype(np.int32), classes, bool(unsigned))


def in_model_form(pictures: LabelledPictures, image_shape: tuple[int, ...], name: str) -> np.ndarray:
    """Return the user's pictures with the shape of a model's, as uint8.

    Pictures are resized as files are: padded to the model's proportions with the colour of their border, reduced by
    area or enlarged bilinearly. Grey pictures get the model's three channels by repetition.

    Raises:
        ValueError: the pictures are in colour and the model is of grey ones; the message names both.
    """
    shape = pictures.levels.shape[1:]
    if shape[-1] > image_shape[-1]:
        raise DataError(
            f"'X' must be grey pictures for the model {name!r}, of {'x'.join(map(str, image_shape))}; give a model of "
            f"pictures in colour. Received: pictures in colour, of {'x'.join(map(str, shape))}"
        )
    return resize_images(pictures.levels, image_shape)


def is_inverted(levels: np.ndarray, polarity: str | None) -> bool:
    """Return whether pictures have another polarity than the data that a model was trained on.

    Args:
        levels: uint8[n, height, width, channels].
        polarity: "light-on-dark" or "dark-on-light"; None if it is not known, and then the result is False.
    """
    return polarity is not None and polarity_of(levels) != polarity


def classified(levels: np.ndarray) -> np.ndarray:
    """Return pictures as classifiers receive them: averaged over areas to sides of at most `CLASSIFIED_SIDE` pixels."""
    height, width, channels = levels.shape[1:]
    scale = CLASSIFIED_SIDE / max(height, width)
    if scale >= 1:
        return levels
    return resize_images(levels, (max(8, round(height * scale)), max(8, round(width * scale)), channels))


def restore(levels: np.ndarray, image_shape: tuple[int, ...]) -> np.ndarray:
    """Undo `resize_images`: cut off the padding and resize to the original shape.

    Args:
        levels: uint8[n, height, width, channels] of a model.
        image_shape: the (height, width, channels) before; channels that were repeated become one.

    Returns:
        uint8[n, *image_shape].

    Example:
        >>> restore(np.zeros((2, 32, 32, 3), np.uint8), (16, 48, 1)).shape
        (2, 16, 48, 1)
    """
    from PIL import Image

    height, width, channels = image_shape
    if levels.shape[-1] == 3 and channels == 1:
        levels = luminance(levels)
    rows, columns = levels.shape[1:3]
    if (rows, columns) == (height, width):
        return levels
    # The part that a picture fills, see `media.decoding.fit`.
    scale = max(height / rows, width / columns)
    down, across = height / scale, width / scale
    box = ((columns - across) / 2, (rows - down) / 2, (columns + across) / 2, (rows + down) / 2)
    method = Image.Resampling.BILINEAR if scale >= 1 else Image.Resampling.BOX
    made = np.empty((len(levels), height, width, channels), np.uint8)
    for index, each in enumerate(levels):
        picture = Image.fromarray(each[..., 0] if channels == 1 else each).resize((width, height), method, box)
        made[index] = np.asarray(picture).reshape(height, width, channels)
    return made


def _few(classes: np.ndarray) -> str:
    shown = ", ".join(repr(label.item()) for label in classes[:5])
    return shown if len(classes) <= 5 else f"{shown}, ... ({len(classes)} classes)"
