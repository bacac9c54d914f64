"""Hand-designed meta-learners as pure functions: gradient descent, momentum, optimistic gradient and Adam.

Keras's optimizers cannot be used inside the inner loop: no gradient passes through `apply_gradients`, and
`stateless_apply` raises on the TensorFlow backend.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import keras
import tensorflow as tf

from meta_gan.checks import check_number
from meta_gan.meta_learners.base import MetaLearner, Rates, zeros_like
from meta_gan.types import ByPlayer, ParamInfo, Tensor, Tensors


class RatedMetaLearner(MetaLearner):
    """Base of meta-learners with a step size for each player.

    Attributes:
        arguments: names of the constructor's other arguments, each kept in an attribute of the same name.
    """

    arguments: tuple[str, ...] = ()

    def __init__(self, rate: float | Mapping[str, float], **kwargs: Any):
        super().__init__(**kwargs)
        self.rates = Rates(rate)

    def check_params(self, params: Mapping[str, list[ParamInfo]]) -> None:
        self._check_rates(params)

    def _check_rates(self, params: Mapping[str, list[ParamInfo]]) -> None:
        self.rates.check([player for player, infos in params.items() if infos])

    def setup(self, params: Mapping[str, list[ParamInfo]], signals: Mapping[str, int]) -> None:
        self._check_rates(params)
        self._make(params)
        super().setup(params, signals)

    def _make(self, params: Mapping[str, list[ParamInfo]]) -> None:
        """Make the variables; a hand-designed meta-learner has none."""

    def get_config(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in self.arguments}
        return {**super().get_config(), "rate": self.rates.value, **own}


@keras.saving.register_keras_serializable("meta_gan")
class GradientDescent(RatedMetaLearner):
    """Gradient descent, as in MAML: `delta = -rate * gradient`.

    Args:
        rate: step size > 0, one for all players or `{player: rate}`.

    Raises:
        ValueError: if a rate is not > 0.

    Example:
        >>> meta_learner = GradientDescent(rate={"discriminator": 0.01, "generator": 0.001})

    Reference: Finn, Abbeel and Levine, "Model-Agnostic Meta-Learning", 2017, equation 1.
    """

    def begin(self, params: ByPlayer) -> Any:
        return ()

    def update(
        self, state: Any, player: str, params: ByPlayer, gradients: Tensors, signals: Mapping[str, Tensor], seed: Tensor
    ) -> tuple[Any, Tensors]:
        return state, [-self.rates.of(player) * g for g in gradients]


@keras.saving.register_keras_serializable("meta_gan")
class Momentum(RatedMetaLearner):
    """Heavy-ball momentum: `m' = decay * m + gradient`, `delta = -rate * m'`.

    Args:
        rate: step size > 0, one for all players or `{player: rate}`.
        decay: in [0, 1).

    Raises:
        ValueError: if a rate is not > 0, or the decay is outside [0, 1).

    Example:
        >>> meta_learner = Momentum(rate=0.01, decay=0.5)

    Reference: Polyak, "Some methods of speeding up the convergence of iteration methods", 1964.
    """

    arguments = ("decay",)

    def __init__(self, rate: float | Mapping[str, float], decay: float = 0.9, **kwargs: Any):
        super().__init__(rate, **kwargs)
        self.decay = check_number(decay, "decay", least=0, below=1)

    def begin(self, params: ByPlayer) -> Any:
        return zeros_like(params)

    def update(
        self, state: Any, player: str, params: ByPlayer, gradients: Tensors, signals: Mapping[str, Tensor], seed: Tensor
    ) -> tuple[Any, Tensors]:
        moved = [self.decay * m + g for m, g in zip(state[player], gradients, strict=True)]
        return {**state, player: moved}, [-self.rates.of(player) * m for m in moved]


@keras.saving.register_keras_serializable("meta_gan")
class OptimisticGradient(RatedMetaLearner):
    """Optimistic gradient: `delta = -rate * (2 * gradient - previous gradient)`; the first move is gradient descent.

    It extrapolates the change of the gradient, and so converges in games whose players rotate around each other under
    gradient descent.

    Args:
        rate: step size > 0, one for all players or `{player: rate}`.

    Raises:
        ValueError: if a rate is not > 0.

    Example:
        >>> meta_learner = OptimisticGradient(rate=0.1)

    Reference: Daskalakis et al., "Training GANs with Optimism", 2018, equation 2.
    """

    def begin(self, params: ByPlayer) -> Any:
        return {"turns": {player: tf.zeros([]) for player in params}, "last": zeros_like(params)}

    def update(
        self, state: Any, player: str, params: ByPlayer, gradients: Tensors, signals: Mapping[str, Tensor], seed: Tensor
    ) -> tuple[Any, Tensors]:
        moved_before = tf.minimum(state["turns"][player], 1.0)
        rate, deltas = self.rates.of(player), []
        for g, last in zip(gradients, state["last"][player], strict=True):
            deltas.append(-rate * (g + tf.cast(moved_before, g.dtype) * (g - last)))
        moved = {"turns": state["turns"][player] + 1.0, "last": list(gradients)}
        return {key: {**state[key], player: moved[key]} for key in state}, deltas


@keras.saving.register_keras_serializable("meta_gan")
class Adam(RatedMetaLearner):
    """Adam with bias correction, differentiable at a zero gradient.

    It takes the square root of `v + epsilon^2` where the paper adds epsilon after the root: the root's derivative at
    v = 0 is infinite, and a second-order meta-gradient through a tensor without a gradient yet would be NaN.

    Args:
        rate: step size > 0, one for all players or `{player: rate}`.
        first_decay: decay of the mean of gradients, in [0, 1); .5 or 0 is usual for GANs.
        second_decay: decay of the mean of squared gradients, in [0, 1).
        epsilon: > 0, in units of the gradient.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> meta_learner = Adam(rate=2e-4, first_decay=0.0, second_decay=0.9)

    Reference: Kingma and Ba, "Adam", 2015, algorithm 1.
    """

    arguments = ("first_decay", "second_decay", "epsilon")

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

    def begin(self, params: ByPlayer) -> Any:
        return begin_adam(params)

    def update(
        self, state: Any, player: str, params: ByPlayer, gradients: Tensors, signals: Mapping[str, Tensor], seed: Tensor
    ) -> tuple[Any, Tensors]:
        decays = [(self.first_decay, self.second_decay)] * len(gradients)
        state, directions = update_adam(state, player, gradients, decays, self.epsilon)
        return state, [-self.rates.of(player) * direction for direction in directions]


def begin_adam(params: ByPlayer) -> dict[str, dict[str, Any]]:
    """Return Adam's state before the first move: each player's moves and the two means of each of its tensors."""
    turns = {player: tf.zeros([]) for player in params}
    return {"turns": turns, "first": zeros_like(params), "second": zeros_like(params)}


def update_adam(
    state: dict[str, dict[str, Any]], player: str, gradients: Tensors, decays: Iterable[Any], epsilon: float
) -> tuple[dict[str, dict[str, Any]], Tensors]:
    """Return Adam's state after a move of one player, and the step at a rate of 1 for each tensor.

    Args:
        state: as `begin_adam` returns it.
        player: the player that moves.
        gradients: float[...], one for each of its tensors.
        decays: for each tensor the decays of the two means, each a number or float[].
        epsilon: > 0, see `Adam`.

    Returns:
        `(new state, directions)`, one float[...] for each gradient.
    """
    turn = state["turns"][player] + 1.0
    kept = zip(state["first"][player], state["second"][player], gradients, decays, strict=True)
    each = [_adam(m, v, g, turn, decay, epsilon) for m, v, g, decay in kept]
    first, second, directions = ([parts[i] for parts in each] for i in range(3))
    moved = {"turns": turn, "first": first, "second": second}
    return {key: {**state[key], player: moved[key]} for key in state}, directions


def _adam(
    first: Tensor, second: Tensor, gradient: Tensor, turn: Tensor, decays: Any, epsilon: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the two means of one tensor after its gradient number `turn`, and the step at a rate of 1."""
    b1, b2 = (tf.cast(decay, gradient.dtype) for decay in decays)
    first = b1 * first + (1.0 - b1) * gradient
    second = b2 * second + (1.0 - b2) * tf.square(gradient)
    turn = tf.cast(turn, gradient.dtype)
    mean, square = first / (1.0 - tf.pow(b1, turn)), second / (1.0 - tf.pow(b2, turn))
    return first, second, mean / tf.sqrt(square + epsilon**2)
