"""Checks of arguments: every function returns the valid value, or raises a ValueError that names the argument."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeVar

import numpy as np

from meta_gan.errors import DivergenceError
from meta_gan.hints import did_you_mean, shape_hint

T = TypeVar("T")
TOLERANCE = 1e-3
"""The distance by which examples may lie outside [-1, 1] before clipping."""
LARGEST_INTEGER = 2**31 - 1
"""The largest int32: TensorFlow would silently wrap a larger number around."""
IMAGE_AXES = ("height", "width", "channels")
SIGNED, UNSIGNED = (-1, 1), (0, 1)
"""The ranges of float images."""
_LEVEL_TOLERANCE = 1e-3
"""In units of 1 / 255, more than float32 rounds a level by."""
_TOGETHER = 2**20
"""Values that are compared at a time."""


def check_integer(value: Any, argument: str, least: int = -(2**31), most: int = LARGEST_INTEGER) -> int:
    """Return `value` as an int.

    Args:
        value: an int or numpy integer in [least, most].
        argument: its name in the message.
        least: the smallest value allowed.
        most: the largest value allowed.

    Returns:
        The int.

    Raises:
        ValueError: anything else, a bool included.

    Example:
        >>> check_integer(3, "steps", 0)
        3
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not least <= value <= most:
        bound = "< 2^31" if most == LARGEST_INTEGER else f"<= {most}"
        raise ValueError(f"{argument!r} must be an integer >= {least} and {bound}. Received: {value!r}")
    return int(value)


def check_memory(count: int, example_shape: tuple[int, ...], argument: str) -> int:
    """Return `count` if that many float32 examples fit in the memory of this machine.

    Args:
        count: a number of examples >= 1.
        example_shape: the shape of one.
        argument: the name of `count` in the message.

    Raises:
        ValueError: they do not; the message has the largest count that does.

    Example:
        >>> check_memory(64, (28, 28, 1), "count")
        64
    """
    each = 4 * math.prod(example_shape)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if count * each > memory:
        required = f"at most {memory // each}, whose examples fill the {memory / 2**30:.1f} GB of this machine's memory"
        raise ValueError(f"{argument!r} must be {required}. Received: {count}")
    return count


def check_number(
    value: Any,
    argument: str,
    *,
    least: float = -math.inf,
    above: float = -math.inf,
    most: float = math.inf,
    below: float = math.inf,
) -> float:
    """Return `value` as a float.

    Args:
        value: a finite int or float, or a numpy scalar.
        argument: its name in the message.
        least: the value must be >= `least`.
        above: the value must be > `above`.
        most: the value must be <= `most`.
        below: the value must be < `below`.

    Returns:
        The float.

    Raises:
        ValueError: anything else, a bool included.

    Example:
        >>> check_number(0.5, "share", least=0, below=1)
        0.5
    """
    is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    number = float(value) if is_number else math.nan
    if not (math.isfinite(number) and least <= number <= most and above < number < below):
        bounds = {">=": least, ">": above, "<=": most, "<": below}
        wanted = " and ".join(f"{sign} {bound:g}" for sign, bound in bounds.items() if math.isfinite(bound))
        raise ValueError(f"{argument!r} must be a finite number {wanted}".rstrip() + f". Received: {value!r}")
    return number


def check_choice(value: Any, argument: str, choices: Collection[T]) -> T:
    """Return `value`, which must be one of `choices`.

    Args:
        value: the argument.
        argument: its name in the message.
        choices: the values allowed.

    Returns:
        The value.

    Raises:
        ValueError: anything else.

    Example:
        >>> check_choice("max", "pooling", ("mean", "max"))
        'max'
    """
    if value not in tuple(choices):
        hint = did_you_mean(value, choices)
        raise ValueError(f"{argument!r} must be one of {', '.join(map(repr, choices))}. Received: {value!r}{hint}")
    return value


