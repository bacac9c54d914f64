"""The interfaces of meta-learners, which emit the updates of the params inside a task, and of steering."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import keras
import tensorflow as tf

from meta_gan import functional
from meta_gan.checks import check_number
from meta_gan.types import ByPlayer, Examples, ParamInfo, Settings, Tensor, Tensors, Tree

# The role of the draw of held-out examples, among those listed in `meta.inner_loop`.
HOLDOUT = 8


class Steering:
    """Control of the course of adaptation: the only connection between the inner loop and a controller.

    Like a `MetaLearner`, it is pure: its methods read their arguments and the variables of the meta-learner that it
    belongs to, assign nothing, and draw from the seed given only. Decisions are kept in the meta-learner's state.

    Attributes:
        holdout: share in [0, 1) of the support examples that are not trained on, from which the distance of samples
            is observed; 0 to observe the distance from the examples that are trained on.
        needs: the `Settings` that it decides and the game must therefore support (`Game.supports`); also "turns",
            where it decides the repeats of the first turn.
    """

    holdout: float = 0.0
    needs: frozenset[str] = frozenset()

    def due(self, state: Tree, step: Tensor) -> Tensor:
        """Return whether a decision is due before this inner step (int32[]), bool[]."""
        raise NotImplementedError

    def observe(self, state: Tree, step: Tensor, signals: Mapping[str, Tensor], distance: Tensor, seed: Tensor) -> Tree:
        """Decide how adaptation continues.

        Args:
            state: the meta-learner's state.
            step: int32[], inner steps made.
            signals: `{player: float32[n]}`, what each player last reported; zeros before its first move.
            distance: float32[], from samples to the held-out examples (`Game.distance`, biased); infinite or NaN where
                the nets diverged.
            seed: int32[2].

        Returns:
            The new state.
        """
        raise NotImplementedError

    def repeats(self, state: Tree, turn: int, planned: int) -> Tensor | None:
        """Return how often a turn of the game is taken, int32[] >= 0, or None for the `planned` number."""
        return None

    def finished(self, state: Tree) -> Tensor:
        """Return whether adaptation to this task has ended, after which nothing changes, bool[]."""
        raise NotImplementedError

    def split(self, support: Examples, seed: Tensor) -> tuple[Examples, Examples]:
        """Split a support set, in the same way for the same task.

        Args:
            support: float[k, *example], any k >= 1, or a dict of domains.
            seed: int32[2], the task's key.

        Returns:
            `(trained on, held out)`: `holdout` of the examples, rounded, but at least one, are held out. Both are all
            examples where `holdout` is 0 or k is 1.
        """
        if not self.holdout:
            return support, support
        if not isinstance(support, dict):
            return self._split(support, seed, 0)
        parts = {domain: self._split(support[domain], seed, i) for i, domain in enumerate(sorted(support))}
        return {domain: part[0] for domain, part in parts.items()}, {domain: part[1] for domain, part in parts.items()}

    def _split(self, examples: Tensor, seed: Tensor, number: int) -> tuple[Tensor, Tensor]:
        count = tf.shape(examples)[0]
        wanted = tf.maximum(tf.cast(tf.round(self.holdout * tf.cast(count, tf.float32)), tf.int32), 1)
        held = tf.minimum(wanted, count - 1)
        key = functional.fold(functional.fold(seed, HOLDOUT), number)
        order = tf.argsort(tf.random.stateless_uniform([count], key, alg="philox"), stable=True)
        shuffled = tf.gather(examples, order)
        return shuffled[held:], shuffled[: tf.maximum(held, 1)]


class MetaLearner(keras.Model):
    """Emit the updates of the params, as a pure function of values.

    The purity contract: `begin`, `plan` and `update` read no mutable state but their arguments and the model's own
    trainable variables (which `functional.pure` replaces by values), assign nothing, and draw randomness from the seed
    given only. The inner loop adds the deltas itself; under a first-order estimator it also hides everything that a
    meta-learner receives behind `stop_gradient`, so a meta-learner need not know the order.

    Attributes:
        learned: whether it has trainable variables for the outer loop to train.
        coupled: whether an update of one player uses the gradient or params of another.
        embedding_dim: how many numbers of the task embedding follow a player's own signals, once the player has moved;
            0 for none.
        steering: what steers adaptation, or None.

    Reference: the `initialize / next` form follows the pure optimizers of TensorFlow Federated.
    """

    learned = False
    coupled = False
    embedding_dim = 0

    def __init__(self, **kwargs: Any) -> None:
        # By default float32, whatever Keras's global policy, as networks are.
        super().__init__(**{**kwargs, "dtype": kwargs.get("dtype") or "float32"})

    @property
    def steering(self) -> Steering | None:
        """The `Steering` of adaptation; by default None."""
        return None

    def prepare(self, params: Mapping[str, list[ParamInfo]], signals: Mapping[str, int]) -> None:
        """Set up for a model by `setup`, or, where that was done before, check by `check_params`."""
        if self.built:
            self.check_params(params)
        else:
            self.setup(params, signals)

    def check_params(self, params: Mapping[str, list[ParamInfo]]) -> None:
        """Raise ValueError for params that the variables of a meta-learner from another model do not fit."""

    def setup(self, params: Mapping[str, list[ParamInfo]], signals: Mapping[str, int]) -> None:
        """Make the variables, once, when the model is built.

        Args:
            params: what is adapted, `{player: [ParamInfo]}`.
            signals: how many signals each player reports.
        """
        self.built = True

    def begin(self, params: ByPlayer) -> Tree:
        """Return the state before the first step: a tree of tensors of fixed structure."""
        raise NotImplementedError

    def plan(self, state: Tree, signals: Mapping[str, Tensor], seed: Tensor) -> tuple[Tree, Settings]:
        """Decide the settings of the coming turn; by default they are the game's."""
        return state, Settings()

    def update(
        self,
        state: Tree,
        player: str,
        params: ByPlayer,
        gradients: Tensors,
        signals: Mapping[str, Tensor],
        seed: Tensor,
    ) -> tuple[Tree, Tensors]:
        """Emit the deltas of one player.

        Args:
            state: the meta-learner's state.
            player: who moves.
            params: `{player: [tensor]}`, the present values of all players.
            gradients: of `player`'s loss, one for each of `params[player]`.
            signals: `{player: float32[n]}`, what each player last reported.
            seed: int32[2].

        Returns:
            `(new state, deltas)`: one delta for each of `params[player]`, to be added to it.
        """
        raise NotImplementedError


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

    def check(self, players: Iterable[str]) -> None:
        """Raise ValueError unless every player that moves has a rate."""
        if isinstance(self.value, dict) and (missing := sorted(set(players) - set(self.value))):
            raise ValueError(f"a rate is required for every player. Received: {self.value}, without {missing}")

    def of(self, player: str) -> float:
        """Return the rate of one player."""
        return float(self.value[player]) if isinstance(self.value, dict) else self.value


def zeros_like(params: ByPlayer) -> ByPlayer:
    """Return zeros of the same structure, shapes and dtypes."""
    return tf.nest.map_structure(tf.zeros_like, params)
