"""Warm-up requests: what TF Serving runs before a version takes traffic, so that the first caller does not wait."""

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
    """Writes `assets.extra/tf_serving_warmup_requests` into an exported folder: a request of each signature.

    A request has the least of everything (one image, one sample) but one inner step, so that the loop's own
    operations are warm, too.

    Args:
        path: the version folder.
        model: the name that it is served under.
        signatures: to warm; default all but `NAME_adapted`, which run what the others run.

    Returns:
        The file that was written.

    Raises:
        ImportError: the extra `serving` is not installed.
        ValueError: the folder is no export of ours, or has no such signature.

    Example:
        >>> meta_gan.serving.write_warm_up("served/glyphs/1", "glyphs")
    """
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    found = inspect(path)
    described = found.about.get("signatures", {})
    chosen = list(signatures) or [name for name in described if not name.endswith("_adapted")]
    if found.kind != "saved_model" or not described or set(chosen) - set(described):
        raise ValueError(
            f"warm-up requests must be of signatures of an export of ours, {sorted(described)}. Received: {chosen}"
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
    """The least value that an input may have, and one inner step."""
    value = 1 if name == "steps" and given["range"][1] > 0 else given.get("range", [0])[0]
    return np.full([size or 1 for size in given["shape"]], value, given["dtype"])
