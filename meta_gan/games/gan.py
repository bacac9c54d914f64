"""The generative adversarial game: a generator and a discriminator, each with its own loss."""

from __future__ import annotations

from dataclasses import dataclass
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
from meta_gan.losses import (
    DifferentiableAugmentation,
    ModeSeeking,
    NonSaturating,
    energy_distance,
    pairwise_distances,
    variety_gap,
)
from meta_gan.losses.augmentation import augmented_share
from meta_gan.losses.base import Configured
from meta_gan.types import ByNet, Episode, Settings, Snapshot, Tensor, Tree

COARSE = 4
"""Side, in pixels, of the blocks over which the coarse energy distance averages."""


@keras.saving.register_keras_serializable("meta_gan")
@dataclass(frozen=True)
class Terms(Configured):
    """Weights of the terms of a generator's loss, each >= 0 and at least one > 0.

    Attributes:
        adversarial: weight of the adversarial loss.
        features: weight of the energy distance between generated and real examples in the features of the game's net
            `features`, which must then be given.
        nearness: scale of the distance to the nearest support image, which joins the features as one more number, so
            that generated examples keep the distance from the support set that real ones do.
        variety: weight of the squared difference between the mean distances of two generated and of two real examples,
            in the same features, so that generated examples vary as much as real ones.
        pixels: weight of the energy distance in pixels, averaged over blocks of 4x4, as a root mean square.
        mode_seeking: weight of the mode-seeking regulariser, which lets two z of one task give different images.
        likelihood: weight of the mean negative log-likelihood of real examples, in nats, for a generator that has one
            (`networks.TextGenerator`).

    Raises:
        ValueError: a weight that is negative or not finite, no weight > 0, or `nearness` or `variety` without
            `features`.

    Example:
        >>> Terms(adversarial=0.1, features=1.0).pixels
        0.0

    References: Szekely and Rizzo, "Energy statistics", 2013; Bellemare et al., "The Cramer distance as a solution to
        biased Wasserstein gradients", 2017, for energy distances as a generator's loss; Mao et al., "Mode seeking
        generative adversarial networks", 2019.
    """

    adversarial: float = 1.0
    features: float = 0.0
    nearness: float = 0.0
    variety: float = 0.0
    pixels: float = 0.0
    mode_seeking: float = 0.0
    likelihood: float = 0.0

    def __post_init__(self) -> None:
        for name, value in self.get_config().items():
            check_number(value, name, least=0)
        if (self.nearness or self.variety) and not self.features:
            raise ValueError(f"'features' must be > 0 if 'nearness' or 'variety' is. Received: {self.features!r}")
        if not any(self.get_config().values()):
            raise ValueError("one of the terms must be > 0. Received: 0 for all")


