"""The contract of meta-learners: what emits the parameter updates inside a task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from meta_gan.checks import check_number
from meta_gan.types import ByPlayer, LeafInfo, Settings, Tensors


class MetaLearner(keras.Model):
    """Emits the updates of the adapted weights, as a pure function of values.

    The purity contract: `begin`, `plan` and `update` read no mutable state but their arguments and the model's own
    trainable variables (which `functional.pure` replaces by values), assign nothing, and draw randomness only from
    the seed given. The inner loop adds the deltas itself; under a first-order estimator it also hides all that a
    rule is shown behind `stop_gradient`, so a rule need not know the order.

    Attributes:
        learned: whether the rule has trainable variables for the outer loop to train.
        stochastic: whether `log_prob` is defined, for policy gradients.
        coupled: whether an update of one player uses the gradient or leaves of another.
        embedding_dim: how many numbers of the task's code follow a player's own signals, once it has moved; 0 for none.
        steers: whether the inner loop asks it, at the steps where a decision is due, how to go on: `due`, `observe`,
            `repeats` and `finished` are called of such a rule alone.
        every: inner steps from one decision to the next, of a rule that steers.
        holdout: share in [0, 1) of the support examples that are kept from training, for such a rule to watch how far
            samples are from them; 0 to watch those that are trained on.
        needs: which `Settings` of a loss the rule decides, that a game must heed (`Game.supports`).

    Reference: the `initialize / next` form follows the pure optimizers of TensorFlow Federated.
    """

    learned = False
    stochastic = False
    coupled = False
    embedding_dim = 0
    steers = False
    every = 0
    holdout = 0.0
    needs: frozenset[str] = frozenset()

    def prepare(self, leaves: Mapping[str, list[LeafInfo]], signals: Mapping[str, int]) -> None:
        """Makes the rule ready for a model: `setup`, or for a rule that has been set up, `check_leaves`."""
        if self.built:
            self.check_leaves(leaves)
        else:
            self.setup(leaves, signals)

    def check_leaves(self, leaves: Mapping[str, list[LeafInfo]]) -> None:
        """Raises ValueError for leaves that the variables of a rule from another model do not fit."""

    def setup(self, leaves: Mapping[str, list[LeafInfo]], signals: Mapping[str, int]) -> None:
        """Makes the rule's variables, once, when the model is built.

        Args:
            leaves: what is adapted, `{player: [LeafInfo]}`.
            signals: how many signals each player reports.
        """
        self.built = True

    def begin(self, leaves: ByPlayer) -> Any:
        """The rule's state before the first step: a tree of tensors of fixed structure."""
        raise NotImplementedError

    def plan(self, state: Any, signals: Mapping[str, Any], seed: Any) -> tuple[Any, Settings]:
        """Decides the settings of the coming turn; by default leaves them to the game."""
        return state, Settings()

    def due(self, state: Any, step: Any) -> Any:
        """Whether a decision is due before this inner step (int32[]), bool[]; of a rule that steers."""
        raise NotImplementedError(f"{type(self).__name__} does not steer")

    def observe(self, state: Any, step: Any, signals: Mapping[str, Any], distance: Any, seed: Any) -> Any:
        """Decides how to go on; of a rule that steers.

        Args:
            state: the rule's state.
            step: int32[], inner steps made.
            signals: `{player: float32[n]}`, what each player last reported; zeros before its first move.
            distance: float32[], from samples to the watched examples (`Game.distance`, biased); it may be infinite
                or NaN where the nets diverged.
            seed: int32[2].

        Returns:
            The new state.
        """
        raise NotImplementedError(f"{type(self).__name__} does not steer")

    def repeats(self, state: Any, turn: int, planned: int) -> Any:
        """How often a turn of the game is taken, int32[] >= 0, or None as often as the game says (`planned`)."""
        return None

    def finished(self, state: Any) -> Any:
        """Whether no more moves are to be made in this task, bool[]; of a rule that steers."""
        raise NotImplementedError(f"{type(self).__name__} does not steer")

    def update(
        self,
        state: Any,
        player: str,
        leaves: ByPlayer,
        gradients: Tensors,
        signals: Mapping[str, Any],
        seed: Any,
    ) -> tuple[Any, Tensors]:
        """Emits the deltas of one player.

        Args:
            state: the rule's state.
            player: who moves.
            leaves: `{player: [tensor]}`, the present values of all players.
            gradients: of `player`'s loss, one for each of `leaves[player]`.
            signals: `{player: float32[n]}`, what each player last reported.
            seed: int32[2].

        Returns:
            `(new state, deltas)`: one delta for each of `leaves[player]`, to be added to it.
        """
        raise NotImplementedError

    def log_prob(self, state: Any) -> Any:
        """The log-probability of the decisions made so far, float32[]; only of stochastic rules."""
        raise NotImplementedError(f"{type(self).__name__} is deterministic")


class Rates:
    """A step size for every player: one number for all, or `{player: number}`.

    Raises:
        ValueError: a rate that is not a finite number > 0.
    """

    def __init__(self, value: float | Mapping[str, float], argument: str = "rate"):
        if isinstance(value, Mapping) and not value:
            raise ValueError(f"{argument!r} must have a number > 0 for each player. Received: {value!r}")
        self.value = (
            {player: check_number(rate, f"{argument}[{player!r}]", above=0) for player, rate in value.items()}
            if isinstance(value, Mapping)
            else check_number(value, argument, above=0)
        )

    def check(self, players: Any) -> None:
        """Raises ValueError unless every player that moves has a rate."""
        if isinstance(self.value, dict) and (missing := sorted(set(players) - set(self.value))):
            raise ValueError(f"a rate is required for every player. Received: {self.value}, without {missing}")

    def of(self, player: str) -> float:
        """The rate of one player."""
        return float(self.value[player]) if isinstance(self.value, dict) else self.value


def zeros_like(leaves: ByPlayer) -> ByPlayer:
    """A tree of zeros of the same structure, shapes and dtypes."""
    return tf.nest.map_structure(tf.zeros_like, leaves)
