"""Base classes of losses: configuration from fields, and the interface of adversarial losses; and a shape check."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Self

import tensorflow as tf

from meta_gan.types import Tensor


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
        """Return `{field: value}`, from which `from_config` makes an equal object."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Return the object that `config`, a result of `get_config`, describes."""
        return cls(**config)


class AdversarialLoss(Configured):
    """The losses of the two players of a GAN, as functions of the discriminator's logits.

    A subclass has the methods `discriminator(real_logits, fake_logits)` and `generator(fake_logits)`, or, if it is
    `relativistic`, `generator(fake_logits, real_logits)`. Both return means over all logits, so that logits may be [n]
    or [n, 1], and the batches of real and generated examples may differ in size. Weights and penalties are the
    caller's.

    Attributes:
        relativistic: whether `generator` needs the real logits. It belongs to the class and is no configuration field.
    """

    relativistic: ClassVar[bool] = False

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return the discriminator's loss, the sum (not the mean) of its real and its fake term.

        Args:
            real_logits: float[n] or [n, 1], logits of real examples.
            fake_logits: float[m] or [m, 1], logits of generated examples.

        Returns:
            float[].
        """
        raise NotImplementedError


def check_same_shape(x: Tensor, y: Tensor, names: str, first_axis: int = 0, at_run_time: bool = True) -> None:
    """Raise a ValueError for tensors of different shapes, which would be broadcast silently.

    Args:
        x: a tensor.
        y: a tensor.
        names: the names of both in the message.
        first_axis: the first axis that is compared, 0 or 1.
        at_run_time: whether shapes that are unknown when traced are compared when run.

    Raises:
        ValueError: the static shapes differ.
    """
    first, second = x.shape[first_axis:], y.shape[first_axis:]
    if x.shape.rank in range(first_axis) or y.shape.rank in range(first_axis) or not first.is_compatible_with(second):
        what = "batches of examples of one shape" if first_axis else "tensors of one shape"
        raise ValueError(f"{names} must be {what}. Received: shapes {tuple(x.shape)} and {tuple(y.shape)}")
    if at_run_time and not (first.is_fully_defined() and second.is_fully_defined()):
        tf.debugging.assert_equal(
            tf.shape(x)[first_axis:], tf.shape(y)[first_axis:], message=f"{names} must have equal shapes."
        )
