"""`Judge`: a frozen feature network and what is known of it, and `load_judge`, which finds one.

A judge compares generated with real images in its features. It has been trained on meta-training classes only,
is never a loss that a generator learns from, and its sha256 is printed with every figure that it gave. Features
are divided by the judge's `scale`, the mean distance between two real images of one meta-training class, so that
distances of different judges have one unit.
"""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from meta_gan import loading, storage
from meta_gan.checks import check_examples, check_number

BATCH = 256
KIND = "judge"
_SMALLEST_BATCH = 16
_SCALE = "scale"


def _weights_of(network: keras.Model, scale: float) -> dict[str, np.ndarray]:
    """Return what the sha256 is of: the scale, and the values in Keras's own order."""
    values = {f"variable_{index:04d}": np.asarray(v) for index, v in enumerate(network.weights)}
    return {_SCALE: np.array(scale, np.float64), **values}


def _digest(arrays: dict[str, np.ndarray]) -> str:
    """Return the sha256 of the bytes of the arrays as `.npz`, which is that of a saved judge's weights."""
    buffer, named = io.BytesIO(), dict[str, Any](arrays)
    np.savez(buffer, **named)
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def _refusal(given: Any, made: Any) -> ValueError:
    return ValueError(
        "a judge's network must map images [n, height, width, channels] of one known shape to features [n, d]. "
        f"Received: a model from {given} to {made}"
    )


def _image_shape(network: keras.Model) -> tuple[int, int, int]:
    """Return the shape of one image that a built model takes."""
    # A subclassed model has no `input_shape`, but Keras notes what it was built for.
    given = getattr(network, "input_shape", None) or (network.get_build_config() or {}).get("input_shape")
    sides = list(given)[1:] if isinstance(given, (tuple, list)) else []
    if len(sides) != 3 or not all(isinstance(side, int) for side in sides):
        raise _refusal(given, "anything")
    return sides[0], sides[1], sides[2]


class Judge:
    """A feature network that is not trained any more.

    Args:
        network: a built Keras model from float32[n, height, width, channels] in [-1, 1] to float[n, d].
        name: what reports call the judge.
        card: JSON values that describe it: "data", "recipe", "purpose", "validation"; see `train_judge`.
        scale: > 0, what features are divided by.
        sha256: of the file that it came from; by default, of its weights.

    Raises:
        ValueError: if the network has other inputs or outputs, or `scale` is no positive number.

    Example:
        >>> judge = Judge(conv4((28, 28, 1)), "untrained")
        >>> judge.features(np.zeros((3, 28, 28, 1), np.uint8)).shape
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
        """See the class."""
        self.network, self.name, self.scale = network, name, check_number(scale, "scale", above=0)
        self.example_shape = _image_shape(network)
        # One graph for batches of any size, so that the same images always meet the same code.
        signature = [tf.TensorSpec([None, *self.example_shape], tf.float32)]
        self._run = tf.function(lambda images: network(images, training=False), input_signature=signature)
        self.dim = self._count_features()
        nothing = {"data": None, "recipe": None, "purpose": "judge", "validation": None}
        self.card: dict[str, Any] = {**nothing, **(card or {}), "scale": self.scale}
        self.sha256 = sha256 or _digest(_weights_of(network, self.scale))

    def _count_features(self) -> int:
        """Return d, refused unless the network makes [2, d] of two images."""
        try:
            made = self._run(tf.zeros([2, *self.example_shape]))
        except Exception as error:
            # A model of somebody else's may raise anything.
            raise _refusal(list(self.example_shape), f"an error: {error}") from error
        if not tf.is_tensor(made) or made.shape.rank != 2 or made.shape[0] != 2 or not made.dtype.is_floating:
            raise _refusal([2, *self.example_shape], getattr(made, "shape", type(made).__name__))
        return int(made.shape[1])

    def features(self, images: Any) -> np.ndarray:
        """Return the features of images, in units of `scale`.

        An image's features do not depend on the other images of the call, up to rounding: the network runs at
        inference, in batches of 256 of which the last is filled up to one of five sizes.

        Args:
            images: uint8[n, *example_shape], or floats in [-1, 1] of that shape, n >= 1.

        Returns:
            float32[n, dim].

        Raises:
            ValueError: for another shape or dtype, no image, NaN, values outside [-1, 1], or features that
                are not finite.
        """
        images = check_examples(images, self.example_shape, "images")
        parts = [self._batch(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
        features = np.concatenate(parts) / np.float32(self.scale)
        if not np.isfinite(features).all():
            raise ValueError(f"the features of judge {self.name!r} must be finite. Received: NaN or infinity")
        return features

    def _batch(self, images: np.ndarray) -> np.ndarray:
        # Few sizes, so that the order of a kernel's sums hardly depends on how many images come.
        size = _SMALLEST_BATCH
        while size < len(images):
            size *= 2
        filled = np.zeros((size, *self.example_shape), np.float32)
        filled[: len(images)] = images
        return self._run(tf.constant(filled)).numpy()[: len(images)].astype(np.float32)

    def save(self, folder: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Write the judge as one folder, for `load_judge`.

        Args:
            folder: the folder to make; its name will be the judge's.
            overwrite: replace a folder that is there.

        Raises:
            ValueError: if the place is taken or cannot be written.
        """
        config = {
            "kind": KIND,
            "example_shape": list(self.example_shape),
            "card": self.card,
            "network": keras.saving.serialize_keras_object(self.network),
        }
        storage.write_model(folder, config, _weights_of(self.network, self.scale), overwrite, card=self._describe())

    def _describe(self) -> str:
        """Return the card in Markdown."""
        data, validation = self.card["data"] or {}, self.card["validation"]
        trained = f"{len(data['classes'])} classes of {data['name']}" if data else "not recorded"
        measured = (
            f"{validation['accuracy']:.3f} ({validation['ways']} ways, {validation['shots']} shots)"
            if validation
            else "not measured"
        )
        recipe = self.card["recipe"] or {}
        lines = [
            "# A judge of meta_gan",
            "",
            "A feature network that compares generated with real images. "
            + ("Never a judge: it is meant for losses." if self.card["purpose"] == "objective" else "Never a loss."),
            "",
            f"- Images: {list(self.example_shape)}; features: {self.dim}, in units of {self.scale:.6g}.",
            f"- Trained on: {trained}.",
            f"- Nearest-prototype accuracy on validation classes: {measured}.",
            *[f"- {key}: {value}" for key, value in recipe.items()],
            "",
            "Load it with `meta_gan.judges.load_judge(FOLDER)`, then `.features(images)`.",
            "",
        ]
        return "\n".join(lines)


