"""Networks that wrap another: per-channel scales and shifts of its weights, and a prior that depends on the task."""

from __future__ import annotations

import inspect
from typing import Any

import keras
from keras import ops

from meta_gan.checks import check_integer
from meta_gan.networks.base import Generator, LayerFactory, leaky_relu
from meta_gan.renames import current_names
from meta_gan.types import Tensor

SCALE, SHIFT = "channel_scale", "channel_shift"
SCALE_AND_SHIFT = rf"/({SCALE}|{SHIFT})_\d+$"
"""The `mask` of an algorithm that adapts the scales and shifts alone."""
_COPIED = ("example_shape", "latent_dim", "embedding_dim", "sees_support")
# Bounds the log deviation smoothly: a class can be 20 times as narrow as z, but not degenerate.
_MOST = 3.0


@keras.saving.register_keras_serializable("meta_gan")
class ScaleAndShift(keras.Model):
    """A network whose kernels are scaled, and whose biases are shifted, per output channel.

    Every trainable tensor of two or more axes gets a `channel_scale`, one number for each entry of its last axis, which
    starts at 1; every vector or scalar a `channel_shift` of its size, which starts at 0. So the wrapper starts as the
    network itself. With `mask=networks.SCALE_AND_SHIFT` the inner loop adapts these alone: far fewer numbers, which a
    few images overfit less.

    Args:
        network: a built Keras model, a player of a game, with an attribute `example_shape`.
        frozen: whether the network's own weights stay fixed in meta-training as well, for a pretrained network.
        **kwargs: `name`, `dtype` and the other arguments of a Keras model.

    Raises:
        ValueError: if the network is not built, or has no trainable weights.

    Example:
        >>> translator = ScaleAndShift(networks.Translator((28, 28, 1), width=8))
        >>> algorithm = meta_gan.FOMAML(inner_steps=5, mask=networks.SCALE_AND_SHIFT)

    Reference: Sun, Liu, Chua and Schiele, "Meta-Transfer Learning for Few-Shot Learning", 2019. There, each pair of
        input and output channels has its own factor, and the network is always frozen.
    """

    def __init__(self, network: keras.Model, frozen: bool = False, **kwargs: Any) -> None:
        super().__init__(**{"dtype": network.dtype_policy, **kwargs})
        if not network.built or not network.trainable_variables:
            raise ValueError(f"'network' must be built and have trainable weights. Received: {network!r}")
        self.frozen = bool(frozen)
        for name in _COPIED:
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

    def call(self, inputs: Tensor, conditioning: Any = None, training: bool = False) -> Tensor:
        """Return the outputs of the network with its changed weights for `inputs`."""
        changed = {}
        for variable, change in zip(self._changed, self.changes, strict=True):
            value = ops.convert_to_tensor(variable)
            scaled = len(variable.shape) > 1
            changed[id(variable)] = value * change if scaled else value + change
        values = [(v, changed.get(id(v), ops.convert_to_tensor(v))) for v in self.network.variables]
        options = {} if conditioning is None else {"conditioning": conditioning}
        if options and "conditioning" not in inspect.signature(self.network.call).parameters:
            raise ValueError(
                f"'conditioning' must be None: {type(self.network).__name__} takes none. "
                f"Received: {type(conditioning).__name__}"
            )
        # A scope ignores the one around it: all values must go in, and the values that the call assigned come out.
        with keras.StatelessScope(state_mapping=values) as scope:
            outputs = self.network(inputs, training=training, **options)
            after = [scope.get_current_value(v) for v in self.network.non_trainable_variables]
        for variable, value in zip(self.network.non_trainable_variables, after, strict=True):
            if id(variable) not in changed:
                variable.assign(value)
        return outputs

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        own = {"network": keras.saving.serialize_keras_object(self.network), "frozen": self.frozen}
        return {**super().get_config(), **own}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> ScaleAndShift:
        """Return the model that `get_config` described."""
        network = keras.saving.deserialize_keras_object(config["network"], custom_objects)
        if config["frozen"]:
            # As the first constructor received it; layer by layer, because a stack may come back with frozen layers.
            for layer in network._flatten_layers():
                layer.trainable = True
        return cls(**{**config, "network": network})


@keras.saving.register_keras_serializable("meta_gan")
class SetPrior(Generator):
    """A generator whose latents depend on the task embedding e: z becomes `mean(e) + deviation(e) * z`.

    The wrapped generator's latents so have a normal prior of the class, while z stays standard normal, as every game
    draws it. At the start it equals the wrapped generator. In a `games.VAE` the encoder, which receives a single
    example, encodes it as latents of the wrapped generator, and the divergence is the one from the class's prior.

    Args:
        generator: a built unconditioned generator, with `latent_dim` and `example_shape`.
        embedding_dim: int >= 1, size of the task embedding.
        width: int >= 1, units of the hidden layer.
        seed: int >= 0, seed of the initial weights.
        **kwargs: `name`, `dtype` and the other arguments of a Keras model.

    `call(z, conditioning)` takes a dict with `task_embedding` float[embedding_dim].

    Raises:
        ValueError: if an argument is out of range, or the conditioning lacks the task embedding.

    Example:
        >>> generator, _ = dcgan((28, 28, 1), latent_dim=8)
        >>> prior = SetPrior(generator, embedding_dim=16)
        >>> prior(tf.zeros([3, 8]), conditioning={"task_embedding": tf.zeros([16])}).shape
        TensorShape([3, 28, 28, 1])

    Reference:
        Edwards and Storkey, Towards a Neural Statistician, 2017. There the task embedding is drawn, and the encoder of
        examples receives it.
    """

    def __init__(
        self, generator: keras.Model, embedding_dim: int, width: int = 64, seed: int = 0, **kwargs: Any
    ) -> None:
        kwargs = {"dtype": generator.dtype_policy, **kwargs}
        kwargs |= {"width": width, "embedding_dim": check_integer(embedding_dim, "embedding_dim", 1)}
        super().__init__(generator.example_shape, generator.latent_dim, seed, **kwargs)
        self.generator = generator
        make = LayerFactory(self.seed, "SetPrior", self.dtype_policy)
        self.hidden = make.dense(self.embedding_dim, self.width, "prior_hidden")
        self.readout = keras.layers.Dense(
            2 * self.latent_dim, kernel_initializer="zeros", name="prior_readout", dtype=self.dtype_policy
        )
        self.readout.build((None, self.width))
        self.build((None, self.latent_dim))

    def prior(self, conditioning: Any) -> tuple[Tensor, Tensor]:
        """Return the mean and the log deviation of the wrapped generator's latents, float[1, latent_dim] each."""
        embedding: Any = self.read_conditioning(conditioning)[1]
        hidden = leaky_relu(self.hidden(embedding[None]))
        mean, log_deviation = ops.split(self.readout(hidden), 2, axis=-1)
        return mean, _MOST * ops.tanh(log_deviation / _MOST)

    def call(self, z: Tensor, conditioning: Any = None, training: bool = False) -> Tensor:
        """Return examples float[n, *example_shape] of `z` float[n, latent_dim]."""
        mean, log_deviation = self.prior(conditioning)
        return self.generator(mean + ops.exp(log_deviation) * z, training=training)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "generator": keras.saving.serialize_keras_object(self.generator)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> SetPrior:
        """Return the model that `get_config` described, in this version or an earlier one."""
        config = current_names(config)
        generator = keras.saving.deserialize_keras_object(config["generator"], custom_objects)
        return cls(**{**config, "generator": generator})
