"""`Pictures`, and reading image files of any size and mode into one shape with Pillow.

The first frame of a file is decoded (Pillow's guard against decompression bombs stays on and is an error here), turned
upright by its EXIF orientation, brought to 8 bits of RGBA (16-bit grey is divided by 257), padded with the median
colour of its border to the proportions of the target, and resized by area (enlarged bilinearly). Transparency is
resolved last and for a whole set at once, by `flatten`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import tensorflow as tf

from meta_gan.checks import IMAGE_AXES, check_choice, check_shape
from meta_gan.tasks.errors import DataError
from meta_gan.tasks.files import Archive, support_files
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

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
INVERT, ARRAYS = ("auto", "yes", "no"), ("images", "support")


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
        self, path: str | Path, example_shape: tuple[int, ...], card: Mapping[str, Any], invert: str = "auto"
    ) -> tuple[np.ndarray, str | None]:
        """Read pictures as `load_support` does; see `Medium`."""
        images, note, _ = load_support(path, example_shape, invert=invert, polarity=card.get("polarity"))
        return images, note

    def save(self, path: Path, example: np.ndarray) -> None:
        save_png(path, example)

    def pictures(self, examples: np.ndarray) -> np.ndarray:
        return examples


class Support(NamedTuple):
    """The result of `load_support`.

    Attributes:
        images: float32[shots, height, width, channels] in [-1, 1].
        message: one line on what "auto" decided about inversion, or None if it had nothing to decide.
        files: the names of the files read, in the order of `images`.
    """

    images: np.ndarray
    message: str | None
    files: list[str]


def load_support(
    path: str | Path, image_shape: Sequence[int], *, invert: str = "auto", polarity: str | None = LIGHT_ON_DARK
) -> Support:
    """Read a user's pictures into the shape and polarity that a model was trained on.

    A folder's PNG, JPEG, BMP, GIF and WebP files are read in the order of their names: turned upright, composited over
    a contrasting background where transparent, padded with the median colour of the border, resized by area, and
    converted to the model's channels (luminance for one). With `invert="auto"` they are inverted if most of them have
    the other polarity than the model's data, as ink on paper has for a model of white strokes on black.

    A `.npz` file holds the array `images` or `support` in the model's own form, so "auto" leaves it as it is.

    Args:
        path: a folder of image files, one image file, or a `.npz` file.
        image_shape: the model's (height, width, channels).
        invert: "auto", "yes" or "no".
        polarity: of the model's training data, "light-on-dark" or "dark-on-light"; None if it is not known, and then
            "auto" inverts nothing.

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
    files = support_files(path, "image", SUFFIXES)
    if path.suffix.lower() == ".npz":
        images = _load_arrays(path, (height, width, channels))
        return Support(-images if invert == "yes" else images, None, [path.name])
    levels = to_channels(load_files(files, height, width), channels)
    inverted, message = _decide(levels, path, polarity) if invert == "auto" else (invert == "yes", None)
    return Support(to_float(255 - levels if inverted else levels), message, [file.name for file in files])


def _load_arrays(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    with Archive(path) as archive:
        found = [name for name in ARRAYS if name in archive.names]
        if not found:
            raise DataError(f"{path}: must hold the array {' or '.join(ARRAYS)}. Received: {archive.names}")
        array = archive[found[0]]
    if array.ndim == 3 and shape[2] == 1:
        array = array[..., None]
    return check_images(array, shape, f"{path}:{found[0]}")


def _decide(levels: np.ndarray, path: Path, polarity: str | None) -> tuple[bool, str | None]:
    """Return whether to invert, and the line that explains it."""
    if polarity is None:
        return False, None
    light, dark = votes(levels)
    if light == dark:
        return False, f"{path}: no clear polarity ({light} light-on-dark, {dark} dark-on-light): not inverted"
    theirs, count = (DARK_ON_LIGHT, dark) if dark > light else (LIGHT_ON_DARK, light)
    found = f"{path}: {count} of {len(levels)} images are {theirs}"
    if theirs == polarity:
        return False, f"{found}, like the model's data: not inverted"
    return True, f"{found}, the model's data are {polarity}: inverted (invert='no' keeps them as they are)"


@contextmanager
def _opened(path: Path) -> Iterator[Picture]:
    """Open a file, upright; any error while it is in use becomes a DataError that names it."""
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                yield ImageOps.exif_transpose(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        limit = f"at most {Image.MAX_IMAGE_PIXELS} pixels, for it may be a decompression bomb"
        raise DataError(f"{path}: an image may have {limit}. Received: {error}") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise DataError(f"{path}: must be a whole image of {', '.join(FORMATS)}. Received: {error}") from error


def read_rgba(path: Path) -> Picture:
    """Decode one file to an upright 8-bit RGBA picture of its own size; a DataError names a file that is damaged."""
    from PIL import Image

    with _opened(path) as image:
        if image.mode.startswith("I"):  # Pillow would clip 16-bit grey at 255.
            levels = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
            image = Image.fromarray(((levels + 128) // 257).astype(np.uint8))
        return image.convert("RGBA")


def read_size(path: Path) -> tuple[int, int]:
    """Return the (height, width) of the upright picture in a file; its pixels are decoded only if EXIF turns it."""
    with _opened(path) as image:
        return image.height, image.width


def fit(image: Picture, height: int, width: int) -> Picture:
    """Pad a picture of mode L, RGB or RGBA with its border's median colour to the wanted proportions, then resize it.

    A picture that has the size already is returned unchanged.
    """
    from PIL import Image

    if image.size == (width, height):
        return image
    # The smallest frame of the right proportions that holds the picture.
    scale = max(image.height / height, image.width / width)
    frame = (max(image.width, round(width * scale)), max(image.height, round(height * scale)))
    if frame != image.size:
        pixels = np.asarray(image)
        edges = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
        colour = np.rint(np.median(np.concatenate(edges), axis=0)).astype(int)
        padded = Image.new(image.mode, frame, tuple(colour.tolist()) if colour.ndim else int(colour))
        padded.paste(image, ((frame[0] - image.width) // 2, (frame[1] - image.height) // 2))
        image = padded
    return image.resize((width, height), Image.Resampling.BOX if scale >= 1 else Image.Resampling.BILINEAR)


def flatten(images: np.ndarray) -> np.ndarray:
    """Composite uint8[n, height, width, 4] over one background: black if what is visible is mostly light, else white.

    One background for the set keeps its classes alike; the contrast keeps both black and white ink on a transparent
    ground visible. A set without transparency is returned unchanged, as uint8[n, height, width, 3].
    """
    colour, alpha = images[..., :3], images[..., 3:]
    if (alpha == 255).all():
        return colour
    # Products of two bytes fit uint16, which keeps a large set small.
    alpha = alpha.astype(np.uint16)
    light = int((luminance(colour) * alpha).sum(dtype=np.int64)) / max(int(alpha.sum(dtype=np.int64)), 1)
    background = np.uint16(0 if light > 127.5 else 255)
    return ((colour * alpha + background * (255 - alpha) + 127) // 255).astype(np.uint8)


def load_files(files: Iterable[Path], height: int, width: int) -> np.ndarray:
    """Read files into uint8[n, height, width, 3]; a DataError names the first file that cannot be read."""
    return flatten(np.stack([np.asarray(fit(read_rgba(file), height, width)) for file in files]))


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
        picture = Image.fromarray(levels[..., 0] if levels.shape[-1] == 1 else levels)
        fitted.append(np.asarray(fit(picture, height, width)).reshape(height, width, -1))
    return to_channels(np.stack(fitted), channels)
