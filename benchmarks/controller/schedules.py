"""How a GAN of two-dimensional mixtures is steered for 40 inner steps: by a trained policy, or by a rule of hand.

The tasks are those of `benchmarks.mixtures`, from nets that are freshly drawn. The base rule is Adam; every task's
rates are multiplied by a factor that is drawn log-uniformly and spans `SPREAD`, of which nobody is told: a rule that is
right for one rate is wrong for another. What a rule of hand leaves open, a multiple of all rates, the discriminator's
turns and a number of its own, is chosen by a grid on tasks that are not measured.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

import meta_gan as mg
from benchmarks import mixtures
from meta_gan import functional
from meta_gan.controller import ScheduleController
from meta_gan.controller.knobs import knobs_of
from meta_gan.meta import inner_loop, outcomes
from meta_gan.meta.rescaled import Wrapped
from meta_gan.meta_learners import Adam
from meta_gan.types import Episode, MetaWeights, Snapshot

STEPS, EVERY, SPREAD = 40, 5, 30.0
BASE_RATE = 5e-3
TARGET = 0.6  # of the mean sign of real logits, in Karras et al., 2020
ACTIONS = ("rates", "turns")
KNOBS = knobs_of(ACTIONS, ("discriminator", "generator"))
Script = Callable[[Mapping[str, Any], Any, Mapping[str, Any], Any], dict[str, Any]]


def base() -> Adam:
    """The rule that is steered."""
    return Adam(BASE_RATE, 0.5, 0.99, 1e-6)


def controller(**options: Any) -> ScheduleController:
    """A controller of that rule that was not trained. All make the same inner steps, so it has no knob to stop; and it
    watches what it trains on, for of 16 points none is to spare."""
    fixed = {"horizon": STEPS, "every": EVERY, "actions": ACTIONS, "holdout": 0.0}
    return ScheduleController(base(), **{**fixed, **options})


def rates(discriminator: Any, generator: Any, turns: Any = None) -> dict[str, Any]:
    """Knobs that stand so."""
    made = {"rate/discriminator": discriminator, "rate/generator": generator}
    return made if turns is None else {**made, "turns": turns}


# Every script is given the knobs, the step, what players reported, and the numbers that it may choose: the multiple of
# all rates, the discriminator's turns, and where it has one a number of its own.
def constant(knobs: Mapping[str, Any], step: Any, signals: Mapping[str, Any], numbers: Any) -> dict[str, Any]:
    """Rates and turns that stay; its own number is the discriminator's share."""
    return rates(numbers[0] * numbers[2], numbers[0], numbers[1])


def cosine(knobs: Mapping[str, Any], step: Any, signals: Mapping[str, Any], numbers: Any) -> dict[str, Any]:
    """Both rates fall to 0 along half a cosine."""
    now = numbers[0] * 0.5 * (1.0 + tf.cos(math.pi * tf.cast(step, tf.float32) / STEPS))
    return rates(now, now, numbers[1])


def two_time_scales(knobs: Mapping[str, Any], step: Any, signals: Mapping[str, Any], numbers: Any) -> dict[str, Any]:
    """TTUR: the discriminator's rate is four times the generator's."""
    return rates(4.0 * numbers[0], numbers[0], numbers[1])


def proportional(knobs: Mapping[str, Any], step: Any, signals: Mapping[str, Any], numbers: Any) -> dict[str, Any]:
    """In the manner of ADA: the discriminator's rate falls where it is too sure of real examples, and rises else; its
    own number is by how many doublings a decision.

    ADA turns up augmentation there; points have none, and what it is to slow down is the same.
    """
    sure = tf.sign(signals["discriminator"][3] - TARGET)
    first = tf.equal(step, 0)
    slower = tf.where(first, numbers[0], knobs["rate/discriminator"] * tf.pow(2.0, -numbers[2] * sure))
    return rates(tf.clip_by_value(slower, numbers[0] / 16.0, numbers[0] * 16.0), numbers[0], numbers[1])


MULTIPLES, TURNS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0), (1.0, 2.0, 4.0)


def _grid(*more: tuple[float, ...]) -> list[tuple[float, ...]]:
    return list(itertools.product(MULTIPLES, *more))


GRIDS: dict[str, tuple[Script, int, list[tuple[float, ...]]]] = {
    "constant": (constant, STEPS, _grid(TURNS, (0.25, 0.5, 1.0, 2.0, 4.0))),
    "cosine decay": (cosine, 1, _grid(TURNS)),
    "TTUR 1:4": (two_time_scales, STEPS, _grid(TURNS)),
    "five critic turns": (constant, STEPS, _grid((5.0,), (1.0,))),
    "proportional (ADA)": (proportional, EVERY, _grid(TURNS, (0.25, 0.5))),
}
"""Of every rule of hand its script, the steps between two calls of it, and the numbers that it may choose from."""


