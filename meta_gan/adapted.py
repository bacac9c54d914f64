"""`AdaptedModel`: a generator of one class, returned by `MetaModel.adapt`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from meta_gan import atomic, functional, storage
from meta_gan import export as exporting
from meta_gan.adaptation import CompiledAdaptation, fingerprint_of
from meta_gan.checks import check_converged, check_examples, check_integer, check_memory
from meta_gan.early_stopping import History
from meta_gan.environment import check_settings
from meta_gan.layers.conditioned_generator import ConditionedGenerator
from meta_gan.types import Examples, MetaWeights, Snapshot

FORMATS = ("saved_model", "onnx", "litert")


class AdaptedModel:
    """A generator of one class, as returned by `MetaModel.adapt`.

    It stores values only. Creating many of them builds no Keras models and traces nothing.

    Attributes:
        source: the address, with the commit, that `load_adapted` read the model from; None if from anywhere else.

    Args:
        adaptation: the compiled adaptation of the meta-model.
        snapshot: adapted values of all nets.
        support: float[k, *example] or a dict of domains, the support set, on which the nets may be conditioned. None
            before adaptation.
        data_card: describes the data that the meta-model was trained on.
        base: the fingerprint of the meta-model, "" if it is unknown; or the values of its nets; None to read them from
            `adaptation`.
        history: what the inner loop did, kept as an attribute; None if it is unknown, as for a model that was loaded.

    Raises:
        DivergenceError: a value of `snapshot`, or of the task embedding, is NaN or infinite.
    """

    source: str | None = None

    def __init__(
        self,
        adaptation: CompiledAdaptation,
        snapshot: Snapshot,
        support: Examples | None,
        data_card: dict[str, Any],
        base: str | Snapshot | None = None,
        history: History | None = None,
    ):
        self.adaptation, self.snapshot, self.data_card, self.history = adaptation, snapshot, data_card, history
        self._check_weights()
        # Read now, because the meta-model may be trained further, but hashed when asked for, which takes milliseconds.
        self._base = adaptation.values().initial if base is None else base
        # Copied, because the caller may write into the arrays later.
        if isinstance(support, Mapping):
            self.support: Examples | None = {domain: np.array(examples) for domain, examples in support.items()}
        else:
            self.support = None if support is None else np.array(support)
        conditioned = support is not None and adaptation.game.conditioned
        self.conditioning = adaptation.condition(snapshot, support) if conditioned else None
        check_converged(tf.nest.flatten(self.conditioning) if conditioned else [], "the task embedding")

    @property
    def base(self) -> str:
        """The fingerprint of the meta-model, "" if it is unknown."""
        if not isinstance(self._base, str):
            self._base = fingerprint_of(self._base)
        return self._base

    def _check_weights(self) -> None:
        check_converged(functional.flat(self.snapshot), "the adapted weights")

    def _check_converged(self) -> None:
        """Check the weights and a few samples, because those of finite weights of 1e38 may be NaN."""
        self._check_weights()
        if "sample" in self.adaptation.game.endpoints:
            self.sample(16)

    def sample(self, count: int, seed: int = 0) -> np.ndarray:
        """Draw new examples of the class.

        Args:
            count: number of examples, >= 1.
            seed: int32 range; the same seed gives the same examples, and example i does not depend on `count`.

        Returns:
            float32[count, *example] in [-1, 1].

        Raises:
            ValueError: `count` below 1 or above what the memory of this machine holds, a seed outside the int32 range,
                or the game does not have this endpoint.
            DivergenceError: an example is not finite.
        """
        self._require("sample")
        inputs = {"num": check_memory(check_integer(count, "count", 1), self.adaptation.game.output_shape, "count")}
        seed = check_integer(seed, "seed")
        return self._run("sample", inputs, seed)["samples"]

    def reconstruct(self, images: Any) -> np.ndarray:
        """Encode and decode examples with a model that has an encoder.

        Args:
            images: float[n, *example] in [-1, 1], or uint8; any n >= 1.

        Returns:
            float32[n, *example] in [-1, 1].

        Raises:
            ValueError: the game has no such endpoint, or images of another shape, range or dtype.
            DivergenceError: an output is not finite.

        Example:
            >>> adapted = presets.build(presets.get("vae"), (28, 28, 1)).adapt(five_images)
            >>> adapted.reconstruct(five_images).shape
            (5, 28, 28, 1)
        """
        return self._examples_of("reconstruct", images)

    def encode(self, images: Any) -> dict[str, np.ndarray]:
        """Encode examples with a model that has an encoder, or a flow.

        Args:
            images: as in `reconstruct`.

        Returns:
            `{"mean", "log_variance"}`: float32[n, latent] each, the parameters of a diagonal normal distribution; of a
            flow `{"z"}`, float32[n, latent].

        Raises:
            ValueError: as in `reconstruct`.

        Example:
            >>> adapted.encode(five_images)["mean"].shape
            (5, 32)
        """
        return self._of_images("encode", images)

    def translate(self, images: Any, back: bool = False) -> np.ndarray:
        """Translate examples from the source to the target domain, with a game of two domains.

        Args:
            images: float[n, *source] in [-1, 1], or uint8; any n >= 1.
            back: translate from the target to the source domain, with a game that has translators both ways.

        Returns:
            float32[n, *target] in [-1, 1]; with `back`, float32[n, *source].

        Raises:
            ValueError: as in `reconstruct`.

        Example:
            >>> adapted = model.adapt({"source": five_images, "target": five_others})
            >>> adapted.translate(more_images).shape
            (12, 28, 28, 1)
        """
        return self._examples_of("translate_back" if back else "translate", images)

    def _require(self, name: str) -> None:
        """Raise ValueError if the game has no such endpoint."""
        game = self.adaptation.game
        if name not in game.endpoints:
            raise ValueError(
                f"'{name}' needs a game with that endpoint. Received: {type(game).__name__}, which has "
                f"{sorted(game.endpoints)}"
            )

    def _examples_of(self, name: str, images: Any) -> np.ndarray:
        outputs = self._of_images(name, images)
        if "images" not in outputs:
            game = type(self.adaptation.game).__name__
            raise ValueError(f"the endpoint '{name}' of {game} must return 'images'. Received: {sorted(outputs)}")
        return outputs["images"]

    def _of_images(self, name: str, images: Any) -> dict[str, np.ndarray]:
        self._require(name)
        shape = tuple(self.adaptation.game.endpoints[name].inputs["images"].shape[1:])
        checked = check_examples(images, shape, argument="images")
        return self._run(name, {"images": checked}, 0)

    def _run(self, name: str, inputs: Mapping[str, Any], seed: int) -> dict[str, np.ndarray]:
        """Run an endpoint, whose outputs must be finite: finite weights that are very large can overflow inside."""
        made = self.adaptation.run(name, self.snapshot, self.conditioning, inputs, seed)
        outputs = {key: value.numpy() for key, value in made.items()}
        check_converged(outputs.values(), f"the outputs of {name!r}")
        return outputs

    @property
    def generator(self) -> keras.Model:
        """A plain Keras model with the adapted weights.

        It maps latents float32[n, latent_dim] to examples or, for a game of two domains, examples of the source to
        examples of the target. For a conditioned game it is a `ConditionedGenerator`, which contains the support set
        and its task embedding.
        """
        self._check_weights()
        return self._generator_of(self.adaptation.copy(self.snapshot))

    def _generator_of(self, game: Any) -> keras.Model:
        """Return the generator of a copy of the game that holds the adapted values."""
        generator = game.nets[game.primary]
        conditioning = game.conditioning_of(game.primary, self.conditioning)
        if conditioning is None:
            return generator
        (spec,) = game.endpoints[game.default_endpoint].inputs.values()
        return ConditionedGenerator(generator, conditioning, spec.shape[1:], game.output_shape)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save to a new folder: `generator.keras`, `saved_model/1`, and the files that `from_folder` reads.

        Args:
            path: the folder to create; it must not exist.

        Raises:
            ValueError: the folder exists, or cannot be written; nothing is left half-written.
            DivergenceError: a value is not finite; nothing is written.
        """
        self._check_converged()
        with storage.new_folder(path) as folder:
            self.write_into(folder)

    def write_into(self, folder: str | os.PathLike[str], programs: bool = True) -> None:
        """Write the files of `save` into an existing folder; without `programs`, only those that are no programs."""
        self._check_converged()
        if programs:
            held = self.adaptation.holding(self.snapshot)
            self._generator_of(held.game).save(os.path.join(folder, "generator.keras"))
            self._write_saved_model(held, os.path.join(folder, "saved_model", "1"), exporting.Limits())
        serialize, adaptation = keras.saving.serialize_keras_object, self.adaptation
        config = {
            "kind": "adapted_model",
            "game": serialize(adaptation.game),
            "algorithm": serialize(adaptation.algorithm),
            **adaptation.game.card,
            "data": self.data_card,
            "base": self.base,
        }
        arrays = {f"value_{i:04d}": t.numpy() for i, t in enumerate(functional.flat(self.snapshot))}
        if isinstance(self.support, Mapping):
            arrays |= {f"support_{domain}": np.asarray(each) for domain, each in self.support.items()}
        elif self.support is not None:
            arrays["support"] = np.asarray(self.support)
        storage.write_into(folder, config, arrays)

    @classmethod
    def from_folder(cls, path: str | os.PathLike[str]) -> AdaptedModel:
        """Load a model that `save` wrote; it draws the same samples.

        Raises:
            ValueError: the folder has no adapted model, or its files are damaged.
            DivergenceError: it holds values that are not finite.
        """
        check_settings()
        config, arrays = storage.read_model(path, "adapted_model")
        check_converged(arrays.values(), f"the weights of {str(path)!r}")
        with storage.rebuilding(path, config, arrays):
            return cls._rebuilt(path, config, arrays)

    @classmethod
    def _rebuilt(
        cls, path: str | os.PathLike[str], config: dict[str, Any], arrays: dict[str, np.ndarray]
    ) -> AdaptedModel:
        make = keras.saving.deserialize_keras_object
        game, algorithm = make(config["game"]), make(config["algorithm"])
        if isinstance(game.example_shape, Mapping):
            sets = {domain: arrays.pop(f"support_{domain}", None) for domain in game.example_shape}
            support: Any = None if any(each is None for each in sets.values()) else sets
        else:
            support = arrays.pop("support", None)
        fresh = functional.read(game.nets)
        tensors = functional.flat(fresh)
        storage.check_arrays(path, arrays, [tuple(each.shape) for each in tensors])
        values = [
            tf.convert_to_tensor(arrays[name], each.dtype) for name, each in zip(sorted(arrays), tensors, strict=True)
        ]
        snapshot = tf.nest.pack_sequence_as(fresh, values)
        functional.write(game.nets, snapshot)
        loop = algorithm.loop(game)
        adaptation = CompiledAdaptation(loop, algorithm, lambda: MetaWeights(functional.read(game.nets), []))
        return cls(adaptation, snapshot, support, dict(config.get("data") or {}), str(config.get("base") or ""))

    def export(
        self, path: str | os.PathLike[str], limits: exporting.Limits | None = None, format: str = "saved_model"
    ) -> None:
        """Export a SavedModel with `serving_default(z)`, `sample(num, seed)` and the game's other endpoints.

        Args:
            path: the version folder to create; for the other formats the file, `.onnx` or `.tflite`.
            limits: the greatest `num`, or number of rows, of a request; for a SavedModel only.
            format: "saved_model", or "onnx" or "litert" for the generator alone, by Keras's converters; "onnx" needs
                the extra `onnx`.

        Raises:
            ValueError: `path` exists, the format is unknown, or `limits` are given for a format without them.
            DivergenceError: a value is not finite; nothing is written.

        Example:
            >>> model.adapt(five_images).export("glyph.onnx", format="onnx")
        """
        if format not in FORMATS or (limits is not None and format != FORMATS[0]):
            raise ValueError(
                f"'format' must be one of {FORMATS}, and 'saved_model' if 'limits' are given. Received: {format!r}"
            )
        self._check_converged()
        storage.check_free(path)
        if format != FORMATS[0]:
            generator = self.generator
            (spec,) = self.adaptation.game.endpoints[self.adaptation.game.default_endpoint].inputs.values()
            generator(tf.zeros([1, *spec.shape[1:]], spec.dtype))  # Keras converts only models that have been called
            place = Path(path)
            with atomic.new_files(place.parent) as work:
                generator.export(str(work / place.name), format=format, verbose=False)
            return
        self._write_saved_model(self.adaptation.holding(self.snapshot), path, limits or exporting.Limits())

    def _write_saved_model(
        self, held: CompiledAdaptation, path: str | os.PathLike[str], limits: exporting.Limits
    ) -> None:
        exporting.export_adapted_model(held, self.conditioning, path, limits, self.data_card)