def check_bool(value: Any, argument: str) -> bool:
    """Return `value`, which must be True or False.

    Args:
        value: the argument.
        argument: its name in the message.

    Returns:
        The bool.

    Raises:
        ValueError: anything else, 0 and 1 included.

    Example:
        >>> check_bool(True, "partial")
        True
    """
    if not isinstance(value, bool):
        raise ValueError(f"{argument!r} must be True or False. Received: {value!r}")
    return value


def check_shape(value: Any, argument: str = "example_shape", axes: tuple[str, ...] = ()) -> tuple[int, ...]:
    """Return a static shape as a tuple of ints.

    Args:
        value: a tuple or list of integers >= 1, without the batch axis.
        argument: its name in the message.
        axes: the names of the axes, such as `IMAGE_AXES`; by default, there may be any number of axes >= 1.

    Returns:
        The tuple.

    Raises:
        ValueError: anything else.

    Example:
        >>> check_shape([28, 28, 1])
        (28, 28, 1)
    """
    sides = tuple(value) if isinstance(value, (tuple, list)) else ()
    integers = all(isinstance(side, (int, np.integer)) and not isinstance(side, bool) and side >= 1 for side in sides)
    if not sides or not integers or len(sides) != len(axes or sides):
        wanted = f"({', '.join(axes)}), {len(axes)}" if axes else "a tuple of one or more"
        raise ValueError(f"{argument!r} must be {wanted} integers >= 1, without the batch axis. Received: {value!r}")
    return tuple(int(side) for side in sides)


def check_finite(array: np.ndarray, argument: str) -> np.ndarray:
    """Return `array`, which must have no NaN and no infinity.

    Args:
        array: numbers of any shape.
        argument: its name in the message.

    Returns:
        The array.

    Raises:
        ValueError: it has; the message says how many.

    Example:
        >>> check_finite(np.zeros(2), "weights").tolist()
        [0.0, 0.0]
    """
    if not np.isfinite(array).all():
        bad = int((~np.isfinite(array)).sum())
        raise ValueError(f"{argument!r} must be finite. Received: {bad} values that are NaN or infinite")
    return array


def check_converged(arrays: Iterable[Any], what: str) -> None:
    """Raise a `DivergenceError` if a floating-point array has NaN or infinity.

    Args:
        arrays: arrays, tensors or variables, of any dtypes.
        what: a phrase that names them in the message, such as "the adapted weights".

    Raises:
        DivergenceError: a value is not finite; the message says what can be done.

    Example:
        >>> check_converged([np.zeros(2), np.arange(3)], "the adapted weights")
    """
    found = [np.asarray(array) for array in arrays]
    # By exclusion, because numpy gives bfloat16 a kind of its own.
    bad = sum(array.dtype.kind not in "biuSUO" and not np.isfinite(array).all() for array in found)
    if bad:
        raise DivergenceError(
            f"{what} must be finite, but training or adaptation diverged: take fewer inner steps, a smaller inner rate "
            f"or an earlier model. Received: NaN or infinity in {bad} of {len(found)} arrays"
        )


def check_examples(examples: Any, example_shape: tuple[int, ...], argument: str = "support") -> np.ndarray:
    """Return examples of any rank as float32 in [-1, 1].

    Args:
        examples: uint8[n, *example] in 0..255 for images, whose rank is 3; or floats in [-1, 1], of any rank; n >= 1.
        example_shape: the shape that the model was built for.
        argument: its name in the message.

    Returns:
        float32[n, *example]; floats at most .001 outside [-1, 1] are clipped.

    Raises:
        ValueError: another rank, shape or dtype, no example, NaN or infinity, or values outside [-1, 1].

    Example:
        >>> check_examples(np.zeros((5, 2)), (2,)).dtype
        dtype('float32')
    """
    array, shape = _array(examples, argument), tuple(example_shape)
    if array.shape[1:] != shape or array.ndim != len(shape) + 1 or len(array) < 1:
        wanted, cure = ", ".join(str(size) for size in shape), shape_hint(array.shape, shape, argument)
        raise ValueError(f"{argument!r} must have shape [n, {wanted}] with n >= 1. Received: shape {array.shape}{cure}")
    if array.dtype == np.uint8 and len(shape) == 2:
        raise ValueError(
            f"{argument!r} of sounds or texts must be floating point in [-1, 1]; uint8 is for images. Received: uint8"
        )
    if array.dtype == np.uint8:
        return (array / 127.5 - 1.0).astype(np.float32)
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(
            f"{argument!r} must be uint8 in 0..255 or floating point in [-1, 1]. Received: dtype {array.dtype}"
        )
    low, high = float(check_finite(array, argument).min()), float(array.max())
    if low < -1 - TOLERANCE or high > 1 + TOLERANCE:
        raise ValueError(
            f"{argument!r} must lie in [-1, 1] (levels x of 0..255 are x / 127.5 - 1). "
            f"Received: values from {low:.6g} to {high:.6g}"
        )
    return np.clip(array, -1.0, 1.0).astype(np.float32)


