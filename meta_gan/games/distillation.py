"""Distillation of a flow into one of few steps, as a game of one player."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from meta_gan import functional
from meta_gan.checks import check_integer
from meta_gan.games.base import NO_SEED, check_task_embedding, generated_shape, serialized
from meta_gan.games.flow import FlowMatching
from meta_gan.types import ByNet, Settings, Snapshot, Tensor, Tree


@keras.saving.register_keras_serializable("meta_gan")
class FlowDistillation(FlowMatching):
    """A flow of few steps that learns to go where a trained flow, the teacher, goes in many.

    The student starts from noise and takes the steps of its own solver, which must be Euler's. From every point that it
    reaches, the teacher goes on to the time of the next point, in small steps and with its guidance; the student's
    velocity is trained by regression on the straight way there. So the student needs neither small steps nor guidance,
    and learns to correct its own errors. Of the examples that the game is played with, only the support set and the
    number of the others matter.

    Args:
        generator: a built `networks.FlowGenerator` that sees the support set, the student, usually with the weights of
            the teacher to begin with. Its `solver` is "euler"; its `solver_steps` are the steps that it is trained for.
        teacher: another one, which stays fixed, of the same examples; its `solver` and `guidance` are used.
        encoder, teacher_encoder: built Keras models that make their task embeddings; or None.
        teacher_steps: int >= 1, a multiple of the student's steps: the teacher's from noise to example.
        draws: int >= 1, paths from noise for each example.
        holdout: see `FlowMatching`.

    Raises:
        ValueError: nets that do not fit each other, another solver, or a number out of range.

    Example:
        >>> student = UNet((28, 28, 1), anchored=True, solver_steps=4)
        >>> game = FlowDistillation(student, UNet((28, 28, 1), anchored=True, guidance=2.0), teacher_steps=16)

    Reference:
        Meng et al., On Distillation of Guided Diffusion Models, 2023. The departure: points on the student's own path
        instead of examples with noise, and one stage instead of one for each halving of the steps.
    """

    fixed_sampling = ("solver", "solver_steps", "guidance")

    def __init__(
        self,
        generator: keras.Model,
        teacher: keras.Model,
        encoder: keras.Model | None = None,
        teacher_encoder: keras.Model | None = None,
        teacher_steps: int = 16,
        draws: int = 1,
        holdout: int = 0,
    ):
        super().__init__(generator, encoder, draws=draws, holdout=holdout)
        if teacher is generator or (encoder is not None and teacher_encoder is encoder):
            raise ValueError("the nets of the teacher must be others than the student's. Received: the same net twice")
        frozen = {"teacher": teacher, "teacher_encoder": teacher_encoder}
        for net in (own for own in frozen.values() if own is not None):
            net.trainable = False
        self.nets |= {name: net for name, net in frozen.items() if net is not None}
        self.players = {"generator": tuple(self.nets)}
        self._check()
        check_task_embedding(teacher_encoder, {"teacher": teacher})
        if not (self.sees_support and getattr(teacher, "sees_support", False)):
            raise ValueError("the nets 'generator' and 'teacher' must both see the support set. Received: one without")
        if not callable(getattr(teacher, "advance", None)) or generated_shape(teacher) != self.example_shape:
            raise ValueError(
                f"the net 'teacher' must be a flow of examples of shape {self.example_shape}. "
                f"Received: {type(teacher).__name__} of {generated_shape(teacher)}"
            )
        self.steps = generator.solver_steps
        if generator.solver != "euler" or generator.guidance != 1:
            raise ValueError(
                "the net 'generator' must have the solver 'euler' and guidance 1. "
                f"Received: {generator.solver!r}, {generator.guidance!r}"
            )
        self.teacher_steps = check_integer(teacher_steps, "teacher_steps", 1)
        if self.teacher_steps % self.steps:
            raise ValueError(
                f"'teacher_steps' must be a multiple of the student's steps, {self.steps}. Received: {teacher_steps!r}"
            )

    def loss(
        self, player: str, snapshot: Snapshot, batch: Tensor, conditioning: Tree, settings: Settings, seed: Tensor
    ) -> tuple[Tensor, ByNet, Tensor]:
        """See `Game.loss`; the signal is the loss."""
        noise_seed, choice_seed = (functional.fold(seed, index) for index in range(2))
        dtype, count = self.nets["generator"].compute_dtype, self.draws * tf.shape(batch)[0]
        shape = tf.concat([count[None], self.example_shape], axis=0)
        x = tf.random.stateless_normal(shape, noise_seed, dtype=dtype)
        choice = tf.random.stateless_normal(count[None], choice_seed, dtype=dtype)
        taught = self._teacher_conditioning(snapshot, conditioning)
        value = tf.zeros([], dtype)
        for step in range(self.steps):
            start = step / self.steps
            target = tf.stop_gradient(self.steps * (self._teach(snapshot, x, choice, taught, start) - x))
            arguments = (x, tf.fill([count], tf.cast(start, dtype)), choice, tf.ones([count], dtype), conditioning)
            velocity = functional.pure(self.nets["generator"], "velocity", snapshot.weights["generator"], *arguments)
            value += tf.reduce_mean(tf.square(velocity - target)) / self.steps
            x = tf.stop_gradient(x + velocity / self.steps)
        return value, snapshot.state, tf.cast(value, tf.float32)[None]

    def _teacher_conditioning(self, snapshot: Snapshot, conditioning: Tree) -> Tree:
        """Return the teacher's conditioning."""
        made = {"support": conditioning["support"]}
        if "teacher_encoder" in self.nets:
            found, _ = self.call_net("teacher_encoder", snapshot, made["support"], None, False, NO_SEED)
            made["task_embedding"] = found
        return functional.stop(made)

    def _teach(self, snapshot: Snapshot, x: Tensor, choice: Tensor, conditioning: Tree, start: float) -> Tensor:
        """Return where the teacher brings points from a time to that of the student's next step."""
        step = 1.0 / self.teacher_steps

        def further(number: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
            time = start + step * tf.cast(number, points.dtype)
            arguments = (points, choice, conditioning, 1, time, time + step)
            made = functional.pure(self.nets["teacher"], "advance", [], *arguments, state=snapshot.state["teacher"])
            return number + 1, made

        # A loop of the graph: the teacher is traced once instead of once for each of its steps.
        count = self.teacher_steps // self.steps
        shapes = (tf.TensorShape([]), x.shape)
        return tf.while_loop(lambda number, _: number < count, further, (tf.constant(0), x), shapes)[1]

    def student(self) -> FlowMatching:
        """Return the game of the student alone, with the same nets."""
        return FlowMatching(self.nets["generator"], self.nets.get("encoder"), draws=self.draws, holdout=self.holdout)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, with nets serialised."""
        nets = {name: self.nets.get(name) for name in ("generator", "teacher", "encoder", "teacher_encoder")}
        return serialized(**nets, **{name: getattr(self, name) for name in ("teacher_steps", "draws", "holdout")})
