"""`FlowGenerator`: base of generators that integrate a velocity from Gaussian noise to examples."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from meta_gan.checks import check_bool, check_choice, check_integer, check_number
from meta_gan.layers.portable import has_loops
from meta_gan.networks.anchored import choose
from meta_gan.networks.base import Generator, Shape
from meta_gan.types import Tensor

Field = Callable[[Tensor, Any], Tensor]
"""`(x float[n, *example], time in [0, 1]) -> velocities float[n, *example]`."""


def _euler(field: Field, x: Tensor, time: Any, step: Any) -> Tensor:
    return x + step * field(x, time)


def _midpoint(field: Field, x: Tensor, time: Any, step: Any) -> Tensor:
    return x + step * field(x + 0.5 * step * field(x, time), time + 0.5 * step)


def _heun(field: Field, x: Tensor, time: Any, step: Any) -> Tensor:
    first = field(x, time)
    return x + 0.5 * step * (first + field(x + step * first, time + step))


SOLVERS = {"euler": _euler, "midpoint": _midpoint, "heun": _heun}
"""Methods of order 1, 2 and 2, which evaluate the velocity once, twice and twice a step."""


def integrate(
    field: Field,
    x: Tensor,
    steps: int,
    solver: str = "euler",
    start: Any = 0.0,
    end: Any = 1.0,
    unrolled: bool = False,
) -> Tensor:
    """Solve dx/dt = field(x, t) by equal steps.

    Args:
        field: the velocity.
        x: float[n, ...], the values at the time `start`.
        steps: >= 1.
        solver: one of `SOLVERS`.
        start, end: times, numbers or float[]; an `end` before `start` goes backwards.
        unrolled: if True, a graph repeats the field for every step, which is faster to differentiate; if False, it has
            one loop, which is faster to trace and export.

    Returns:
        The values at the time `end`, of the shape of `x`.

    Example:
        >>> float(integrate(lambda x, t: x, tf.constant([1.0]), 2)[0])  # (1 + 1/2)^2
        2.25
    """
    step = (end - start) / steps
    times = [start + index * step for index in range(steps)]
    if unrolled or steps == 1 or not has_loops():
        for time in times:
            x = SOLVERS[solver](field, x, time, step)
        return x
    held = tf.stack([tf.cast(time, x.dtype) for time in times])

    def body(index: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        return index + 1, SOLVERS[solver](field, x, held[index], step)

    loop = {"parallel_iterations": 1, "maximum_iterations": steps}
    return tf.while_loop(lambda index, x: index < steps, body, (0, x), **loop)[1]


def bounded(x: Tensor) -> Tensor:
    """Clip values to [-1, 1], for a loss of the clipped values.

    The derivative with respect to a value inside the range is 1. Outside it is 1 where descent brings the value back,
    and 0 where descent would take it further away. With an ordinary clip, whose derivative is 0 there, a value would
    stay outside; with a derivative of 1 everywhere, values would drift away without bound.

    Args:
        x: float[...].

    Returns:
        float[...], in [-1, 1].

    Example:
        >>> bounded(tf.constant([-3.0, 0.5, 2.0])).numpy()
        array([-1. ,  0.5,  1. ], dtype=float32)
    """

    @tf.custom_gradient
    def clip(x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        def gradient(upstream: Tensor) -> Tensor:
            outwards = ((x > 1.0) & (upstream < 0.0)) | ((x < -1.0) & (upstream > 0.0))
            return tf.where(outwards, tf.zeros_like(upstream), upstream)

        return tf.clip_by_value(x, -1.0, 1.0), gradient

    return clip(x)


class FlowGenerator(Generator):
    """Examples as the end points of a flow that starts from Gaussian noise, guided by the support set.

    A subclass makes its layers and implements `prepare` and `field`. With `anchored`, z begins with a number that
    chooses one support example, the anchor, for each row; the rest of z is the noise.

    Args:
        example_shape: shape of one example.
        anchored: whether the field receives the support set.
        embedding_dim: int >= 0, size of the task embedding; 0 for none.
        solver: one of `SOLVERS`.
        solver_steps: int >= 1, steps of the solver from noise to example.
        guidance: float >= 0, weight w of classifier-free guidance: the velocity is v_0 + w (v - v_0), where v is
            conditioned on the support set and v_0 is not. 1 for v alone, at half the cost; 0 for v_0 alone. It must be
            1 without conditioning.
        temperature: float > 0, multiplies the noise outside training.
        seed: int >= 0, seed of the initial weights.
        **kwargs: `width`, `name`, `dtype` and the other arguments of a network.

    Raises:
        ValueError: an argument is out of range.

    References:
        Lipman et al., Flow Matching for Generative Modeling, 2023; Liu et al., Flow Straight and Fast, 2023, for
        straight paths; Ho and Salimans, Classifier-Free Diffusion Guidance, 2022.
    """

    sampling = ("solver", "solver_steps", "guidance", "temperature")
    path_settings = ("solver", "solver_steps", "guidance")
    """The settings of `sampling` that a game which trains the samples themselves depends on."""

    def __init__(
        self,
        example_shape: Shape,
        anchored: bool = False,
        embedding_dim: int = 0,
        solver: str = "euler",
        solver_steps: int = 16,
        guidance: float = 1.0,
        temperature: float = 1.0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        size = math.prod(int(side) for side in example_shape) + check_bool(anchored, "anchored")
        super().__init__(example_shape, size, seed, embedding_dim=embedding_dim, **kwargs)
        self.anchored = self.sees_support = anchored
        self.stratified = int(anchored)
        self.solver = check_choice(solver, "solver", tuple(SOLVERS))
        self.solver_steps = check_integer(solver_steps, "solver_steps", 1)
        self.guidance = check_number(guidance, "guidance", least=0)
        self.temperature = check_number(temperature, "temperature", above=0)
        if guidance != 1 and not self.conditioned:
            raise ValueError(
                f"'guidance' must be 1 for a generator that is not 'anchored' and has 'embedding_dim' 0. "
                f"Received: {guidance!r}"
            )

    @property
    def conditioned(self) -> bool:
        """Whether the velocity depends on the support set."""
        return self.anchored or self.embedding_dim > 0

    def prepare(self, support: Tensor | None, embedding: Tensor | None) -> Any:
        """Return what `field` needs from the support set; it is computed once per solution.

        Args:
            support: float[k, *example_shape]; None unless `anchored`.
            embedding: float[embedding_dim]; None with `embedding_dim` 0.
        """
        raise NotImplementedError

    def field(self, x: Tensor, time: Tensor, anchor: Tensor | None, keep: Tensor, prepared: Any) -> Tensor:
        """Return the velocities of points, each computed from its own row alone.

        Args:
            x: float[n, *example_shape], points on the paths from noise to examples.
            time: float[n] in [0, 1]; 0 is noise.
            anchor: int32[n], the anchor of each row; None unless `anchored`.
            keep: float[n], 1 for rows that are conditioned and 0 for those that are not.
            prepared: what `prepare` returned.

        Returns:
            float[n, *example_shape].
        """
        raise NotImplementedError

    def velocity(self, x: Tensor, time: Tensor, choice: Tensor, keep: Tensor, conditioning: Any) -> Tensor:
        """Return the velocities that flow matching trains; see `field`.

        Args:
            x, time, keep: see `field`.
            choice: float[n], standard normal numbers that choose the anchors.
            conditioning: see `Network.read_conditioning`.
        """
        support, embedding = self.read_conditioning(conditioning)
        return self.field(x, time, self._anchor(choice, support), keep, self.prepare(support, embedding))

    @staticmethod
    def _anchor(choice: Tensor, support: Tensor | None) -> Tensor | None:
        return None if support is None else choose(choice, tf.shape(support)[0])

    def _guided(self, choice: Tensor, conditioning: Any) -> Field:
        """Return the field of a solution, with guidance."""
        support, embedding = self.read_conditioning(conditioning)
        prepared, anchor = self.prepare(support, embedding), self._anchor(choice, support)
        weight = self.guidance

        def field(x: Tensor, time: Any) -> Tensor:
            rows = tf.shape(x)[0]
            if weight in (0.0, 1.0):
                return self.field(
                    x,
                    tf.fill([rows], tf.cast(time, x.dtype)),
                    anchor,
                    tf.fill([rows], tf.cast(weight, x.dtype)),
                    prepared,
                )
            # One call for both: the conditioned rows, then the same ones unconditioned.
            twice = tf.concat([x, x], axis=0)
            keep = tf.cast(tf.range(2 * rows) < rows, x.dtype)
            anchors = None if anchor is None else tf.concat([anchor, anchor], axis=0)
            both = self.field(twice, tf.fill([2 * rows], tf.cast(time, x.dtype)), anchors, keep, prepared)
            return both[rows:] + weight * (both[:rows] - both[rows:])

        return field

    def call(self, z: Tensor, conditioning: Any = None, training: bool = False) -> Tensor:
        """Return examples float[n, *example_shape] in [-1, 1] of `z` float[n, latent_dim] and the support set.

        In training a value out of range has a derivative that can bring it back, see `bounded`.
        """
        noise = tf.reshape(z[:, self.stratified :], [-1, *self.example_shape])
        noise = noise if training else self.temperature * noise
        field = self._guided(z[:, 0], conditioning)
        made = integrate(field, noise, self.solver_steps, self.solver, unrolled=training)
        return bounded(made) if training else tf.clip_by_value(made, -1.0, 1.0)

    def advance(
        self, x: Tensor, choice: Tensor, conditioning: Any, steps: int, start: Any = 0.0, end: Any = 1.0
    ) -> Tensor:
        """Follow the flow with guidance, and neither a temperature nor a limit on values.

        Args:
            x: float[n, *example_shape], points at the time `start`.
            choice, conditioning: see `velocity`.
            steps: >= 1, of the network's solver.
            start, end: times in [0, 1], numbers or float[].

        Returns:
            The points at the time `end`, of the shape of `x`.
        """
        return integrate(self._guided(choice, conditioning), x, steps, self.solver, start, end)

    def encode(self, examples: Tensor, conditioning: Any) -> Tensor:
        """Return z float[n, latent_dim] from which `call` makes examples float[n, *example_shape], as exactly as the
        solver's steps allow. The anchor of all rows is the middle one of the support set."""
        middle = tf.zeros([tf.shape(examples)[0]], examples.dtype)
        field = self._guided(middle, conditioning)
        noise = integrate(field, examples, self.solver_steps, self.solver, start=1.0, end=0.0)
        flat = tf.reshape(noise / self.temperature, [-1, math.prod(self.example_shape)])
        return tf.concat([middle[:, None]] * self.stratified + [flat], axis=1)
