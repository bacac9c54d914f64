"""Gradient-based meta-learners with learned rates: one per parameter, one per tensor and step, or Adam's numbers.

Rates are learned as logarithms, so that an outer step changes them by a factor and none turns negative. Before
meta-training each equals the hand-designed meta-learner at the given rate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from meta_gan.checks import check_integer, check_number
from meta_gan.meta_learners.gradient import Adam, RatedMetaLearner, begin_adam, update_adam
from meta_gan.types import ByPlayer, ParamInfo, Tensor, Tensors


def _shapes(params: Mapping[str, list[ParamInfo]]) -> str:
    """Return the shapes of all adapted tensors as text, because Keras would wrap the containers of an attribute."""
    return str({player: [tuple(info.shape) for info in infos] for player, infos in params.items() if infos})


class LearnedRates(RatedMetaLearner):
    """Base of meta-learners whose variables belong to the adapted tensors, so that they fit those tensors only.

    A subclass makes the variables of one player in `_make_player`; `made[player]` holds them.
    """

    learned = True

    def _make(self, params: Mapping[str, list[ParamInfo]]) -> None:
        self.made = {player: self._make_player(player, infos) for player, infos in params.items() if infos}
        self.made_for = _shapes(params)

    def check_params(self, params: Mapping[str, list[ParamInfo]]) -> None:
        if _shapes(params) != self.made_for:
            raise ValueError(
                f"{type(self).__name__} requires tensors of the shapes that it was made for, {self.made_for}. "
                f"Received: {_shapes(params)}"
            )

    def _make_player(self, player: str, infos: Sequence[ParamInfo]) -> Any:
        raise NotImplementedError

    def _number(self, value: Any, shape: tuple[int, ...], name: str) -> Any:
        start = np.broadcast_to(value, shape)
        return self.add_weight(shape=shape, initializer=lambda shape, dtype: tf.constant(start, dtype), name=name)


def exponential(log_rate: Any, dtype: Any) -> Tensor:
    """Return a rate from its logarithm, in the dtype of what it multiplies."""
    return tf.cast(tf.exp(tf.convert_to_tensor(log_rate)), dtype)


@keras.saving.register_keras_serializable("meta_gan")
class MetaSGD(LearnedRates):
    """Gradient descent with a learned rate for every parameter.

    Args:
        rate: initial step size > 0, one for all players or `{player: rate}`.

    Raises:
        ValueError: if a rate is not > 0.

    Example:
        >>> meta_learner = MetaSGD(rate={"discriminator": 0.01, "generator": 0.001})

    Reference: Li et al., "Meta-SGD: Learning to Learn Quickly for Few-Shot Learning", 2017, equation 2. Departs in
        learning logarithms: the paper's rates may turn negative.
    """

    def _make_player(self, player: str, infos: Sequence[ParamInfo]) -> Any:
        start = math.log(self.rates.of(player))
        return [self._number(start, info.shape, f"log_rate_{player}_{i}") for i, info in enumerate(infos)]

    def begin(self, params: ByPlayer) -> Any:
        return ()

    def update(
        self, state: Any, player: str, params: ByPlayer, gradients: Tensors, signals: Mapping[str, Tensor], seed: Tensor
    ) -> tuple[Any, Tensors]:
        pairs = zip(self.made[player], gradients, strict=True)
        return state, [-exponential(log_rate, g.dtype) * g for log_rate, g in pairs]


@keras.saving.register_keras_serializable("meta_gan")
class PerStepRates(LearnedRates):
    """Gradient descent with a learned rate for every tensor and every move of its player.

    Args:
        rate: initial step size > 0, one for all players or `{player: rate}`.
        moves: number of a player's moves with rates of their own, >= 1; later moves use the last ones.

    Raises:
        ValueError: if a rate is not > 0, or `moves` is below 1.

    Example:
        >>> meta_learner = PerStepRates(rate=0.01, moves=5)

    Reference: Antoniou, Edwards and Storkey, "How to train your MAML", 2019, section 4 (LSLR). Departs in learning
        logarithms.
    """

    arguments = ("moves",)

    def __init__(self, rate: float | Mapping[str, float], moves: int, **kwargs: Any):
        super().__init__(rate, **kwargs)
        self.moves = check_integer(moves, "moves", 1)

    def _make_player(self, player: str, infos: Sequence[ParamInfo]) -> Any:
        return self._number(math.log(self.rates.of(player)), (self.moves, len(infos)), f"log_rates_{player}")

    def begin(self, params: ByPlayer) -> Any:
        return {player: tf.zeros([], tf.int32) for player in params}

    def update(
        self, state: Any, player: str, params: ByPlayer, gradients: Tensors, signals: Mapping[str, Tensor], seed: Tensor
    ) -> tuple[Any, Tensors]:
        now = tf.gather(tf.convert_to_tensor(self.made[player]), tf.minimum(state[player], self.moves - 1))
        deltas = [-exponential(now[i], g.dtype) * g for i, g in enumerate(gradients)]
        return {**state, player: state[player] + 1}, deltas


@keras.saving.register_keras_serializable("meta_gan")
class LearnedAdam(LearnedRates):
    """Adam with a learned rate and learned decays for every tensor.

    Args:
        rate: initial step size > 0, one for all players or `{player: rate}`.
        first_decay: initial decay of the mean of gradients, in (0, 1).
        second_decay: initial decay of the mean of squared gradients, in (0, 1).
        epsilon: > 0, in units of the gradient, under the root; see `Adam`.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> meta_learner = LearnedAdam(rate=2e-3, first_decay=0.5)

    References: Kingma and Ba, "Adam", 2015; Metz et al., "Using a thousand optimization tasks to learn hyperparameter
        search strategies", 2020, for learning Adam's numbers.
    """

    arguments = Adam.arguments

    def __init__(
        self,
        rate: float | Mapping[str, float] = 1e-3,
        first_decay: float = 0.5,
        second_decay: float = 0.99,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ):
        super().__init__(rate, **kwargs)
        self.first_decay = check_number(first_decay, "first_decay", above=0, below=1)
        self.second_decay = check_number(second_decay, "second_decay", above=0, below=1)
        self.epsilon = check_number(epsilon, "epsilon", above=0)

    def _make_player(self, player: str, infos: Sequence[ParamInfo]) -> Any:
        decays = (math.log(d / (1 - d)) for d in (self.first_decay, self.second_decay))
        start = (math.log(self.rates.of(player)), *decays)
        return self._number(start, (len(infos), 3), f"rate_and_decays_{player}")

    def begin(self, params: ByPlayer) -> Any:
        return begin_adam(params)

    def update(
        self, state: Any, player: str, params: ByPlayer, gradients: Tensors, signals: Mapping[str, Tensor], seed: Tensor
    ) -> tuple[Any, Tensors]:
        numbers = tf.convert_to_tensor(self.made[player])
        decays = [tf.unstack(tf.sigmoid(numbers[i, 1:])) for i in range(len(gradients))]
        state, directions = update_adam(state, player, gradients, decays, self.epsilon)
        pairs = enumerate(zip(gradients, directions, strict=True))
        return state, [-exponential(numbers[i, 0], g.dtype) * direction for i, (g, direction) in pairs]
