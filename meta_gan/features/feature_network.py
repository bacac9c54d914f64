"""`FeatureNetwork`: a frozen network from images to features, with its card, its saved format and its loader.

Features are divided by the network's `scale`, the mean distance between two real images of one meta-training class, so
distances have the same unit for every network. A network has one purpose: a "judge" scores generated images and is
never part of a loss; a network for the "plane" is a judge, too, which `protocol.plane` uses and no other evaluation
does by default; an "objective" may be part of a loss and is never a judge.
"""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf

from meta_gan import loading, reading, storage
from meta_gan.checks import check_converged, check_examples, check_finite, check_number
from meta_gan.hints import did_you_mean

BATCH = 256
KIND = "judge"
"""The kind that saved folders of all purposes have."""
PURPOSES = ("judge", "plane", "objective")
_SMALLEST_BATCH = 16
_SCALE = "scale"


class FeatureNetwork:
    """A frozen network from images to features.

    Args:
        network: a built Keras model from float32[n, height, width, channels] in [-1, 1] to float[n, d].
        name: its name in reports.
        card: JSON values that describe it: "data", "recipe", "purpose", "validation"; see `judges.train_judge`.
        scale: the divisor of features, > 0.
        sha256: of the file that it was loaded from; by default, of its weights.

    Raises:
        ValueError: the network has other inputs or outputs, or `scale` is not a positive number.

    Example:
        >>> network = FeatureNetwork(conv4((28, 28, 1)), "untrained")
        >>> network.features(np.zeros((3, 28, 28, 1), np.uint8)).shape
        (3, 64)
    """

    def __init__(
        self,
        network: keras.Model,
        name: str,
        card: dict[str, Any] | None = None,
        scale: float = 1.0,
        sha256: str | None = None,
    ) -> None:
        self.network, self.name, self.scale = network, name, check_number(scale, "scale", above=0)
        self.example_shape = _image_shape(network)
        # One graph for batches of all sizes, so that equal images are computed by the same code.
        signature = [tf.TensorSpec([None, *self.example_shape], tf.float32)]
        self._run = tf.function(lambda images: network(images, training=False), input_signature=signature)
        self.dim = self._count_features()
        unknown = {"data": None, "recipe": None, "purpose": "judge", "validation": None}
        self.card: dict[str, Any] = {**unknown, **(card or {}), "scale": self.scale}
        self.sha256 = sha256 or _digest(self._arrays())

    def _count_features(self) -> int:
        """Return d; raise a ValueError unless the network maps two images to float[2, d]."""
        try:
            made = self._run(tf.zeros([2, *self.example_shape]))
        except Exception as error:
            # A foreign model can raise any error.
            raise _refusal(list(self.example_shape), f"an error: {error}") from error
        if not tf.is_tensor(made) or made.shape.rank != 2 or made.shape[0] != 2 or not made.dtype.is_floating:
            raise _refusal([2, *self.example_shape], getattr(made, "shape", type(made).__name__))
        return int(made.shape[1])

    def _arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays of the weights' file: the scale, and the variables in Keras's own order."""
        values = {f"variable_{index:04d}": np.asarray(v) for index, v in enumerate(self.network.weights)}
        return {_SCALE: np.array(self.scale, np.float64), **values}

    def features(self, images: np.ndarray) -> np.ndarray:
        """Return the features of images, divided by `scale`.

        The features of an image do not depend on the other images, up to rounding: the network runs at inference, in
        batches of 256, the last of which is padded to one of five sizes.

        Args:
            images: uint8[n, *example_shape], or floats in [-1, 1], n >= 1.

        Returns:
            float32[n, dim].

        Raises:
            ValueError: as `check_examples`, or the features are not finite.
        """
        images = check_examples(images, self.example_shape, "images")
        parts = [self._batch(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
        return check_finite(np.concatenate(parts) / np.float32(self.scale), f"features of {self.name}")

    def _batch(self, images: np.ndarray) -> np.ndarray:
        # Few sizes, so that the order of a kernel's sums hardly depends on the number of images.
        size = _SMALLEST_BATCH
        while size < len(images):
            size *= 2
        padded = np.zeros((size, *self.example_shape), np.float32)
        padded[: len(images)] = images
        return self._run(tf.constant(padded)).numpy()[: len(images)].astype(np.float32)

    def save(self, folder: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Write the network as one folder.

        Args:
            folder: the folder to make, whose name becomes the network's name.
            overwrite: replace an existing folder.

        Raises:
            ValueError: the folder exists or cannot be written.
            DivergenceError: a weight is NaN or infinite; nothing is written.
        """
        check_converged(self._arrays().values(), f"the weights of {self.name!r}")
        config = {
            "kind": KIND,
            "example_shape": list(self.example_shape),
            "card": self.card,
            "network": keras.saving.serialize_keras_object(self.network),
        }
        storage.write_model(folder, config, self._arrays(), overwrite, card=self._markdown())

    def _markdown(self) -> str:
        """Return the card in Markdown."""
        data, validation = self.card["data"] or {}, self.card["validation"]
        trained = f"{len(data['classes'])} classes of {data['name']}" if data else "not recorded"
        measured = "not measured"
        if validation:
            measured = f"{validation['accuracy']:.3f} ({validation['ways']} ways, {validation['shots']} shots)"
        title, use, load = "judge", "It scores generated images and is never part of a loss.", "judges.load_judge"
        if self.card["purpose"] == "objective":
            title, use, load = "feature network", "It is part of losses and is never a judge.", "features.load"
        lines = [
            f"# A {title} of meta_gan",
            "",
            f"A network from images to features. {use}",
            "",
            f"- Images: {list(self.example_shape)}; features: {self.dim}, in units of {self.scale:.6g}.",
            f"- Trained on: {trained}.",
            f"- Nearest-prototype accuracy on validation classes: {measured}.",
            *[f"- {key}: {value}" for key, value in (self.card["recipe"] or {}).items()],
            "",
            f"Load it with `meta_gan.{load}(FOLDER)`, then call `.features(images)`.",
            "",
        ]
        return "\n".join(lines)

    @classmethod
    def load(cls, source: str | os.PathLike[str] | keras.Model) -> Self:
        """Return a network that was saved, that ships, or that is a foreign Keras model.

        Args:
            source: a saved folder; the name of a shipped network (`shipped_names`); a `.keras` file; or a built Keras
                model. The last two may be any model from images in [-1, 1] to float[n, d]; their scale is 1.

        Returns:
            The network. Its `sha256` is that of the weights' file, of the `.keras` file, or of the model's weights.

        Raises:
            ValueError: there is no such network, its files are damaged, it has other inputs or outputs, or another
                purpose than the class requires.

        Example:
            >>> FeatureNetwork.load("omniglot28-objective").features(images).shape
            (5, 64)
        """
        if isinstance(source, keras.Model):
            return cls(source, source.name)
        path = Path(source)
        if path.suffix == ".keras" and not path.is_dir():
            try:
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                network = keras.saving.load_model(path, compile=False)
            except Exception as error:
                # Keras raises a dozen kinds of error for a damaged file.
                raise ValueError(f"{str(path)!r} must be a readable Keras model. Received: {error}") from error
            return cls(network, path.stem, sha256=digest)
        path = loading.found_or_shipped(source, shipped_names(), _shipped_root())
        if not path.is_dir():
            names = shipped_names()
            raise ValueError(
                f"a feature network must be a folder, a .keras file, a Keras model or one of the shipped names "
                f"{names}. Received: {str(source)!r}{did_you_mean(str(source), names)}"
            )
        return cls._from_folder(path)

    @classmethod
    def _from_folder(cls, path: Path) -> Self:
        config, arrays = storage.read_model(path, KIND)
        check_converged(arrays.values(), f"the weights of {str(path)!r}")
        with reading.undamaged(path, "a complete feature network"):
            network = keras.saving.deserialize_keras_object(config["network"])
            card, scale = config["card"], float(arrays.pop(_SCALE))
            storage.check_arrays(path, arrays, [tuple(v.shape) for v in network.weights])
            for variable, (_, value) in zip(network.weights, sorted(arrays.items()), strict=True):
                variable.assign(value)
        return cls(network, path.resolve().name, card, scale, config["weights_sha256"])


