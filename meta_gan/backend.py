"""The check, on import, that Keras runs on TensorFlow, without which it fails deep inside; then both are imported."""

from __future__ import annotations

import gc
import json
import os
import sys
from pathlib import Path

REQUIRED = "tensorflow"
VARIABLE, FILE = "KERAS_BACKEND", "keras.json"
COMMAND = "meta_gan.cli"


def chosen() -> tuple[str, str]:
    """Return the backend that Keras has, or will have when it is imported, and what chose it.

    Example:
        >>> chosen()
        ('tensorflow', "Keras's default")
    """
    loaded = sys.modules.get("keras")
    if loaded is not None and hasattr(loaded, "backend"):
        return str(loaded.backend.backend()), "the Keras that is imported"
    if os.environ.get(VARIABLE):
        return os.environ[VARIABLE], f"the environment variable {VARIABLE}"
    file = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / FILE
    try:
        named = json.loads(file.read_text(encoding="utf-8")).get("backend", REQUIRED)
    except (OSError, ValueError, AttributeError):
        return REQUIRED, "Keras's default"  # Keras reports a file that it cannot read by itself
    return str(named), str(file)


def import_tensorflow() -> None:
    """Check the backend of Keras before anything imports Keras, then import Keras and TensorFlow.

    Raises:
        ImportError: another backend than TensorFlow; with `python -m meta_gan.cli` a SystemExit of code 2 instead,
            because no code of the command runs before its package is imported.
    """
    backend, source = chosen()
    if backend == REQUIRED:
        _import_both()
        return
    message = f"Keras's backend must be {REQUIRED!r} ({VARIABLE}={REQUIRED}). Received: {backend!r}, by {source}"
    if sys.argv[:1] == ["-m"] and COMMAND in sys.orig_argv:
        print(f"meta-gan: error: {message}", file=sys.stderr)
        raise SystemExit(2)
    raise ImportError(message, name="meta_gan")


def _import_both() -> None:
    """Import Keras and TensorFlow without collecting garbage: there is none, and looking takes a fifth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        import keras  # noqa: F401
        import tensorflow  # noqa: F401
    finally:
        if was_enabled:
            gc.enable()
