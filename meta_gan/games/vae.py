"""The variational autoencoder as a game of one player, who owns the decoder and the encoder."""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf

from meta_gan import functional
from meta_gan.checks import check_integer, check_number
from meta_gan.games.base import Endpoint
from meta_gan.games.sampling import Sampling
from meta_gan.games.shapes import check_task_embedding, generated_shape, input_shape, latent_dim
from meta_gan.losses import Bernoulli, energy_distance, normal_divergence, normal_log_density
from meta_gan.types import ByNet, Settings, Snapshot

_NESTED = ("generator", "encoder", "task_encoder", "likelihood")


@keras.saving.register_keras_serializable("meta_gan")
class VAE(Sampling):
    """A decoder, called the generator as in every family, and an encoder, moved together by the evidence lower bound.

    The one player `autoencoder` minimises, per number of an example, `beta KL(q(z | x) || N(0, 1)) - log p(x | z)` with
    one draw of z for each example. A meta-learner's `penalty_scale` multiplies the divergence: its warm-up.

    Args:
        generator: built Keras model from float[n, latent] to examples float[n, *example] in [-1, 1], with a
            `latent_dim` attribute or a static input shape.
        encoder: built Keras model from float[n, *example] to float[n, 2 latent]: means, then logarithms of variances.
        likelihood: `losses.Bernoulli` (the default), `losses.Gaussian`, or what has their `log_likelihood`.
        beta: weight of the divergence, finite and >= 0; 1 is the bound.
        task_encoder: built Keras model from a support set float[k, *example] to a code float[code], on which the
            generator is then conditioned (as `{"task_embedding": code}`), such as a `networks.SetPrior`, the prior of a class:
            the divergence is then from that prior. Or None.

    Raises:
        ValueError: nets that do not fit each other, a `likelihood` that is none, or a `beta` out of range.

    Example:
        >>> generator, _ = meta_gan.networks.dcgan((28, 28, 1), latent_dim=16)
        >>> game = VAE(generator, meta_gan.networks.ImageEncoder((28, 28, 1), latent_dim=16))
        >>> model = meta_gan.MetaModel(game, meta_gan.FOMAML(inner_steps=5))

    References: Kingma and Welling, "Auto-Encoding Variational Bayes", 2014; Higgins et al., "beta-VAE", 2017; Burda et
        al., "Importance Weighted Autoencoders", 2016, for `log_evidence`.
    """

    default_endpoint = "generate"

    def __init__(
        self,
        generator: keras.Model,
        encoder: keras.Model,
        likelihood: Any = None,
        beta: float = 1.0,
        task_encoder: keras.Model | None = None,
    ):
        check_number(beta, "beta", least=0)
        self.likelihood = Bernoulli() if likelihood is None else likelihood
        if not callable(getattr(self.likelihood, "log_likelihood", None)):
            raise ValueError(f"`likelihood` must be one, such as Bernoulli(). Received: {likelihood!r}")
        self.beta = float(beta)
        nets = {"generator": generator, "encoder": encoder}
        if task_encoder is not None:
            nets["task_encoder"] = task_encoder
        super().__init__(
            nets=nets,
            players={"autoencoder": tuple(nets)},
            turns=((("autoencoder",), 1),),
            signals={"autoencoder": 3},
            example_shape=generated_shape(generator),
            conditioners=("task_encoder",) if task_encoder is not None else (),
        )
        self.latent_dim = latent_dim(generator)
        self._check_nets()

    def _check_nets(self) -> None:
        for name in ("encoder", "task_encoder"):
            expected = input_shape(self.nets[name]) if name in self.nets else None
            if expected is not None and expected != self.example_shape:
                raise ValueError(
                    f"the {name} must take what the generator makes, {self.example_shape}. Received: {expected}"
                )
        check_task_embedding(self.nets.get("task_encoder"), {"generator": self.nets["generator"]})
        encoder = self.nets["encoder"]
        size = 2 * getattr(encoder, "latent_dim", 0) or encoder.output_shape[-1]
        if size != 2 * self.latent_dim:
            raise ValueError(
                f"the encoder must make {2 * self.latent_dim} numbers, a mean and a log-variance for each of the "
                f"generator's latents. Received: {size}"
            )

    def condition(self, snapshot: Snapshot, support: Any) -> Any:
        """See `Game.condition`: `{"task_embedding": code}` where there is a task encoder, else None."""
        if "task_encoder" not in self.nets:
            return None
        return {
            "task_embedding": self._call("task_encoder", snapshot, support, None, False, tf.zeros([2], tf.int32))[0]
        }

    def _call(self, net: str, snapshot: Snapshot, x: Any, conditioning: Any, training: bool, seed: Any) -> Any:
        return functional.call(
            self.nets[net], snapshot.weights[net], snapshot.state[net], x, conditioning, training, seed
        )

    def _encoded(
        self, snapshot: Snapshot, x: Any, conditioning: Any, training: bool, seed: Any
    ) -> tuple[Any, Any, Any]:
        """Means and logarithms of variances of z, and the encoder's new state.

        The encoder speaks of the generator's latents; of a generator with a prior of its own these are z moved and
        scaled, which is undone here: the divergence from a standard normal z is that of the latents from the prior.
        """
        statistics, state = self._call("encoder", snapshot, x, None, training, seed)
        mean, log_variance = statistics[:, : self.latent_dim], statistics[:, self.latent_dim :]
        if self._has_prior:
            weights = snapshot.weights["generator"]
            centre, log_deviation = functional.pure(self.nets["generator"], "prior", weights, conditioning)
            mean, log_variance = (mean - centre) * tf.exp(-log_deviation), log_variance - 2.0 * log_deviation
        return mean, log_variance, state

    @property
    def _has_prior(self) -> bool:
        return "task_encoder" in self.nets and hasattr(self.nets["generator"], "prior")

    def loss(
        self, player: str, snapshot: Snapshot, batch: Any, conditioning: Any, settings: Settings, seed: Any
    ) -> tuple[Any, ByNet, Any]:
        """See `Game.loss`. Signals: the loss, the mean divergence and the mean negative log-likelihood, all in nats a
        number of an example."""
        own = functional.fold(seed, 0)
        mean, log_variance, encoder_state = self._encoded(snapshot, batch, conditioning, True, own)
        noise = tf.random.stateless_normal(tf.shape(mean), functional.fold(seed, 1), dtype=mean.dtype)
        z = mean + tf.exp(0.5 * log_variance) * noise
        words, state = self._call("generator", snapshot, z, conditioning, True, functional.fold(seed, 2))
        misfit = -tf.reduce_mean(self.likelihood.log_likelihood(batch, words))
        divergence = tf.cast(tf.reduce_mean(normal_divergence(mean, log_variance)), misfit.dtype)
        misfit, divergence = (v / tf.cast(tf.size(batch[0]), v.dtype) for v in (misfit, divergence))
        scale = self.beta if settings.penalty_scale is None else self.beta * settings.penalty_scale
        value = misfit + tf.cast(scale, divergence.dtype) * divergence
        signals = tf.stack([tf.cast(v, tf.float32) for v in (value, divergence, misfit)])
        return value, {**snapshot.state, "generator": state, "encoder": encoder_state}, signals

    def log_evidence(self, snapshot: Snapshot, examples: Any, conditioning: Any, draws: int, seed: Any) -> Any:
        """A lower bound of log p(example), tighter with more draws; with one draw its mean is the evidence lower bound.

        Args:
            snapshot: values of all nets.
            examples: float[n, *example].
            conditioning: what `condition` returned.
            draws: of z for each example, >= 1, averaged inside the logarithm.
            seed: int32[2].

        Returns:
            float[n], nats an example, of the dtype of the likelihood.

        Raises:
            ValueError: `draws` below 1.

        Example:
            >>> game.log_evidence(model.adapt(five).snapshot, tf.constant(images), None, 100, tf.constant([0, 0]))
        """
        draws = check_integer(draws, "draws", 1)
        mean, log_variance, _ = self._encoded(snapshot, examples, conditioning, False, functional.fold(seed, 0))

        def weight(draw: Any) -> Any:
            own = functional.fold(functional.fold(seed, 1), draw)
            noise = tf.random.stateless_normal(tf.shape(mean), functional.fold(own, 0), dtype=mean.dtype)
            z = mean + tf.exp(0.5 * log_variance) * noise
            words, _ = self._call("generator", snapshot, z, conditioning, False, functional.fold(own, 1))
            fit = self.likelihood.log_likelihood(examples, words)
            prior = normal_log_density(z, tf.zeros_like(z), tf.zeros_like(z))
            return fit + tf.cast(prior - normal_log_density(z, mean, log_variance), fit.dtype)

        weights = weight(0)[None]
        if draws > 1:
            spec = tf.TensorSpec([None], weights.dtype)
            rest = tf.map_fn(weight, tf.range(1, draws), fn_output_signature=spec)
            weights = tf.concat([weights, rest], axis=0)
        return tf.reduce_logsumexp(weights, axis=0) - math.log(draws)

    def latents(self, num: Any, seed: Any) -> Any:
        """Draws float[num, latent] from a standard normal; row i does not depend on `num`."""
        shape = tf.stack([num, self.latent_dim])
        return tf.random.stateless_normal(shape, seed, dtype=self.nets["generator"].compute_dtype)

    def _samples(self, snapshot: Snapshot, num: Any, conditioning: Any, training: bool, seed: Any) -> Any:
        z = self.latents(num, functional.fold(seed, 0))
        return self._call("generator", snapshot, z, conditioning, training, functional.fold(seed, 1))[0]

    def distance(self, snapshot: Snapshot, query: Any, conditioning: Any, seed: Any, biased: bool = False) -> Any:
        """The energy distance in pixels between as many samples as there are query examples; see `energy_distance`, for
        `biased` too."""
        made = self._samples(snapshot, tf.shape(query)[0], conditioning, True, seed)
        return energy_distance(made, tf.cast(query, made.dtype), biased)

    def probe(self, player: str, snapshot: Snapshot, episode: Any, seed: Any) -> Any:
        """See `Game.probe`: the generator's examples of shared z."""
        conditioning = self.condition(snapshot, episode.support)
        return self._samples(snapshot, tf.shape(episode.query)[0], conditioning, True, seed)

    @property
    def supports(self) -> frozenset[str]:
        """See `Game.supports`."""
        return frozenset({"penalty_scale"})

    @property
    def endpoints(self) -> dict[str, Endpoint]:
        """`sample(num, seed) -> samples`, `generate(z) -> samples`, `reconstruct(images) -> images`, and
        `encode(images) -> mean, log_variance`, float[n, latent] each."""

        def sample(snapshot: Snapshot, conditioning: Any, inputs: Any, seed: Any) -> dict[str, Any]:
            return {"samples": self._samples(snapshot, inputs["num"], conditioning, False, seed)}

        def generate(snapshot: Snapshot, conditioning: Any, inputs: Any, seed: Any) -> dict[str, Any]:
            return {"samples": self._call("generator", snapshot, inputs["z"], conditioning, False, seed)[0]}

        def encode(snapshot: Snapshot, conditioning: Any, inputs: Any, seed: Any) -> dict[str, Any]:
            mean, log_variance, _ = self._encoded(snapshot, inputs["images"], conditioning, False, seed)
            return {"mean": mean, "log_variance": log_variance}

        def reconstruct(snapshot: Snapshot, conditioning: Any, inputs: Any, seed: Any) -> dict[str, Any]:
            z = encode(snapshot, conditioning, inputs, seed)["mean"]
            return {"images": self._call("generator", snapshot, z, conditioning, False, seed)[0]}

        dtype = self.nets["generator"].compute_dtype
        images = {"images": tf.TensorSpec([None, *self.example_shape], dtype, name="images")}
        z = {"z": tf.TensorSpec([None, self.latent_dim], dtype, name="z")}
        decoder, both = ("generator",), ("generator", "encoder")
        return {
            "sample": Endpoint(sample, {"num": tf.TensorSpec([], tf.int32, name="num")}, True, decoder),
            "generate": Endpoint(generate, z, False, decoder),
            "reconstruct": Endpoint(reconstruct, images, False, both),
            "encode": Endpoint(encode, images, False, both if self._has_prior else both[1:]),
        }

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this game again, nets included."""
        serialize = keras.saving.serialize_keras_object
        parts = {**self.nets, "likelihood": self.likelihood}
        return {**{name: serialize(part) for name, part in parts.items()}, "beta": self.beta}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> VAE:
        """Makes the game that `get_config` described, with freshly initialised nets."""
        make = keras.saving.deserialize_keras_object
        return cls(**{key: make(value) if key in _NESTED else value for key, value in config.items()})
