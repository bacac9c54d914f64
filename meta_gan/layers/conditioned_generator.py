"""A generator with its conditioning stored inside: a plain Keras model from z to examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from meta_gan.layers.portable import exporting
from meta_gan.renames import current_names
from meta_gan.types import Tensor

_WHOLE = "conditioning"


@keras.saving.register_keras_serializable("meta_gan")
class ConditionedGenerator(keras.Model):
    """A model of z that holds a generator and its conditioning.

    The conditioning is stored as non-trainable weights, so that it is saved and loaded like any weight, and the model
    can be a layer of another one. The generator's own weights stay trainable.

    Args:
        generator: built Keras model, `generator(z, conditioning=..., training=...)` from float[n, latent_dim] to
            float[n, *example_shape].
        conditioning: `{name: tensor}`, such as a support set and its task embedding, or one tensor; the same for all z.
        latent_dim: int >= 1, the size of z; or the shape of one input, for a generator with other inputs.
        example_shape: the shape of one example.
        **kwargs: `name`, `dtype` (by default the generator's) and the other arguments of a Keras model.

    Raises:
        ValueError: a generator that is not built, or an empty conditioning.

    Example:
        >>> generator = meta_gan.networks.FusionGenerator((28, 28, 1), latent_dim=16)
        >>> model = ConditionedGenerator(generator, {"support": five_images}, 16, (28, 28, 1))
        >>> model(tf.zeros([3, 16])).shape
        TensorShape([3, 28, 28, 1])
    """

    def __init__(
        self,
        generator: keras.Model,
        conditioning: Mapping[str, Any] | Any,
        latent_dim: int | Sequence[int],
        example_shape: Sequence[int],
        **kwargs: Any,
    ) -> None:
        if not isinstance(generator, keras.Model) or not generator.built:
            raise ValueError(f"'generator' must be a built keras.Model. Received: {generator!r}")
        super().__init__(**{"dtype": generator.dtype_policy, **kwargs})
        self.generator = generator
        inputs = tuple(int(side) for side in np.atleast_1d(np.asarray(latent_dim)))
        self.latent_dim = inputs[0] if len(inputs) == 1 else inputs
        self.example_shape = tuple(int(side) for side in example_shape)
        self.named = isinstance(conditioning, Mapping)
        entries = dict(conditioning) if self.named else {_WHOLE: conditioning}
        if not entries or any(value is None for value in entries.values()):
            received = {name: type(value).__name__ for name, value in entries.items()}
            raise ValueError(f"'conditioning' must be a tensor, or tensors by name. Received: {received}")
        # Keep the order given, because a saved configuration lists names in the order of its stored weights.
        self.names = tuple(entries)
        self.held = [self._hold(name, np.asarray(entries[name])) for name in self.names]
        self.build((None, *inputs))

    def _hold(self, name: str, value: np.ndarray) -> Any:
        # In its own dtype: the generator casts its inputs itself.
        weight = self.add_weight(
            shape=value.shape, dtype=str(value.dtype), initializer="zeros", trainable=False, autocast=False, name=name
        )
        weight.assign(value)
        return weight

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Let Keras record `input_shape`, which `export` needs; the weights exist already."""

    def export(self, filepath: Any, format: str = "tf_saved_model", **kwargs: Any) -> None:
        """Export as `keras.Model.export` does; a model that was just loaded, too."""
        with exporting(self, (1, *np.atleast_1d(np.asarray(self.latent_dim))), format):
            super().export(filepath, format=format, **kwargs)

    @property
    def conditioning(self) -> Any:
        """The generator's conditioning: `{name: tensor}`, or one tensor."""
        tensors = {name: tf.convert_to_tensor(weight) for name, weight in zip(self.names, self.held, strict=True)}
        return tensors if self.named else tensors[_WHOLE]

    def call(self, z: Tensor, training: bool = False) -> Tensor:
        """Return examples float[n, *example_shape] of `z` float[n, latent_dim] or [n, *inputs]."""
        return self.generator(z, conditioning=self.conditioning, training=training)

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        children = super()._trackable_children(save_type, **kwargs)
        if save_type == "savedmodel":
            # TensorFlow would also trace the generator alone, which cannot be called without its conditioning.
            children["generator"] = list(self.generator.variables)
        return children

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return [n, *example_shape]."""
        return (input_shape[0], *self.example_shape)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor, with (shape, dtype) for every tensor."""
        held = {
            name: [list(weight.shape), str(weight.dtype)] for name, weight in zip(self.names, self.held, strict=True)
        }
        return {
            **super().get_config(),
            "generator": keras.saving.serialize_keras_object(self.generator),
            "conditioning": held,
            "named": self.named,
            "latent_dim": self.latent_dim,
            "example_shape": list(self.example_shape),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> ConditionedGenerator:
        """Return the model that `get_config` described; its conditioning is zero until weights are loaded."""
        rest = current_names(config)
        zeros: Any = {name: np.zeros(*spec) for name, spec in rest.pop("conditioning").items()}
        generator = keras.saving.deserialize_keras_object(rest.pop("generator"), custom_objects)
        return cls(generator, zeros if rest.pop("named") else zeros[_WHOLE], **rest)
