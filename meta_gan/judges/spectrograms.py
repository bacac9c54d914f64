"""Log-mel spectrograms of sounds as pictures: the input of judges of sounds, and previews."""

from __future__ import annotations

import dataclasses

import numpy as np

from meta_gan.features.fixed import BANDS, FRAMES
from meta_gan.layers import LogMel
from meta_gan.tasks import Source
from meta_gan.tasks.errors import DataError
from meta_gan.tasks.media import Medium, Pictures, Sounds
from meta_gan.tasks.media.medium import Draw
from meta_gan.tasks.pixels import to_float, to_uint8

_BATCH = 200


def make_spectrograms(sounds: np.ndarray, rate: int) -> np.ndarray:
    """Return the log-mel spectrograms of sounds as pictures of 32 frames and 32 bands.

    Args:
        sounds: float[n, samples, 1] in [-1, 1].
        rate: samples per second.

    Returns:
        uint8[n, 32, 32, 1]; a row is a frame, and 0 is silence.

    Raises:
        ValueError: `sounds` has another shape.

    Example:
        >>> make_spectrograms(np.zeros((2, 8192, 1)), 8000).shape
        (2, 32, 32, 1)
    """
    array = np.asarray(sounds, np.float32)
    if array.ndim != 3 or array.shape[2] != 1 or not array.size:
        raise ValueError(f"'sounds' must have shape [n, samples, 1] with n >= 1. Received: shape {array.shape}")
    hop = max(2, -(-array.shape[1] // FRAMES))
    # Padded to whole frames, or some lengths would give fewer of them.
    array = np.pad(array, ((0, 0), (0, hop * FRAMES - array.shape[1]), (0, 0)))
    front = LogMel(rate, hop, BANDS)
    parts = [front(array[i : i + _BATCH]).numpy() for i in range(0, len(array), _BATCH)]
    return to_uint8(np.concatenate(parts))


def judge_source(source: Source) -> Source:
    """Return a source as the pictures that judges are trained on: sounds become their spectrograms.

    Args:
        source: a source of pictures or sounds.

    Raises:
        DataError: the source is of texts; `meta_gan.metrics.ngrams` scores texts by their n-grams.

    Example:
        >>> judge = train_judge(judge_source(tasks.source), JudgeRecipe(augmentation=False))
    """
    medium = source.medium
    if isinstance(medium, Sounds):
        pictures = make_spectrograms(medium.seen(source.images), medium.rate)
        return dataclasses.replace(source, images=pictures, medium=Pictures())
    if medium.kind == Pictures.kind:
        return source
    raise DataError(
        f"{source.name}: the source must be of pictures or sounds; texts are scored by their n-grams "
        f"(`meta_gan.metrics.ngrams`). Received: {medium.kind}"
    )


def preview_drawing(medium: Medium) -> Draw | None:
    """Return the function that draws a medium's examples for people: upright spectrograms of sounds; otherwise None.

    Example:
        >>> medium.write_samples(folder, samples, draw=preview_drawing(medium))
    """
    if not isinstance(medium, Sounds):
        return None
    rate = medium.rate
    return lambda sounds: to_float(upright(make_spectrograms(sounds, rate)))


def upright(pictures: np.ndarray) -> np.ndarray:
    """Return spectrograms turned for display: time runs to the right, low bands are at the bottom."""
    return np.ascontiguousarray(pictures.transpose(0, 2, 1, 3)[:, ::-1])
