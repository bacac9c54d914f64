"""Sounds as a judge sees them: log-mel spectrograms as pictures, for judges, copy rates and sheets."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from meta_gan.layers import LogMel
from meta_gan.tasks import Source
from meta_gan.tasks.errors import DataError
from meta_gan.tasks.media import Medium, Pictures, Sounds
from meta_gan.tasks.media.medium import Draw
from meta_gan.tasks.pixels import to_float, to_uint8

FRAMES, BANDS = 32, 32
_AT_ONCE = 200


def spectrograms(sounds: Any, rate: int) -> np.ndarray:
    """Return the log-mel spectrograms of sounds as pictures: 32 frames, each of 32 bands.

    Args:
        sounds: float[n, samples, 1] in [-1, 1].
        rate: samples a second.

    Returns:
        uint8[n, 32, 32, 1], time along the rows; 0 is silence.

    Raises:
        ValueError: another shape.

    Example:
        >>> spectrograms(np.zeros((2, 8192, 1)), 8000).shape
        (2, 32, 32, 1)
    """
    array = np.asarray(sounds, np.float32)
    if array.ndim != 3 or array.shape[2] != 1 or not array.size:
        raise ValueError(f"`sounds` must be [n, samples, 1] with n >= 1. Received: shape {array.shape}")
    hop = max(2, -(-array.shape[1] // FRAMES))
    # To whole frames: of some lengths there would be fewer.
    array = np.pad(array, ((0, 0), (0, hop * FRAMES - array.shape[1]), (0, 0)))
    front = LogMel(rate, hop, BANDS)
    parts = [front(array[i : i + _AT_ONCE]).numpy() for i in range(0, len(array), _AT_ONCE)]
    return to_uint8(np.concatenate(parts))


def judged(source: Source) -> Source:
    """Return a source as the pictures that judges are trained on and look at: of sounds their spectrograms.

    Raises:
        DataError: a source of texts; `meta_gan.metrics.texts` scores texts by their n-grams.

    Example:
        `train_judge(judged(tasks.source), JudgeRecipe(augmentation=False))`
    """
    medium = source.medium
    if isinstance(medium, Sounds):
        pictures = spectrograms(medium.seen(source.images), medium.rate)
        return dataclasses.replace(source, images=pictures, medium=Pictures())
    if medium.kind == Pictures.kind:
        return source
    raise DataError(
        f"{source.name}: judges look at pictures and sounds; texts are scored by their n-grams "
        f"(`meta_gan.metrics.texts`). Received: {medium.kind}"
    )


def shown(medium: Medium) -> Draw | None:
    """Return what draws examples for people better than the medium itself: upright spectrograms of sounds, else None.

    Example:
        `medium.write_samples(folder, samples, draw=shown(medium))`
    """
    if not isinstance(medium, Sounds):
        return None
    rate = medium.rate
    return lambda sounds: to_float(upright(spectrograms(sounds, rate)))


def upright(pictures: np.ndarray) -> np.ndarray:
    """Return spectrograms as people read them: time to the right, low bands at the bottom."""
    return np.ascontiguousarray(pictures.transpose(0, 2, 1, 3)[:, ::-1])