def _array(examples: Any, argument: str) -> np.ndarray:
    """Return examples as one array; a path, a data set, or examples of several shapes are none."""
    if isinstance(examples, (str, os.PathLike)):
        cure = "read files by meta_gan.tasks.load_support(path, image_shape).images"
        raise ValueError(f"{argument!r} must be an array; {cure}. Received: the path {os.fspath(examples)!r}")
    try:
        array = np.asarray(examples)
    except ValueError as error:
        raise ValueError(f"{argument!r} must be one array, of examples of one shape. Received: {error}") from error
    if array.dtype == object:
        raise ValueError(f"{argument!r} must be one array of numbers. Received: {type(examples).__name__}")
    return array


def to_bytes(images: np.ndarray, argument: str) -> np.ndarray:
    """Return images of integers or bools as uint8, if there is no doubt about what they mean.

    Args:
        images: uint8; bool, whose True is 255; or other integers in 0..255.
        argument: its name in the message.

    Returns:
        uint8, `images` itself if it is that.

    Raises:
        ValueError: another dtype, integers outside 0..255, or integers other than uint8 that are all 0 or 1: these may
            be a mask or nearly black levels.

    Example:
        >>> to_bytes(np.array([[True, False]]), "images").tolist()
        [[255, 0]]
    """
    if images.dtype == np.uint8:
        return images
    if images.dtype == np.bool_:
        return images.astype(np.uint8) * np.uint8(255)
    if images.dtype.kind not in "iu":
        raise ValueError(f"{argument!r} must be uint8 or floating point. Received: dtype {images.dtype}")
    low, high = int(images.min(initial=0)), int(images.max(initial=0))
    if low < 0 or high > 255 or high == 1:
        cure = "convert a mask by `.astype(bool)`" if high == 1 else "convert them to uint8"
        required = f"of integers must be levels in 0..255, not all 0 or 1; {cure}"
        raise ValueError(f"{argument!r} {required}. Received: {images.dtype}, {low} to {high}")
    return images.astype(np.uint8)


def value_range_of(images: np.ndarray, argument: str, value_range: Any = None) -> tuple[int, int]:
    """Return the range of float images, `SIGNED` (-1, 1) or `UNSIGNED` (0, 1): one rule for data sets and support sets.

    Images with a negative value (below -0.001) are signed. Without one they are unsigned, unless every value is a level
    x / 127.5 - 1, as light pictures that this package has converted are: their zero level would be 127.5, so that odd
    multiples of 1 / 255 alone occur, which no set of levels x / 255 has unless each of its levels is odd.

    Args:
        images: finite floats of any shape, in [-1, 1] or [0, 1].
        argument: its name in the message.
        value_range: (-1, 1) or (0, 1) to settle it; None to look at the values.

    Returns:
        `SIGNED` or `UNSIGNED`.

    Raises:
        ValueError: another `value_range`, or one that the values are not in.

    Example:
        >>> value_range_of(np.array([0.0, 0.5, 1.0]), "images")
        (0, 1)
    """
    low = float(images.min(initial=1.0))
    if value_range is not None:
        chosen = tuple(value_range) if isinstance(value_range, (tuple, list)) else value_range
        if chosen not in (SIGNED, UNSIGNED):
            raise ValueError(f"'value_range' must be (-1, 1), (0, 1) or None. Received: {value_range!r}")
        if chosen == UNSIGNED and low < -TOLERANCE:
            raise ValueError(f"{argument!r} must lie in [0, 1], as 'value_range' says. Received: values from {low:.6g}")
        return SIGNED if chosen == SIGNED else UNSIGNED
    if low < -TOLERANCE:  # A resized picture in [0, 1] can be a little below 0.
        return SIGNED
    flat = images.ravel(order="K")
    # In parts, since the first one decides for almost all images.
    for start in range(0, flat.size, _TOGETHER):
        scaled = flat[start : start + _TOGETHER].astype(np.float64) * 255
        nearest = np.rint(scaled)
        if (np.abs(scaled - nearest) > _LEVEL_TOLERANCE).any() or (nearest % 2 == 0).any():
            return UNSIGNED
    return SIGNED


