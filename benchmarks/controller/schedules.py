"""Schedules that steer a GAN of two-dimensional mixtures for 40 inner steps, trained and hand-designed.

The tasks are those of `benchmarks.meta_learners.mixtures`, from freshly drawn networks. Adam is steered. The rates of
every task are multiplied by an unobserved log-uniform factor that spans `SPREAD`, so that no constant rate suits all
tasks. The free numbers of a hand-designed schedule, which are a multiple of all rates, the discriminator's turns and
sometimes one more, are chosen by a grid on tuning tasks.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

import meta_gan as mg
from benchmarks.meta_learners import mixtures
from meta_gan import functional
from meta_gan.controller import ScheduleController
from meta_gan.controller.policy import knobs_of
from meta_gan.controller.schedule_controller import PolicySteering
from meta_gan.meta.evolution_strategies import rate_factor
from meta_gan.meta_learners import Adam
from meta_gan.types import Episode, MetaWeights, Snapshot

STEPS, EVERY, SPREAD = 40, 5, 30.0
BASE_RATE = 5e-3
TARGET = 0.6  # mean sign of real logits in Karras et al., 2020
ACTIONS = ("rates", "turns")
KNOBS = knobs_of(ACTIONS, ("discriminator", "generator"))
Script = Callable[[Mapping[str, Any], Any, Mapping[str, Any], Any], dict[str, Any]]


def base() -> Adam:
    """Return the meta-learner that is steered."""
    return Adam(BASE_RATE, 0.5, 0.99, 1e-6)


def controller(**options: Any) -> ScheduleController:
    """Return an untrained controller of Adam.

    All schedules make the same number of inner steps, so it has no knob to stop; and it observes its training points,
    because 16 points are too few to hold some out.
    """
    fixed = {"horizon": STEPS, "every": EVERY, "actions": ACTIONS, "holdout": 0.0}
    return ScheduleController(base(), **{**fixed, **options})


def rates(discriminator: Any, generator: Any, turns: Any = None) -> dict[str, Any]:
    """Return knobs with these values."""
    made = {"rate/discriminator": discriminator, "rate/generator": generator}
    return made if turns is None else {**made, "turns": turns}


# A script receives the knobs, the step, the players' signals, and its free numbers: the multiple of all rates, the
# discriminator's turns, and for some scripts a third number.
def constant(knobs: Mapping[str, Any], step: Any, signals: Mapping[str, Any], numbers: Any) -> dict[str, Any]:
    """Return constant rates and turns; the third number is the discriminator's share of the rate."""
    return rates(numbers[0] * numbers[2], numbers[0], numbers[1])


def cosine(knobs: Mapping[str, Any], step: Any, signals: Mapping[str, Any], numbers: Any) -> dict[str, Any]:
    """Return rates that fall to 0 along half a cosine."""
    now = numbers[0] * 0.5 * (1.0 + tf.cos(math.pi * tf.cast(step, tf.float32) / STEPS))
    return rates(now, now, numbers[1])


def two_time_scales(knobs: Mapping[str, Any], step: Any, signals: Mapping[str, Any], numbers: Any) -> dict[str, Any]:
    """Return the rates of TTUR: the discriminator's is four times the generator's."""
    return rates(4.0 * numbers[0], numbers[0], numbers[1])


