"""Adaptation after training: the compiled inner loop and endpoints, and the adapted model that a user holds."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from meta_gan import export as exporting
from meta_gan import functional, storage
from meta_gan.checks import check_examples, check_integer
from meta_gan.games.base import Game
from meta_gan.layers.holding import ConditionedGenerator
from meta_gan.meta import inner_loop
from meta_gan.meta import paths as path_tools
from meta_gan.meta.algorithms import Algorithm
from meta_gan.types import Carry, MetaWeights, Paths, Snapshot


class Deployment:
    """A game's inner loop and endpoints, traced once and shared by every adapted model.

    Args:
        game: the game.
        algorithm: whose rule and steps adapt.
        paths: what adapts.
        values: returns the meta-weights to start from, as they are at the time of the call.
    """

    def __init__(self, game: Game, algorithm: Algorithm, paths: Paths, values: Callable[[], MetaWeights]):
        self.game, self.algorithm, self.paths, self.values = game, algorithm, paths, values
        dtype = next(iter(game.nets.values())).compute_dtype
        self.support_spec = tf.TensorSpec([None, *game.example_shape], dtype, name="support")
        signature = [self.support_spec, tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.int32)]
        self._adapt = tf.function(self.adapt_values, autograph=False, input_signature=signature)
        self._advance = tf.function(self.advance_values, autograph=False, reduce_retracing=True)
        self._condition = tf.function(game.condition, autograph=False, reduce_retracing=True)
        self._endpoints: dict[str, Any] = {}

    def adapt_values(self, support: Any, steps: Any, seed: Any) -> Snapshot:
        """Adaptation as a function of tensors: what `adapt` and the SavedModel run."""
        game, learner, meta = self.game, self.algorithm.meta_learner, self.values()
        carry = inner_loop.begin(game, learner, self.paths, meta)
        key = functional.seed_pair(seed)
        carry, _ = inner_loop.advance(game, learner, self.paths, meta, carry, support, steps, 1, key)
        return inner_loop.final(self.paths, meta, carry)

    def advance_values(self, carry: Carry, support: Any, steps: Any, seed: Any, rate_scale: Any) -> Any:
        """A piece of an adaptation: the carry and the adapted values after `steps` more steps."""
        learner, meta, key = self.algorithm.meta_learner, self.values(), functional.seed_pair(seed)
        carry, _ = inner_loop.advance(
            self.game, learner, self.paths, meta, carry, support, steps, 1, key, rate_scale=rate_scale
        )
        return carry, inner_loop.final(self.paths, meta, carry)

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
        images = tf.cast(check_examples(support, self.game.example_shape), self.support_spec.dtype)
        carry = inner_loop.begin(self.game, self.algorithm.meta_learner, self.paths, self.values())
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

    def adapt(self, support: Any, steps: int, seed: int) -> Snapshot:
        """Checks a support set and adapts to it."""
        images = check_examples(support, self.game.example_shape, argument="support")
        images = tf.cast(tf.convert_to_tensor(images), self.support_spec.dtype)
        return self._adapt(images, tf.constant(steps, tf.int32), tf.constant(seed, tf.int32))

    def condition(self, snapshot: Snapshot, support: Any) -> Any:
        """What the nets are conditioned on after adaptation to a support set."""
        images = check_examples(support, self.game.example_shape, argument="support")
        return self._condition(snapshot, tf.cast(tf.convert_to_tensor(images), self.support_spec.dtype))

    def run(self, name: str, snapshot: Snapshot, conditioning: Any, inputs: dict[str, Any], seed: int) -> Any:
        """Runs an endpoint; a new batch size or count does not retrace."""
        if name not in self._endpoints:
            self._endpoints[name] = tf.function(
                lambda *args: self.endpoint_values(name, *args), autograph=False, reduce_retracing=True
            )
        specs = self.game.endpoints[name].inputs
        tensors = {key: tf.convert_to_tensor(inputs[key], spec.dtype) for key, spec in specs.items()}
        return self._endpoints[name](snapshot, conditioning, tensors, tf.constant(seed, tf.int32))

    def copy(self, snapshot: Snapshot) -> Game:
        """The same game over new Keras models that hold `snapshot`."""
        game = type(self.game).from_config(self.game.get_config())
        functional.write(game.nets, snapshot)
        return game


class AdaptedModel:
    """A generator of one class, as adapted; what `MetaModel.adapt` returns.

    Holds values only: a thousand of them make no Keras model and trace nothing.

    Args:
        deployment: of the meta-model.
        snapshot: adapted values of all nets.
        support: float[k, *example], what it was adapted to; the nets are conditioned on it. None before adaptation.
        data_card: what the meta-model was trained on.
    """

    def __init__(self, deployment: Deployment, snapshot: Snapshot, support: Any, data_card: dict[str, Any]):
        self.deployment, self.snapshot = deployment, snapshot
        self.support, self.data_card = support, data_card
        conditioned = support is not None and deployment.game.conditioned
        self.conditioning = deployment.condition(snapshot, support) if conditioned else None

    def sample(self, count: int, seed: int = 0) -> np.ndarray:
        """Draws new examples of the class.

        Args:
            count: how many, >= 1.
            seed: the same seed gives the same images; image i does not depend on `count`.

        Returns:
            float32[count, *example] in [-1, 1].

        Raises:
            ValueError: `count` below 1, or a seed outside the int32 range.
        """
        inputs = {"num": check_integer(count, "count", 1)}
        seed = check_integer(seed, "seed")
        return self.deployment.run("sample", self.snapshot, self.conditioning, inputs, seed)["samples"].numpy()

    def reconstruct(self, images: Any) -> np.ndarray:
        """What a model with an encoder makes of examples, after encoding them.

        Args:
            images: float[n, *example] in [-1, 1], or uint8; any n >= 1.

        Returns:
            float[n, *example] in [-1, 1], of the nets' dtype.

        Raises:
            ValueError: the game has no such endpoint, or images of another shape, range or dtype.

        Example:
            >>> adapted = presets.build(presets.get("vae"), (28, 28, 1)).adapt(five_images)
            >>> adapted.reconstruct(five_images).shape
            (5, 28, 28, 1)
        """
        return self._of_images("reconstruct", images)["images"]

    def encode(self, images: Any) -> dict[str, np.ndarray]:
        """The codes of examples, of a model with an encoder.

        Args:
            images: as in `reconstruct`.

        Returns:
            `{"mean", "log_variance"}`: float[n, latent] each, of a normal with independent numbers.

        Raises:
            ValueError: as in `reconstruct`.

        Example:
            >>> adapted.encode(five_images)["mean"].shape
            (5, 32)
        """
        return self._of_images("encode", images)

    def _of_images(self, name: str, images: Any) -> dict[str, np.ndarray]:
        game = self.deployment.game
        if name not in game.endpoints:
            raise ValueError(
                f"'{name}' needs a game with that endpoint, such as a VAE. Received: {type(game).__name__}, which has "
                f"{sorted(game.endpoints)}"
            )
        checked = check_examples(images, game.example_shape, argument="images")
        made = self.deployment.run(name, self.snapshot, self.conditioning, {"images": checked}, 0)
        return {key: value.numpy() for key, value in made.items()}

    @property
    def generator(self) -> keras.Model:
        """A plain Keras model from latents float32[n, latent_dim] to examples, with the adapted weights.

        That of a conditioned game carries its support set, and the code made of it, inside: a `ConditionedGenerator`.
        """
        game = self.deployment.copy(self.snapshot)
        generator = game.nets["generator"]
        if self.conditioning is None:
            return generator
        latent_dim = game.endpoints["generate"].inputs["z"].shape[-1]
        return ConditionedGenerator(generator, self.conditioning, latent_dim, game.example_shape)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Makes a folder with `generator.keras`, `saved_model/1`, and what `from_folder` needs.

        Args:
            path: the folder to make; it must not exist.

        Raises:
            ValueError: the folder exists, or cannot be written; nothing is left half-written.
        """
        with storage.new_folder(path) as folder:
            self.write_into(folder)

    def write_into(self, folder: str | os.PathLike[str]) -> None:
        """Writes what `save` promises into a folder that is there."""
        self.generator.save(os.path.join(folder, "generator.keras"))
        self.export(os.path.join(folder, "saved_model", "1"))
        serialize, deployment = keras.saving.serialize_keras_object, self.deployment
        config = {
            "kind": "adapted_model",
            "game": serialize(deployment.game),
            "algorithm": serialize(deployment.algorithm),
            "image_shape": list(deployment.game.example_shape),
            "data": self.data_card,
        }
        arrays = {f"value_{i:04d}": t.numpy() for i, t in enumerate(functional.flat(self.snapshot))}
        if self.support is not None:
            arrays["support"] = np.asarray(self.support)
        storage.write_into(folder, config, arrays)

    @classmethod
    def from_folder(cls, path: str | os.PathLike[str]) -> AdaptedModel:
        """Loads what `save` wrote, to sample from again with the same result.

        Raises:
            ValueError: no adapted model is there, or its files are damaged.
        """
        config, arrays = storage.read_model(path, "adapted_model")
        make = keras.saving.deserialize_keras_object
        game, algorithm = make(config["game"]), make(config["algorithm"])
        support = arrays.pop("support", None)
        fresh = functional.read(game.nets)
        leaves = functional.flat(fresh)
        storage.check_arrays(path, arrays, [tuple(leaf.shape) for leaf in leaves])
        values = [
            tf.convert_to_tensor(arrays[name], leaf.dtype) for name, leaf in zip(sorted(arrays), leaves, strict=True)
        ]
        snapshot = tf.nest.pack_sequence_as(fresh, values)
        functional.write(game.nets, snapshot)
        paths = path_tools.select(game, algorithm.paths)
        algorithm.meta_learner.setup(path_tools.infos(game, paths), game.signals)
        deployment = Deployment(game, algorithm, paths, lambda: MetaWeights(functional.read(game.nets), []))
        return cls(deployment, snapshot, support, dict(config.get("data") or {}))

    def export(self, path: str | os.PathLike[str], limits: exporting.Limits | None = None) -> None:
        """Exports a SavedModel with `serving_default(z)`, `sample(num, seed)` and the game's other endpoints.

        Args:
            path: the version folder to make.
            limits: the greatest `num`, or number of rows, that a stranger may ask for.
        """
        exporting.export_adapted_model(
            self.deployment, self.snapshot, self.conditioning, path, limits or exporting.Limits()
        )
