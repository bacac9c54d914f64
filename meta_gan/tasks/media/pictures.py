"""`Pictures`, and `load_support`, which reads a user's image files into the shape and polarity of a model.

`decoding` reads one file. Transparency is resolved last and for a whole set at once, by `flatten`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import tensorflow as tf

from meta_gan.checks import IMAGE_AXES, check_choice, check_range, check_shape
from meta_gan.tasks.archive import Archive
from meta_gan.tasks.errors import DataError, data_errors, shown
from meta_gan.tasks.files import join_notes, note_of, read_each, support_files
from meta_gan.tasks.media.decoding import FORMATS, SUFFIXES, fit, read_fitted, read_rgba, read_size, suffixes
from meta_gan.tasks.media.medium import Medium
from meta_gan.tasks.pictures import save_png
from meta_gan.tasks.pixels import (
    DARK_ON_LIGHT,
    LEVELS,
    LIGHT_ON_DARK,
    check_images,
    luminance,
    polarity_of,
    to_channels,
    to_float,
    votes,
)

__all__ = [
    "FORMATS",
    "SUFFIXES",
    "Pictures",
    "Support",
    "fit",
    "flatten",
    "load_files",
    "load_support",
    "read_fitted",
    "read_rgba",
    "read_size",
    "resize_images",
    "suffixes",
]

INVERT, ARRAYS = ("auto", "yes", "no"), ("images", "support")
_FAINT, _CLEAR = 32, 64
"""Levels: a picture of less contrast than the first is blank, and another ground must give the second more."""
_TOGETHER = 2**22
"""Pixels that are composited at a time."""


@dataclass(frozen=True)
class Pictures(Medium):
    """Stored as uint8[n, height, width, channels], levels 0..255; received as float32 of that shape in [-1, 1]."""

    kind: ClassVar[str] = "pictures"
    plural: ClassVar[str] = "images"
    stored: ClassVar[str] = "uint8[n, height, width, channels] with n >= 1"
    suffix: ClassVar[str] = ".png"

    def fits(self, examples: np.ndarray) -> bool:
        return examples.dtype == np.uint8 and examples.ndim == 4 and examples.size > 0

    def seen(self, examples: np.ndarray | tf.Tensor) -> tf.Tensor:
        return tf.gather(tf.constant(LEVELS), tf.cast(examples, tf.int32))

    def describe(self, examples: np.ndarray) -> str:
        height, width, channels = examples.shape[1:]
        return f"{len(examples)} images of {height} x {width} x {channels}, {polarity_of(examples)}"

    def describe_card(self, card: Mapping[str, Any]) -> str:
        return f"polarity {card.get('polarity')}"

    def card(self, examples: np.ndarray) -> dict[str, Any]:
        return {"medium": self.kind, "polarity": polarity_of(examples)}

    def polarity(self, examples: np.ndarray) -> str:
        return polarity_of(examples)

    def read_support(
        self,
        path: str | Path,
        example_shape: tuple[int, ...],
        card: Mapping[str, Any],
        invert: str = "auto",
        on_bad_file: str = "error",
    ) -> tuple[np.ndarray, str | None]:
        """Read pictures as `load_support` does; see `Medium`."""
        polarity = card.get("polarity")
        read = load_support(path, example_shape, invert=invert, polarity=polarity, on_bad_file=on_bad_file)
        return read.images, read.message

    def save(self, path: Path, example: np.ndarray) -> None:
        save_png(path, example)

    def pictures(self, examples: np.ndarray) -> np.ndarray:
        return examples


class Support(NamedTuple):
    """The result of `load_support`.

    Attributes:
        images: float32[shots, height, width, channels] in [-1, 1].
        message: one line on what "auto" decided about inversion, on colours that a grey model cannot have, and on files
            that were skipped or passed over; None if there is nothing to say.
        files: the names of the files read, in the order of `images`.
    """

    images: np.ndarray
    message: str | None
    files: list[str]


def load_support(
    path: str | Path,
    image_shape: Sequence[int],
    *,
    invert: str = "auto",
    polarity: str | None = LIGHT_ON_DARK,
    on_bad_file: str = "error",
) -> Support:
    """Read a user's pictures into the shape and polarity that a model was trained on.

    A folder's PNG, JPEG, BMP, GIF, WebP, TIFF and AVIF files are read in the order of their names: turned upright,
    composited over a contrasting background where transparent, padded with the median colour of the border, resized by
    area, and converted to the model's channels (luminance for one). HEIC is read if `pillow-heif` is registered with
    Pillow. Other files are passed over, and the message names them. With `invert="auto"` pictures are inverted if most
    of them have the other polarity than the model's data, as ink on paper has for a model of white strokes on black.

    A `.npz` file holds the array `images` or `support` in the model's own form, so "auto" leaves it as it is; floats
    without a negative value are read as [0, 1], as in data sets, and the message says so.

    Args:
        path: a folder of image files, one image file, or a `.npz` file.
        image_shape: the model's (height, width, channels).
        invert: "auto", "yes" or "no".
        polarity: of the model's training data, "light-on-dark" or "dark-on-light"; None if it is not known, and then
            "auto" inverts nothing.
        on_bad_file: "error", or "skip" to pass over files that cannot be read and name them in the message.

    Returns:
        A `Support`.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        ValueError: an argument is out of range.
        DataError: there is no image, or a file cannot be read; the message names it.

    Example:
        `images, message, files = load_support("my_five_images/", (28, 28, 1), polarity=tasks.polarity)`
    """
    height, width, channels = check_shape(image_shape, "image_shape", IMAGE_AXES)
    check_choice(invert, "invert", INVERT)
    check_choice(polarity, "polarity", (LIGHT_ON_DARK, DARK_ON_LIGHT, None))
    path = Path(path)
    files, passed = support_files(path, "image", suffixes())
    if path.suffix.lower() == ".npz" and path.is_file():
        images, message = _load_arrays(path, (height, width, channels))
        return Support(-images if invert == "yes" else images, message, [path.name])
    colours, indices, skipped = load_files(files, height, width, on_bad_file)
    levels = to_channels(colours, channels)
    lost = channels == 1 and int(np.ptp(colours.astype(np.int16), axis=-1).max()) > _FAINT
    grey = f"{shown(path)}: the model's images are grey: colours were converted to grey" if lost else None
    inverted, message = _decide(levels, path, polarity) if invert == "auto" else (invert == "yes", None)
    notes = note_of(skipped, "skipped"), note_of(passed, f"{shown(path)}: {len(indices)} images were read; passed over")
    images = to_float(255 - levels if inverted else levels)
    return Support(images, join_notes(grey, message, *notes), [files[index].name for index in indices])


def _load_arrays(path: Path, shape: tuple[int, ...]) -> tuple[np.ndarray, str | None]:
    """Return the arrays of an archive in [-1, 1], and a line if its floats were read as [0, 1]."""
    with Archive(path) as archive:
        found = [name for name in ARRAYS if name in archive.names]
        if not found:
            raise DataError(f"{path}: must hold the array {' or '.join(ARRAYS)}. Received: {archive.names}")
        array = archive[found[0]]
    if array.ndim == 3 and shape[2] == 1:
        array = array[..., None]
    where = f"{shown(path)}:{found[0]}"
    with data_errors(), warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        ranged = check_range(array, shape, where)
    note = f"{where}: floats without a negative value: read as [0, 1], as data sets are" if told else None
    return check_images(ranged, shape, where), note


def _decide(levels: np.ndarray, path: Path, polarity: str | None) -> tuple[bool, str | None]:
    """Return whether to invert, and the line that explains it."""
    if polarity is None:
        return False, None
    light, dark = votes(levels)
    where = shown(path)
    if light == dark:
        return False, f"{where}: no clear polarity ({light} light-on-dark, {dark} dark-on-light): not inverted"
    theirs, count = (DARK_ON_LIGHT, dark) if dark > light else (LIGHT_ON_DARK, light)
    found = f"{where}: {count} of {len(levels)} images are {theirs}"
    if theirs == polarity:
        return False, f"{found}, like the model's data: not inverted"
    return (
        True,
        f"{found}, the model's data are {polarity}: inverted (invert='no', or --invert no, keeps them as they are)",
    )


def flatten(images: np.ndarray) -> np.ndarray:
    """Composite uint8[n, height, width, 4] over one background: black if what is transparent is light, else white.

    One background for the set keeps its classes alike; the contrast keeps both black and white ink on a transparent
    ground visible. Opaque pictures do not affect it, because they cover it. A transparent picture that would be
    blank on the background of the set, as white ink among black, is composited over the other one. A set without
    transparency is returned unchanged, as uint8[n, height, width, 3].
    """
    colour, alpha = images[..., :3], images[..., 3:]
    chosen = np.flatnonzero((alpha != 255).any(axis=(1, 2, 3)))
    if not len(chosen):
        return colour
    parts = np.array_split(chosen, -(-len(chosen) * images[0].size // _TOGETHER))
    opacity = sum(int(alpha[part].sum(dtype=np.int64)) for part in parts)
    light = sum(int((luminance(colour[part]) * alpha[part].astype(np.uint16)).sum(dtype=np.int64)) for part in parts)
    ground, other = (0, 255) if light / max(opacity, 1) > 127.5 else (255, 0)
    flat = colour.copy()
    for part in parts:
        over, instead = (_composited(colour[part], alpha[part], level) for level in (ground, other))
        contrast, clearer = (np.ptp(made, axis=(1, 2)).max(axis=-1).astype(int) for made in (over, instead))
        blank = (contrast < _FAINT) & (clearer > contrast + _CLEAR)
        flat[part] = np.where(blank[:, None, None, None], instead, over)
    return flat


def _composited(colour: np.ndarray, alpha: np.ndarray, ground: int) -> np.ndarray:
    # Products of two bytes fit uint16, which keeps a large set small.
    alpha = alpha.astype(np.uint16)
    return ((colour * alpha + np.uint16(ground) * (255 - alpha) + 127) // 255).astype(np.uint8)


def load_files(
    files: Sequence[Path], height: int, width: int, on_bad_file: str = "error"
) -> tuple[np.ndarray, list[int], list[str]]:
    """Read files into one array.

    Returns:
        `(uint8[n, height, width, 3], the indices of the n files that were read, a line on each that was skipped)`.

    Raises:
        DataError: a file cannot be read, unless `on_bad_file` is "skip", or none can; the message names it.
    """
    levels = np.empty((len(files), height, width, 3), np.uint8)
    indices: list[int] = []
    skipped: list[str] = []
    transparent = {}
    for index, picture in read_each(files, lambda file: read_fitted(file, height, width), on_bad_file, skipped):
        levels[len(indices)] = picture[..., :3]
        if (picture[..., 3] != 255).any():
            transparent[len(indices)] = picture
        indices.append(index)
    if not indices:
        raise DataError(f"at least 1 image must be readable. Received: {note_of(skipped, 'skipped') or 'none'}")
    if transparent:
        levels[list(transparent)] = flatten(np.stack(list(transparent.values())))
    return levels[: len(indices)], indices, skipped


def resize_images(images: Sequence[np.ndarray] | np.ndarray, image_shape: tuple[int, ...]) -> np.ndarray:
    """Bring uint8[height, width, 1 or 3] arrays of any sizes to one shape, as files are, as one array.

    Raises:
        DataError: the channels cannot be converted.
    """
    from PIL import Image

    height, width, channels = image_shape
    if isinstance(images, np.ndarray) and images.shape[1:3] == (height, width):
        return to_channels(images, channels)
    fitted = []
    for image in images:
        levels = to_channels(image, channels if channels in (1, 3) else image.shape[-1])
        if levels.shape[-1] not in (1, 3, 4):
            raise DataError(f"only images of 1, 3 or 4 channels can be resized. Received: {levels.shape[-1]} channels")
        picture = Image.fromarray(levels[..., 0] if levels.shape[-1] == 1 else levels)
        fitted.append(np.asarray(fit(picture, height, width)).reshape(height, width, -1))
    return to_channels(np.stack(fitted), channels)