def proportional(knobs: Mapping[str, Any], step: Any, signals: Mapping[str, Any], numbers: Any) -> dict[str, Any]:
    """Return the rates of a proportional controller, as in ADA.

    The discriminator's rate falls while it is too sure of real examples, and rises otherwise; the third number is the
    doublings per decision. ADA increases augmentation instead, which points do not have.
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
"""For every hand-designed schedule its script, the steps between two calls, and the candidates for its numbers."""


class Scripted(PolicySteering):
    """A controller whose knobs are set by a script; it trains on all of the support set."""

    def __init__(self, controller: ScheduleController, script: Script, every: int, numbers: Any):
        super().__init__(controller)
        self.holdout = 0.0
        self._script, self._every, self._numbers = script, every, numbers

    def due(self, state: Any, step: Any) -> Any:
        return tf.equal(tf.math.floormod(step, self._every), 0)

    def finished(self, state: Any) -> Any:
        return tf.constant(False)

    def observe(self, state: Any, step: Any, signals: Mapping[str, Any], distance: Any, seed: Any) -> Any:
        return {**state, "knobs": {**state["knobs"], **self._script(state["knobs"], step, signals, self._numbers)}}


class Random(PolicySteering):
    """A controller that draws every option with the same probability, and does not stop."""

    def __init__(self, controller: ScheduleController):
        super().__init__(controller)
        self.holdout = 0.0

    def observe(self, state: Any, step: Any, signals: Mapping[str, Any], distance: Any, seed: Any) -> Any:
        knobs = self.controller.knobs
        draws = tf.random.stateless_uniform([len(knobs)], seed, alg="philox")
        action = [tf.cast(draws[i] * len(knob.options), tf.int32) for i, knob in enumerate(knobs)]
        return self.controller.decide(state, step, signals, distance, lambda *_: tf.stack(action))


class Runs:
    """The ends of tasks under a schedule, compiled once for it.

    Args:
        make: from the numbers float32[n] to the steering.
        numbers: how many.
    """

    def __init__(self, controller: ScheduleController, make: Callable[[Any], Any]):
        self.loop, self.controller, self.make = mg.InnerLoop.build(mixtures.make_game(), controller), controller, make
        self._run = tf.function(self._ends, autograph=False, reduce_retracing=True)

    def __call__(
        self, starts: list[Snapshot], tasks: Episode, numbers: tuple[float, ...] = ()
    ) -> dict[str, np.ndarray]:
        """Return, for every task, the distances `first` and `last` before and after, the `factor` of its rates, and
        `knobs` float32[tasks, decisions, knobs] after each decision."""
        count, parts = int(tasks.seed.shape[0]), []
        learned = [tf.convert_to_tensor(v) for v in self.controller.trainable_variables]
        for number, first in enumerate(range(0, count, mixtures.TASKS_OF_A_START)):
            some = tf.nest.map_structure(lambda t, a=first: t[a : a + mixtures.TASKS_OF_A_START], tasks)
            meta = MetaWeights(starts[number % len(starts)], learned)
            parts.append(self._run(meta, some, tf.constant(numbers, tf.float32)))
        return {key: np.concatenate([part[key].numpy() for part in parts]) for key in parts[0]}

    def _ends(self, meta: MetaWeights, tasks: Episode, numbers: Any) -> dict[str, Any]:
        loop = dataclasses.replace(self.loop, steering=self.make(numbers))

        def one(episode: Episode) -> dict[str, Any]:
            factor = rate_factor(SPREAD, episode.seed)
            carry = loop.begin(meta)
            first = loop.distance(loop.final(meta, carry), episode)
            count = STEPS // EVERY

            def body(i: Any, carry: Any, kept: Any) -> Any:
                carry, _ = loop.advance(meta, carry, episode.support, EVERY, episode.seed, rate_scale=factor)
                stand = [carry.meta_learner_state["knobs"][knob.name] for knob in self.controller.knobs]
                return i + 1, carry, kept.write(i, tf.stack(stand))

            kept = tf.TensorArray(tf.float32, size=count, element_shape=[len(self.controller.knobs)])
            _, carry, kept = tf.while_loop(lambda i, *_: i < count, body, (tf.constant(0), carry, kept))
            last = loop.distance(loop.final(meta, carry), episode)
            return {"first": first, "last": last, "factor": factor, "knobs": kept.stack()}

        return functional.map_tasks(one, tasks)


def ended(found: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the distances float64[tasks] at the end, and bool[tasks] for those that diverged.

    A run diverged if it ends farther away than it began. One that ends at NaN, infinity or more than ten times as far
    counts as ten times as far.
    """
    first, last = (found[key].astype(np.float64) for key in ("first", "last"))
    worst = 10.0 * np.abs(first)
    last = np.where(np.isfinite(last), np.minimum(last, worst), worst)
    return last, last > first
