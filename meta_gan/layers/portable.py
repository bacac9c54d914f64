"""What Keras's `export` of a network needs: a first call, and operations that the target format has."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator, Sequence

import keras
import tensorflow as tf

from meta_gan.types import Tensor

LITERT = "litert"
_FORMAT: contextvars.ContextVar[str | None] = contextvars.ContextVar("format", default=None)


@contextlib.contextmanager
def exporting(model: keras.Model, shape: Sequence[int | None], format: str) -> Iterator[None]:
    """Prepare a model for the `export` of the block.

    Args:
        model: of one input, without conditioning.
        shape: of its input, with the batch axis first.
        format: of the export, such as "tf_saved_model" or "litert".
    """
    # Keras exports only models that have been called, and a loaded one has not.
    model(tf.zeros([1, *shape[1:]], model.compute_dtype))
    token = _FORMAT.set(format)
    try:
        yield
    finally:
        _FORMAT.reset(token)


def has_loops() -> bool:
    """Return whether a graph may hold a `tf.while_loop`: LiteRT's converter fails on one that uses outer constants.

    Example:
        >>> has_loops()
        True
    """
    return _FORMAT.get() != LITERT


def atanh(x: Tensor) -> Tensor:
    """Return the inverse hyperbolic tangent of `x` in (-1, 1); in an export to LiteRT, which has no kernel of it, by a
    logarithm.

    Example:
        >>> float(atanh(tf.constant(0.5)))
        0.5493061542510986
    """
    if _FORMAT.get() == LITERT:
        return 0.5 * tf.math.log((1.0 + x) / (1.0 - x))
    return tf.atanh(x)


def erf(x: Tensor) -> Tensor:
    """Return the error function of `x`; in an export to LiteRT, which has no kernel of it, within 2e-7.

    Example:
        >>> round(float(erf(tf.constant(0.5))), 6)
        0.5205

    Reference: Abramowitz and Stegun, Handbook of Mathematical Functions, 1964, formula 7.1.26.
    """
    if _FORMAT.get() != LITERT:
        return tf.math.erf(x)
    size = tf.abs(x)
    t = 1.0 / (1.0 + 0.3275911 * size)
    series = tf.zeros_like(t)
    for factor in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = t * (factor + series)
    return tf.sign(x) * (1.0 - series * tf.exp(-tf.square(size)))


def erfc(x: Tensor) -> Tensor:
    """Return the complementary error function of `x`; in an export to LiteRT, as `1 - erf(x)`.

    Example:
        >>> round(float(erfc(tf.constant(0.5))), 6)
        0.4795
    """
    return 1.0 - erf(x) if _FORMAT.get() == LITERT else tf.math.erfc(x)
