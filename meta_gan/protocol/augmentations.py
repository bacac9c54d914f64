"""Stronger baselines: elastic distortion and TrivialAugment of the support images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meta_gan.checks import check_number
from meta_gan.protocol.baselines import CHUNK, ZOOM, Baseline, Draws, background, enlarge, restore_contrast, sample_at
from meta_gan.tasks.pixels import to_float, to_uint8

if TYPE_CHECKING:
    from PIL.Image import Image

LEVELS = 30
"""TrivialAugment's strength of an operation is one of 0..30."""


@dataclass(frozen=True)
class Elastic(Baseline):
    """The support images, each bent by a smooth random displacement of every pixel.

    Displacements down and right are white noise smoothed by a Gaussian and scaled to one standard deviation
    everywhere. Interpolation, uncovered pixels and the contrast of drawings are as in `Affine`.

    Args:
        smoothness: standard deviation of the Gaussian relative to the longer side, > 0.
        displacement: standard deviation of the displacements relative to the longer side, >= 0.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> Elastic().adapt(np.zeros((5, 28, 28, 1), np.uint8)).sample(100, seed=0).shape
        (100, 28, 28, 1)

    Reference:
        Simard, Steinkraus and Platt, Best Practices for Convolutional Neural Networks Applied to Visual Document
        Analysis, 2003. The defaults are its values for 28 pixels (a Gaussian of 4 pixels, displacements of about 1.4
        pixels), in proportion to the side. Departs in noise that is normal, not uniform, and at the border, where
        displacements there are as large as elsewhere.
    """

    smoothness: float = 1 / 7
    displacement: float = 0.05

    def __post_init__(self) -> None:
        check_number(self.smoothness, "smoothness", above=0)
        check_number(self.displacement, "displacement", least=0)

    def change(self, images: np.ndarray, draws: Draws, support: np.ndarray) -> np.ndarray:
        _, height, width, _ = images.shape
        side = max(height, width)
        rows, columns = (_smoothing(size, self.smoothness * side) for size in (height, width))
        noise = np.stack([draw.standard_normal((2, height, width)) for draw in draws])
        moves = self.displacement * side * (rows @ noise @ columns.T)
        step = max(1, CHUNK // (ZOOM**2 * images[0].size))
        starts = range(0, len(images), step)
        bent = np.concatenate([_displaced(images[i : i + step], moves[i : i + step]) for i in starts])
        return restore_contrast(bent, support)


def _smoothing(size: int, deviation: float) -> np.ndarray:
    """Return float64[size, size] that smooths white noise by a Gaussian and keeps its variance."""
    distances = np.subtract.outer(np.arange(size), np.arange(size))
    kernel = np.exp(-0.5 * (distances / deviation) ** 2)
    return kernel / np.linalg.norm(kernel, axis=1, keepdims=True)


def _displaced(images: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """Return images float32[n, height, width, channels], sampled at displacements float[n, 2, height, width]."""
    count, height, width, _ = images.shape
    fine = enlarge(enlarge(moves.astype(np.float32), 2), 3)
    points = np.indices((height * ZOOM, width * ZOOM)) + ZOOM * fine
    return sample_at(images, points.reshape(count, 2, -1).swapaxes(1, 2))


@dataclass(frozen=True)
class TrivialAugment(Baseline):
    """The support images, each changed by one random operation of random strength.

    The operations: identity, autocontrast, equalize, rotate, solarize, color, posterize, contrast, brightness,
    sharpness, and shear and translation along each axis. Pillow applies them to 8-bit levels. Uncovered pixels get the
    level of `background`.

    Example:
        >>> TrivialAugment().adapt(np.zeros((5, 28, 28, 1), np.uint8)).sample(100, seed=0).shape
        (100, 28, 28, 1)

    Reference:
        Müller and Hutter, TrivialAugment: Tuning-free Yet State-of-the-Art Data Augmentation, 2021, with the strengths
        of its space "RA". Departs in bilinear interpolation, in the level of uncovered pixels, and in translations
        relative to the side (10 of 32 pixels at most); images of other than 3 channels are changed channel by channel,
        and their color is not.
    """

    def change(self, images: np.ndarray, draws: Draws, support: np.ndarray) -> np.ndarray:
        grounds = to_uint8(background(images))
        pairs = zip(to_uint8(images), grounds, draws, strict=True)
        return to_float(np.stack([self._changed(image, ground, draw) for image, ground, draw in pairs]))

    @staticmethod
    def _changed(image: np.ndarray, ground: np.ndarray, draw: np.random.Generator) -> np.ndarray:
        from PIL import Image

        operation = OPERATIONS[draw.integers(len(OPERATIONS))]
        strength, sign = draw.integers(LEVELS + 1) / LEVELS, 1 - 2 * int(draw.integers(2))
        if image.shape[-1] == 3:
            return np.asarray(operation(Image.fromarray(image), strength, sign, tuple(int(v) for v in ground)))
        planes = [Image.fromarray(np.ascontiguousarray(image[..., i])) for i in range(image.shape[-1])]
        changed = [operation(plane, strength, sign, int(v)) for plane, v in zip(planes, ground, strict=True)]
        return np.stack([np.asarray(plane) for plane in changed], axis=-1)


# An operation: (image, strength in [0, 1], sign of a direction, level of uncovered pixels) -> image.
Operation = Callable[["Image", float, int, "int | tuple[int, ...]"], "Image"]


def _enhance(kind: str) -> Operation:
    """Return the operation of a class of `PIL.ImageEnhance`, with factors from .1 to 1.9."""

    def enhanced(image: Image, strength: float, sign: int, fill: int | tuple[int, ...]) -> Image:
        from PIL import ImageEnhance

        return getattr(ImageEnhance, kind)(image).enhance(0.1 + 1.8 * strength)

    return enhanced


def _moved(row: bool, shear: float, shift: float) -> Operation:
    """Return shear (per pixel) and shift (relative to the side) along the rows' or the columns' direction."""

    def moved(image: Image, strength: float, sign: int, fill: int | tuple[int, ...]) -> Image:
        from PIL import Image

        pixels = round(shift * strength * sign * (image.width if row else image.height))
        slope = shear * strength * sign
        matrix = (1, slope, pixels, 0, 1, 0) if row else (1, 0, 0, slope, 1, pixels)
        return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=fill)

    return moved


def _identity(image: Image, strength: float, sign: int, fill: int | tuple[int, ...]) -> Image:
    return image


def _rotated(image: Image, strength: float, sign: int, fill: int | tuple[int, ...]) -> Image:
    from PIL import Image

    return image.rotate(30.0 * strength * sign, Image.Resampling.BILINEAR, fillcolor=fill)


def _posterized(image: Image, strength: float, sign: int, fill: int | tuple[int, ...]) -> Image:
    from PIL import ImageOps

    return ImageOps.posterize(image, 8 - int(4 * strength))


def _solarized(image: Image, strength: float, sign: int, fill: int | tuple[int, ...]) -> Image:
    from PIL import ImageOps

    return ImageOps.solarize(image, 256 - int(256 * strength))


def _autocontrasted(image: Image, strength: float, sign: int, fill: int | tuple[int, ...]) -> Image:
    from PIL import ImageOps

    return ImageOps.autocontrast(image)


def _equalized(image: Image, strength: float, sign: int, fill: int | tuple[int, ...]) -> Image:
    from PIL import ImageOps

    return ImageOps.equalize(image)


OPERATIONS: tuple[Operation, ...] = (
    _identity,
    _autocontrasted,
    _equalized,
    _rotated,
    _solarized,
    _enhance("Color"),
    _posterized,
    _enhance("Contrast"),
    _enhance("Brightness"),
    _enhance("Sharpness"),
    _moved(row=True, shear=0.3, shift=0.0),
    _moved(row=False, shear=0.3, shift=0.0),
    _moved(row=True, shear=0.0, shift=10 / 32),
    _moved(row=False, shear=0.0, shift=10 / 32),
)
