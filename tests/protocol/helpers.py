"""Small sources, and a judge whose features are the pixels themselves, so that scores can be computed by hand."""

from __future__ import annotations

import keras
import numpy as np

from meta_gan.judges.judge import Judge
from meta_gan.tasks.base import Source

SHAPE = (8, 8, 1)


def pixel_judge(name="pixels", shape=SHAPE, **card):
    """Features are the pixels in [-1, 1], flattened."""
    inputs = keras.Input(shape)
    return Judge(keras.Model(inputs, keras.layers.Flatten()(inputs)), name, card or None)


def patterned_source(classes=6, examples=20, split=None, name="patterns", shape=SHAPE, noise=25, seed=0):
    """Each class is a random pattern of dark and light with noise on it; by default every class is a test class."""
    draw = np.random.default_rng(seed)
    patterns = draw.choice([40, 215], (classes, 1, *shape))
    images = np.clip(patterns + draw.normal(0, noise, (classes, examples, *shape)), 0, 255)
    split = np.full(classes, 2, np.int8) if split is None else np.array(split, np.int8)
    return Source(
        images.astype(np.uint8).reshape(-1, *shape),
        np.repeat(np.arange(classes, dtype=np.int32), examples),
        [f"class {index}" for index in range(classes)],
        split,
        name=name,
    )
