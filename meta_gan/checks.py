"""Checks of what a caller hands to a model, before any compute."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

TOLERANCE = 1e-3


def check_examples(examples: Any, example_shape: tuple[int, ...], argument: str = "support") -> np.ndarray:
    """Checks examples of any rank, and returns them as float32 in [-1, 1].

    Args:
        examples: uint8[n, *example] in 0..255, but of sounds and texts, whose shape is (length, channels); or floats of
            the same shape in [-1, 1]; n >= 1.
        example_shape: the shape that the model was built for.
        argument: the name that the messages use.

    Returns:
        float32[n, *example]; floats at most .001 outside [-1, 1] are clipped.

    Raises:
        ValueError: another rank, shape or dtype, no example, NaN or infinity, or values outside [-1, 1].

    Example:
        >>> check_examples(np.zeros((5, 2)), (2,)).dtype
        dtype('float32')
    """
    array, shape = np.asarray(examples), tuple(example_shape)
    if array.shape[1:] != shape or array.ndim != len(shape) + 1 or len(array) < 1:
        wanted = ", ".join(str(size) for size in shape)
        raise ValueError(f"`{argument}` must have shape [n, {wanted}] with n >= 1. Received: shape {array.shape}")
    if array.dtype == np.uint8 and len(shape) == 2:
        raise ValueError(
            f"`{argument}` of sounds or texts must be floating point in [-1, 1]; uint8 is for pictures. Received: uint8"
        )
    if array.dtype == np.uint8:
        return (array / 127.5 - 1.0).astype(np.float32)
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(
            f"`{argument}` must be uint8 in 0..255 or floating point in [-1, 1]. Received: dtype {array.dtype}"
        )
    if not np.isfinite(array).all():
        bad = int((~np.isfinite(array)).sum())
        raise ValueError(f"`{argument}` must be finite. Received: {bad} values that are NaN or infinite")
    low, high = float(array.min()), float(array.max())
    if low < -1 - TOLERANCE or high > 1 + TOLERANCE:
        raise ValueError(
            f"`{argument}` must lie in [-1, 1] (levels x of 0..255 are x / 127.5 - 1). "
            f"Received: values from {low:.6g} to {high:.6g}"
        )
    return np.clip(array, -1.0, 1.0).astype(np.float32)


def check_support(support: Any, example_shape: Any) -> Any:
    """Checks a support set: examples, or examples of every domain.

    Args:
        support: as in `check_examples`; of a model of domains, a dict of such arrays.
        example_shape: the shape that the model was built for, or `{domain: shape}`.

    Returns:
        float32[k, *example], or a dict of such arrays in the order of `example_shape`.

    Raises:
        ValueError: as in `check_examples`, or a dict that does not name every domain and no other.

    Example:
        >>> list(check_support({"a": np.zeros((5, 2)), "b": np.zeros((3, 1))}, {"a": (2,), "b": (1,)}))
        ['a', 'b']
    """
    if not isinstance(example_shape, Mapping):
        return check_examples(support, example_shape)
    if not isinstance(support, Mapping) or set(support) != set(example_shape):
        received = sorted(map(repr, support)) if isinstance(support, Mapping) else type(support).__name__
        raise ValueError(f"`support` must be a dict of {', '.join(map(repr, example_shape))}. Received: {received}")
    return {name: check_examples(support[name], shape, f"support[{name!r}]") for name, shape in example_shape.items()}


def check_integer(value: Any, argument: str, least: int = -(2**31)) -> int:
    """Checks a whole number that must fit into an int32.

    Args:
        value: an int or numpy integer in [least, 2^31).
        argument: the name that the message uses.
        least: the smallest value allowed.

    Returns:
        The int.

    Raises:
        ValueError: anything else, a bool included.

    Example:
        >>> check_integer(3, "steps", 0)
        3
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not least <= value < 2**31:
        raise ValueError(f"`{argument}` must be a whole number in [{least}, 2^31). Received: {value!r}")
    return int(value)


def check_number(value: Any, argument: str, inside: Callable[[float], bool], required: str) -> float:
    """Checks a number.

    Args:
        value: an int or float, numpy's too.
        argument: the name that the message uses.
        inside: whether a number is allowed.
        required: what the message says of that, such as "finite and > 0".

    Returns:
        The float.

    Raises:
        ValueError: anything else, a bool included.

    Example:
        >>> check_number(0.5, "share", lambda x: 0 <= x < 1, "in [0, 1)")
        0.5
    """
    is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not is_number or not inside(float(value)):
        raise ValueError(f"`{argument}` must be a number {required}. Received: {value!r}")
    return float(value)
