"""Adaptation to one task as a Gymnasium environment, on which agents of any library may be tried."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from meta_gan import functional
from meta_gan.checks import check_integer, check_number
from meta_gan.controller.policy_gradient import controller_of, reward_of
from meta_gan.controller.schedule_controller import BOUND, PolicySteering
from meta_gan.meta.evolution_strategies import check_spread, first_log_distance, log_distance, rate_factor
from meta_gan.meta.inner_loop import InnerLoop
from meta_gan.types import Carry, Episode, MetaWeights, Tensor

try:
    import gymnasium
except ImportError as error:
    raise ImportError("AdaptationEnvironment needs Gymnasium: pip install 'meta-gan[rl]'") from error


class AdaptationEnvironment(gymnasium.Env[np.ndarray, np.ndarray]):
    """One adaptation after another, steered by the caller of `step`.

    An action is one option of every knob of a `ScheduleController`; a step is the inner steps up to its next decision.
    Observations and rewards are those with which `PolicyGradient` trains that controller; the controller's own policy
    has no effect.

    Args:
        loop: the inner loop of a game and a `ScheduleController`. Every task starts from the values that the game's
            nets have at `reset`.
        episodes: from a number int >= 0 to its task: an `Episode` without a leading axis of tasks, always of the same
            shapes.
        steps: inner steps of a task; None for the controller's horizon.
        cost: see `PolicyGradient`.
        spread: see `PolicyGradient`.

    Attributes:
        action_space: `MultiDiscrete`, the options of every knob.
        observation_space: `Box` in [-5, 5], float32[width].
        knobs: the names of the knobs, in the order of an action.

    Raises:
        ValueError: another meta-learner, steps that are not a multiple of those between decisions, or a negative cost.

    Example:
        >>> environment = AdaptationEnvironment(InnerLoop.build(game, controller), lambda number: one_task(number))
        >>> observation, _ = environment.reset(seed=3)
        >>> observation, reward, terminated, truncated, info = environment.step(environment.action_space.sample())
    """

    def __init__(
        self,
        loop: InnerLoop,
        episodes: Callable[[int], Episode],
        steps: int | None = None,
        cost: float = 0.0005,
        spread: float = 1.0,
    ):
        controller = controller_of(loop.meta_learner)
        self.steps = controller.horizon if steps is None else check_integer(steps, "steps", 1)
        if self.steps % controller.every:
            raise ValueError(
                f"'steps' must be a multiple of the controller's {controller.every} from one decision to the next. "
                f"Received: {self.steps}"
            )
        self.loop, self.controller, self.episodes = loop, controller, episodes
        self.cost = check_number(cost, "cost", least=0)
        self.spread = check_spread(spread)
        self.knobs = tuple(knob.name for knob in controller.knobs)
        self.action_space = gymnasium.spaces.MultiDiscrete([len(knob.options) for knob in controller.knobs])
        self.observation_space = gymnasium.spaces.Box(-BOUND, BOUND, (controller.width,), np.float32)
        self._begin = tf.function(self._started, autograph=False, reduce_retracing=True)
        self._continue = tf.function(self._stepped, autograph=False, reduce_retracing=True)
        self._next, self._over = 0, True

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin a task.

        Args:
            seed: the task's number >= 0; None for the one after the last.
            options: None or empty; Gymnasium requires the argument.

        Returns:
            `(observation float32[width], {"distance"})`.

        Raises:
            ValueError: a negative seed, or options.
        """
        if options:
            raise ValueError(f"'options' must be None or empty. Received: {options}")
        number = self._next if seed is None else check_integer(seed, "seed", 0)
        super().reset(seed=seed)
        self._next, self._over = number + 1, False
        values = [tf.convert_to_tensor(v) for v in self.controller.trainable_variables]
        self._meta = MetaWeights(functional.read(self.loop.game.nets), values)
        self._episode = self.episodes(number)
        self._carry, self._first, observation = self._begin(self._meta, self._episode)
        self._last = self._first
        return observation.numpy(), {"distance": float(np.exp(self._first))}

    def step(self, action: Sequence[int] | np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Turn the knobs, and make the inner steps up to the next decision.

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
        given = np.asarray(action)
        if not np.issubdtype(given.dtype, np.integer) or not self.action_space.contains(given):
            raise ValueError(f"'action' must be of {self.action_space}. Received: {action!r}")
        chosen = tf.constant(given, tf.int32)
        found = self._continue(self._meta, self._episode, self._carry, chosen, self._first, self._last)
        self._carry, observation, reward, self._last, stopped, diverged = found
        terminated = bool(stopped or diverged)
        truncated = not terminated and int(self._carry.step) >= self.steps
        self._over = terminated or truncated
        info = {"distance": float(np.exp(self._last)), "diverged": bool(diverged)}
        return observation.numpy(), float(reward), terminated, truncated, info

    def _started(self, meta: MetaWeights, episode: Episode) -> tuple[Carry, Tensor, Tensor]:
        carry = self.loop.begin(meta)
        first = first_log_distance(self.loop, self.loop.final(meta, carry), episode)
        return carry, first, self._observation(meta, episode, carry)

    def _stepped(
        self, meta: MetaWeights, episode: Episode, carry: Carry, action: Tensor, first: Tensor, last: Tensor
    ) -> tuple[Carry, Tensor, Tensor, Tensor, Tensor, Tensor]:
        loop = dataclasses.replace(self.loop, steering=PolicySteering(self.controller, lambda *_: action))
        factor, every = rate_factor(self.spread, episode.seed), self.controller.every
        carry, _ = loop.advance(meta, carry, episode.support, every, episode.seed, rate_scale=factor)
        now = log_distance(loop, loop.final(meta, carry), episode)
        stopped = self.controller.steering.finished(carry.meta_learner_state)
        reward, now, diverged = reward_of(first, last, now, stopped, self.cost * every)
        return carry, self._observation(meta, episode, carry), reward, now, stopped, diverged > 0

    def _observation(self, meta: MetaWeights, episode: Episode, carry: Carry) -> Tensor:
        """Return what the controller would observe before the coming step."""
        support, held_out = self.controller.steering.split(episode.support, episode.seed)
        distance = self.loop.held_out_distance(meta, carry, support, held_out, episode.seed)
        received = (carry.meta_learner_state, carry.step, carry.signals, distance)
        return functional.pure(self.controller, self.controller.observation, meta.meta_learner, *received)
