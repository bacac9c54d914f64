"""Decoding of the tensors of a request, whose sizes are compared with the signature before anything is allocated.

A `TensorProto` may hold one value for any number of elements, so a few bytes can describe gigabytes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

# The field with the values of each dtype that a signature may have, for tensors without `tensor_content`.
FIELDS = {
    **{tf.float16: "half_val", tf.bfloat16: "half_val", tf.float32: "float_val", tf.float64: "double_val"},
    **{tf.int32: "int_val", tf.int64: "int64_val"},
}


def decode(name: str, proto: Any, wanted: Mapping[str, Any], lengths: Any = ()) -> np.ndarray:
    """Return the array of a `TensorProto`.

    Args:
        name: of the input.
        proto: the tensor.
        wanted: the input's `{"dtype", "shape"}` in `Inspection.signatures`; None in a shape is any length.
        lengths: `[least, most]` of each leading axis.

    Raises:
        ValueError: another dtype, rank or length, or contents that do not fit them.

    Example:
        >>> decode("num", tf.make_tensor_proto(3), {"dtype": "int32", "shape": []})
        array(3, dtype=int32)
    """
    dtype, shape = tf.dtypes.as_dtype(wanted["dtype"]), wanted["shape"]
    given = None if proto.tensor_shape.unknown_rank else [dim.size for dim in proto.tensor_shape.dim]
    said = f"{name!r} must be {dtype.name}{shape}".replace("None", "n")
    if proto.dtype != dtype.as_datatype_enum:
        raise ValueError(f"{said}. Received: dtype {proto.dtype} of TensorFlow's enumeration")
    if given is None or len(given) != len(shape) or any(a not in (None, b) for a, b in zip(shape, given, strict=True)):
        raise ValueError(f"{said}. Received: shape {given if given is None else given[:8]}")
    for axis, (least, most) in enumerate(lengths if shape else ()):
        if not least <= given[axis] <= most:
            raise ValueError(
                f"the length of `{name}` along axis {axis} must lie in [{least}, {most}], the limit set at export. "
                f"Received: {given[axis]}"
            )
    count = math.prod(given)
    if min(given, default=0) < 0:
        raise ValueError(f"{said}. Received: shape {given}")
    stored = len(getattr(proto, FIELDS[dtype]))
    fits = len(proto.tensor_content) == count * dtype.size if proto.tensor_content else min(count, 1) <= stored <= count
    if not fits:
        raise ValueError(
            f"{said}. Received: {len(proto.tensor_content)} bytes and {stored} values for {count} elements"
        )
    return tf.make_ndarray(proto)
