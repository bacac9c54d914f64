"""Flow matching as a game of one player: a velocity that carries Gaussian noise to examples."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from meta_gan import functional
from meta_gan.checks import check_integer, check_number
from meta_gan.games.base import Endpoint, check_input, check_task_embedding, generated_shape, serialized
from meta_gan.games.sampling import Sampling, size_of_latents
from meta_gan.types import ByNet, Settings, Snapshot, Tensor, Tree


@keras.saving.register_keras_serializable("meta_gan")
class FlowMatching(Sampling):
    """A generator that is trained by regression on the velocities of straight paths from noise to examples.

    For an example x, noise e and a time t, the point (1 - t) e + t x moves with the velocity x - e. The only player,
    `generator`, minimises the mean squared difference of its velocity from that. Times are logit-normal: t is the
    logistic function of a normal number.

    Args:
        generator: a built `networks.FlowGenerator`.
        encoder: built Keras model from a support set float[k, *example] to a task embedding float[embedding_dim]; or
            None.
        unconditional: in [0, 1), the probability that a row is trained without the support set, which guidance needs.
            It must be 0 for a generator that is not conditioned.
        draws: int >= 1, noises and times that a loss draws for each example.
        time_location, time_scale: mean, and standard deviation > 0, of the normal number of the times.
        holdout: int >= 0, support examples that an inner step trains on, while it is conditioned on the others; with 0,
            it trains and is conditioned on all.

    Raises:
        ValueError: a generator without a velocity, nets that do not fit each other, or a number out of range.

    Example:
        >>> game = FlowMatching(meta_gan.networks.UNet((28, 28, 1), anchored=True), unconditional=0.1)
        >>> model = meta_gan.MetaModel(game, meta_gan.FOMAML(inner_steps=5))

    References:
        Lipman et al., Flow Matching for Generative Modeling, 2023; Liu et al., Flow Straight and Fast: Learning to
        Generate and Transfer Data with Rectified Flow, 2023; Esser et al., Scaling Rectified Flow Transformers for
        High-Resolution Image Synthesis, 2024, for the logit-normal times.
    """

    def __init__(
        self,
        generator: keras.Model,
        encoder: keras.Model | None = None,
        unconditional: float = 0.0,
        draws: int = 1,
        time_location: float = 0.0,
        time_scale: float = 1.0,
        holdout: int = 0,
    ):
        if not callable(getattr(generator, "velocity", None)):
            raise ValueError(
                f"the net 'generator' must have a method 'velocity', see networks.FlowGenerator. "
                f"Received: {type(generator).__name__}"
            )
        self.unconditional = check_number(unconditional, "unconditional", least=0, below=1)
        self.draws, self.holdout = check_integer(draws, "draws", 1), check_integer(holdout, "holdout", 0)
        self.time_location = check_number(time_location, "time_location")
        self.time_scale = check_number(time_scale, "time_scale", above=0)
        self.sees_support = bool(getattr(generator, "sees_support", False))
        nets = {name: net for name, net in (("generator", generator), ("encoder", encoder)) if net is not None}
        super().__init__(
            nets=nets,
            players={"generator": tuple(nets)},
            turns=((("generator",), 1),),
            signals={"generator": 1},
            example_shape=generated_shape(generator),
            conditioners=("encoder",) if encoder is not None else (),
        )
        if unconditional and not self.conditioned:
            raise ValueError(f"'unconditional' must be 0 without conditioning. Received: {unconditional!r}")
        self.latent_dim = size_of_latents(generator)
        check_task_embedding(encoder, {"generator": generator})
        check_input("encoder", encoder, self.example_shape)

    def loss(
        self, player: str, snapshot: Snapshot, batch: Tensor, conditioning: Tree, settings: Settings, seed: Tensor
    ) -> tuple[Tensor, ByNet, Tensor]:
        """See `Game.loss`; the signal is the loss."""
        noise_seed, time_seed, keep_seed, choice_seed = (functional.fold(seed, index) for index in range(4))
        generator = self.nets["generator"]
        batch = tf.repeat(tf.cast(batch, generator.compute_dtype), self.draws, axis=0)
        rows, dtype = tf.shape(batch)[:1], batch.dtype
        noise = tf.random.stateless_normal(tf.shape(batch), noise_seed, dtype=dtype)
        normal = tf.random.stateless_normal(rows, time_seed, dtype=dtype)
        time = tf.sigmoid(self.time_location + self.time_scale * normal)
        keep = tf.cast(tf.random.stateless_uniform(rows, keep_seed, dtype=dtype) >= self.unconditional, dtype)
        choice = tf.random.stateless_normal(rows, choice_seed, dtype=dtype)
        share = tf.reshape(time, [-1, *[1] * len(self.example_shape)])
        arguments = (noise + share * (batch - noise), time, choice, keep, conditioning)
        velocity = functional.pure(generator, "velocity", snapshot.weights["generator"], *arguments)
        value = tf.reduce_mean(tf.square(velocity - (batch - noise)))
        return value, snapshot.state, tf.cast(value, tf.float32)[None]

    @property
    def endpoints(self) -> dict[str, Endpoint]:
        """The endpoints of `Sampling`; `encode(images) -> z`, float[n, latent]; and `reconstruct(images) -> images`,
        there and back. Both are as exact as the solver."""

        def z_of(snapshot: Snapshot, conditioning: Tree, images: Tensor) -> Tensor:
            weights = snapshot.weights["generator"]
            return functional.pure(self.nets["generator"], "encode", weights, images, conditioning)

        def encode(snapshot: Snapshot, conditioning: Tree, inputs: Tree, seed: Tensor) -> dict[str, Tensor]:
            return {"z": z_of(snapshot, conditioning, inputs["images"])}

        def reconstruct(snapshot: Snapshot, conditioning: Tree, inputs: Tree, seed: Tensor) -> dict[str, Tensor]:
            z = z_of(snapshot, conditioning, inputs["images"])
            return {"images": self.call_net("generator", snapshot, z, conditioning, False, seed)[0]}

        dtype = self.nets["generator"].compute_dtype
        images = {"images": tf.TensorSpec([None, *self.example_shape], dtype, name="images")}
        return {
            **super().endpoints,
            "encode": Endpoint(encode, images, False, ("generator",)),
            "reconstruct": Endpoint(reconstruct, images, False, ("generator",)),
        }

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, with nets serialised."""
        names = ("unconditional", "draws", "time_location", "time_scale", "holdout")
        nets = {name: self.nets.get(name) for name in ("generator", "encoder")}
        return serialized(**nets, **{name: getattr(self, name) for name in names})