def _judges_root() -> Path:
    return loading.shipped_root() / "judges"


def shipped_judges() -> list[str]:
    """Return the names of the judges in the package."""
    return sorted(path.parent.name for path in _judges_root().glob(f"*/{storage.CONFIG}"))


def load_judge(what: str | os.PathLike[str] | keras.Model) -> Judge:
    """Return a judge from wherever it is.

    Args:
        what: the folder of a saved judge; the name of one that ships (`shipped_judges`); a `.keras` file; or a
            built Keras model. The last two are any model from images in [-1, 1] to features float[n, d], whose
            features are taken as they are (scale 1).

    Returns:
        A `Judge`. Its `sha256` is that of the weights' file, of the `.keras` file, or of the model's values.

    Raises:
        ValueError: if nothing is there, it is another kind of folder, its files are damaged, or the model has
            other inputs or outputs.

    Example:
        >>> load_judge("runs/judges/omniglot").features(images).shape
        (5, 64)
    """
    if isinstance(what, keras.Model):
        return Judge(what, what.name)
    path = Path(what)
    if path.suffix == ".keras" and not path.is_dir():
        return _from_keras_file(path)
    path = loading.found_or_shipped(what, shipped_judges(), _judges_root())
    if not path.is_dir():
        raise ValueError(
            f"a judge must be a folder, a .keras file, a Keras model or one of the shipped names {shipped_judges()}. "
            f"Received: {str(what)!r}"
        )
    return _from_folder(path)


def _from_keras_file(path: Path) -> Judge:
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        network = keras.saving.load_model(path, compile=False)
    except Exception as error:
        # Keras raises a dozen kinds of error for a damaged file.
        raise ValueError(f"{str(path)!r} must be a readable Keras model. Received: {error}") from error
    return Judge(network, path.stem, sha256=digest)


def _from_folder(path: Path) -> Judge:
    config, arrays = storage.read_model(path, KIND)
    try:
        network = keras.saving.deserialize_keras_object(config["network"])
        card, scale = config["card"], float(arrays.pop(_SCALE))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{str(path)!r} must hold a whole judge. Received: {error!r}") from error
    storage.check_arrays(path, arrays, [tuple(v.shape) for v in network.weights])
    for variable, (_, value) in zip(network.weights, sorted(arrays.items()), strict=True):
        variable.assign(value)
    return Judge(network, path.resolve().name, card, scale, config["weights_sha256"])
