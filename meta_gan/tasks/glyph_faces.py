"""Rendering the characters that the twelve DejaVu faces shipped with matplotlib have in common.

One glyph is rendered once from each face at `EM` of the canvas, drawn several times larger than wanted, moved
by a small affine map that is keyed by (seed, code point, face), and reduced by area.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

FACES = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSans-Oblique",
    "DejaVuSans-BoldOblique",
    "DejaVuSansMono",
    "DejaVuSansMono-Bold",
    "DejaVuSansMono-Oblique",
    "DejaVuSansMono-BoldOblique",
    "DejaVuSerif",
    "DejaVuSerif-Bold",
    "DejaVuSerif-Italic",
    "DejaVuSerif-BoldItalic",
)
EM = 0.85
"""Size of the font's em square as a part of the canvas's shorter side."""
WIDEST = 0.8
"""A glyph wider or higher than this part of the canvas is shrunk to it."""
COMPARED_SIZE = 84
"""Pixels of the em at which glyphs are compared; fixed, so that every image shape has the same classes."""
ROTATION, SCALE, SHEAR, SHIFT = 0.08, 0.1, 0.05, 1 / 28


def _load(face: str, pixels: int) -> Any:
    import matplotlib
    from PIL import ImageFont

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{face}.ttf"
    # The basic layout draws one glyph for one code point, whether or not libraqm is installed.
    return ImageFont.truetype(str(path), pixels, layout_engine=ImageFont.Layout.BASIC)


def _mask(font: Any, code_point: int) -> np.ndarray:
    """Return uint8[h, w], the glyph cropped to its ink; empty for a blank."""
    mask = font.getmask(chr(code_point), mode="L")
    pixels = np.asarray(mask, np.uint8).reshape(mask.size[1], mask.size[0])
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    if len(rows) == 0:
        return pixels[:0, :0]
    return pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def shared_code_points() -> list[int]:
    """Return the code points for which every one of the faces has a glyph, in order."""
    import matplotlib
    from matplotlib.ft2font import FT2Font

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    maps = [set(FT2Font(str(folder / f"{face}.ttf")).get_charmap()) for face in FACES]
    return sorted(set.intersection(*maps))


@lru_cache(maxsize=1)
def distinct_code_points() -> tuple[int, ...]:
    """Return the shared code points without blanks, and of those that look the same the first.

    Two look the same when at least half of the faces draw them with equal pixels. All of them would be too
    strict: the Cyrillic A of the serif faces is hinted otherwise than the Latin, by a row of pixels, and
    would put one shape into two splits. Glyphs are compared by their ink alone, for they are centred, so a
    macron and a low line are one.
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
    """Return float64[6]: rotation (radians), two scales, shear, and two shifts as a part of the side.

    Uniform within +-.08, .9..1.1, +-.05 and +-1/28, by a generator keyed by the three arguments.

    Example:
        >>> bool(abs(variation(0, 65, 3)[0]) <= 0.08)
        True
    """
    spread = np.array([ROTATION, SCALE, SCALE, SHEAR, SHIFT, SHIFT])
    centre = np.array([0.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    return centre + spread * np.random.default_rng([seed, code_point, face]).uniform(-1.0, 1.0, 6)


def inverse_map(
    values: np.ndarray, canvas: tuple[int, int], glyph: tuple[int, int], shrink: float
) -> tuple[float, ...]:
    """Return (a, b, c, d, e, f), by which pixel (x, y) shows the glyph's (ax + by + c, dx + ey + f).

    Args:
        values: float64[6], see `variation`.
        canvas: (height, width) of the picture.
        glyph: (height, width) of the glyph's ink, whose centre falls on the picture's.
        shrink: factor of size before the variation.
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
    """Render every code point from every face, white on black.

    Args:
        code_points: what to render.
        height: rows, at least 8.
        width: columns, at least 8.
        seed: the key of the variations.

    Returns:
        uint8[code points, faces, height, width].
    """
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
            drawn = Image.fromarray(mask).transform(
                canvas[::-1], Image.Transform.AFFINE, back, Image.Resampling.BILINEAR
            )
            images[row, face] = np.asarray(drawn.reduce(times))
    return images
