"""What all losses share: a configuration read off a dataclass's fields, and the check of numbers."""

from __future__ import annotations

import dataclasses
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
