"""The adaptation to one task as an environment, for agents of one's own: `reset`, `step`, observations and rewards.

The interface is Gymnasium's, without the dependency: an environment of theirs wraps this one in ten lines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from meta_gan import functional
from meta_gan.checks import check_integer, check_number
from meta_gan.games.base import Game
from meta_gan.meta import inner_loop, masks, outcomes, steering
from meta_gan.meta.rescaled import Wrapped
from meta_gan.meta_learners.base import MetaLearner
from meta_gan.types import Carry, Episode, MetaWeights


class Discrete(NamedTuple):
    """A space of actions: one option of each of several knobs.

    Attributes:
        nvec: how many options each knob has.
        names: of the knobs.
    """

    nvec: tuple[int, ...]
    names: tuple[str, ...]

    def sample(self, seed: int) -> np.ndarray:
        """An action drawn uniformly, int32[knobs]."""
        return np.random.default_rng(seed).integers(0, self.nvec).astype(np.int32)

    def contains(self, action: Any) -> bool:
        """Whether `action` is whole numbers, one for every knob, each the place of one of its options."""
        given = np.asarray(action)
        fits = given.shape == (len(self.nvec),) and np.issubdtype(given.dtype, np.integer)
        return bool(fits and np.all(given >= 0) and np.all(given < self.nvec))


class _Told(Wrapped):
    """A controller that takes the action it is told."""

    def __init__(self, learner: MetaLearner, action: Any):
        super().__init__(learner)
        self._action = action

    def observe(self, state: Any, step: Any, signals: Mapping[str, Any], distance: Any, seed: Any) -> Any:
        told = (state, step, signals, distance, seed, self._action)
        return self.learner.follow(*told)  # type: ignore[operator]


class AdaptationEnvironment:
    """One adaptation after another, steered by whoever calls `step`.

    An action is one option of every knob of a `ScheduleController`; a step is the inner steps up to its next decision.
    Observations and rewards are those that `PolicyGradient` trains that controller by, and the controller's own policy
    plays no part.

    Args:
        game: whose nets, as they are at `reset`, every task starts from.
        controller: a `ScheduleController`: its base rule, knobs, and steps between two decisions.
        episodes: the task of a number int >= 0: `Episode` without a leading axis of tasks, always of the same shapes.
        steps: inner steps of a task; None for the controller's horizon.
        mask: regular expression of the weights that adapt; "" for all.
        cost: see `PolicyGradient`.
        spread: see `PolicyGradient`.

    Attributes:
        action_space: the options of every knob.
        observation_shape: of what `reset` and `step` return.

    Raises:
        ValueError: a rule that does not steer, steps that are no multiple of those between decisions, knobs that the
            game does not heed, or a negative cost.

    Example:
        >>> environment = AdaptationEnvironment(game, controller, lambda n: one_task(n))
        >>> seen, _ = environment.reset(seed=3)
        >>> seen, reward, terminated, truncated, info = environment.step(environment.action_space.sample(0))
    """

    def __init__(
        self,
        game: Game,
        controller: Any,
        episodes: Callable[[int], Episode],
        steps: int | None = None,
        mask: str = "",
        cost: float = 0.0005,
        spread: float = 1.0,
    ):
        if not controller.steers:
            raise ValueError(f"'controller' must be a rule that steers. Received: {type(controller).__name__}")
        self.steps = controller.horizon if steps is None else check_integer(steps, "steps", 1)
        if self.steps % controller.every:
            raise ValueError(
                f"'steps' must be a multiple of the controller's {controller.every} from one decision to the next. "
                f"Received: {self.steps}"
            )
        self.game, self.controller, self.episodes = game, controller, episodes
        self.cost = check_number(cost, "cost", least=0)
        self.spread = check_number(spread, "spread", least=1)
        self._paths = masks.select(game, mask)
        masks.prepare(game, self._paths, controller)
        knobs = controller.knobs
        self.action_space = Discrete(tuple(len(k.options) for k in knobs), tuple(k.name for k in knobs))
        self.observation_shape = (controller.width,)
        self._begin = tf.function(self._started, autograph=False, reduce_retracing=True)
        self._go_on = tf.function(self._stepped, autograph=False, reduce_retracing=True)
        self._next, self._over = 0, True

    def reset(self, seed: int | None = None, options: Mapping[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        """Begins a task.

        Args:
            seed: the task's number >= 0; None for the one after the last.
            options: None; the argument is there for Gymnasium.

        Returns:
            `(observation float32[width], {"distance"})`.

        Raises:
            ValueError: a negative seed, or options.
        """
        if options:
            raise ValueError(f"'options' must be None: no options are known. Received: {dict(options)}")
        number = self._next if seed is None else check_integer(seed, "seed", 0)
        self._next, self._over = number + 1, False
        values = [tf.convert_to_tensor(v) for v in self.controller.trainable_variables]
        self._meta = MetaWeights(functional.read(self.game.nets), values)
        self._episode = self.episodes(number)
        self._carry, self._first, seen = self._begin(self._meta, self._episode)
        self._last = self._first
        return seen.numpy(), {"distance": float(np.exp(self._first))}

    def step(self, action: Sequence[int] | np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Turns the knobs, and makes the inner steps up to the next decision.

        Args:
            action: int[knobs], of `action_space`.

        Returns:
            `(observation, reward, terminated, truncated, info)`: terminated where the task was stopped or diverged,
            truncated where its inner steps are over; `info` holds the distance to the query set, and whether the task
            diverged.

        Raises:
            ValueError: an action outside the space, or a task that is over.
        """
        if self._over:
            raise ValueError("a task must be begun by reset(). Received: step() after the end")
        if not self.action_space.contains(action):
            raise ValueError(f"'action' must be of {self.action_space}. Received: {action!r}")
        given = tf.constant(np.asarray(action), tf.int32)
        found = self._go_on(self._meta, self._episode, self._carry, given, self._first, self._last)
        self._carry, seen, reward, self._last, stopped, lost = found
        terminated = bool(stopped or lost)
        truncated = not terminated and int(self._carry.step) >= self.steps
        self._over = terminated or truncated
        info = {"distance": float(np.exp(self._last)), "diverged": bool(lost)}
        return seen.numpy(), float(reward), terminated, truncated, info

    def _started(self, meta: MetaWeights, episode: Episode) -> Any:
        carry = inner_loop.begin(self.game, self.controller, self._paths, meta)
        snapshot = inner_loop.final(self._paths, meta, carry)
        return carry, outcomes.first_distance(self.game, snapshot, episode), self._seen(meta, episode, carry)

    def _stepped(self, meta: MetaWeights, episode: Episode, carry: Carry, action: Any, first: Any, last: Any) -> Any:
        rule: Any = _Told(self.controller, action)
        factor, every = outcomes.rate_factor(self.spread, episode.seed), self.controller.every
        pieces = (self.game, rule, self._paths, meta)
        carry, _ = inner_loop.advance(*pieces, carry, episode.support, every, 1, episode.seed, rate_scale=factor)
        now = outcomes.log_distance(self.game, inner_loop.final(self._paths, meta, carry), episode)
        stopped = self.controller.finished(carry.learner_state)
        reward, now, lost = outcomes.reward(first, last, now, stopped, self.cost * every)
        return carry, self._seen(meta, episode, carry), reward, now, stopped, lost > 0

    def _seen(self, meta: MetaWeights, episode: Episode, carry: Carry) -> Any:
        """What the controller would see before the coming step."""
        support, watched = steering.apart(episode.support, self.controller.holdout, episode.seed)
        snapshot = inner_loop.final(self._paths, meta, carry)
        key = inner_loop.rule_key(episode.seed, carry.step)
        found = steering.watched_distance(self.game, snapshot, support, watched, key)
        told = (carry.learner_state, carry.step, carry.signals, found)
        return functional.pure(self.controller, "perceived", meta.meta_learner, *told)
