"""The variational autoencoder as a game of one player, which owns the decoder and the encoder."""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf

from meta_gan import functional
from meta_gan.checks import check_integer, check_number
from meta_gan.games.base import (
    Endpoint,
    check_input,
    check_task_embedding,
    generated_shape,
    serialized,
)
from meta_gan.games.sampling import Sampling, size_of_latents
from meta_gan.losses import Bernoulli, normal_divergence, normal_log_density
from meta_gan.types import ByNet, Settings, Snapshot, Tensor, Tree


@keras.saving.register_keras_serializable("meta_gan")
class VAE(Sampling):
    """A decoder, named `generator` as in every game, and an encoder, trained together on the evidence lower bound.

    The only player, `autoencoder`, minimises `beta KL(q(z | x) || N(0, 1)) - log p(x | z)` divided by the size of an
    example, with one draw of z per example. A meta-learner's `penalty_scale` multiplies the divergence, as a warm-up.

    Args:
        generator: built Keras model from float[n, latent] to examples float[n, *example] in [-1, 1], with a
            `latent_dim` attribute or a static input shape.
        encoder: built Keras model from float[n, *example] to float[n, 2 latent]: means, then logarithms of variances.
        likelihood: `losses.Bernoulli` (the default), `losses.Gaussian`, or an object with their `log_likelihood`.
        beta: weight of the divergence, finite and >= 0; 1 gives the bound.
        task_encoder: built Keras model from a support set float[k, *example] to a task embedding float[embedding_dim],
            on which the generator is then conditioned; or None. With a generator such as `networks.SetPrior`, which
            has a prior for each class, the divergence is from that prior.

    Raises:
        ValueError: nets that do not fit each other, a `likelihood` without its method, or a `beta` out of range.

    Example:
        >>> generator, _ = meta_gan.networks.dcgan((28, 28, 1), latent_dim=16)
        >>> game = VAE(generator, meta_gan.networks.ImageEncoder((28, 28, 1), latent_dim=16))
        >>> model = meta_gan.MetaModel(game, meta_gan.FOMAML(inner_steps=5))

    References: Kingma and Welling, "Auto-Encoding Variational Bayes", 2014; Higgins et al., "beta-VAE", 2017; Burda et
        al., "Importance Weighted Autoencoders", 2016, for `log_evidence`.
    """

    task_encoder = "task_encoder"

    def __init__(
        self,
        generator: keras.Model,
        encoder: keras.Model,
        likelihood: Any = None,
        beta: float = 1.0,
        task_encoder: keras.Model | None = None,
    ):
        self.beta = check_number(beta, "beta", least=0)
        self.likelihood = Bernoulli() if likelihood is None else likelihood
        if not callable(getattr(self.likelihood, "log_likelihood", None)):
            raise ValueError(f"'likelihood' must have a method 'log_likelihood'. Received: {likelihood!r}")
        nets = {"generator": generator, "encoder": encoder, "task_encoder": task_encoder}
        nets = {name: net for name, net in nets.items() if net is not None}
        super().__init__(
            nets=nets,
            players={"autoencoder": tuple(nets)},
            turns=((("autoencoder",), 1),),
            signals={"autoencoder": 3},
            example_shape=generated_shape(generator),
            conditioners=("task_encoder",) if task_encoder is not None else (),
        )
        self.latent_dim = size_of_latents(generator)
        for name in ("encoder", "task_encoder"):
            check_input(name, self.nets.get(name), self.example_shape)
        check_task_embedding(task_encoder, {"generator": generator})
        size = 2 * getattr(encoder, "latent_dim", 0) or encoder.output_shape[-1]
        if size != 2 * self.latent_dim:
            raise ValueError(
                f"the net 'encoder' must make {2 * self.latent_dim} numbers, a mean and a log-variance for each of the "
                f"generator's latents. Received: {size}"
            )

    @property
    def supports(self) -> frozenset[str]:
        """See `Game.supports`."""
        return frozenset({"penalty_scale"})

    def _encoded(
        self, snapshot: Snapshot, x: Tensor, conditioning: Tree, training: bool, seed: Tensor
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Return means and logarithms of variances of z, and the encoder's new state.

        The encoder describes the generator's latents. A generator with its own prior makes them by shifting and
        scaling z, which is undone here: the divergence of z from a standard normal is that of the latents from the
        prior.
        """
        statistics, state = self.call_net("encoder", snapshot, x, None, training, seed)
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
        self, player: str, snapshot: Snapshot, batch: Tensor, conditioning: Tree, settings: Settings, seed: Tensor
    ) -> tuple[Tensor, ByNet, Tensor]:
        """See `Game.loss`.

        The signals are the loss, the mean divergence and the mean negative log-likelihood, each in nats per number of
        an example.
        """
        encoder_seed = functional.fold(seed, 0)
        mean, log_variance, encoder_state = self._encoded(snapshot, batch, conditioning, True, encoder_seed)
        noise = tf.random.stateless_normal(tf.shape(mean), functional.fold(seed, 1), dtype=mean.dtype)
        z = mean + tf.exp(0.5 * log_variance) * noise
        outputs, state = self.call_net("generator", snapshot, z, conditioning, True, functional.fold(seed, 2))
        misfit = -tf.reduce_mean(self.likelihood.log_likelihood(batch, outputs))
        divergence = tf.cast(tf.reduce_mean(normal_divergence(mean, log_variance)), misfit.dtype)
        misfit, divergence = (v / tf.cast(tf.size(batch[0]), v.dtype) for v in (misfit, divergence))
        scale = self.beta if settings.penalty_scale is None else self.beta * settings.penalty_scale
        value = misfit + tf.cast(scale, divergence.dtype) * divergence
        signals = tf.stack([tf.cast(v, tf.float32) for v in (value, divergence, misfit)])
        return value, {**snapshot.state, "generator": state, "encoder": encoder_state}, signals

    def log_evidence(
        self, snapshot: Snapshot, examples: Tensor, conditioning: Tree, draws: int, seed: Tensor
    ) -> Tensor:
        """Return a lower bound of log p(example) that tightens with more draws; one draw gives the usual bound.

        Args:
            snapshot: values of all nets.
            examples: float[n, *example].
            conditioning: what `condition` returned.
            draws: draws of z for each example, >= 1, averaged inside the logarithm.
            seed: int32[2].

        Returns:
            float[n], nats per example, of the dtype of the likelihood.

        Raises:
            ValueError: `draws` below 1.

        Example:
            >>> game.log_evidence(model.adapt(five).snapshot, tf.constant(images), None, 100, tf.constant([0, 0]))
        """
        draws = check_integer(draws, "draws", 1)
        mean, log_variance, _ = self._encoded(snapshot, examples, conditioning, False, functional.fold(seed, 0))

        def weight(draw: Any) -> Tensor:
            draw_seed = functional.fold(functional.fold(seed, 1), draw)
            noise = tf.random.stateless_normal(tf.shape(mean), functional.fold(draw_seed, 0), dtype=mean.dtype)
            z = mean + tf.exp(0.5 * log_variance) * noise
            outputs, _ = self.call_net("generator", snapshot, z, conditioning, False, functional.fold(draw_seed, 1))
            fit = self.likelihood.log_likelihood(examples, outputs)
            prior = normal_log_density(z, tf.zeros_like(z), tf.zeros_like(z))
            return fit + tf.cast(prior - normal_log_density(z, mean, log_variance), fit.dtype)

        weights = weight(0)[None]
        if draws > 1:
            spec = tf.TensorSpec([None], weights.dtype)
            rest = tf.map_fn(weight, tf.range(1, draws), fn_output_signature=spec)
            weights = tf.concat([weights, rest], axis=0)
        return tf.reduce_logsumexp(weights, axis=0) - math.log(draws)

    @property
    def endpoints(self) -> dict[str, Endpoint]:
        """The endpoints of `Sampling`, `reconstruct(images) -> images`, and `encode(images) -> mean, log_variance`.

        The mean and the log-variance are float[n, latent] each.
        """

        def encode(snapshot: Snapshot, conditioning: Tree, inputs: Tree, seed: Tensor) -> dict[str, Tensor]:
            mean, log_variance, _ = self._encoded(snapshot, inputs["images"], conditioning, False, seed)
            return {"mean": mean, "log_variance": log_variance}

        def reconstruct(snapshot: Snapshot, conditioning: Tree, inputs: Tree, seed: Tensor) -> dict[str, Tensor]:
            z = encode(snapshot, conditioning, inputs, seed)["mean"]
            return {"images": self.call_net("generator", snapshot, z, conditioning, False, seed)[0]}

        dtype = self.nets["generator"].compute_dtype
        images = {"images": tf.TensorSpec([None, *self.example_shape], dtype, name="images")}
        both = ("generator", "encoder")
        return {
            **super().endpoints,
            "reconstruct": Endpoint(reconstruct, images, False, both),
            "encode": Endpoint(encode, images, False, both if self._has_prior else both[1:]),
        }

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, with nets serialised."""
        return serialized(**self.nets, likelihood=self.likelihood, beta=self.beta)
