"""What all losses share: a configuration read off a dataclass's fields, and the check of numbers."""

from __future__ import annotations

import dataclasses
import math
from numbers import Real
from typing import Any, Self


class Configured:
    """Mixin for frozen dataclasses that Keras can serialise: the fields are the configuration.

    Example:
        >>> @keras.saving.register_keras_serializable("my_package")
        ... @dataclasses.dataclass(frozen=True)
        ... class Scale(Configured):
        ...     factor: float = 2.0
        >>> Scale.from_config(Scale(3.0).get_config())
        Scale(factor=3.0)
    """

    def get_config(self) -> dict[str, Any]:
        """Return `{field: value}` for every field, enough for `from_config` to make an equal object."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Return the object that `config`, a result of `get_config`, describes."""
        return cls(**config)


def require_nonnegative(name: str, value: Any) -> None:
    """Refuse anything but a finite real number >= 0.

    Args:
        name: what the argument is called, for the message.
        value: the argument.

    Raises:
        ValueError: if `value` is not a number, is a bool, is not finite, or is negative.

    Example:
        >>> require_nonnegative("weight", 10.0)
    """
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value < 0:
        raise ValueError(f"`{name}` must be a finite number >= 0. Received: {name}={value!r}")
