"""Warm-up requests, which TF Serving runs before a version takes traffic, so that the first caller does not wait."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from meta_gan import export
from meta_gan.serving.inspection import inspect

FILE = "tf_serving_warmup_requests"
MOST = 1000  # TF Serving reads no more


def write_warm_up(path: str | os.PathLike[str], model: str, signatures: Sequence[str] = ()) -> Path:
    """Write a warm-up request for each signature into an exported folder.

    The file is `assets.extra/tf_serving_warmup_requests`. A request has the smallest allowed inputs (one image, one
    sample) but one inner step, so that the operations of the inner loop are warmed up, too.

    Args:
        path: the version folder.
        model: the name under which TF Serving serves it.
        signatures: the signatures to warm up; empty for all but `NAME_adapted`, which run no further operations.

    Returns:
        The path of the file.

    Raises:
        ImportError: the extra `serving` is not installed.
        ValueError: the folder was not exported by this package, or has no such signature.

    Example:
        >>> meta_gan.serving.write_warm_up("served/glyphs/1", "glyphs")
    """
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    found = inspect(path)
    described = found.about.get("signatures", {})
    chosen = list(signatures) or [name for name in described if not name.endswith("_adapted")]
    if found.kind != "saved_model" or not described or set(chosen) - set(described):
        raise ValueError(
            f"'signatures' must be signatures of a model that meta_gan exported, {sorted(described)}. "
            f"Received: {chosen}"
        )
    extra = Path(path) / export.EXTRA
    with tf.io.TFRecordWriter(str(extra / FILE)) as writer:
        for name in chosen[:MOST]:
            request = predict_pb2.PredictRequest()
            request.model_spec.name, request.model_spec.signature_name = model, name
            for key, given in described[name]["inputs"].items():
                request.inputs[key].CopyFrom(tf.make_tensor_proto(_least(key, given)))
            log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
            writer.write(log.SerializeToString())
    export.write_manifest(Path(path))
    return extra / FILE


def _least(name: str, given: dict[str, Any]) -> np.ndarray:
    """Return the smallest value that an input may have, but one inner step."""
    value = 1 if name == "steps" and given["range"][1] > 0 else given.get("range", [0])[0]
    return np.full([size or 1 for size in given["shape"]], value, given["dtype"])
