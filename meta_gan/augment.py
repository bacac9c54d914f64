"""`augment`: a few-shot data set, with samples of an adapted model added to every class."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import signature
from typing import Any

import numpy as np
import tensorflow as tf

from meta_gan.checks import SIGNED, check_converged, check_integer, check_range
from meta_gan.tasks import DataError, check_images
from meta_gan.tasks.readers.arrays import plain_labels


def class_seed(seed: int, index: int) -> int:
    """Return the seed with which `augment` adapts to a class and samples from it.

    Args:
        seed: int32 range.
        index: index of the class in order of first appearance, >= 0.

    Returns:
        int in 0..2^31 - 1, unrelated for neighbouring seeds and indices.

    Raises:
        ValueError: an argument outside its range.

    Example:
        >>> class_seed(0, 0) != class_seed(0, 1)
        True
    """
    entropy = [check_integer(seed, "seed") % 2**32, check_integer(index, "index", 0)]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0] >> 1)


def augment(
    model: Any,
    images: Any,
    labels: Any,
    per_class: int = 100,
    steps: int | None = None,
    seed: int = 0,
    value_range: tuple[int, int] | None = None,
) -> tf.data.Dataset:
    """Add generated images to a labelled data set of a few images a class.

    The data set has, for each class in order of first appearance, its images and then `per_class` samples of the model
    adapted to them. The model adapts while the data set is read, to one class at a time. Every iteration adapts again,
    with the same result, unless the data set is cached by `.cache()`. Nothing is shuffled: call `.shuffle(count)` after
    `.cache()`.

    Args:
        model: a `MetaModel`, or anything with `adapt(support, steps=, seed=)` whose result has `sample(count, seed=)`,
            such as the baselines of `meta_gan.protocol`.
        images: uint8[n, height, width, channels], or floats of that shape in [-1, 1], n >= 1. Floats without a negative
            value are read as [0, 1], as in data sets, with a UserWarning.
        labels: int[n] or str[n]; also as objects, bytes, a column [n, 1], or one-hot rows.
        per_class: samples added to each class, >= 0.
        steps: inner steps >= 0; None for the model's own.
        seed: int32 range; adaptation to class i and its samples use `class_seed(seed, i)`.
        value_range: (-1, 1) or (0, 1), the range of float images; None to decide by the values.

    Returns:
        A data set of n + classes * per_class pairs (float32[height, width, channels] in [-1, 1], int64[] or
        string[]), of known cardinality.

    Raises:
        ValueError: images and labels do not fit together, an argument is out of range, or the model has no `adapt`;
            raised before any adaptation.
        tf.errors.InvalidArgumentError: while the data set is read, an adaptation diverged; tf.data turns the
            `DivergenceError` into this.

    Example:
        >>> data = augment(model, images, labels, per_class=100)
        >>> data = data.cache().shuffle(int(data.cardinality())).batch(64)
        >>> classifier.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        >>> classifier.fit(data, epochs=10)
    """
    real, kinds = _checked(model, images, labels, value_range)
    per_class, seed = check_integer(per_class, "per_class", 0), check_integer(seed, "seed")
    steps = None if steps is None else check_integer(steps, "steps", 0)
    classes = list(dict.fromkeys(kinds.tolist()))

    def pairs() -> Iterator[tuple[np.ndarray, Any]]:
        for index, kind in enumerate(classes):
            support = real[kinds == kind]
            yield from ((image, kind) for image in support)
            if per_class:
                key = class_seed(seed, index)
                samples = _adapted(model, support, steps, key).sample(per_class, seed=key)
                yield from ((image, kind) for image in _samples(samples, per_class, real.shape[1:]))

    label = tf.TensorSpec([], tf.string if kinds.dtype.kind == "U" else tf.int64)
    data = tf.data.Dataset.from_generator(pairs, output_signature=(tf.TensorSpec(real.shape[1:], tf.float32), label))
    return data.apply(tf.data.experimental.assert_cardinality(len(real) + len(classes) * per_class))


def _adapted(model: Any, support: np.ndarray, steps: int | None, seed: int) -> Any:
    """Adapt to images in [-1, 1], which those of one class are even where none is negative."""
    settled: dict[str, Any] = {"value_range": SIGNED} if "value_range" in signature(model.adapt).parameters else {}
    return model.adapt(support, steps=steps, seed=seed, **settled)


def _checked(model: Any, images: Any, labels: Any, value_range: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return images as float32 in [-1, 1] and labels as int64 or str, of one length."""
    if not callable(getattr(model, "adapt", None)):
        raise ValueError(f"'model' must have 'adapt(support, steps=, seed=)'. Received: {type(model).__name__}")
    # The example shape of a `MetaModel` is checked here rather than while the data set is read.
    example_shape = getattr(getattr(model, "game", None), "example_shape", np.shape(images)[1:])
    if np.ndim(images) != 4:
        raise DataError(f"'images' must have shape [n, height, width, channels]. Received: shape {np.shape(images)}")
    real = check_images(check_range(images, example_shape, "images", value_range), example_shape, "images")
    kinds = plain_labels(labels, len(real))
    return real, kinds if kinds.dtype.kind == "U" else kinds.astype(np.int64)


def _samples(samples: Any, count: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return a model's samples, or raise an error if their shape is not that of the images."""
    array = np.asarray(samples, np.float32)
    if array.shape != (count, *shape):
        raise DataError(f"the model's samples must have shape {[count, *shape]}. Received: {list(array.shape)}")
    check_converged([array], "the model's samples")
    return array
