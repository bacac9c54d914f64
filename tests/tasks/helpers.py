"""Data whose images say which example they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from meta_gan.tasks.base import Source
from meta_gan.tasks.pixels import to_uint8
from meta_gan.types import Episode

SIDE = 4


def numbered_images(count: int) -> np.ndarray:
    """Return uint8[count, 4, 4, 1] where image i holds i in base 256 in its first two pixels."""
    images = np.zeros((count, SIDE, SIDE, 1), np.uint8)
    images[:, 0, 0, 0] = np.arange(count) // 256
    images[:, 0, 1, 0] = np.arange(count) % 256
    return images


def numbers(images) -> np.ndarray:
    """Return the numbers that `numbered_images` wrote, from floats in [-1, 1] of any leading shape."""
    levels = to_uint8(np.asarray(images)).astype(int)
    return levels[..., 0, 0, 0] * 256 + levels[..., 0, 1, 0]


def numbered_source(sizes: Sequence[int], splits: Sequence[int] | None = None, groups=None) -> Source:
    """Return a source whose class k has `sizes[k]` numbered images, in shuffled order."""
    labels = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    labels = np.random.default_rng(3).permutation(labels)
    split = np.zeros(len(sizes), np.int8) if splits is None else np.array(splits, np.int8)
    names = [f"class {index}" for index in range(len(sizes))]
    return Source(numbered_images(len(labels)), labels, names, split, groups, "numbered")


def write_image(path: Path, levels: np.ndarray, **options) -> Path:
    """Write uint8[h, w], [h, w, 3] or [h, w, 4] as an image file of the suffix's format."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(levels).save(path, **options)
    return path


def square(side: int = 12, ground: int = 0, ink: int = 255) -> np.ndarray:
    """Return uint8[side, side], a centred square of `ink` of half the side on `ground`."""
    levels = np.full((side, side), ground, np.uint8)
    quarter = side // 4
    levels[quarter : side - quarter, quarter : side - quarter] = ink
    return levels


def assert_same(first: Episode, second: Episode) -> None:
    """Assert that all fields of two episodes are equal."""
    for name, one, other in zip(Episode._fields, first, second, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other), err_msg=name)


def mutant(content: bytes, generator: np.random.Generator) -> bytes:
    """Cut, flip, zero, double or overwrite a part of a file."""
    changed = bytearray(content)
    place = int(generator.integers(len(changed)))
    length = int(generator.integers(1, max(2, len(changed) // 8)))
    kind = generator.integers(6)
    if kind == 0:
        return bytes(changed[:place])
    if kind == 1:
        for index in generator.integers(0, min(len(changed), 300), 8):
            changed[index] ^= 1 << int(generator.integers(8))
    elif kind == 2:
        changed[place : place + length] = bytes(min(length, len(changed) - place))
    elif kind == 3:
        changed[place:place] = changed[place : place + length]
    elif kind == 4:
        changed[place] ^= 1 << int(generator.integers(8))
    else:
        changed[place : place + 4] = generator.bytes(4)
    return bytes(changed)
