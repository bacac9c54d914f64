"""`glyphs`: two thousand characters in the twelve DejaVu faces that matplotlib ships, always available.

A class is a character and its examples are the twelve faces, so support and query never share a face. Each glyph is
rendered once from each face at `EM` of the canvas, several times larger than wanted, moved by a small affine map that
is keyed by (seed, code point, face), and reduced by area. Rendering takes seconds, and its result is kept in a cache
folder: META_GAN_CACHE, else $XDG_CACHE_HOME/meta_gan, else ~/.cache/meta_gan. A cache that cannot be read is rendered
again, and one that cannot be written is not needed.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from meta_gan import atomic
from meta_gan.checks import IMAGE_AXES, check_integer, check_shape
from meta_gan.tasks.archive import Archive
from meta_gan.tasks.base import Source, default_split
from meta_gan.tasks.episodes import Tasks
from meta_gan.tasks.errors import DataError

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

STYLES = {
    "DejaVuSans": ("", "-Bold", "-Oblique", "-BoldOblique"),
    "DejaVuSansMono": ("", "-Bold", "-Oblique", "-BoldOblique"),
    "DejaVuSerif": ("", "-Bold", "-Italic", "-BoldItalic"),
}
FACES = tuple(family + style for family, styles in STYLES.items() for style in styles)
EM = 0.85
"""Size of the font's em square as a fraction of the canvas's shorter side."""
WIDEST = 0.8
"""A glyph wider or higher than this fraction of the canvas is shrunk to it."""
COMPARED_SIZE = 84
"""Pixels of the em at which glyphs are compared; fixed, so that every image shape has the same classes."""
ROTATION, SCALE, SHEAR, SHIFT = 0.08, 0.1, 0.05, 1 / 28
SMALLEST = 8
FORMAT = 2
"""Raised by one whenever the same arguments would render other pixels."""

logger = logging.getLogger("meta_gan")


def glyphs(image_shape: Sequence[int] = (28, 28, 1), *, shots: int = 5, queries: int = 7, seed: int = 0) -> Tasks:
    """Make tasks of characters in twelve typefaces, white on black; nothing is downloaded.

    Args:
        image_shape: (height, width, channels): at least 8 x 8, and 1 channel or 3 equal ones.
        shots: support images of a task; `shots + queries` is at most 12, the number of faces.
        queries: query images of a task.
        seed: the key of every draw, and of the small rotation, scale, shear and shift of each rendered image.

    Returns:
        `Tasks`, whose classes are named like "U+0041 A", split 80/10/10 by a hash of these names.

    Raises:
        ValueError: an argument is out of range.

    Example:
        `glyphs(shots=1, queries=5).train(meta_batch=4)`
    """
    height, width, channels = check_shape(image_shape, "image_shape", IMAGE_AXES)
    if min(height, width) < SMALLEST or channels not in (1, 3):
        required = f"at least {SMALLEST} x {SMALLEST}, with 1 or 3 channels"
        raise DataError(f"'image_shape' must be {required}. Received: {(height, width, channels)}")
    shots, queries = check_integer(shots, "shots", 1), check_integer(queries, "queries", 1)
    seed = check_integer(seed, "seed", 0)
    if shots + queries > len(FACES):
        raise DataError(
            f"glyphs: shots + queries must be at most {len(FACES)}, the number of faces. "
            f"Received: shots={shots}, queries={queries}"
        )
    code_points, images = load_or_render(height, width, seed)
    names = [f"U+{code_point:04X} {chr(code_point)}" for code_point in code_points.tolist()]
    flat = images.reshape(-1, height, width, 1)
    source = Source(
        images=flat if channels == 1 else np.repeat(flat, channels, axis=-1),
        labels=np.repeat(np.arange(len(names), dtype=np.int32), len(FACES)),
        class_names=names,
        class_split=default_split(names),
        groups=np.tile(np.arange(len(FACES), dtype=np.int32), len(names)),
        name="glyphs",
    )
    return Tasks(source, shots, queries, seed)


def cache_file(height: int, width: int, seed: int) -> Path:
    """Return the path at which the rendered glyphs of these arguments are kept; see the module."""
    import matplotlib
    import PIL

    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(os.environ.get("META_GAN_CACHE") or Path(base) / "meta_gan")
    versions = f"v{FORMAT}-mpl{matplotlib.__version__}-pil{PIL.__version__}"
    return folder / f"glyphs-{versions}-{height}x{width}-seed{seed}.npz"


def load_or_render(height: int, width: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return int32[classes] code points and uint8[classes, faces, height, width], cached if possible."""
    path = cache_file(height, width, seed)
    cached = _read(path, height, width)
    if cached is not None:
        return cached
    code_points = distinct_code_points()
    rendered = np.array(code_points, np.int32), render(code_points, height, width, seed)
    try:
        _write(path, *rendered)
    except OSError as error:
        logger.warning("The glyph cache cannot be written, glyphs are rendered anew each time: %s", error)
    return rendered


