"""Gradient penalties on a critic, differentiable to higher orders.

Each penalty opens its own tape, which watches the examples only and does not affect the caller's tapes. The penalty can
be differentiated with respect to the critic's weights (second order) and to the values from which the weights were
computed (third order), eagerly, in a graph, and inside `tf.while_loop`. The critic must score each example
independently: batch normalisation in training mode would mix the gradients of the examples.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import keras
import tensorflow as tf

from meta_gan.checks import check_number
from meta_gan.losses.base import Configured, check_same_shape
from meta_gan.types import Tensor

Critic = Callable[[Tensor], Tensor]
"""float[n, *example] -> logits float[n] or [n, 1]."""

# Added to the squared norm, because the derivative of the root is infinite at 0, the norm of a critic that is flat. It
# bounds the second derivative of the norm by 1e3 (1e-12 would allow 1e6, enough to ruin a meta-gradient), and changes a
# norm of 1 by 5e-7.
_SQUARED_NORM_EPSILON = 1e-6


def _squared_gradient_norms(critic: Critic, examples: Tensor) -> Tensor:
    """Return float[n], the squared Euclidean norm of the critic's gradient at each example."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(examples)
        total = tf.reduce_sum(critic(examples))
    gradient = tape.gradient(total, examples)
    if gradient is None:
        raise ValueError(
            f"'critic' must be a differentiable function of its examples. Received: {critic!r} with gradient None"
        )
    return tf.reduce_sum(tf.square(gradient), axis=tuple(range(1, gradient.shape.rank)))


@keras.saving.register_keras_serializable("meta_gan")
@dataclasses.dataclass(frozen=True)
class GradientPenalty(Configured):
    """WGAN-GP: penalise gradient norms other than `target` at random points between real and generated examples.

    It needs equal numbers of real and generated examples (`pairs` is True).

    Args:
        weight: float >= 0, the penalty's weight; the paper's lambda.
        target: float >= 0, the desired norm; 1 as in the paper, 0 for a zero-centred penalty.

    Raises:
        ValueError: if an argument is not a finite number >= 0.

    Example:
        >>> critic = lambda x: 3.0 * x[:, 0]                      # gradient norm 3 everywhere
        >>> penalty = GradientPenalty(weight=1.0)
        >>> round(float(penalty(critic, tf.zeros([4, 2]), tf.ones([4, 2]), seed=(0, 1))), 3)
        4.0

    Reference:
        Gulrajani et al., Improved Training of Wasserstein GANs, 2017, equation 3. We depart in adding 1e-6 under
        the root of the norm, so that all derivatives are finite where the critic is flat.
    """

    pairs: ClassVar[bool] = True
    weight: float = 10.0
    target: float = 1.0

    def __post_init__(self) -> None:
        check_number(self.weight, "weight", least=0)
        check_number(self.target, "target", least=0)

    def __call__(self, critic: Critic, real: Tensor, fake: Tensor, seed: Any) -> Tensor:
        """Return weight * E (||grad critic(x)|| - target)^2, x uniform between `real[i]` and `fake[i]`.

        Args:
            critic: float[n, *example] -> logits float[n] or [n, 1], each example scored independently.
            real: float[n, *example], real examples.
            fake: float[n, *example], equally many generated examples.
            seed: int32[2], the key of the random interpolation.

        Returns:
            float[], >= 0, of the dtype of `real`.

        Raises:
            ValueError: if the shapes differ, or the logits do not depend on the examples.
        """
        real = tf.convert_to_tensor(real)
        fake = tf.convert_to_tensor(fake, dtype=real.dtype)
        check_same_shape(real, fake, "'real' and 'fake'")
        shape = tf.concat([tf.shape(real)[:1], tf.ones([real.shape.rank - 1], tf.int32)], axis=0)
        share = tf.random.stateless_uniform(shape, seed, dtype=real.dtype)
        squared = _squared_gradient_norms(critic, real + share * (fake - real))
        norm = tf.sqrt(squared + _SQUARED_NORM_EPSILON)
        return self.weight * tf.reduce_mean(tf.square(norm - self.target))


@keras.saving.register_keras_serializable("meta_gan")
@dataclasses.dataclass(frozen=True)
class R1(Configured):
    """R1: penalise the squared norm of the discriminator's gradient at real examples.

    It is smooth without an epsilon, and accepts any number of generated examples (`pairs` is False).

    Args:
        weight: float >= 0, the paper's gamma; 10 as in its image experiments.

    Raises:
        ValueError: if `weight` is not a finite number >= 0.

    Example:
        >>> critic = lambda x: 3.0 * x[:, 0]
        >>> float(R1(weight=2.0)(critic, tf.zeros([4, 2]), tf.ones([4, 2]), seed=(0, 1)))
        9.0

    Reference:
        Mescheder et al., Which Training Methods for GANs do actually Converge?, 2018, equation 9.
    """

    pairs: ClassVar[bool] = False
    weight: float = 10.0

    def __post_init__(self) -> None:
        check_number(self.weight, "weight", least=0)

    def __call__(self, critic: Critic, real: Tensor, fake: Tensor, seed: Any) -> Tensor:
        """Return weight / 2 * E ||grad critic(real)||^2.

        Args:
            critic: float[n, *example] -> logits float[n] or [n, 1], each example scored independently.
            real: float[n, *example], real examples.
            fake: unused; all penalties have the same signature.
            seed: unused; this penalty is deterministic.

        Returns:
            float[], >= 0, of the dtype of `real`.

        Raises:
            ValueError: if the logits do not depend on the examples.
        """
        return 0.5 * self.weight * tf.reduce_mean(_squared_gradient_norms(critic, tf.convert_to_tensor(real)))
