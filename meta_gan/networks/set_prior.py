"""A prior of the support set: a generator whose z is moved and scaled by the code of a task."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from meta_gan.checks import check_integer
from meta_gan.networks.base import Generator, read_task_embedding, seeded_normal
from meta_gan.renames import current_names

_SLOPE = 0.2
# Of the logarithm of a deviation, bounded smoothly: what few images say may make a class 20 times as narrow, not void.
_MOST = 3.0


@keras.saving.register_keras_serializable("meta_gan")
class SetPrior(Generator):
    """A generator of latents that a task's code places: z becomes `mean(code) + deviation(code) * z`.

    The generator's own latents so have a normal prior of the class, while z stays standard normal, as every game draws
    it. A fresh one is the generator itself. In a `games.VAE` the encoder, which sees an example alone, then speaks of
    latents wherever the class has its own, and the divergence is the one from the class's prior.

    Args:
        generator: a built generator without conditioning, with `latent_dim` and `example_shape`.
        embedding_dim: int >= 1, the size of the task code.
        width: int >= 1, units of the hidden layer.
        seed: int >= 0, of the initial weights.
        **kwargs: `name`, `dtype` and the other arguments of a Keras model.

    `call(z, conditioning)` takes a dict with `code` float[embedding_dim].

    Raises:
        ValueError: if an argument is out of range, or the conditioning lacks the code.

    Example:
        >>> generator, _ = dcgan((28, 28, 1), latent_dim=8)
        >>> SetPrior(generator, embedding_dim=16)(tf.zeros([3, 8]), conditioning={"task_embedding": tf.zeros([16])}).shape
        TensorShape([3, 28, 28, 1])

    Reference:
        Edwards and Storkey, Towards a Neural Statistician, 2017. There the code is drawn, and the encoder sees it.
    """

    def __init__(
        self, generator: keras.Model, embedding_dim: int, width: int = 64, seed: int = 0, **kwargs: Any
    ) -> None:
        kwargs = {"dtype": generator.dtype_policy, **kwargs}
        super().__init__(generator.example_shape, generator.latent_dim, seed, **kwargs)
        self.embedding_dim, self.width = (
            check_integer(embedding_dim, "embedding_dim", 1),
            check_integer(width, "width", 1),
        )
        self.generator = generator
        kernel = seeded_normal(self.seed, "SetPrior")(self.embedding_dim, _SLOPE)
        policy = self.dtype_policy
        self.hidden = keras.layers.Dense(self.width, kernel_initializer=kernel, name="prior_hidden", dtype=policy)
        self.readout = keras.layers.Dense(
            2 * self.latent_dim, kernel_initializer="zeros", name="prior_readout", dtype=policy
        )
        self.hidden.build((None, self.embedding_dim))
        self.readout.build((None, self.width))
        self.build((None, self.latent_dim))

    def prior(self, conditioning: Any) -> tuple[Any, Any]:
        """Return the mean and the logarithm of the deviation of the generator's latents, float[1, latent_dim] each."""
        hidden = ops.leaky_relu(self.hidden(read_task_embedding(self, conditioning)[None]), _SLOPE)
        mean, log_deviation = ops.split(self.readout(hidden), 2, axis=-1)
        return mean, _MOST * ops.tanh(log_deviation / _MOST)

    def call(self, z: Any, conditioning: Any = None, training: bool = False) -> Any:
        """Return examples float[n, *example_shape] of `z` float[n, latent_dim]."""
        mean, log_deviation = self.prior(conditioning)
        return self.generator(mean + ops.exp(log_deviation) * z, training=training)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        config = super().get_config()
        # The generator says these.
        del config["example_shape"], config["latent_dim"]
        own = {"embedding_dim": self.embedding_dim, "width": self.width}
        return {**config, **own, "generator": keras.saving.serialize_keras_object(self.generator)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> SetPrior:
        """Make the model that `get_config` described."""
        make, config = keras.saving.deserialize_keras_object, current_names(config)
        return cls(**{**config, "generator": make(config["generator"], custom_objects)})