class Scripted(Wrapped):
    """A controller whose knobs a script turns. It trains on all of the support set."""

    holdout = 0.0

    def __init__(self, learner: ScheduleController, script: Script, every: int, numbers: Any):
        super().__init__(learner)
        self._script, self._every, self._numbers = script, every, numbers

    def due(self, state: Any, step: Any) -> Any:
        return tf.equal(tf.math.floormod(step, self._every), 0)

    def finished(self, state: Any) -> Any:
        return tf.constant(False)

    def observe(self, state: Any, step: Any, signals: Mapping[str, Any], distance: Any, seed: Any) -> Any:
        return {**state, "knobs": {**state["knobs"], **self._script(state["knobs"], step, signals, self._numbers)}}


class Random(Wrapped):
    """A controller that draws every option with one probability, and does not stop."""

    holdout = 0.0

    def observe(self, state: Any, step: Any, signals: Mapping[str, Any], distance: Any, seed: Any) -> Any:
        draws = tf.random.stateless_uniform([len(self.knobs)], seed, alg="philox")
        action = [tf.cast(draws[i] * len(knob.options), tf.int32) for i, knob in enumerate(self.knobs)]
        return self.learner.follow(state, step, signals, distance, seed, tf.stack(action))  # type: ignore[operator]


class Runs:
    """How tasks end under a rule, compiled once for it.

    Args:
        make: from the numbers float32[n] to the rule.
        numbers: how many.
    """

    def __init__(self, rule: ScheduleController, make: Callable[[Any], Any]):
        self.game, self.rule, self.make = mixtures.make_game(), rule, make
        self.mask = mg.meta.masks.select(self.game, "")
        if not rule.built:
            rule.prepare(mg.meta.masks.infos(self.game, self.mask), self.game.signals)
        self._run = tf.function(self._ends, autograph=False, reduce_retracing=True)

    def __call__(
        self, starts: list[Snapshot], tasks: Episode, numbers: tuple[float, ...] = ()
    ) -> dict[str, np.ndarray]:
        """Of every task `first` and `last`, the distances before and after, `factor` of its rates, and `knobs`
        float32[tasks, decisions, knobs], where they stood after each decision."""
        count, parts = int(tasks.seed.shape[0]), []
        learned = [tf.convert_to_tensor(v) for v in self.rule.trainable_variables]
        for number, first in enumerate(range(0, count, mixtures.TASKS_OF_A_START)):
            some = tf.nest.map_structure(lambda t, a=first: t[a : a + mixtures.TASKS_OF_A_START], tasks)
            meta = MetaWeights(starts[number % len(starts)], learned)
            parts.append(self._run(meta, some, tf.constant(numbers, tf.float32)))
        return {key: np.concatenate([part[key].numpy() for part in parts]) for key in parts[0]}

    def _ends(self, meta: MetaWeights, tasks: Episode, numbers: Any) -> dict[str, Any]:
        rule = self.make(numbers)
        pieces = (self.game, rule, self.mask, meta)

        def one(episode: Episode) -> dict[str, Any]:
            factor = outcomes.rate_factor(SPREAD, episode.seed)
            carry = inner_loop.begin(*pieces)
            first = inner_loop.distance(self.game, inner_loop.final(self.mask, meta, carry), episode)
            count = STEPS // EVERY

            def body(i: Any, carry: Any, kept: Any) -> Any:
                task = (carry, episode.support, EVERY, 1, episode.seed)
                carry, _ = inner_loop.advance(*pieces, *task, rate_scale=factor)
                stand = [carry.learner_state["knobs"][knob.name] for knob in self.rule.knobs]
                return i + 1, carry, kept.write(i, tf.stack(stand))

            kept = tf.TensorArray(tf.float32, size=count, element_shape=[len(self.rule.knobs)])
            _, carry, kept = tf.while_loop(lambda i, *_: i < count, body, (tf.constant(0), carry, kept))
            last = inner_loop.distance(self.game, inner_loop.final(self.mask, meta, carry), episode)
            return {"first": first, "last": last, "factor": factor, "knobs": kept.stack()}

        return functional.map_tasks(one, tasks)


def ended(found: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """`(distances, diverged)`, float64[tasks] and bool[tasks]: a run that ends further than it began has diverged, and
    one that ends at no number, or more than ten times as far, counts as ten times as far."""
    first, last = (found[key].astype(np.float64) for key in ("first", "last"))
    worst = 10.0 * np.abs(first)
    last = np.where(np.isfinite(last), np.minimum(last, worst), worst)
    return last, last > first
