"""Reading image files of any size and mode into one shape, with Pillow.

The steps, in order: the first frame is decoded (PNG, JPEG, BMP, GIF or WebP; Pillow's guard against
decompression bombs stays on and is an error here), turned upright by its EXIF orientation, brought to 8 bits
of RGBA (16-bit grey is divided by 257), padded with the median colour of its border to the proportions of the
target, and resized by area (enlarged bilinearly). Transparency is resolved last and for a whole set at once,
by `flatten`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from meta_gan.tasks.errors import DataError
from meta_gan.tasks.pixels import luminance, to_channels

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")


def image_files(folder: Path) -> list[Path]:
    """Return the image files directly in a folder, by suffix, sorted by name; hidden files are left out."""
    files = (file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())
    return sorted(file for file in files if not file.name.startswith("."))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a file, upright; whatever goes wrong while it is in use becomes a DataError that names it."""
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                yield ImageOps.exif_transpose(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(
            f"{path}: an image may have at most {Image.MAX_IMAGE_PIXELS} pixels, for it may be a "
            "decompression bomb. "
            f"Received: {error}"
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise DataError(f"{path}: must be a whole image of {', '.join(FORMATS)}. Received: {error}") from error


def read_rgba(path: Path) -> Any:
    """Decode one file to an upright 8-bit RGBA picture of its own size.

    Args:
        path: the file.

    Returns:
        A `PIL.Image.Image` of mode RGBA.

    Raises:
        DataError: naming the file, if Pillow cannot read it, it is truncated, or it has too many pixels.
    """
    with _opened(path) as image:
        return _to_rgba(image)


def read_size(path: Path) -> tuple[int, int]:
    """Return the (height, width) of the upright picture in a file; raises as `read_rgba` does.

    A picture whose EXIF says nothing of orientation is not decoded for this.
    """
    with _opened(path) as image:
        return image.height, image.width


def _to_rgba(image: Any) -> Any:
    """Convert any mode to RGBA; Pillow would clip 16-bit grey at 255, so that is scaled first."""
    from PIL import Image

    if image.mode.startswith("I"):
        levels = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        image = Image.fromarray(((levels + 128) // 257).astype(np.uint8))
    return image.convert("RGBA")


def fit(image: Any, height: int, width: int) -> Any:
    """Pad a picture with its border's median colour to the proportions wanted, then resize it by area.

    Args:
        image: a `PIL.Image.Image` of mode L, RGB or RGBA.
        height: rows wanted.
        width: columns wanted.

    Returns:
        A picture of the same mode; a picture that has the size already is returned unchanged.
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
    method = Image.Resampling.BOX if scale >= 1 else Image.Resampling.BILINEAR
    return image.resize((width, height), method)


def flatten(images: np.ndarray) -> np.ndarray:
    """Composite RGBA images over one background: black if what is visible is mostly light, else white.

    One background for the set keeps its classes alike; the contrast keeps both black and white ink on a
    transparent ground visible. A set without transparency is returned as it is.

    Args:
        images: uint8[n, height, width, 4].

    Returns:
        uint8[n, height, width, 3].
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
    """Read files into uint8[n, height, width, 3]; see the module.

    Raises:
        DataError: naming the first file that cannot be read.
    """
    return flatten(np.stack([np.asarray(fit(read_rgba(file), height, width)) for file in files]))


def resize_images(images: Sequence[np.ndarray] | np.ndarray, image_shape: tuple[int, ...]) -> np.ndarray:
    """Bring arrays of any sizes to one shape, as files are: padded, resized by area, channels converted.

    Args:
        images: uint8[height, width, channels] each, of 1 or 3 channels.
        image_shape: the (height, width, channels) wanted.

    Returns:
        uint8[n, height, width, channels].

    Raises:
        DataError: if the channels cannot be converted.
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