@keras.saving.register_keras_serializable("meta_gan")
class GAN(Sampling):
    """A generator against a discriminator, unconditioned or conditioned on the support set.

    The nets' `conditioning` is a dict of `support`, the support set, if a net `sees_support`, and `task_embedding`, if
    there is a task encoder; None if it would be empty. The task encoder belongs to the generator: it learns from the
    generator's loss, and the discriminator receives the task embedding as a constant.

    Args:
        generator: built Keras model from float[n, latent_dim] to float[n, *example], with a `latent_dim` attribute
            or a static input shape.
        discriminator: built Keras model from float[n, *example] to logits float[n, 1] or float[n].
        loss: one of `meta_gan.losses`; default `NonSaturating()`.
        penalty: `GradientPenalty`, `R1` or None; part of the discriminator's loss.
        discriminator_turns: how often the discriminator moves before the generator moves once, >= 1.
        example_shape: static shape of one example; by default the generator's `example_shape` or output shape.
        encoder: the task encoder, a built Keras model from a support set float[k, *example] to a task embedding
            float[embedding_dim]; or None.
        features: a built Keras model from float[n, *example] to features float[n, d], for `terms.features` and for
            `distance`. It is frozen here, and must never be a judge.
        terms: weights of the terms of the generator's loss; default `Terms()`, the adversarial loss alone.
        augmentation: `DifferentiableAugmentation` of the discriminator's inputs in the adversarial losses, or None.
            Penalties and the other terms of the generator use the examples themselves.
        holdout: number of support images on which an inner step trains while it is conditioned on the others; with 0,
            it trains and is conditioned on all.

    Raises:
        ValueError: a net that is not built, shapes that do not fit each other, a weight of the term `features` without
            the net, nets that do not take the task embedding, or counts out of range.

    Example:
        >>> generator, discriminator = meta_gan.networks.dcgan((28, 28, 1))
        >>> game = GAN(generator, discriminator, loss=meta_gan.losses.Hinge(), discriminator_turns=2)

    References: Goodfellow et al., "Generative Adversarial Nets", 2014; Zhao et al., "Differentiable Augmentation for
        Data-Efficient GAN Training", 2020.
    """

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model,
        loss: Any = None,
        penalty: Any = None,
        discriminator_turns: int = 1,
        example_shape: tuple[int, ...] | None = None,
        encoder: keras.Model | None = None,
        features: keras.Model | None = None,
        terms: Terms | None = None,
        augmentation: DifferentiableAugmentation | None = None,
        holdout: int = 0,
    ):
        self.loss_function = NonSaturating() if loss is None else loss
        self.penalty, self.augmentation = penalty, augmentation
        self.discriminator_turns = check_integer(discriminator_turns, "discriminator_turns", 1)
        self.holdout = check_integer(holdout, "holdout", 0)
        self.terms = Terms() if terms is None else terms
        self.sees_support = any(getattr(net, "sees_support", False) for net in (generator, discriminator))
        if self.terms.features and features is None:
            raise ValueError(f"the term 'features' needs the net 'features'. Received: weight {self.terms.features}")
        if self.terms.likelihood and not hasattr(generator, "log_likelihood"):
            raise ValueError(
                f"the term 'likelihood' needs a generator with 'log_likelihood'. Received: {type(generator).__name__}"
            )
        if self.terms.nearness and not self.sees_support:
            raise ValueError(
                f"the term 'nearness' needs a net that sees the support set. Received: weight {self.terms.nearness}"
            )
        if features is not None:
            features.trainable = False
        nets = {"generator": generator, "discriminator": discriminator, "encoder": encoder, "features": features}
        nets = {name: net for name, net in nets.items() if net is not None}
        super().__init__(
            nets=nets,
            players={
                "discriminator": ("discriminator",),
                "generator": tuple(name for name in nets if name != "discriminator"),
            },
            turns=((("discriminator",), self.discriminator_turns), (("generator",), 1)),
            signals={"discriminator": 5, "generator": 2},
            example_shape=tuple(example_shape or generated_shape(generator)),
            conditioners=("encoder",) if encoder is not None else (),
        )
        check_task_embedding(encoder, {"generator": generator, "discriminator": discriminator})
        self.latent_dim = size_of_latents(generator)
        self.fixed_sampling = getattr(generator, "path_settings", ())
        for name in ("discriminator", "encoder", "features"):
            check_input(name, self.nets.get(name), self.example_shape)

    @property
    def supports(self) -> frozenset[str]:
        """See `Game.supports`."""
        parts = {"penalty_scale": self.penalty, "augmentation": self.augmentation}
        return frozenset(name for name, part in parts.items() if part is not None)

    def loss(
        self, player: str, snapshot: Snapshot, batch: Tensor, conditioning: Tree, settings: Settings, seed: Tensor
    ) -> tuple[Tensor, ByNet, Tensor]:
        """See `Game.loss`.

        The discriminator's signals are its loss, the mean real and fake logits, the mean sign of the real logits, and
        the penalty before its weight (0 without one). The generator's are its loss and the mean logit.
        """
        draws, share = [functional.fold(seed, i) for i in range(7)], settings.augmentation
        z = self.latents(tf.shape(batch)[0], draws[0])
        fake, generator_state = self.call_net("generator", snapshot, z, conditioning, True, draws[1])
        batch = tf.cast(batch, fake.dtype)  # episodes are float32 for nets of any dtype
        start = Snapshot(snapshot.weights, {**snapshot.state, "generator": generator_state})
        if player == "generator":
            value, state, logits = self._generator_loss(start, batch, fake, z, conditioning, draws, share)
            return value, state, _signals(value, logits)
        real_logits, between = self._logits(start, batch, conditioning, draws[2], draws[5], share)
        fake_logits, after = self._logits(between, fake, conditioning, draws[3], draws[5], share)
        value = self.loss_function.discriminator(real_logits, fake_logits)
        penalty = tf.zeros([], value.dtype)
        if self.penalty is not None:
            penalty = self._penalty(snapshot, batch, fake, conditioning, draws[4])
            scale = 1.0 if settings.penalty_scale is None else tf.cast(settings.penalty_scale, penalty.dtype)
            value += scale * penalty
        return value, after.state, _signals(value, real_logits, fake_logits, tf.sign(real_logits), penalty)

    def _logits(
        self, snapshot: Snapshot, x: Tensor, conditioning: Tree, seed: Tensor, augment_seed: Tensor, share: Any
    ) -> tuple[Tensor, Snapshot]:
        """Return the discriminator's logits of augmented examples, and the values after; real and fake share a seed."""
        if self.augmentation is not None and share is None:
            x = self.augmentation(x, augment_seed)
        elif self.augmentation is not None:
            x = augmented_share(self.augmentation, x, share, augment_seed)
        logits, state = self.call_net("discriminator", snapshot, x, conditioning, True, seed)
        return logits, Snapshot(snapshot.weights, {**snapshot.state, "discriminator": state})

    def _generator_loss(
        self,
        snapshot: Snapshot,
        batch: Tensor,
        fake: Tensor,
        z: Tensor,
        conditioning: Tree,
        draws: list[Tensor],
        share: Any,
    ) -> tuple[Tensor, ByNet, Tensor]:
        """Return the sum of the weighted terms, the new state, and the logits of the fakes."""
        logits, after = self._logits(snapshot, fake, conditioning, draws[2], draws[5], share)
        terms, value = self.terms, tf.zeros([], fake.dtype)
        if terms.adversarial:
            against = [logits]
            if self.loss_function.relativistic:
                real_logits, after = self._logits(after, batch, conditioning, draws[3], draws[5], share)
                against.append(real_logits)
            value += terms.adversarial * self.loss_function.generator(*against)
        if terms.features:
            support = self.in_features(after, conditioning["support"]) if terms.nearness else None
            value += feature_terms(terms, self.in_features(after, fake), self.in_features(after, batch), support)
        if terms.pixels:
            value += terms.pixels * energy_distance(coarse(fake), coarse(batch))
        if terms.mode_seeking:
            other = self.latents(tf.shape(batch)[0], draws[6])
            second, _ = self.call_net("generator", after, other, conditioning, True, draws[1])
            value += ModeSeeking(terms.mode_seeking)(fake, second, z, other)
        if terms.likelihood:
            weights = snapshot.weights["generator"]
            nats = functional.pure(self.nets["generator"], "log_likelihood", weights, batch, conditioning)
            value -= terms.likelihood * tf.reduce_mean(nats)
        return value, after.state, logits

    def _penalty(self, snapshot: Snapshot, real: Tensor, fake: Tensor, conditioning: Tree, seed: Tensor) -> Tensor:
        call_seed, draw_seed = functional.fold(seed, 0), functional.fold(seed, 1)

        def critic(x: Tensor) -> Tensor:
            return self.call_net("discriminator", snapshot, x, conditioning, True, call_seed)[0]

        return self.penalty(critic, real, fake, draw_seed)

    def probe(self, player: str, snapshot: Snapshot, episode: Episode, seed: Tensor) -> Tensor:
        """See `Game.probe`: the generator's samples with shared latents, the discriminator's logits of the examples."""
        if player == "generator":
            return super().probe(player, snapshot, episode, seed)
        conditioning = self.condition(snapshot, episode.support)
        return self.call_net("discriminator", snapshot, episode.query, conditioning, True, seed)[0]

    @property
    def endpoints(self) -> dict[str, Endpoint]:
        """The endpoints of `Sampling`, and `discriminate(images) -> logits`, float[n]."""

        def discriminate(snapshot: Snapshot, conditioning: Tree, inputs: Tree, seed: Tensor) -> dict[str, Tensor]:
            logits, _ = self.call_net("discriminator", snapshot, inputs["images"], conditioning, False, seed)
            return {"logits": tf.reshape(logits, [-1])}

        dtype = self.nets["generator"].compute_dtype
        images = {"images": tf.TensorSpec([None, *self.example_shape], dtype, name="images")}
        return {**super().endpoints, "discriminate": Endpoint(discriminate, images, False, ("discriminator",))}

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, with nets serialised."""
        return serialized(
            **{name: self.nets.get(name) for name in ("generator", "discriminator", "encoder", "features")},
            loss=self.loss_function,
            penalty=self.penalty,
            terms=self.terms,
            augmentation=self.augmentation,
            discriminator_turns=self.discriminator_turns,
            example_shape=list(self.example_shape),
            holdout=self.holdout,
        )


def _signals(loss: Tensor, *logits: Tensor) -> Tensor:
    values = [loss, *[tf.reduce_mean(batch) for batch in logits]]
    return tf.stack([tf.cast(value, tf.float32) for value in values])


def coarse(images: Tensor) -> Tensor:
    """Return means over blocks of 4x4 pixels, float[n, d], scaled so that distances are root mean squares."""
    blocks = images
    if images.shape.rank == 4:
        blocks = tf.nn.avg_pool2d(images, COARSE, COARSE, "SAME")
    rows = tf.reshape(blocks, [tf.shape(images)[0], -1])
    return rows / tf.sqrt(tf.cast(tf.shape(rows)[1], rows.dtype))


def with_nearness(features: Tensor, support: Tensor, weight: float) -> Tensor:
    """Append to features float[n, d] `weight` times the distance to the nearest of `support` float[k, d]."""
    nearest = tf.reduce_min(pairwise_distances(features, support), axis=1, keepdims=True)
    return tf.concat([features, weight * nearest], axis=1)


def feature_terms(terms: Terms, fake: Tensor, real: Tensor, support: Tensor | None) -> Tensor:
    """Return the terms in features: the energy distance, with `nearness` if it has a weight, and `variety`.

    Args:
        terms: the weights.
        fake: float[n, d], features of generated examples.
        real: float[m, d], features of real examples.
        support: float[k, d], features of the support images; None unless `terms.nearness`.

    Returns:
        float[], their weighted sum.
    """
    value = terms.variety * variety_gap(fake, real) if terms.variety else tf.zeros([], fake.dtype)
    if terms.nearness:
        fake, real = (with_nearness(x, support, terms.nearness) for x in (fake, real))
    return value + terms.features * energy_distance(fake, real)
