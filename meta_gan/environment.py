"""Global settings of Keras and TensorFlow: results do not depend on them, or a setting is refused by name.

Our networks name their data format and dtype themselves. What is left acts on every operation, such as checks of
numbers that split fused operations, and would change the last bits of a result, or its dtype.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

_DEFAULT_OPTIONS = {"disable_model_pruning": False, "disable_meta_optimizer": False}
# MultiWorkerMirroredStrategy sets it for sums over workers, of which we make none.
_HARMLESS = ("scoped_allocator_optimization",)
_LOCK = threading.RLock()


def check_settings() -> None:
    """Check the global settings that cannot be made harmless.

    Raises:
        ValueError: one is set that would change results; the message names it.

    Example:
        >>> check_settings()
    """
    for name, required, is_set in _REFUSED:
        received = is_set()
        if received is not None:
            raise ValueError(f"{name!r} must be {required}: it changes the bits of every result. Received: {received}")


def _graphs_only() -> str | None:
    return None if tf.executing_eagerly() or tf.inside_function() else "eager execution switched off"


def _numpy_behavior() -> str | None:
    return "NumPy's promotion of dtypes" if hasattr(tf.Tensor, "astype") else None


def _numerics_checked() -> str | None:
    if not tf.executing_eagerly():
        return None  # what is traced was checked by its caller
    try:
        tf.math.log(0.0)
    except tf.errors.InvalidArgumentError:
        return "a check of every operation"
    return None


def _automatic_xla() -> str | None:
    return tf.config.optimizer.get_jit() or None


def _xla_flags() -> str | None:
    flags = os.environ.get("TF_XLA_FLAGS", "")
    on = re.search(r"--tf_xla_auto_jit(=(?!0\b|-1\b)|\s|$)", flags)
    return repr(flags) if on else None


def _rewriting() -> str | None:
    changed = {
        name: value
        for name, value in tf.config.optimizer.get_experimental_options().items()
        if _DEFAULT_OPTIONS.get(name) != value and name not in _HARMLESS
    }
    return str(changed) if changed else None


_REFUSED: tuple[tuple[str, str, Callable[[], str | None]], ...] = (
    ("tf.compat.v1.disable_eager_execution", "left uncalled", _graphs_only),
    ("tf.experimental.numpy.experimental_enable_numpy_behavior", "left uncalled", _numpy_behavior),
    ("tf.debugging.enable_check_numerics", "off (tf.debugging.disable_check_numerics())", _numerics_checked),
    ("tf.config.optimizer.set_jit", "off (compile(jit_compile=True) compiles training)", _automatic_xla),
    ("TF_XLA_FLAGS", "without --tf_xla_auto_jit (compile(jit_compile=True) compiles training)", _xla_flags),
    ("tf.config.optimizer.set_experimental_options", "left at its defaults", _rewriting),
)


@contextlib.contextmanager
def single_precision() -> Iterator[None]:
    """Have Keras's optimizers make their own numbers in float32 inside the block, whatever `keras.config.floatx`."""
    with _LOCK:
        before = keras.config.floatx()
        keras.config.set_floatx("float32")
        try:
            yield
        finally:
            keras.config.set_floatx(before)


@contextlib.contextmanager
def graphs() -> Iterator[None]:
    """Run `tf.function`s as graphs inside the block, whatever `tf.config.run_functions_eagerly` says.

    A graph's fused operations round in another way than the same operations one by one.
    """
    if not tf.config.functions_run_eagerly():
        yield
        return
    with _LOCK:
        tf.config.run_functions_eagerly(False)
        try:
            yield
        finally:
            tf.config.run_functions_eagerly(True)


class Compiled:
    """A `tf.function` that always runs as a graph, after `check_settings`.

    Args:
        fn: a function of tensors.
        **options: `input_signature`, `reduce_retracing` and the other arguments of `tf.function`.

    Attributes:
        function: the `tf.function`.

    Example:
        >>> Compiled(lambda x: x + 1.0)(tf.constant(1.0)).numpy()
        2.0
    """

    def __init__(self, fn: Callable[..., Any], **options: Any):
        self.function = tf.function(fn, autograph=False, **options)

    def __call__(self, *args: Any) -> Any:
        """Return the function's results for tensors."""
        check_settings()
        with graphs():
            return self.function(*args)