def check_range(examples: Any, example_shape: Any, argument: str = "support", value_range: Any = None) -> Any:
    """Return a user's images with floats in [0, 1] brought to [-1, 1], as data sets are; others as they are.

    Args:
        examples: an array as in `check_examples`, or a dict of them by domain.
        example_shape: the shape that the model was built for, or a dict of it; only images, of rank 3, are changed.
        argument: its name in messages.
        value_range: see `value_range_of`.

    Returns:
        The examples; integers and bools become uint8.

    Raises:
        ValueError: see `value_range_of` and `to_bytes`.

    Warns:
        UserWarning: floats without a negative value were read as [0, 1] though `value_range` is None.

    Example:
        >>> check_range(np.zeros((1, 2, 2, 1)), (2, 2, 1), value_range=(0, 1)).min()
        -1.0
    """
    if isinstance(example_shape, Mapping):
        if not isinstance(examples, Mapping) or set(examples) != set(example_shape):
            return examples  # `check_support` says what is wrong.
        return {k: check_range(examples[k], s, f"{argument}[{k!r}]", value_range) for k, s in example_shape.items()}
    array = _array(examples, argument)
    if len(example_shape) != 3 or not array.size:
        return examples
    if array.dtype.kind in "biu":
        return to_bytes(array, argument)
    if not np.issubdtype(array.dtype, np.floating) or not _is_near_range(array):
        return examples
    if value_range_of(array, argument, value_range) == SIGNED:
        return examples
    if value_range is None:
        warnings.warn(
            f"{argument!r} has no negative value and is read as floats in [0, 1], as data sets are. Pass uint8 levels, "
            "or value_range=(0, 1) or (-1, 1)",
            UserWarning,
            stacklevel=3,
        )
    return np.clip(array * 2 - 1, -1.0, 1.0)


def _is_near_range(array: np.ndarray) -> bool:
    return -1 - TOLERANCE <= float(array.min()) <= float(array.max()) <= 1 + TOLERANCE


def check_support(support: Any, example_shape: Any) -> Any:
    """Return a support set as float32 in [-1, 1].

    Args:
        support: examples as in `check_examples`; for a model of domains, a dict of such arrays.
        example_shape: the shape that the model was built for, or `{domain: shape}`.

    Returns:
        float32[k, *example], or a dict of such arrays in the order of `example_shape`.

    Raises:
        ValueError: as in `check_examples`, or a dict whose keys are not exactly the domains.

    Example:
        >>> list(check_support({"a": np.zeros((5, 2)), "b": np.zeros((3, 1))}, {"a": (2,), "b": (1,)}))
        ['a', 'b']
    """
    if not isinstance(example_shape, Mapping):
        return check_examples(support, example_shape)
    if not isinstance(support, Mapping) or set(support) != set(example_shape):
        received = sorted(map(repr, support)) if isinstance(support, Mapping) else type(support).__name__
        raise ValueError(f"'support' must be a dict of {', '.join(map(repr, example_shape))}. Received: {received}")
    return {name: check_examples(support[name], shape, f"support[{name!r}]") for name, shape in example_shape.items()}
