"""The generative adversarial game: a generator and a discriminator, each with its own loss."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from meta_gan import functional
from meta_gan.games.base import Endpoint, Game
from meta_gan.losses import NonSaturating
from meta_gan.types import ByNet, Settings, Snapshot


@keras.saving.register_keras_serializable("meta_gan")
class GAN(Game):
    """A generator against a discriminator.

    Args:
        generator: built Keras model from float[n, latent_dim] to float[n, *example], with a `latent_dim` attribute
            or a static input shape.
        discriminator: built Keras model from float[n, *example] to logits float[n, 1] or float[n].
        loss: one of `meta_gan.losses`; default `NonSaturating()`.
        penalty: `GradientPenalty`, `R1` or None; part of the discriminator's loss.
        discriminator_turns: how often the discriminator moves before the generator moves once, >= 1.
        example_shape: static shape of one example; by default the generator's `image_shape` or output shape.

    Raises:
        ValueError: a net that is not built, shapes that do not fit each other, or turns below 1.

    Example:
        >>> generator, discriminator = meta_gan.networks.dcgan((28, 28, 1))
        >>> game = GAN(generator, discriminator, loss=meta_gan.losses.Hinge(), discriminator_turns=2)

    Reference: Goodfellow et al., "Generative Adversarial Nets", 2014.
    """

    default_endpoint = "generate"

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model,
        loss: Any = None,
        penalty: Any = None,
        discriminator_turns: int = 1,
        example_shape: tuple[int, ...] | None = None,
    ):
        if discriminator_turns < 1:
            raise ValueError(f"'discriminator_turns' must be >= 1. Received: {discriminator_turns!r}")
        self.loss_function = NonSaturating() if loss is None else loss
        self.penalty = penalty
        self.discriminator_turns = int(discriminator_turns)
        shape = example_shape or getattr(generator, "image_shape", None) or generator.output_shape[1:]
        super().__init__(
            nets={"generator": generator, "discriminator": discriminator},
            players={"discriminator": ("discriminator",), "generator": ("generator",)},
            turns=((("discriminator",), self.discriminator_turns), (("generator",), 1)),
            signals={"discriminator": 3, "generator": 2},
            example_shape=tuple(shape),
        )
        self.latent_dim = _latent_dim(generator)
        expected = _input_shape(discriminator)
        if expected is not None and tuple(expected) != self.example_shape:
            raise ValueError(
                f"the discriminator must take what the generator makes, {self.example_shape}. "
                f"Received: a discriminator of {tuple(expected)}"
            )

    def latents(self, num: Any, seed: Any) -> Any:
        """Draws float[num, latent_dim] from a standard normal; row i does not depend on `num`."""
        dtype = self.nets["generator"].compute_dtype
        return tf.random.stateless_normal(tf.stack([num, self.latent_dim]), seed, dtype=dtype)

    def _call(self, net: str, snapshot: Snapshot, x: Any, conditioning: Any, training: bool, seed: Any) -> Any:
        return functional.call(
            self.nets[net], snapshot.weights[net], snapshot.state[net], x, conditioning, training, seed
        )

    def loss(
        self, player: str, snapshot: Snapshot, batch: Any, conditioning: Any, settings: Settings, seed: Any
    ) -> tuple[Any, ByNet, Any]:
        """See `Game.loss`. Signals: loss, mean real logit (discriminator only), mean fake logit."""
        draws = [functional.fold(seed, i) for i in range(5)]
        z = self.latents(tf.shape(batch)[0], draws[0])
        fake, generator_state = self._call("generator", snapshot, z, conditioning, True, draws[1])
        state = {**snapshot.state, "generator": generator_state}
        if player == "generator":
            logits, state["discriminator"] = self._call("discriminator", snapshot, fake, conditioning, True, draws[2])
            value = self.loss_function.generator(logits)
            return value, state, _signals(value, logits)
        real_logits, between = self._call("discriminator", snapshot, batch, conditioning, True, draws[2])
        middle = Snapshot(snapshot.weights, {**snapshot.state, "discriminator": between})
        fake_logits, state["discriminator"] = self._call("discriminator", middle, fake, conditioning, True, draws[3])
        value = self.loss_function.discriminator(real_logits, fake_logits)
        if self.penalty is not None:
            penalty = self._penalty(snapshot, batch, fake, conditioning, draws[4])
            scale = 1.0 if settings.penalty_scale is None else tf.cast(settings.penalty_scale, penalty.dtype)
            value += scale * penalty
        return value, state, _signals(value, real_logits, fake_logits)

    def _penalty(self, snapshot: Snapshot, real: Any, fake: Any, conditioning: Any, seed: Any) -> Any:
        call_seed, draw_seed = functional.fold(seed, 0), functional.fold(seed, 1)

        def critic(x: Any) -> Any:
            return self._call("discriminator", snapshot, x, conditioning, True, call_seed)[0]

        return self.penalty(critic, real, fake, draw_seed)

    def distance(self, snapshot: Snapshot, query: Any, conditioning: Any, seed: Any) -> Any:
        """The energy distance in pixel space between as many samples as there are query examples, without self pairs.

        `2 E|x - y| - E|x - x'| - E|y - y'|`, unbiased, so it may fall below 0 when the two agree.

        Reference: Szekely and Rizzo, "Energy statistics", 2013.
        """
        z = self.latents(tf.shape(query)[0], functional.fold(seed, 0))
        fake, _ = self._call("generator", snapshot, z, conditioning, True, functional.fold(seed, 1))
        n = tf.shape(query)[0]
        x, y = tf.reshape(fake, [n, -1]), tf.reshape(query, [n, -1])
        pairs = tf.cast(n * tf.maximum(n - 1, 1), x.dtype)
        within = (tf.reduce_sum(_distances(x, x)) + tf.reduce_sum(_distances(y, y))) / pairs
        return 2.0 * tf.reduce_mean(_distances(x, y)) - within

    @property
    def endpoints(self) -> dict[str, Endpoint]:
        """`sample(num, seed) -> samples` and `generate(z) -> samples`."""

        def generate(snapshot: Snapshot, conditioning: Any, inputs: Any, seed: Any) -> dict[str, Any]:
            images, _ = self._call("generator", snapshot, inputs["z"], conditioning, False, seed)
            return {"samples": images}

        def sample(snapshot: Snapshot, conditioning: Any, inputs: Any, seed: Any) -> dict[str, Any]:
            z = self.latents(inputs["num"], functional.fold(seed, 0))
            return generate(snapshot, conditioning, {"z": z}, functional.fold(seed, 1))

        dtype = self.nets["generator"].compute_dtype
        return {
            "sample": Endpoint(sample, {"num": tf.TensorSpec([], tf.int32, name="num")}, True),
            "generate": Endpoint(generate, {"z": tf.TensorSpec([None, self.latent_dim], dtype, name="z")}, False),
        }

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this game again, nets included."""
        serialize = keras.saving.serialize_keras_object
        return {
            "generator": serialize(self.nets["generator"]),
            "discriminator": serialize(self.nets["discriminator"]),
            "loss": serialize(self.loss_function),
            "penalty": None if self.penalty is None else serialize(self.penalty),
            "discriminator_turns": self.discriminator_turns,
            "example_shape": list(self.example_shape),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> GAN:
        """Makes the game that `get_config` described, with freshly initialised nets."""
        make = keras.saving.deserialize_keras_object
        nested = ("generator", "discriminator", "loss", "penalty")
        made = {key: make(config[key]) if config[key] is not None else None for key in nested}
        return cls(
            **made,
            discriminator_turns=config["discriminator_turns"],
            example_shape=tuple(config["example_shape"]),
        )


def _latent_dim(generator: keras.Model) -> int:
    """The size of z that a generator says it takes."""
    # A subclassed model that was never called has no `input_shape`, and one of several inputs has a list of them.
    shape = getattr(generator, "input_shape", None)
    size = getattr(generator, "latent_dim", None) or (shape[-1] if isinstance(shape, tuple) and shape else None)
    if not isinstance(size, int):
        raise ValueError(
            f"a generator must say how many latents it takes, by `latent_dim` or as a model from [n, latents]. "
            f"Received: {type(generator).__name__} with latent_dim {getattr(generator, 'latent_dim', None)!r} and "
            f"input_shape {shape!r}"
        )
    return size


def _input_shape(net: keras.Model) -> tuple[int, ...] | None:
    """The shape of one example that a net says it takes, or None for one that does not say."""
    shape = getattr(net, "image_shape", None)
    if shape is None and getattr(net, "inputs", None):
        shape = net.inputs[0].shape[1:]
    return None if shape is None or None in shape else tuple(shape)


def _signals(loss: Any, *logits: Any) -> Any:
    values = [loss, *[tf.reduce_mean(batch) for batch in logits]]
    return tf.stack([tf.cast(value, tf.float32) for value in values])


def _distances(x: Any, y: Any) -> Any:
    """Pairwise Euclidean distances [n, m]; the derivative at distance 0 is 0, not NaN."""
    squares = tf.reduce_sum(tf.square(x[:, None] - y[None]), axis=-1)
    apart = squares > 0
    return tf.where(apart, tf.sqrt(tf.where(apart, squares, tf.ones_like(squares))), tf.zeros_like(squares))
