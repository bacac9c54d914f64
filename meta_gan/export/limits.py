"""The limits of requests to an exported model, fixed at export, and the assertions in its graph that enforce them.

A server takes `steps` and `num` from anyone, so every signature checks its inputs before anything else runs; the
assertion names the input and the limit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from meta_gan.checks import check_integer
from meta_gan.types import Tensor

FURTHEST = 1.001  # largest absolute value of an example: [-1, 1] with room for rounding


@dataclass(frozen=True)
class Limits:
    """The greatest request that an exported model serves.

    Attributes:
        shots: support images, >= 1.
        steps: inner steps, >= 0.
        num: samples of one call, or rows of its input, >= 1.
        tasks: support sets of one call of `adapt_and_sample_many`, >= 1.

    Raises:
        ValueError: a limit that is not a whole number, too small, or of more than 31 bits.

    Example:
        >>> model.export("served/glyphs/1", limits=Limits(shots=20, steps=50, num=64))
    """

    shots: int = 128
    steps: int = 200
    num: int = 1024
    tasks: int = 16

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            object.__setattr__(self, name, check_integer(value, f"limits.{name}", 0 if name == "steps" else 1))


@dataclass(frozen=True)
class Input:
    """An input of a signature, and its bounds: the one source of the graph's assertions and of the card.

    Attributes:
        spec: name, dtype and shape.
        bounds: `(least, most)` of the value of a scalar, or of the length of each leading axis of a tensor; fewer than
            the axes, or none, where the shape fixes the rest.
        examples: whether it holds examples, which lie in [-1, 1]; other floats must be finite.
    """

    spec: tf.TensorSpec
    bounds: tuple[tuple[int, int], ...] = ()
    examples: bool = False

    @property
    def name(self) -> str:
        """The name of the spec."""
        return str(self.spec.name)

    def described(self) -> dict[str, Any]:
        """Return JSON values for people and clients: dtype, shape, and ranges of the value or of the leading axes."""
        shape = self.spec.shape.as_list()
        found: dict[str, Any] = {"dtype": self.spec.dtype.name, "shape": shape}
        if not shape and self.bounds:
            found["range"] = list(self.bounds[0])
        elif self.bounds:
            found["lengths"] = [list(bound) for bound in self.bounds]
        if self.spec.dtype.is_floating:
            found["values"] = "-1 to 1" if self.examples else "finite"
        return found

    def asserts(self, value: Tensor) -> list[tf.Operation]:
        """Return the assertions on a value; those on numbers wait for those on lengths."""
        made = []
        for axis, (least, most) in enumerate(self.bounds):
            scalar = self.spec.shape.rank == 0
            measured = value if scalar else tf.shape(value)[axis]
            what = f"`{self.name}`" if scalar else f"the length of `{self.name}` along axis {axis}"
            said = f"{what} must lie in [{least}, {most}], the limit set at export. Received:"
            made.append(asserted(tf.logical_and(measured >= least, measured <= most), [said, measured]))
        if self.spec.dtype.is_floating:
            with tf.control_dependencies(made):
                size = tf.reduce_max(tf.abs(value))
                # A NaN is not <= anything. (Of no numbers the maximum is -infinity.)
                furthest = FURTHEST if self.examples else self.spec.dtype.max
                said = "finite and lie in [-1, 1]" if self.examples else "finite"
                said = f"`{self.name}` must be {said}. Received a greatest size of:"
                inside = tf.reduce_all(tf.abs(value) <= tf.cast(furthest, value.dtype))
                made.append(asserted(inside, [said, size]))
        return made


def asserted(condition: Tensor, data: Sequence[Any]) -> tf.Operation:
    """Return the raw operation: `tf.debugging.Assert` puts it into a `cond`, of two more functions each time."""
    return tf.raw_ops.Assert(condition=condition, data=[tf.convert_to_tensor(each) for each in data])


DIVERGED = "must be finite, but the adaptation diverged: ask for fewer inner steps. Received"


def converged(outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the outputs by name, behind assertions that those of floating point are finite."""
    made = [
        asserted(tf.reduce_all(tf.math.is_finite(value)), [f"`{name}` {DIVERGED} NaN or infinity in:", name])
        for name, value in outputs.items()
        if value.dtype.is_floating
    ]
    with tf.control_dependencies(made):
        return {name: tf.identity(value) for name, value in outputs.items()}


def checked(inputs: Sequence[Input], values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the values by name, behind the assertions of all inputs."""
    with tf.control_dependencies([each for given in inputs for each in given.asserts(values[given.name])]):
        return {name: tf.identity(value) for name, value in values.items()}
