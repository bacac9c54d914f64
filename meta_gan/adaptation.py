"""The adaptation of a meta-model, compiled once for everything that is adapted from it."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from meta_gan import functional
from meta_gan.checks import check_integer, check_support
from meta_gan.environment import Compiled, check_settings
from meta_gan.games.base import Game
from meta_gan.meta.algorithms import Algorithm
from meta_gan.meta.inner_loop import SAMPLE, VALIDATE, InnerLoop
from meta_gan.types import Carry, Examples, MetaWeights, Snapshot, Tensor, Tree


class CompiledAdaptation:
    """An inner loop and its game's endpoints, traced once and shared by every adapted model.

    Args:
        loop: the inner loop.
        algorithm: whose meta-learner the loop has; its name and inner steps are written to exports.
        values: returns the meta-weights to start from, as they are at the time of the call.

    Attributes:
        game: the loop's game.
        support_spec: the spec of a support set, named `support`; for a game of domains a dict of specs, named
            `DOMAIN_support`.

    What users give and receive is float32, whatever the nets' dtype.
    """

    def __init__(self, loop: InnerLoop, algorithm: Algorithm, values: Callable[[], MetaWeights]):
        check_settings()
        self.loop, self.game, self.algorithm, self.values = loop, loop.game, algorithm, values
        self.support_spec = _support_spec(self.game)
        signature = [self.support_spec, tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.int32)]
        self._dtype = next(iter(self.game.nets.values())).compute_dtype
        self._adapt = Compiled(self._recorded_values, input_signature=signature)
        self._advance = Compiled(self._advance_values, reduce_retracing=True)
        self._held_out = Compiled(self._held_out_values, reduce_retracing=True)
        self._condition = Compiled(self.condition_values, reduce_retracing=True)
        self._endpoints: dict[str, Any] = {}

    def adapt_values(self, support: Examples, steps: int | Tensor, seed: int | Tensor) -> Snapshot:
        """Adapt, as a function of tensors, which the SavedModel runs."""
        return self._recorded_values(support, steps, seed)[0]

    def _recorded_values(
        self, support: Examples, steps: int | Tensor, seed: int | Tensor, meta: MetaWeights | None = None
    ) -> tuple[Snapshot, Tensor]:
        """Adapt from `meta` or the current values; return what the loop recorded too."""
        meta = self.values() if meta is None else meta
        carry, records = self.loop.adapt(meta, self._of_nets(support), steps, functional.seed_pair(seed))
        return self.loop.final(meta, carry), records

    def _held_out_values(self, snapshot: Snapshot, support: Examples, held_out: Examples, seed: Tensor) -> Tensor:
        key = functional.fold(functional.seed_pair(seed), VALIDATE)
        return self.loop.distance_of_few(snapshot, self._of_nets(support), self._of_nets(held_out), key)

    def condition_values(self, snapshot: Snapshot, support: Examples) -> Tree:
        """Return the conditioning of a support set, as a function of tensors."""
        return self.game.condition(snapshot, self._of_nets(support))

    def _of_nets(self, support: Examples) -> Examples:
        """Return a support set in the nets' dtype."""
        return tf.nest.map_structure(lambda x: tf.cast(x, self._dtype), support)

    def _advance_values(
        self, carry: Carry, support: Examples, steps: Tensor, seed: Tensor, rate_scale: Tensor
    ) -> tuple[Carry, Snapshot]:
        meta, key = self.values(), functional.seed_pair(seed)
        carry, _ = self.loop.advance(meta, carry, self._of_nets(support), steps, key, rate_scale=rate_scale)
        return carry, self.loop.final(meta, carry)

    def trajectory(
        self, support: Examples, steps: Sequence[int], seed: int = 0, rate_scale: float = 1.0
    ) -> Iterator[Snapshot]:
        """Adapt once and stop on the way: the adapted values after each number of steps.

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
            raise ValueError(f"'steps' must be ascending numbers of steps. Received: {steps!r}")
        examples, carry = self.checked(support), self.loop.begin(self.values())
        key, scale = tf.constant(check_integer(seed, "seed"), tf.int32), tf.constant(rate_scale, tf.float32)
        made = 0
        for wanted in steps:
            more = tf.constant(check_integer(wanted, "steps", 0) - made, tf.int32)
            carry, snapshot = self._advance(carry, examples, more, key, scale)
            made = wanted
            yield snapshot

    def endpoint_values(
        self, name: str, snapshot: Snapshot, conditioning: Tree, inputs: Mapping[str, Tensor], seed: Tensor
    ) -> dict[str, Tensor]:
        """Run an endpoint, as a function of tensors, keyed by the user's seed; see `endpoint_inputs`."""
        key, endpoint = functional.fold(functional.seed_pair(seed), SAMPLE), self.game.endpoints[name]
        own = {key: tf.cast(inputs[key], spec.dtype) for key, spec in endpoint.inputs.items()}
        made = endpoint.fn(snapshot, conditioning, own, key)
        return {key: functional.as_float32(value) for key, value in made.items()}

    def latents(self, num: int, seed: int) -> Tensor:
        """Return z float[num, latent_dim], from which the endpoint `sample` of a game with latents makes examples."""
        game: Any = self.game
        key = functional.fold(functional.seed_pair(tf.constant(seed)), SAMPLE)
        return game.latents(tf.constant(num), functional.fold(key, 0))

    def endpoint_inputs(self, name: str) -> dict[str, tf.TensorSpec]:
        """Return the specs of what users pass to an endpoint: those of the game, with float32 for every float."""
        return {
            key: tf.TensorSpec(spec.shape, tf.float32 if spec.dtype.is_floating else spec.dtype, name=spec.name)
            for key, spec in self.game.endpoints[name].inputs.items()
        }

    def checked(self, support: Examples) -> Examples:
        """Return a support set as float32 tensors, or raise ValueError."""
        return tf.nest.map_structure(tf.convert_to_tensor, check_support(support, self.game.example_shape))

    def adapt(
        self, support: Examples, steps: int, seed: int, meta: MetaWeights | None = None
    ) -> tuple[Snapshot, dict[str, np.ndarray]]:
        """Check a support set and adapt to it; `meta`, if it was read already, must be the current values.

        Returns:
            `(snapshot, {player: float32[steps]})`: the adapted values, and the mean loss of each player's turns in
            each step, on the examples of that step.
        """
        examples = self.checked(support)
        if not steps:
            # Without this, the loop would be traced for seconds and never run.
            check_settings()
            snapshot, records = self._recorded_values(examples, 0, seed, meta)
        else:
            snapshot, records = self._adapt(examples, tf.constant(steps, tf.int32), tf.constant(seed, tf.int32))
        losses, columns = records.numpy(), self.loop.columns
        chosen = {player: [i for i, name in enumerate(columns) if name == player] for player in columns}
        return snapshot, {player: losses[:, places].mean(axis=1) for player, places in chosen.items()}

    def held_out_distance(self, snapshot: Snapshot, support: Examples, held_out: Examples, seed: int) -> float:
        """Return the distance from samples of an adapted model to examples that it was not adapted to.

        Args:
            snapshot: adapted values.
            support: what they were adapted to, which conditions the samples.
            held_out: float[n, *example] in [-1, 1], n >= 1.
            seed: int32 range, of the samples.
        """
        given = self.checked(support), self.checked(held_out), tf.constant(seed, tf.int32)
        return float(self._held_out(snapshot, *given))

    def condition(self, snapshot: Snapshot, support: Examples) -> Tree:
        """Return what the nets are conditioned on after adaptation to a support set."""
        return self._condition(snapshot, self.checked(support))

    def run(
        self, name: str, snapshot: Snapshot, conditioning: Tree, inputs: Mapping[str, Any], seed: int
    ) -> dict[str, Tensor]:
        """Run an endpoint; a new batch size or count does not retrace."""
        if name not in self._endpoints:
            self._endpoints[name] = Compiled(lambda *args: self.endpoint_values(name, *args), reduce_retracing=True)
        specs = self.endpoint_inputs(name)
        tensors = {key: tf.convert_to_tensor(inputs[key], spec.dtype) for key, spec in specs.items()}
        return self._endpoints[name](snapshot, conditioning, tensors, tf.constant(seed, tf.int32))

    def fingerprint(self) -> str:
        """Return the fingerprint of the values to start from, which identifies a model; see `fingerprint_of`."""
        return fingerprint_of(self.values().initial)

    def copy(self, snapshot: Snapshot) -> Game:
        """Return the same game over new Keras models that hold `snapshot`."""
        game = type(self.game).from_config(self.game.get_config())
        functional.write(game.nets, snapshot)
        return game

    def holding(self, snapshot: Snapshot) -> CompiledAdaptation:
        """Return the same adaptation over new Keras models that hold `snapshot`."""
        loop = dataclasses.replace(self.loop, game=self.copy(snapshot))
        return CompiledAdaptation(loop, self.algorithm, self.values)


def fingerprint_of(initial: Snapshot) -> str:
    """Return the sha256 of the values of all nets, with their shapes."""
    digest = hashlib.sha256()
    for value in functional.flat(initial):
        digest.update(str(value.shape).encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


def _support_spec(game: Game) -> Tree:
    if not isinstance(game.example_shape, Mapping):
        return tf.TensorSpec([None, *game.example_shape], tf.float32, name="support")
    return {
        domain: tf.TensorSpec([None, *shape], tf.float32, name=f"{domain}_support")
        for domain, shape in game.example_shape.items()
    }