def _read(path: Path, height: int, width: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the contents of the cache, or None if it cannot be used."""
    try:
        with Archive(path) as archive:
            code_points, images = archive["code_points"], archive["images"]
    except (DataError, OSError):
        return None
    fits = code_points.dtype == np.int32 and images.dtype == np.uint8
    return (code_points, images) if fits and images.shape == (*code_points.shape, len(FACES), height, width) else None


def _write(path: Path, code_points: np.ndarray, images: np.ndarray) -> None:
    """Write the whole cache or none of it, so that a killed or a second process leaves no partial file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic.new_file(path) as work, work.open("wb") as file:
        np.savez_compressed(file, code_points=code_points, images=images)


def _face_file(face: str) -> str:
    import matplotlib

    return str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{face}.ttf")


def _load(face: str, pixels: int) -> FreeTypeFont:
    from PIL import ImageFont

    # The basic layout draws one glyph for one code point, whether or not libraqm is installed.
    return ImageFont.truetype(_face_file(face), pixels, layout_engine=ImageFont.Layout.BASIC)


def _mask(font: FreeTypeFont, code_point: int) -> np.ndarray:
    """Return uint8[h, w], the glyph cropped to its ink; empty for a blank."""
    mask = font.getmask(chr(code_point), mode="L")
    pixels = np.asarray(mask, np.uint8).reshape(mask.size[1], mask.size[0])
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    if len(rows) == 0:
        return pixels[:0, :0]
    return pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def shared_code_points() -> list[int]:
    """Return the code points for which every one of the faces has a glyph, in order."""
    from matplotlib.ft2font import FT2Font

    return sorted(set.intersection(*(set(FT2Font(_face_file(face)).get_charmap()) for face in FACES)))


@lru_cache(maxsize=1)
def distinct_code_points() -> tuple[int, ...]:
    """Return the shared code points without blanks, and only the first of those that look the same.

    Two look the same if at least half of the faces draw them with equal pixels. To require all faces would be too
    strict: the serif faces hint the Cyrillic A differently from the Latin A, by a row of pixels, and one shape would be
    in two splits. Only the ink is compared, for glyphs are centred, so a macron and a low line are the same.
    """
    fonts = [_load(face, COMPARED_SIZE) for face in FACES]
    drawn_by: dict[tuple[int, tuple[int, ...], bytes], list[int]] = {}
    kept = []
    for code_point in shared_code_points():
        masks = [_mask(font, code_point) for font in fonts]
        looks = [(face, mask.shape, mask.tobytes()) for face, mask in enumerate(masks)]
        agreeing = Counter(other for look in looks for other in drawn_by.get(look, ()))
        if all(mask.size for mask in masks) and max(agreeing.values(), default=0) < len(FACES) / 2:
            kept.append(code_point)
            for look in looks:
                drawn_by.setdefault(look, []).append(code_point)
    return tuple(kept)


def variation(seed: int, code_point: int, face: int) -> np.ndarray:
    """Draw float64[6]: rotation (radians), two scales, shear, and two shifts as a fraction of the side, all uniform."""
    spread = np.array([ROTATION, SCALE, SCALE, SHEAR, SHIFT, SHIFT])
    centre = np.array([0.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    return centre + spread * np.random.default_rng([seed, code_point, face]).uniform(-1.0, 1.0, 6)


def inverse_map(
    values: np.ndarray, canvas: tuple[int, ...], glyph: tuple[int, ...], shrink: float
) -> tuple[float, ...]:
    """Return (a, b, c, d, e, f): pixel (x, y) of the picture shows the glyph's (ax + by + c, dx + ey + f).

    `canvas` and `glyph` are (height, width) of the picture and of the glyph's ink, whose centres coincide; `shrink`
    scales the glyph before the variation `values`.
    """
    angle, scale_x, scale_y, shear, shift_x, shift_y = values
    cosine, sine = np.cos(angle), np.sin(angle)
    rotate = np.array([[cosine, -sine], [sine, cosine]])
    forward = rotate @ np.array([[1.0, shear], [0.0, 1.0]]) @ np.diag([scale_x, scale_y]) * shrink
    back = np.linalg.inv(forward)
    middle = np.array([canvas[1] / 2 + shift_x * canvas[1], canvas[0] / 2 + shift_y * canvas[0]])
    offset = np.array([glyph[1] / 2, glyph[0] / 2]) - back @ middle
    return back[0, 0], back[0, 1], offset[0], back[1, 0], back[1, 1], offset[1]


def render(code_points: tuple[int, ...], height: int, width: int, seed: int) -> np.ndarray:
    """Render every code point from every face, white on black: uint8[code points, faces, height, width]."""
    from PIL import Image

    times = 4 if min(height, width) <= 64 else 2
    canvas = (height * times, width * times)
    images = np.zeros((len(code_points), len(FACES), height, width), np.uint8)
    for face, name in enumerate(FACES):
        font = _load(name, max(1, round(EM * min(canvas))))
        for row, code_point in enumerate(code_points):
            mask = _mask(font, code_point)
            shrink = min(1.0, WIDEST * canvas[0] / mask.shape[0], WIDEST * canvas[1] / mask.shape[1])
            back = inverse_map(variation(seed, code_point, face), canvas, mask.shape, shrink)
            glyph = Image.fromarray(mask)
            drawn = glyph.transform(canvas[::-1], Image.Transform.AFFINE, back, Image.Resampling.BILINEAR)
            images[row, face] = np.asarray(drawn.reduce(times))
    return images
