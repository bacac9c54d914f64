"""Hand-designed inner rules: gradient descent, momentum, optimistic gradient and Adam, written as pure functions.

Keras's own optimizers cannot stand here: no gradient passes `apply_gradients`, and `stateless_apply` raises on the
TensorFlow backend.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from meta_gan.checks import check_number
from meta_gan.meta_learners.base import MetaLearner, Rates, zeros_like
from meta_gan.types import ByPlayer, LeafInfo, Tensors


class _FixedRule(MetaLearner):
    """What the rules with hand-set rates share."""

    def __init__(self, rate: float | Mapping[str, float], **kwargs: Any):
        super().__init__(**kwargs)
        self.rates = Rates(rate)

    def check_leaves(self, leaves: Mapping[str, list[LeafInfo]]) -> None:
        self.rates.check([player for player, infos in leaves.items() if infos])

    def setup(self, leaves: Mapping[str, list[LeafInfo]], signals: Mapping[str, int]) -> None:
        self.check_leaves(leaves)
        super().setup(leaves, signals)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rates.value}


@keras.saving.register_keras_serializable("meta_gan")
class GradientDescent(_FixedRule):
    """Plain gradient descent: `delta = -rate * gradient`, the inner rule of MAML.

    Args:
        rate: step size > 0, one for all players or `{player: rate}`.

    Raises:
        ValueError: a rate that is not > 0.

    Example:
        >>> rule = GradientDescent(rate={"discriminator": 0.01, "generator": 0.001})

    Reference: Finn, Abbeel and Levine, "Model-Agnostic Meta-Learning", 2017, equation 1.
    """

    def begin(self, leaves: ByPlayer) -> Any:
        return ()

    def update(
        self,
        state: Any,
        player: str,
        leaves: ByPlayer,
        gradients: Tensors,
        signals: Mapping[str, Any],
        seed: Any,
    ) -> tuple[Any, Tensors]:
        return state, [-self.rates.of(player) * g for g in gradients]


@keras.saving.register_keras_serializable("meta_gan")
class Momentum(_FixedRule):
    """Heavy-ball momentum: `m' = decay * m + gradient`, `delta = -rate * m'`.

    Args:
        rate: step size > 0, one for all players or `{player: rate}`.
        decay: in [0, 1).

    Raises:
        ValueError: a rate that is not > 0, or a decay outside [0, 1).

    Example:
        >>> rule = Momentum(rate=0.01, decay=0.5)

    Reference: Polyak, "Some methods of speeding up the convergence of iteration methods", 1964.
    """

    def __init__(self, rate: float | Mapping[str, float], decay: float = 0.9, **kwargs: Any):
        super().__init__(rate, **kwargs)
        self.decay = check_number(decay, "decay", least=0, below=1)

    def begin(self, leaves: ByPlayer) -> Any:
        return zeros_like(leaves)

    def update(
        self,
        state: Any,
        player: str,
        leaves: ByPlayer,
        gradients: Tensors,
        signals: Mapping[str, Any],
        seed: Any,
    ) -> tuple[Any, Tensors]:
        moved = [self.decay * m + g for m, g in zip(state[player], gradients, strict=True)]
        return {**state, player: moved}, [-self.rates.of(player) * m for m in moved]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "decay": self.decay}


@keras.saving.register_keras_serializable("meta_gan")
class OptimisticGradient(_FixedRule):
    """Optimistic gradient: `delta = -rate * (2 * gradient - the gradient before)`; gradient descent at the first move.

    It foresees that the next gradient will differ from this one as this one does from the last, and so comes to rest
    where players of a game circle one another under gradient descent.

    Args:
        rate: step size > 0, one for all players or `{player: rate}`.

    Raises:
        ValueError: a rate that is not > 0.

    Example:
        >>> rule = OptimisticGradient(rate=0.1)

    Reference: Daskalakis et al., "Training GANs with Optimism", 2018, equation 2.
    """

    def begin(self, leaves: ByPlayer) -> Any:
        return {"turns": {player: tf.zeros([]) for player in leaves}, "last": zeros_like(leaves)}

    def update(
        self,
        state: Any,
        player: str,
        leaves: ByPlayer,
        gradients: Tensors,
        signals: Mapping[str, Any],
        seed: Any,
    ) -> tuple[Any, Tensors]:
        moved_before = tf.minimum(state["turns"][player], 1.0)
        rate, deltas = self.rates.of(player), []
        for g, last in zip(gradients, state["last"][player], strict=True):
            deltas.append(-rate * (g + tf.cast(moved_before, g.dtype) * (g - last)))
        moved = {"turns": state["turns"][player] + 1.0, "last": list(gradients)}
        return {key: {**state[key], player: moved[key]} for key in state}, deltas


@keras.saving.register_keras_serializable("meta_gan")
class Adam(_FixedRule):
    """Adam with bias correction, differentiable at a zero gradient.

    The square root is taken of `v + epsilon^2` where the paper adds epsilon after it: the derivative of the root at
    v = 0 is infinite, and a second-order meta-gradient through a tensor with no gradient yet would be NaN.

    Args:
        rate: step size > 0, one for all players or `{player: rate}`.
        first_decay: decay of the mean of gradients, in [0, 1); .5 or 0 is usual for GANs.
        second_decay: decay of the mean of squares, in [0, 1).
        epsilon: > 0, in units of the gradient.

    Raises:
        ValueError: an argument outside its range.

    Example:
        >>> rule = Adam(rate=2e-4, first_decay=0.0, second_decay=0.9)

    Reference: Kingma and Ba, "Adam", 2015, algorithm 1.
    """

    def __init__(
        self,
        rate: float | Mapping[str, float] = 1e-3,
        first_decay: float = 0.5,
        second_decay: float = 0.999,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ):
        super().__init__(rate, **kwargs)
        self.first_decay = check_number(first_decay, "first_decay", least=0, below=1)
        self.second_decay = check_number(second_decay, "second_decay", least=0, below=1)
        self.epsilon = check_number(epsilon, "epsilon", above=0)

    def begin(self, leaves: ByPlayer) -> Any:
        turns = {player: tf.zeros([]) for player in leaves}
        return {"turns": turns, "first": zeros_like(leaves), "second": zeros_like(leaves)}

    def update(
        self,
        state: Any,
        player: str,
        leaves: ByPlayer,
        gradients: Tensors,
        signals: Mapping[str, Any],
        seed: Any,
    ) -> tuple[Any, Tensors]:
        turn, decays = state["turns"][player] + 1.0, (self.first_decay, self.second_decay)
        kept = zip(state["first"][player], state["second"][player], gradients, strict=True)
        each = [adam(m, v, g, turn, decays, self.epsilon) for m, v, g in kept]
        first, second, directions = ([parts[i] for parts in each] for i in range(3))
        moved = {"turns": turn, "first": first, "second": second}
        deltas = [-self.rates.of(player) * direction for direction in directions]
        return {key: {**state[key], player: moved[key]} for key in state}, deltas

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "first_decay": self.first_decay,
            "second_decay": self.second_decay,
            "epsilon": self.epsilon,
        }


def adam(first: Any, second: Any, gradient: Any, turn: Any, decays: Any, epsilon: float) -> tuple[Any, Any, Any]:
    """Adam's two means after a gradient, and the step that they make at a rate of 1; see `Adam`.

    Args:
        first: float[...], the mean of gradients so far, 0 at first.
        second: float[...], the mean of their squares.
        gradient: float[...].
        turn: float[], the number of this gradient, >= 1.
        decays: of the two means, each a number or float[].
        epsilon: > 0, under the root.

    Returns:
        `(first, second, direction)`, each float[...].
    """
    b1, b2 = (tf.cast(decay, gradient.dtype) for decay in decays)
    first = b1 * first + (1.0 - b1) * gradient
    second = b2 * second + (1.0 - b2) * tf.square(gradient)
    turn = tf.cast(turn, gradient.dtype)
    mean, square = first / (1.0 - tf.pow(b1, turn)), second / (1.0 - tf.pow(b2, turn))
    return first, second, mean / tf.sqrt(square + epsilon**2)
