"""A policy that steers training inside a task: it turns the knobs of a hand-set rule as it sees the game go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from meta_gan.checks import check_bool, check_integer, check_number
from meta_gan.controller.knobs import ACTIONS, NEEDS, Knob, knobs_of
from meta_gan.controller.policy import Policy, drawn, likeliest, log_prob
from meta_gan.meta_learners.base import MetaLearner
from meta_gan.types import ByPlayer, LeafInfo, Settings, Tensors

NEAREST, FURTHEST = 1e-3, 1e3
"""Distances are told apart between these bounds; one that is not finite counts as the furthest."""
_WINDOW = 5.0  # moves that the mean loss remembers
_BOUND = 5.0  # of all that the policy sees


@keras.saving.register_keras_serializable("meta_gan")
class ScheduleController(MetaLearner):
    """Steers a hand-set rule by a recurrent policy, as a decision process: the generator's side acts, the discriminator
    is what answers.

    Every few inner steps the policy sees some twenty numbers: what every player last reported, running means of their
    losses, the ratio of their gradients' norms, how far samples are from examples held out of the support set, how that
    changed, how much of the task is over, and where the knobs stand. It chooses one option of every knob (see `knobs`):
    factors of the rates, discriminator turns, the penalty's weight, the augmented share, and whether to stop. In
    `adapt` and in exports it takes its most likely action; `PolicyGradient` trains it by what it draws, and
    `EvolutionStrategies` by moving its weights. Its readouts start at 0 with a bias towards no change: before any
    training it is the hand-set rule, on what `holdout` leaves of the support set.

    Args:
        base: the rule that it steers; not a learned one, which would stay untrained.
        horizon: inner steps of a task that it is trained for, >= 1; it goes on after them as if they were just over.
        every: inner steps from one decision to the next, >= 1.
        hidden: units of the GRU, >= 1.
        actions: kinds of knobs, some of "rates", "turns", "penalty", "augmentation" and "stop", in any order.
        holdout: share in [0, 1) of the support examples that it watches and that train nothing, at least one example
            unless 0; with 0, and where there is but one, it watches those that are trained on.
        calm: finite and > 0, the first logit of every option that changes nothing, beside 0 of the others.
        logit_clip: > 0, the greatest size of a logit.
        closed_loop: False for a policy that sees the time alone: a schedule.
        seed: of its initial weights, >= 0.

    Raises:
        ValueError: an argument out of its range, or a base that is learned or steers.

    Example:
        >>> rule = ScheduleController(Adam(2e-3), horizon=60)
        >>> row = meta_gan.Algorithm("controller", rule, meta_gan.controller.PolicyGradient(), inner_steps=60)

    References: Xu et al., "AutoLoss: Learning Discrete Schedules for Alternate Optimization", 2019, for a policy that
        schedules a GAN's turns; Daniel, Taylor and Nowozin, "Learning Step Size Controllers for Robust Neural Network
        Training", 2016; Karras et al., "Training Generative Adversarial Networks with Limited Data", 2020, for the sign
        of real logits as a sign of overfitting.
    """

    learned = stochastic = steers = True

    def __init__(
        self,
        base: MetaLearner,
        horizon: int = 60,
        every: int = 5,
        hidden: int = 24,
        actions: Sequence[str] = ("rates", "turns", "stop"),
        holdout: float = 0.25,
        calm: float = 2.0,
        logit_clip: float = 4.0,
        closed_loop: bool = True,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if base.learned or base.steers:
            raise ValueError(f"'base' must be a rule that is set by hand. Received: {type(base).__name__}")
        self.base, self.coupled, self.embedding_dim = base, base.coupled, base.embedding_dim
        self.horizon, self.every = check_integer(horizon, "horizon", 1), check_integer(every, "every", 1)
        self.hidden, self.seed = check_integer(hidden, "hidden", 1), check_integer(seed, "seed", 0)
        if isinstance(actions, str) or not actions or not set(actions) <= set(ACTIONS):
            raise ValueError(f"'actions' must be some of {ACTIONS}. Received: {actions!r}")
        self.actions = tuple(action for action in ACTIONS if action in actions)
        self.needs = frozenset(NEEDS.get(action, action) for action in self.actions if action in (*NEEDS, "turns"))
        self.holdout = check_number(holdout, "holdout", least=0, below=1)
        self.calm = check_number(calm, "calm", above=0)
        self.logit_clip = check_number(logit_clip, "logit_clip", above=0)
        self.closed_loop = check_bool(closed_loop, "closed_loop")
        self.knobs: tuple[Knob, ...] = ()

    def prepare(self, leaves: Mapping[str, list[LeafInfo]], signals: Mapping[str, int]) -> None:
        super().prepare(leaves, signals)
        given = {player: int(signals[player]) for player, infos in leaves.items() if infos}
        if given != self.reports:
            raise ValueError(
                f"a controller that was set up needs a game whose players that adapt report {dict(self.reports)} "
                f"numbers. Received: {given}"
            )

    def check_leaves(self, leaves: Mapping[str, list[LeafInfo]]) -> None:
        self.base.check_leaves(leaves)

    def setup(self, leaves: Mapping[str, list[LeafInfo]], signals: Mapping[str, int]) -> None:
        self.base.prepare(leaves, signals)
        players = [player for player, infos in leaves.items() if infos]
        self.reports = {player: int(signals[player]) for player in players}
        self.knobs = knobs_of(self.actions, players)
        turned = sum(knob.name != "stop" for knob in self.knobs)
        self.width = sum(self.reports.values()) + len(players) + (len(players) > 1) + 4 + turned
        self.policy = Policy(self.knobs, self.width, self.hidden, self.calm, self.logit_clip, self.seed, name="policy")
        super().setup(leaves, signals)

    def begin(self, leaves: ByPlayer) -> Any:
        zero, players = tf.zeros([]), self.reports
        return {
            "base": self.base.begin(leaves),
            "memory": tf.zeros([self.hidden]),
            "knobs": {knob.name: tf.constant(knob.start) for knob in self.knobs},
            "moves": dict.fromkeys(players, zero),
            "losses": dict.fromkeys(players, zero),
            "norms": dict.fromkeys(players, zero),
            "decisions": tf.zeros([], tf.int32),
            # Logarithms of the distance at the first and at the last decision.
            "distances": tf.zeros([2]),
            "log_prob": zero,
            "seen": tf.zeros([self.width]),
            "chosen": tf.zeros([len(self.knobs)], tf.int32),
        }

    def due(self, state: Any, step: Any) -> Any:
        return tf.logical_and(tf.equal(tf.math.floormod(step, self.every), 0), tf.logical_not(self.finished(state)))

    def finished(self, state: Any) -> Any:
        return state["knobs"]["stop"] > 0.5 if "stop" in self.actions else tf.constant(False)

    def repeats(self, state: Any, turn: int, planned: int) -> Any:
        if turn or "turns" not in self.actions:
            return None
        return planned * tf.cast(state["knobs"]["turns"], tf.int32)

    def observe(self, state: Any, step: Any, signals: Mapping[str, Any], distance: Any, seed: Any) -> Any:
        return self.follow(state, step, signals, distance, seed, None)

    def explore(self, state: Any, step: Any, signals: Mapping[str, Any], distance: Any, seed: Any) -> Any:
        """Like `observe`, but draws an action by the policy's probabilities."""
        return self._decided(state, step, signals, distance, lambda logits: drawn(logits, seed))

    def follow(self, state: Any, step: Any, signals: Mapping[str, Any], distance: Any, seed: Any, action: Any) -> Any:
        """Like `observe`, but takes the given action, int32[knobs], or the most likely one for None."""

        def choose(logits: list[Any]) -> Any:
            return likeliest(logits) if action is None else tf.cast(action, tf.int32)

        return self._decided(state, step, signals, distance, choose)

    def perceived(self, state: Any, step: Any, signals: Mapping[str, Any], distance: Any) -> Any:
        """What the policy sees, float32[width], each number within [-5, 5]."""
        now = _log_distance(distance)
        # Before the first decision there is no change.
        first, last = (tf.where(state["decisions"] > 0, before, now) for before in tf.unstack(state["distances"]))
        time = tf.cast(step, tf.float32) / self.horizon
        numbers = [tf.asinh(signals[player][:count]) for player, count in self.reports.items()]
        numbers.append(tf.asinh(tf.stack(list(state["losses"].values()))))
        norms = tf.stack(list(state["norms"].values()))
        if len(self.reports) > 1:
            numbers.append((norms[:1] - norms[-1:]) / 3.0)
        numbers.append(tf.stack([now / 3.0, last - now, first - now]))
        turned = [knob for knob in self.knobs if knob.name != "stop"]
        numbers.append(tf.stack([knob.shown(state["knobs"][knob.name]) for knob in turned] + [tf.minimum(time, 1.0)]))
        seen = tf.concat(numbers, axis=0)
        seen = tf.clip_by_value(tf.where(tf.math.is_nan(seen), _BOUND, seen), -_BOUND, _BOUND)
        # The time is the last number; without the loop it is all that is seen.
        return seen if self.closed_loop else seen * tf.one_hot(self.width - 1, self.width)

    def _decided(
        self, state: Any, step: Any, signals: Mapping[str, Any], distance: Any, choose: Callable[[list[Any]], Any]
    ) -> Any:
        seen = self.perceived(state, step, signals, distance)
        memory, logits = self.policy.step(seen, state["memory"])
        chosen = choose(logits)
        now = _log_distance(distance)
        knobs = {knob.name: knob.turned(state["knobs"][knob.name], chosen[i]) for i, knob in enumerate(self.knobs)}
        return {
            **state,
            "memory": memory,
            "knobs": knobs,
            "decisions": state["decisions"] + 1,
            "distances": tf.stack([tf.where(state["decisions"] > 0, state["distances"][0], now), now]),
            "log_prob": state["log_prob"] + log_prob(logits, chosen),
            "seen": seen,
            "chosen": chosen,
        }

    def judge(self, seen: Any, chosen: Any, observed: Any) -> tuple[Any, Any]:
        """See `Policy.judge`."""
        return self.policy.judge(seen, chosen, observed)

    def remember(self, fresh: Any, last: Any) -> Any:
        """The state of a new attempt at the same task: the knobs are back, what the policy remembers is kept."""
        return {**fresh, "memory": last["memory"]}

    def plan(self, state: Any, signals: Mapping[str, Any], seed: Any) -> tuple[Any, Settings]:
        kept, settings = self.base.plan(state["base"], signals, seed)
        decided = {NEEDS[action]: state["knobs"][action] for action in self.actions if action in NEEDS}
        return {**state, "base": kept}, settings._replace(**decided)

    def update(
        self,
        state: Any,
        player: str,
        leaves: ByPlayer,
        gradients: Tensors,
        signals: Mapping[str, Any],
        seed: Any,
    ) -> tuple[Any, Tensors]:
        kept, deltas = self.base.update(state["base"], player, leaves, gradients, signals, seed)
        moves = state["moves"][player] + 1.0
        mean = state["losses"][player]
        squares = tf.add_n([tf.reduce_sum(tf.square(tf.cast(g, tf.float32))) for g in gradients])
        told = {
            "base": kept,
            "moves": {**state["moves"], player: moves},
            "losses": {
                **state["losses"],
                player: mean + (signals[player][0] - mean) / tf.minimum(moves, _WINDOW),
            },
            "norms": {**state["norms"], player: 0.5 * tf.math.log(squares + 1e-12)},
        }
        if "rates" in self.actions:
            rate = state["knobs"][f"rate/{player}"]
            deltas = [tf.cast(rate, delta.dtype) * delta for delta in deltas]
        return {**state, **told}, deltas

    def log_prob(self, state: Any) -> Any:
        return state["log_prob"]

    def get_config(self) -> dict[str, Any]:
        names = ("horizon", "every", "hidden", "holdout", "calm", "logit_clip", "closed_loop", "seed")
        config = {name: getattr(self, name) for name in names}
        return {
            **super().get_config(),
            **config,
            "base": keras.saving.serialize_keras_object(self.base),
            "actions": list(self.actions),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> ScheduleController:
        return cls(**{**config, "base": keras.saving.deserialize_keras_object(config["base"])})


def _log_distance(distance: Any) -> Any:
    known = tf.where(tf.math.is_finite(distance), distance, FURTHEST)
    return tf.math.log(tf.clip_by_value(known, NEAREST, FURTHEST))
