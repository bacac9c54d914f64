"""`ScheduleController`: a policy that adjusts the knobs of a hand-designed meta-learner during adaptation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from meta_gan.checks import check_bool, check_integer, check_number
from meta_gan.controller.policy import ACTIONS, NEEDS, Knob, Policy, knobs_of, likeliest, log_prob
from meta_gan.meta_learners.base import MetaLearner, Steering
from meta_gan.types import ByPlayer, ParamInfo, Settings, Tensor, Tensors, Tree

NEAREST, FURTHEST = 1e-3, 1e3
"""Observed distances are clipped to these bounds; one that is not finite counts as the furthest."""
BOUND = 5.0
"""Bound of the absolute value of every number of an observation."""
_WINDOW = 5.0  # moves over which the mean loss runs


@keras.saving.register_keras_serializable("meta_gan")
class ScheduleController(MetaLearner):
    """Steer a hand-designed meta-learner by a recurrent policy.

    As a decision process, the generator's side acts and the discriminator responds. Every few inner steps the policy
    observes some twenty numbers: what every player last reported, running means of their losses, the ratio of their
    gradients' norms, the distance from samples to examples held out of the support set, how it changed, the time, and
    the knobs' values. It chooses one option of every knob (`policy.knobs_of`): factors of the rates, discriminator
    turns, the penalty's weight, the augmented share, and whether to stop. In `adapt` and in exports it takes its most
    likely action; `PolicyGradient` trains it by drawn actions, and `EvolutionStrategies` by perturbing its weights. Its
    readouts start at 0 with a bias towards no change: before any training it is the hand-designed meta-learner, on the
    support set without the held-out examples.

    Args:
        base: the meta-learner that it steers; not a learned one, which would stay untrained.
        horizon: inner steps of a task that it is trained for, >= 1; after them the observed time stays at its end.
        every: inner steps from one decision to the next, >= 1.
        hidden: units of the GRU, >= 1.
        actions: kinds of knobs, some of "rates", "turns", "penalty", "augmentation" and "stop", in any order.
        holdout: share in [0, 1) of the support examples that are observed and not trained on, at least one example
            unless 0; with 0, and where there is one example only, the observed examples are those that are trained on.
        calm: finite and > 0, the first logit of every option that changes nothing, beside 0 of the others.
        logit_clip: > 0, the largest absolute logit.
        closed_loop: False for a policy that observes the time alone: a schedule.
        seed: of its initial weights, >= 0.

    Raises:
        ValueError: an argument out of its range, or a base that is learned or steers.

    Example:
        >>> controller = ScheduleController(Adam(2e-3), horizon=60)
        >>> row = meta_gan.Algorithm("controller", controller, meta_gan.controller.PolicyGradient(), inner_steps=60)

    References: Xu et al., "AutoLoss: Learning Discrete Schedules for Alternate Optimization", 2019, for a policy that
        schedules a GAN's turns; Daniel, Taylor and Nowozin, "Learning Step Size Controllers for Robust Neural Network
        Training", 2016; Karras et al., "Training Generative Adversarial Networks with Limited Data", 2020, for the sign
        of real logits as a sign of overfitting.
    """

    learned = True

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
        if base.learned or base.steering is not None:
            raise ValueError(f"'base' must be a hand-designed meta-learner. Received: {type(base).__name__}")
        self.base, self.coupled, self.embedding_dim = base, base.coupled, base.embedding_dim
        self.horizon, self.every = check_integer(horizon, "horizon", 1), check_integer(every, "every", 1)
        self.hidden, self.seed = check_integer(hidden, "hidden", 1), check_integer(seed, "seed", 0)
        if isinstance(actions, str) or not actions or not set(actions) <= set(ACTIONS):
            raise ValueError(f"'actions' must be some of {ACTIONS}. Received: {actions!r}")
        self.actions = tuple(action for action in ACTIONS if action in actions)
        self.needs = frozenset(NEEDS.get(action, action) for action in self.actions if action in (*NEEDS, "turns"))
        check_bool(closed_loop, "closed_loop")
        self.holdout = check_number(holdout, "holdout", least=0, below=1)
        self.calm = check_number(calm, "calm", above=0)
        self.logit_clip = check_number(logit_clip, "logit_clip", above=0)
        self.closed_loop = closed_loop
        self.knobs: tuple[Knob, ...] = ()
        self.reports: dict[str, int] = {}

    @property
    def steering(self) -> Steering:
        """Steering that takes the policy's most likely actions."""
        return PolicySteering(self)

    def prepare(self, params: Mapping[str, list[ParamInfo]], signals: Mapping[str, int]) -> None:
        super().prepare(params, signals)
        given = {player: int(signals[player]) for player, infos in params.items() if infos}
        if given != self.reports:
            raise ValueError(
                f"this controller was set up for a game whose adapting players report {dict(self.reports)} numbers. "
                f"Received: {given}"
            )

    def check_params(self, params: Mapping[str, list[ParamInfo]]) -> None:
        self.base.check_params(params)

    def setup(self, params: Mapping[str, list[ParamInfo]], signals: Mapping[str, int]) -> None:
        self.base.prepare(params, signals)
        players = [player for player, infos in params.items() if infos]
        self.reports = {player: int(signals[player]) for player in players}
        self.knobs = knobs_of(self.actions, players)
        turned = sum(knob.name != "stop" for knob in self.knobs)
        self.width = sum(self.reports.values()) + len(players) + (len(players) > 1) + 4 + turned
        self.policy = Policy(self.knobs, self.width, self.hidden, self.calm, self.logit_clip, self.seed, name="policy")
        super().setup(params, signals)

    def begin(self, params: ByPlayer) -> Tree:
        zero, players = tf.zeros([]), self.reports
        return {
            "base": self.base.begin(params),
            "memory": tf.zeros([self.hidden]),
            "knobs": {knob.name: tf.constant(knob.start) for knob in self.knobs},
            "moves": dict.fromkeys(players, zero),
            "losses": dict.fromkeys(players, zero),
            "norms": dict.fromkeys(players, zero),
            "decisions": tf.zeros([], tf.int32),
            # Log distances at the first and at the last decision.
            "distances": tf.zeros([2]),
            "log_prob": zero,
            "observation": tf.zeros([self.width]),
            "action": tf.zeros([len(self.knobs)], tf.int32),
        }

    def observation(self, state: Tree, step: Tensor, signals: Mapping[str, Tensor], distance: Tensor) -> Tensor:
        """Return the policy's input, float32[width], each number within [-5, 5]; see `Steering.observe`."""
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
        found = tf.concat(numbers, axis=0)
        found = tf.clip_by_value(tf.where(tf.math.is_nan(found), BOUND, found), -BOUND, BOUND)
        # The time is the last number; an open loop observes nothing else.
        return found if self.closed_loop else found * tf.one_hot(self.width - 1, self.width)

    def decide(
        self,
        state: Tree,
        step: Tensor,
        signals: Mapping[str, Tensor],
        distance: Tensor,
        choose: Callable[[list[Tensor], Tensor], Tensor],
    ) -> Tree:
        """Return the state after a decision; see `Steering.observe` and, for `choose`, `PolicySteering`."""
        observation = self.observation(state, step, signals, distance)
        memory, logits = self.policy.step(observation, state["memory"])
        action, now = choose(logits, step), _log_distance(distance)
        knobs = {knob.name: knob.turned(state["knobs"][knob.name], action[i]) for i, knob in enumerate(self.knobs)}
        return {
            **state,
            "memory": memory,
            "knobs": knobs,
            "decisions": state["decisions"] + 1,
            "distances": tf.stack([tf.where(state["decisions"] > 0, state["distances"][0], now), now]),
            "log_prob": state["log_prob"] + log_prob(logits, action),
            "observation": observation,
            "action": action,
        }

    def judge(self, observations: Tensor, actions: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """See `Policy.judge`."""
        return self.policy.judge(observations, actions, observed)

    def remember(self, fresh: Tree, last: Tree) -> Tree:
        """Return the state of a new attempt at the same task: only the policy's memory is kept from the last one."""
        return {**fresh, "memory": last["memory"]}

    def plan(self, state: Tree, signals: Mapping[str, Tensor], seed: Tensor) -> tuple[Tree, Settings]:
        kept, settings = self.base.plan(state["base"], signals, seed)
        decided = {NEEDS[action]: state["knobs"][action] for action in self.actions if action in NEEDS}
        return {**state, "base": kept}, settings._replace(**decided)

    def update(
        self,
        state: Tree,
        player: str,
        params: ByPlayer,
        gradients: Tensors,
        signals: Mapping[str, Tensor],
        seed: Tensor,
    ) -> tuple[Tree, Tensors]:
        kept, deltas = self.base.update(state["base"], player, params, gradients, signals, seed)
        moves = state["moves"][player] + 1.0
        mean = state["losses"][player]
        squares = tf.add_n([tf.reduce_sum(tf.square(tf.cast(g, tf.float32))) for g in gradients])
        updated = {
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
        return {**state, **updated}, deltas

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


def _log_distance(distance: Tensor) -> Tensor:
    known = tf.where(tf.math.is_finite(distance), distance, FURTHEST)
    return tf.math.log(tf.clip_by_value(known, NEAREST, FURTHEST))


class PolicySteering(Steering):
    """Steering by a `ScheduleController`.

    Args:
        controller: the controller.
        choose: `(logits, step) -> action`, from the logits float32[options] of every knob and the step int32[] to an
            option int32[] of every knob; by default the most likely ones.
    """

    def __init__(self, controller: ScheduleController, choose: Callable[[list[Tensor], Tensor], Tensor] | None = None):
        self.controller, self.holdout, self.needs = controller, controller.holdout, controller.needs
        self.choose = choose or (lambda logits, step: likeliest(logits))

    def due(self, state: Tree, step: Tensor) -> Tensor:
        on_time = tf.equal(tf.math.floormod(step, self.controller.every), 0)
        return tf.logical_and(on_time, tf.logical_not(self.finished(state)))

    def observe(self, state: Tree, step: Tensor, signals: Mapping[str, Tensor], distance: Tensor, seed: Tensor) -> Tree:
        return self.controller.decide(state, step, signals, distance, self.choose)

    def repeats(self, state: Tree, turn: int, planned: int) -> Tensor | None:
        if turn or "turns" not in self.controller.actions:
            return None
        return planned * tf.cast(state["knobs"]["turns"], tf.int32)

    def finished(self, state: Tree) -> Tensor:
        return state["knobs"]["stop"] > 0.5 if "stop" in self.controller.actions else tf.constant(False)
