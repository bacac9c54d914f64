"""Decoding of image files of any size and mode into one small shape, with Pillow and in bounded memory.

The header decides first: a file of too many pixels, or that would open to far more memory than its size suggests, is
refused before any pixel is decoded; a very large JPEG is decoded at a half, a quarter or an eighth of its size. The
decoded picture is then turned upright (EXIF), brought to 8 bits (16-bit grey is divided by 257), padded with the median
colour of its border and reduced by area band by band, so that no second picture of full size is ever made.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from meta_gan.tasks import limits
from meta_gan.tasks.errors import DataError
from meta_gan.tasks.files import ADVICE, check_file, kind_of

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

_SUFFIXES = {
    "PNG": (".png", ".apng"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "AVIF": (".avif",),
}
FORMATS = tuple(_SUFFIXES)
SUFFIXES = tuple(suffix for suffixes in _SUFFIXES.values() for suffix in suffixes)
_HEIF, _HEIF_SUFFIXES = "HEIF", (".heic", ".heif")
_CURE = "make the picture smaller"
_ONE_BYTE, _TWO_BYTES = ("1", "L", "P"), ("I;16", "I;16L", "I;16B", "I;16N")
# What decoders hold beside the picture, in bytes a pixel; WebP and AVIF keep several frames of RGBA.
_BESIDE = {"WEBP": 16, "AVIF": 16, "HEIF": 16, "GIF": 2, "TIFF": 4, "BMP": 2}
_ORIENTATION = 0x0112
_BAND = 2**20
"""Pixels, padding included, that are reduced at a time."""
_WIDEST = 2**28
"""Pixels, padding included, above which the longer axis is reduced first."""


class Source(Protocol):
    """What `fit` reads: a `Picture`, or a decoded file that is turned and converted as it is cropped."""

    @property
    def size(self) -> tuple[int, int]:
        """The (width, height)."""

    @property
    def mode(self) -> str:
        """L, RGB or RGBA."""

    def crop(self, box: tuple[int, int, int, int]) -> Picture:
        """Return a part, (left, top, right, bottom)."""


def suffixes() -> tuple[str, ...]:
    """Return the suffixes of the image files that can be read: `SUFFIXES`, and those of HEIC if Pillow can."""
    from PIL import Image

    return SUFFIXES + (_HEIF_SUFFIXES if _HEIF in Image.OPEN else ())


@dataclass(frozen=True)
class Upright:
    """A decoded picture that is turned upright and converted to mode L, RGB or RGBA as it is cropped.

    Attributes:
        picture: as decoded.
        orientation: that of EXIF, 1 to 8.
    """

    picture: Picture
    orientation: int

    @property
    def size(self) -> tuple[int, int]:
        """The (width, height) of the upright picture."""
        width, height = self.picture.size
        return (height, width) if self.orientation >= 5 else (width, height)

    @property
    def mode(self) -> str:
        """L of grey, RGBA of pictures with transparency, RGB of others."""
        if self.picture.has_transparency_data:
            return "RGBA"
        return "L" if self.picture.mode in ("1", "L") or self.picture.mode.startswith("I") else "RGB"

    def crop(self, box: tuple[int, int, int, int]) -> Picture:
        """Return a part of the upright picture, (left, top, right, bottom), in `mode`."""
        from PIL import Image

        left, top, right, bottom = box
        (width, height), turn = self.size, Image.Transpose
        boxes = {
            2: ((width - right, top, width - left, bottom), turn.FLIP_LEFT_RIGHT),
            3: ((width - right, height - bottom, width - left, height - top), turn.ROTATE_180),
            4: ((left, height - bottom, right, height - top), turn.FLIP_TOP_BOTTOM),
            5: ((top, left, bottom, right), turn.TRANSPOSE),
            6: ((top, width - right, bottom, width - left), turn.ROTATE_270),
            7: ((height - bottom, width - right, height - top, width - left), turn.TRANSVERSE),
            8: ((height - bottom, left, height - top, right), turn.ROTATE_90),
        }
        stored, method = boxes.get(self.orientation, (box, None))
        part = self.picture.crop(stored)
        if part.mode.startswith("I"):  # Pillow would clip 16-bit grey at 255.
            levels = np.clip(np.asarray(part).astype(np.int64), 0, 65535)
            part = Image.fromarray(((levels + 128) // 257).astype(np.uint8))
        # By way of RGBA where there is no alpha either, as Pillow has no direct way from every mode.
        part = part.convert(self.mode)
        return part if method is None else part.transpose(method)


@contextmanager
def _opened(path: Path) -> Iterator[Picture]:
    """Open a file and check its header; any error while it is in use becomes a DataError that names it."""
    from PIL import Image

    formats = (*FORMATS, _HEIF) if _HEIF in Image.OPEN else FORMATS
    required = f"must be a whole image of {', '.join(formats)}"
    try:
        check_file(path, "an image file")
        with warnings.catch_warnings():
            # Pillow warns of damaged metadata, which are not used here.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=formats) as image:
                _check_header(path, image)
                yield image
    except (DataError, PermissionError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        limit = f"at most {Image.MAX_IMAGE_PIXELS} pixels, for it may be a decompression bomb"
        raise DataError(f"{path}: an image may have {limit}; {_CURE}. Received: {error}") from error
    # Pillow's plugins let through what their parsers raise: struct.error, KeyError, TypeError, zlib.error, ...
    except Exception as error:
        advice = ADVICE.get(path.suffix.lower())
        required = f"{required} ({advice})" if advice else required
        received = str(error) if kind_of(path) == "a file" else kind_of(path)
        raise DataError(f"{path}: {required}. Received: {received or type(error).__name__}") from error


def _check_header(path: Path, image: Picture) -> None:
    """Refuse a picture whose sides or decoded bytes are beyond the limits; let a large JPEG be decoded smaller."""
    from PIL import Image

    width, height = image.size
    unit = f"a picture of {width} x {height}"
    if max(image.size) > limits.SIDE:
        raise DataError(f"{path}: an image may have sides of at most {limits.SIDE} pixels; {_CURE}. Received: {unit}")
    if width * height > (Image.MAX_IMAGE_PIXELS or np.inf):
        raise Image.DecompressionBombError(unit)
    if image.mode == "F":
        raise DataError(f"{path}: an image must have levels of 8 or 16 bits; convert it. Received: floats")
    beside = _BESIDE.get(image.format or "", 0)
    if image.format in ("JPEG", "MPO") and image.info.get("progressive"):
        # Two bytes of every channel are kept until the last scan.
        beside = 2 * len(image.getbands())
    opened = width * height * (_each(image) / _reduction(image) ** 2 + beside)
    limits.check_expansion(path, path.stat().st_size, int(opened), unit, _CURE, limits.LARGEST)


def _each(image: Picture) -> int:
    """Return the bytes of a decoded pixel; Pillow takes 4 for 3 channels."""
    return 1 if image.mode in _ONE_BYTE else 2 if image.mode in _TWO_BYTES else 4


def _reduction(image: Picture) -> int:
    """Return by what a JPEG is reduced while it is decoded, 1, 2, 4 or 8: by as much as it exceeds the limit."""
    if image.format not in ("JPEG", "MPO"):
        return 1
    size = image.width * image.height * _each(image)
    return next((by for by in (1, 2, 4) if size <= limits.OPENED * by**2), 8)


def _decoded(image: Picture) -> Upright:
    if (by := _reduction(image)) > 1:
        image.draft(None, (image.width // by, image.height // by))
    image.load()
    orientation = image.getexif().get(_ORIENTATION, 1)
    return Upright(image, orientation if orientation in range(1, 9) else 1)


def read_fitted(path: Path, height: int, width: int) -> np.ndarray:
    """Decode one file to uint8[height, width, 4], upright and padded to those proportions.

    Raises:
        DataError: the file is damaged, no image, or beyond the limits; the message names it.
        PermissionError: it may not be read.
    """
    with _opened(path) as image:
        return np.asarray(fit(_decoded(image), height, width).convert("RGBA"))


def read_rgba(path: Path) -> Picture:
    """Decode one file to an upright 8-bit RGBA picture of its own size; a DataError names a file that is damaged."""
    with _opened(path) as image:
        upright = _decoded(image)
        return upright.crop((0, 0, *upright.size)).convert("RGBA")


def read_size(path: Path) -> tuple[int, int]:
    """Return the (height, width) of the upright picture in a file, without decoding its pixels where it can."""
    with _opened(path) as image:
        orientation = image.getexif().get(_ORIENTATION, 1)
        return (image.width, image.height) if orientation in range(5, 9) else (image.height, image.width)


def fit(image: Source, height: int, width: int) -> Picture:
    """Pad a picture of mode L, RGB or RGBA with its border's median colour to the wanted proportions, then resize it.

    The padded picture is never made at full size. A `Picture` that has the size already is returned unchanged.
    """
    from PIL import Image

    own_width, own_height = image.size
    if image.size == (width, height):
        return image if isinstance(image, Image.Image) else image.crop((0, 0, width, height))
    # The smallest frame of the right proportions that holds the picture.
    scale = max(own_height / height, own_width / width)
    frame = (max(own_width, round(width * scale)), max(own_height, round(height * scale)))
    colour = _border(image) if frame != image.size else None
    if scale <= 1:
        picture = _padded(image.crop((0, 0, own_width, own_height)), frame, colour)
        return picture if frame == (width, height) else picture.resize((width, height), Image.Resampling.BILINEAR)
    mode = "RGBa" if image.mode == "RGBA" else image.mode
    # Pillow reduces rows first and rounds between, and so do the bands, which gives the same bits.
    if frame[0] * own_height <= _WIDEST:
        narrow = Image.new(mode, (width, own_height))
        for top, bottom in _bands(own_height, frame[0]):
            band = _padded(image.crop((0, top, own_width, bottom)), (frame[0], bottom - top), colour)
            narrow.paste(_reduced(band, (width, bottom - top)), (0, top))
        return _reduced(_padded(narrow, (width, frame[1]), colour), (width, height)).convert(image.mode)
    low = Image.new(mode, (own_width, height))
    for left, right in _bands(own_width, frame[1]):
        band = _padded(image.crop((left, 0, right, own_height)), (right - left, frame[1]), colour)
        low.paste(_reduced(band, (right - left, height)), (left, 0))
    return _reduced(_padded(low, (frame[0], height), colour), (width, height)).convert(image.mode)


def _bands(size: int, across: int) -> Iterator[tuple[int, int]]:
    step = max(1, _BAND // across)
    return ((start, min(start + step, size)) for start in range(0, size, step))


def _border(image: Source) -> tuple[int, ...]:
    width, height = image.size
    boxes = [(0, 0, width, 1), (0, height - 1, width, height), (0, 0, 1, height), (width - 1, 0, width, height)]
    edges = [np.asarray(image.crop(box)) for box in boxes]
    edges = [edge.reshape(width if i < 2 else height, -1) for i, edge in enumerate(edges)]
    return tuple(np.rint(np.median(np.concatenate(edges), axis=0)).astype(int).tolist())


def _padded(image: Picture, size: tuple[int, int], colour: tuple[int, ...] | None) -> Picture:
    """Centre a picture on a ground of one colour, given in RGBA for RGBa as well."""
    from PIL import Image

    if image.size == size or colour is None:
        return image
    ground = Image.new("RGBA" if image.mode == "RGBa" else image.mode, (1, 1), colour).convert(image.mode)
    padded = Image.new(image.mode, size, ground.getpixel((0, 0)))
    padded.paste(image, ((size[0] - image.width) // 2, (size[1] - image.height) // 2))
    return padded


def _reduced(image: Picture, size: tuple[int, int]) -> Picture:
    """Resize by area; RGBA becomes RGBa, whose colours are weighted by their opacity."""
    from PIL import Image

    image = image.convert("RGBa") if image.mode == "RGBA" else image
    return image.resize(size, Image.Resampling.BOX)
