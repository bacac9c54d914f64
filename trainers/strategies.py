"""`make_strategy`: the strategy of a command line, with errors that say what is missing."""

from __future__ import annotations

import json
import os

import tensorflow as tf

from meta_gan.checks import check_choice

STRATEGIES = ("none", "mirrored", "multiworker")


def make_strategy(name: str) -> tf.distribute.Strategy | None:
    """Return a strategy for `MetaTrainer`; call it before any other TensorFlow operation.

    Args:
        name: "none" for one device; "mirrored" for all GPUs of this process, or all its logical CPU devices if it has
            none; "multiworker" for the workers of `TF_CONFIG`.

    Returns:
        None, a `MirroredStrategy` or a `MultiWorkerMirroredStrategy`.

    Raises:
        ValueError: an unknown name; fewer than two devices; or `TF_CONFIG` is absent or not of this form.

    Example:
        >>> make_strategy("none") is None
        True
    """
    check_choice(name, "strategy", STRATEGIES)
    if name == "none":
        return None
    if name == "mirrored":
        devices = [d.name for d in tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")]
        if len(devices) < 2:
            raise ValueError(f"'strategy' mirrored must have two devices of one kind. Received: {devices}")
        return tf.distribute.MirroredStrategy([device.removeprefix("/device:") for device in devices])
    check_cluster(os.environ.get("TF_CONFIG"))
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        required = "'strategy' multiworker must be made before any TensorFlow operation"
        raise ValueError(f"{required}. Received: a call after it started ({error})") from error


def check_cluster(text: str | None) -> None:
    """Check the value of `TF_CONFIG`, because TensorFlow waits for ever where it names a task that nobody runs.

    Raises:
        ValueError: it is absent, no JSON, or names no workers or a task that is none of them.
    """
    form = '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'
    required = f"'TF_CONFIG' must be {form} in the environment of every worker"
    try:
        config = json.loads(text or "")
        cluster, task = config["cluster"], config["task"]
        workers, index = cluster[task["type"]], task["index"]
        others = set(cluster) - {"chief", "worker"}
        places = [*cluster.get("chief", []), *cluster.get("worker", [])]
        fits = not others and len(places) > 1 and isinstance(index, int) and 0 <= index < len(workers)
        fits = fits and all(isinstance(p, str) and p.rpartition(":")[2].isdecimal() for p in places)
    except (ValueError, KeyError, TypeError, AttributeError):
        fits = False
    if not fits:
        raise ValueError(f"{required}, of two or more workers and with this one's index. Received: {text!r}")
    if len(set(places)) < len(places):
        raise ValueError(f"{required}, with an address of its own for each. Received: {text!r}")
