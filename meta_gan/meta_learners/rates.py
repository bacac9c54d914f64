"""Gradient-based rules with learned rates: a rate for every parameter, for every tensor and step, or Adam's own.

Rates are learned as logarithms, so that an outer step changes them by a factor and none turns negative. Before any
meta-training each rule is the hand-set one at the rate given: it can only be compared upward.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from meta_gan.checks import check_integer, check_number
from meta_gan.meta_learners.base import MetaLearner, Rates, zeros_like
from meta_gan.meta_learners.gradient import adam
from meta_gan.types import ByPlayer, LeafInfo, Tensors


def _shapes(leaves: Mapping[str, list[LeafInfo]]) -> str:
    """The shapes of all that moves, in words: Keras would make other containers of an attribute."""
    return str({player: [tuple(leaf.shape) for leaf in infos] for player, infos in leaves.items() if infos})


class LearnedRule(MetaLearner):
    """What the rules with learned rates share: a starting rate for every player, and variables made from the leaves."""

    learned = True

    def __init__(self, rate: float | Mapping[str, float], **kwargs: Any):
        super().__init__(**kwargs)
        self.rates = Rates(rate)

    def setup(self, leaves: Mapping[str, list[LeafInfo]], signals: Mapping[str, int]) -> None:
        self.rates.check([player for player, infos in leaves.items() if infos])
        self.made = {player: self._make(player, infos) for player, infos in leaves.items() if infos}
        self.made_for = _shapes(leaves)
        super().setup(leaves, signals)

    def check_leaves(self, leaves: Mapping[str, list[LeafInfo]]) -> None:
        if _shapes(leaves) != self.made_for:
            raise ValueError(
                f"a {type(self).__name__} fits the tensors that it was made for, of shapes {self.made_for}. "
                f"Received: {_shapes(leaves)}"
            )

    def _make(self, player: str, infos: Sequence[LeafInfo]) -> Any:
        """Makes the variables of one player that moves, `self.made[player]`."""
        raise NotImplementedError

    def _number(self, value: Any, shape: tuple[int, ...], name: str) -> Any:
        start = np.broadcast_to(value, shape)
        return self.add_weight(shape=shape, initializer=lambda shape, dtype: tf.constant(start, dtype), name=name)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rates.value}


def exponential(log_rate: Any, dtype: Any) -> Any:
    """A rate from its logarithm, in the dtype of what it multiplies."""
    return tf.cast(tf.exp(tf.convert_to_tensor(log_rate)), dtype)


@keras.saving.register_keras_serializable("meta_gan")
class MetaSGD(LearnedRule):
    """Gradient descent with a learned rate for every parameter.

    Args:
        rate: starting step size > 0, one for all players or `{player: rate}`.

    Raises:
        ValueError: a rate that is not > 0.

    Example:
        >>> rule = MetaSGD(rate={"discriminator": 0.01, "generator": 0.001})

    Reference: Li et al., "Meta-SGD: Learning to Learn Quickly for Few-Shot Learning", 2017, equation 2. We depart in
        learning logarithms: the paper's rates may turn negative.
    """

    def _make(self, player: str, infos: Sequence[LeafInfo]) -> Any:
        start = math.log(self.rates.of(player))
        return [self._number(start, info.shape, f"log_rate_{player}_{i}") for i, info in enumerate(infos)]

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
        pairs = zip(self.made[player], gradients, strict=True)
        return state, [-exponential(log_rate, g.dtype) * g for log_rate, g in pairs]


@keras.saving.register_keras_serializable("meta_gan")
class PerStepRates(LearnedRule):
    """Gradient descent with a learned rate for every tensor and every move of its player.

    Args:
        rate: starting step size > 0, one for all players or `{player: rate}`.
        moves: moves of a player that have rates of their own, >= 1; later ones have those of the last.

    Raises:
        ValueError: a rate that is not > 0, or moves below 1.

    Example:
        >>> rule = PerStepRates(rate=0.01, moves=5)

    Reference: Antoniou, Edwards and Storkey, "How to train your MAML", 2019, section 4 (LSLR). We depart in learning
        logarithms.
    """

    def __init__(self, rate: float | Mapping[str, float], moves: int, **kwargs: Any):
        super().__init__(rate, **kwargs)
        self.moves = check_integer(moves, "moves", 1)

    def _make(self, player: str, infos: Sequence[LeafInfo]) -> Any:
        return self._number(math.log(self.rates.of(player)), (self.moves, len(infos)), f"log_rates_{player}")

    def begin(self, leaves: ByPlayer) -> Any:
        return {player: tf.zeros([], tf.int32) for player in leaves}

    def update(
        self,
        state: Any,
        player: str,
        leaves: ByPlayer,
        gradients: Tensors,
        signals: Mapping[str, Any],
        seed: Any,
    ) -> tuple[Any, Tensors]:
        now = tf.gather(tf.convert_to_tensor(self.made[player]), tf.minimum(state[player], self.moves - 1))
        deltas = [-exponential(now[i], g.dtype) * g for i, g in enumerate(gradients)]
        return {**state, player: state[player] + 1}, deltas

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "moves": self.moves}


@keras.saving.register_keras_serializable("meta_gan")
class LearnedAdam(LearnedRule):
    """Adam with a learned rate and learned decays for every tensor.

    Args:
        rate: starting step size > 0, one for all players or `{player: rate}`.
        first_decay: starting decay of the mean of gradients, in (0, 1).
        second_decay: starting decay of the mean of squares, in (0, 1).
        epsilon: > 0, in units of the gradient, under the root; see `Adam`.

    Raises:
        ValueError: an argument outside its range.

    Example:
        >>> rule = LearnedAdam(rate=2e-3, first_decay=0.5)

    References: Kingma and Ba, "Adam", 2015; Metz et al., "Using a thousand optimization tasks to learn hyperparameter
        search strategies", 2020, for Adam's numbers as what is learned.
    """

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

    def _make(self, player: str, infos: Sequence[LeafInfo]) -> Any:
        starts = (math.log(self.rates.of(player)), *(math.log(d / (1 - d)) for d in self._decays))
        return self._number(starts, (len(infos), 3), f"rate_and_decays_{player}")

    @property
    def _decays(self) -> tuple[float, float]:
        return self.first_decay, self.second_decay

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
        numbers, turn = tf.convert_to_tensor(self.made[player]), state["turns"][player] + 1.0
        first, second, deltas = [], [], []
        for i, g in enumerate(gradients):
            kept, decays = (
                (state["first"][player][i], state["second"][player][i]),
                tf.unstack(tf.sigmoid(numbers[i, 1:])),
            )
            m, v, direction = adam(*kept, g, turn, decays, self.epsilon)
            first.append(m)
            second.append(v)
            deltas.append(-exponential(numbers[i, 0], g.dtype) * direction)
        moved = {"turns": turn, "first": first, "second": second}
        return {key: {**state[key], player: moved[key]} for key in state}, deltas

    def get_config(self) -> dict[str, Any]:
        own = {"first_decay": self.first_decay, "second_decay": self.second_decay, "epsilon": self.epsilon}
        return {**super().get_config(), **own}
