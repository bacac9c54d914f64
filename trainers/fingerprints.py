"""Fingerprints of what decides a run's weights from outside its folder, compared when it is resumed."""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from meta_gan.model import MetaModel
from meta_gan.tasks.episodes import EpisodeStream


def versions() -> dict[str, str]:
    """Return the versions of this package and of the libraries that compute."""
    try:
        own = importlib.metadata.version("meta-gan")
    except importlib.metadata.PackageNotFoundError:  # run from a source tree that is not installed
        own = "not installed"
    return {
        "meta_gan": own,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
    }


def of_run(model: MetaModel, tasks: EpisodeStream) -> dict[str, Any]:
    """Return the sha256 of a run's data and of its frozen networks.

    Args:
        model: the model; its nets without trainable weights, such as `features`, are hashed.
        tasks: the episodes; the examples, labels, class split and groups of each source are hashed once.

    Returns:
        `{"data": {domain: {"examples": ..., "labels": ..., ...}}, "features": {net: ...}}`.
    """
    frozen = {
        name: _digest(v.numpy() for v in net.variables)
        for name, net in sorted(model.game.nets.items())
        if net.variables and not net.trainable_variables
    }
    return {
        "data": {domain or "source": source.sha256 for domain, source in tasks.domains.items()},
        "features": frozen,
    }


def of_code() -> str:
    """Return the sha256 of the source files of `meta_gan` and of the trainers."""
    found = hashlib.sha256()
    for root in (Path(inspect.getfile(MetaModel)).parent, Path(__file__).parent):
        for path in sorted(root.rglob("*.py")):
            found.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return found.hexdigest()


def _digest(arrays: Iterable[np.ndarray]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
