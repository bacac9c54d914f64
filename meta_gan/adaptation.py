"""What a meta-model compiles once for all that is adapted from it: the inner loop and the game's endpoints."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from meta_gan import functional
from meta_gan.checks import check_integer, check_support
from meta_gan.games.base import Game
from meta_gan.meta import inner_loop
from meta_gan.meta.algorithms import Algorithm
from meta_gan.types import Carry, Mask, MetaWeights, Snapshot


class CompiledAdaptation:
    """A game's inner loop and endpoints, traced once and shared by every adapted model.

    Args:
        game: the game.
        algorithm: whose rule and steps adapt.
        mask: what adapts.
        values: returns the meta-weights to start from, as they are at the time of the call.
    """

    def __init__(self, game: Game, algorithm: Algorithm, mask: Mask, values: Callable[[], MetaWeights]):
        self.game, self.algorithm, self.mask, self.values = game, algorithm, mask, values
        self.support_spec = _support_spec(game)
        signature = [self.support_spec, tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.int32)]
        self._adapt = tf.function(self.adapt_values, autograph=False, input_signature=signature)
        self._advance = tf.function(self.advance_values, autograph=False, reduce_retracing=True)
        self._condition = tf.function(game.condition, autograph=False, reduce_retracing=True)
        self._endpoints: dict[str, Any] = {}

    def adapt_values(self, support: Any, steps: Any, seed: Any) -> Snapshot:
        """Adaptation as a function of tensors: what `adapt` and the SavedModel run."""
        game, learner, meta = self.game, self.algorithm.meta_learner, self.values()
        carry = inner_loop.begin(game, learner, self.mask, meta)
        key = functional.seed_pair(seed)
        carry, _ = inner_loop.advance(game, learner, self.mask, meta, carry, support, steps, 1, key)
        return inner_loop.final(self.mask, meta, carry)

    def advance_values(self, carry: Carry, support: Any, steps: Any, seed: Any, rate_scale: Any) -> Any:
        """A piece of an adaptation: the carry and the adapted values after `steps` more steps."""
        learner, meta, key = self.algorithm.meta_learner, self.values(), functional.seed_pair(seed)
        carry, _ = inner_loop.advance(
            self.game, learner, self.mask, meta, carry, support, steps, 1, key, rate_scale=rate_scale
        )
        return carry, inner_loop.final(self.mask, meta, carry)

    def trajectory(
        self, support: Any, steps: Sequence[int], seed: int = 0, rate_scale: float = 1.0
    ) -> Iterator[Snapshot]:
        """Adapts once and stops on the way: the adapted values after each number of steps.

        Args:
            support: as in `adapt`.
            steps: ascending numbers of inner steps >= 0.
            seed: int32 range; after n steps the values are those of `adapt` with `steps=n` and this seed.
            rate_scale: > 0, multiplies every update.

        Yields:
            A `Snapshot` for each of `steps`.

        Raises:
            ValueError: steps that do not ascend, or as `adapt` raises.
        """
        if list(steps) != sorted(set(steps)) or not steps:
            raise ValueError(f"`steps` must be ascending numbers of steps. Received: {steps!r}")
        images = self.checked(support)
        carry = inner_loop.begin(self.game, self.algorithm.meta_learner, self.mask, self.values())
        key, scale = tf.constant(check_integer(seed, "seed"), tf.int32), tf.constant(rate_scale, tf.float32)
        made = 0
        for wanted in steps:
            more = tf.constant(check_integer(wanted, "steps", 0) - made, tf.int32)
            carry, snapshot = self._advance(carry, images, more, key, scale)
            made = wanted
            yield snapshot

    def endpoint_values(self, name: str, snapshot: Snapshot, conditioning: Any, inputs: Any, seed: Any) -> Any:
        """An endpoint as a function of tensors, keyed by the user's seed."""
        key = functional.fold(functional.seed_pair(seed), inner_loop.SAMPLE)
        return self.game.endpoints[name].fn(snapshot, conditioning, inputs, key)

    def checked(self, support: Any) -> Any:
        """A support set as tensors of the nets' dtype, or one clear error."""
        images = check_support(support, self.game.example_shape)
        return tf.nest.map_structure(lambda x, spec: tf.cast(x, spec.dtype), images, self.support_spec)

    def adapt(self, support: Any, steps: int, seed: int) -> Snapshot:
        """Checks a support set and adapts to it."""
        images = self.checked(support)
        if not steps:
            # Seconds of tracing the loop would be spent on not running it.
            return self.adapt_values(images, 0, seed)
        return self._adapt(images, tf.constant(steps, tf.int32), tf.constant(seed, tf.int32))

    def condition(self, snapshot: Snapshot, support: Any) -> Any:
        """What the nets are conditioned on after adaptation to a support set."""
        return self._condition(snapshot, self.checked(support))

    def run(self, name: str, snapshot: Snapshot, conditioning: Any, inputs: dict[str, Any], seed: int) -> Any:
        """Runs an endpoint; a new batch size or count does not retrace."""
        if name not in self._endpoints:
            self._endpoints[name] = tf.function(
                lambda *args: self.endpoint_values(name, *args), autograph=False, reduce_retracing=True
            )
        specs = self.game.endpoints[name].inputs
        tensors = {key: tf.convert_to_tensor(inputs[key], spec.dtype) for key, spec in specs.items()}
        return self._endpoints[name](snapshot, conditioning, tensors, tf.constant(seed, tf.int32))

    def fingerprint(self) -> str:
        """The sha256 of the values to start from, with their shapes: what tells one model from another."""
        digest = hashlib.sha256()
        for value in functional.flat(self.values().initial):
            digest.update(str(value.shape).encode())
            digest.update(value.numpy().tobytes())
        return digest.hexdigest()

    def copy(self, snapshot: Snapshot) -> Game:
        """The same game over new Keras models that hold `snapshot`."""
        game = type(self.game).from_config(self.game.get_config())
        functional.write(game.nets, snapshot)
        return game


def _support_spec(game: Game) -> Any:
    """What a support set is made of: a spec named `support`, or of every domain one named `DOMAIN_support`."""
    dtype = next(iter(game.nets.values())).compute_dtype
    if not isinstance(game.example_shape, Mapping):
        return tf.TensorSpec([None, *game.example_shape], dtype, name="support")
    return {
        domain: tf.TensorSpec([None, *shape], dtype, name=f"{domain}_support")
        for domain, shape in game.example_shape.items()
    }