load = FeatureNetwork.load


def _shipped_root() -> Path:
    return loading.shipped_root() / "judges"


def shipped_names(purpose: str | None = None) -> list[str]:
    """Return the names of the feature networks in the package, of one purpose or, for None, of all."""
    found = {path.parent.name: path.parent for path in _shipped_root().glob(f"*/{storage.CONFIG}")}
    return [
        name
        for name, folder in sorted(found.items())
        if purpose is None or storage.read_config(folder)["card"]["purpose"] == purpose
    ]


def _digest(arrays: dict[str, Any]) -> str:
    """Return the sha256 of the arrays as `.npz`, which is that of the weights' file of a saved network."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def _refusal(given: Any, made: Any) -> ValueError:
    return ValueError(
        "a feature network must map images [n, height, width, channels] of one fixed shape to features [n, d]. "
        f"Received: a model from {given} to {made}"
    )


def _image_shape(network: keras.Model) -> tuple[int, int, int]:
    """Return the shape of one image that a built model takes."""
    # A subclassed model has no `input_shape`, but Keras records the shape that it was built for.
    given = getattr(network, "input_shape", None) or (network.get_build_config() or {}).get("input_shape")
    sides = list(given)[1:] if isinstance(given, (tuple, list)) else []
    if len(sides) != 3 or not all(isinstance(side, int) for side in sides):
        raise _refusal(given, "anything")
    return sides[0], sides[1], sides[2]
