"""Scale and shift: a network told apart from itself by a factor and an addend for every channel."""

from __future__ import annotations

import inspect
from typing import Any

import keras

SCALE, SHIFT = "channel_scale", "channel_shift"
SCALE_AND_SHIFT = rf"/({SCALE}|{SHIFT})_\d+$"
"""The `mask` of an algorithm that adapts the scales and shifts alone."""
_SAID = ("example_shape", "latent_dim", "embedding_dim", "sees_support")


@keras.saving.register_keras_serializable("meta_gan")
class ScaleAndShift(keras.Model):
    """A network whose kernels are multiplied by a factor for each output channel, and whose biases are added to.

    Every trainable tensor of two or more axes gets a `channel_scale`, one number for each entry of its last axis, which
    starts at 1; every vector or number a `channel_shift` of its size, which starts at 0. A fresh one is therefore the
    network itself. With `mask=networks.SCALE_AND_SHIFT` the inner loop moves these alone: far fewer numbers, which few
    images overfit less.

    Args:
        network: a built Keras model, a player of a game, which says its `example_shape`.
        frozen: whether the network's own weights stay as they are in meta-training as well: those of a network trained
            before.
        **kwargs: `name`, `dtype` and the other arguments of a Keras model.

    Raises:
        ValueError: a network that is not built, or without trainable weights.

    Example:
        >>> translator = ScaleAndShift(networks.Translator((28, 28, 1), width=8))
        >>> algorithm = meta_gan.FOMAML(inner_steps=5, mask=networks.SCALE_AND_SHIFT)

    Reference: Sun, Liu, Chua and Schiele, "Meta-Transfer Learning for Few-Shot Learning", 2019. There a factor is
        one of every pair of channels in and out, and the network is always frozen.
    """

    def __init__(self, network: keras.Model, frozen: bool = False, **kwargs: Any) -> None:
        super().__init__(**{"dtype": network.dtype_policy, **kwargs})
        if not network.built or not network.trainable_variables:
            raise ValueError(f"`network` must be built, with weights to train. Received: {network!r}")
        self.frozen = bool(frozen)
        for name in _SAID:
            if getattr(network, name, None) is not None:
                setattr(self, name, getattr(network, name))
        self._changed = list(network.trainable_variables)
        self.changes = [
            self.add_weight(
                shape=variable.shape[-1:],
                initializer="ones" if len(variable.shape) > 1 else "zeros",
                name=f"{SCALE if len(variable.shape) > 1 else SHIFT}_{index}",
                dtype=variable.dtype,
            )
            for index, variable in enumerate(self._changed)
        ]
        network.trainable = not self.frozen
        self.network = network
        self.built = True

    def call(self, inputs: Any, conditioning: Any = None, training: bool = False) -> Any:
        """Return what the network makes of `inputs` with its changed weights."""
        changed = {}
        for variable, change in zip(self._changed, self.changes, strict=True):
            value = keras.ops.convert_to_tensor(variable)
            scaled = len(variable.shape) > 1
            changed[id(variable)] = value * change if scaled else value + change
        values = [(v, changed.get(id(v), keras.ops.convert_to_tensor(v))) for v in self.network.variables]
        told = {} if conditioning is None else {"conditioning": conditioning}
        if told and "conditioning" not in inspect.signature(self.network.call).parameters:
            raise ValueError(
                f"`conditioning` must be None of {type(self.network).__name__}, which takes none. Received: it"
            )
        # A scope knows nothing of the one around it: all values go in, and what the call assigned comes out.
        with keras.StatelessScope(state_mapping=values) as scope:
            made = self.network(inputs, training=training, **told)
            after = [scope.get_current_value(v) for v in self.network.non_trainable_variables]
        for variable, value in zip(self.network.non_trainable_variables, after, strict=True):
            if id(variable) not in changed:
                variable.assign(value)
        return made

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {
            **super().get_config(),
            "network": keras.saving.serialize_keras_object(self.network),
            "frozen": self.frozen,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> ScaleAndShift:
        """Make the model that `get_config` described."""
        network = keras.saving.deserialize_keras_object(config["network"], custom_objects)
        if config["frozen"]:
            # As it came to the first one; by layers, for a stack may come back with its own all frozen.
            for layer in network._flatten_layers():
                layer.trainable = True
        return cls(**{**config, "network": network})
