"""The generative adversarial game: a generator and a discriminator, each with its own loss."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from meta_gan import functional
from meta_gan.games.base import Endpoint
from meta_gan.games.sampling import Sampling
from meta_gan.games.shapes import check_task_embedding, generated_shape, input_shape, latent_dim
from meta_gan.games.terms import Terms, coarse, in_features, split, spread
from meta_gan.losses import DifferentiableAugmentation, ModeSeeking, NonSaturating, energy_distance
from meta_gan.losses.augmentation import augmented_share
from meta_gan.types import ByNet, Settings, Snapshot

_NESTED = ("generator", "discriminator", "encoder", "features", "loss", "penalty", "terms", "augmentation")


@keras.saving.register_keras_serializable("meta_gan")
class GAN(Sampling):
    """A generator against a discriminator, unconditioned or conditioned on the support set.

    What the nets are given as `conditioning` is a dict: `support`, the support images, where a net says that it
    `sees_support`, and `code`, what the encoder makes of them, where there is one; None if it would be empty. The
    encoder is the generator's: it learns from the generator's loss, and the discriminator takes the code as given.

    Args:
        generator: built Keras model from float[n, latent_dim] to float[n, *example], with a `latent_dim` attribute
            or a static input shape.
        discriminator: built Keras model from float[n, *example] to logits float[n, 1] or float[n].
        loss: one of `meta_gan.losses`; default `NonSaturating()`.
        penalty: `GradientPenalty`, `R1` or None; part of the discriminator's loss.
        discriminator_turns: how often the discriminator moves before the generator moves once, >= 1.
        example_shape: static shape of one example; by default the generator's `example_shape` or output shape.
        encoder: a task encoder: built Keras model from a support set float[k, *example] to a code float[code]; or None.
        features: a built Keras model from float[n, *example] to features float[n, d], for `terms.features` and for
            `distance`; it is frozen here. Never a judge.
        terms: the weights of the terms of the generator's loss; default `Terms()`, the adversarial one alone.
        augmentation: `DifferentiableAugmentation` of what the adversarial losses see, or None; a penalty, and the terms
            of the generator, see the examples themselves.
        holdout: support images that an inner step trains on while it conditions on the others; 0 for all as both.

    Raises:
        ValueError: a net that is not built, shapes that do not fit each other, a weight of the term `features` without
            the net, nets that take no code of the encoder's, or counts out of range.

    Example:
        >>> generator, discriminator = meta_gan.networks.dcgan((28, 28, 1))
        >>> game = GAN(generator, discriminator, loss=meta_gan.losses.Hinge(), discriminator_turns=2)

    References: Goodfellow et al., "Generative Adversarial Nets", 2014; Zhao et al., "Differentiable Augmentation for
        Data-Efficient GAN Training", 2020.
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
        encoder: keras.Model | None = None,
        features: keras.Model | None = None,
        terms: Terms | None = None,
        augmentation: DifferentiableAugmentation | None = None,
        holdout: int = 0,
    ):
        if discriminator_turns < 1 or holdout < 0:
            raise ValueError(
                f"'discriminator_turns' must be >= 1 and 'holdout' >= 0. Received: {discriminator_turns!r}, {holdout!r}"
            )
        self.loss_function = NonSaturating() if loss is None else loss
        self.penalty, self.augmentation = penalty, augmentation
        self.discriminator_turns, self.holdout = int(discriminator_turns), int(holdout)
        self.terms = Terms() if terms is None else terms
        if self.terms.features and features is None:
            raise ValueError(f"the term 'features' needs the net 'features'. Received: weight {self.terms.features}")
        nets, owned = {"generator": generator, "discriminator": discriminator}, ["generator"]
        for name, net in (("encoder", encoder), ("features", features)):
            if net is not None:
                nets[name] = net
                owned.append(name)
        if features is not None:
            features.trainable = False
        self.sees_support = any(getattr(net, "sees_support", False) for net in (generator, discriminator))
        if self.terms.likelihood and not hasattr(generator, "log_likelihood"):
            raise ValueError(
                f"the term 'likelihood' needs a generator that has one. Received: {type(generator).__name__}"
            )
        if self.terms.nearness and not self.sees_support:
            raise ValueError(f"the term 'nearness' needs a net that sees the support set. Received: {self.terms}")
        super().__init__(
            nets=nets,
            players={"discriminator": ("discriminator",), "generator": tuple(owned)},
            turns=((("discriminator",), self.discriminator_turns), (("generator",), 1)),
            signals={"discriminator": 5, "generator": 2},
            example_shape=tuple(example_shape or generated_shape(generator)),
            conditioners=("encoder",) if encoder is not None else (),
        )
        check_task_embedding(encoder, {"generator": generator, "discriminator": discriminator})
        self.latent_dim = latent_dim(generator)
        for name in ("discriminator", "encoder", "features"):
            expected = input_shape(nets[name]) if name in nets else None
            if expected is not None and tuple(expected) != self.example_shape:
                raise ValueError(
                    f"the {name} must take what the generator makes, {self.example_shape}. "
                    f"Received: a {name} of {tuple(expected)}"
                )

    @property
    def supports(self) -> frozenset[str]:
        """See `Game.supports`."""
        parts = {"penalty_scale": self.penalty, "augmentation": self.augmentation}
        return frozenset(name for name, part in parts.items() if part is not None)

    @property
    def conditioned(self) -> bool:
        """See `Game.conditioned`; a net that sees the support set needs no conditioner."""
        return self.sees_support or super().conditioned

    def view(self, support: Any, step: Any, seed: Any) -> tuple[Any, Any]:
        """See `Game.view`: with `holdout`, a random split of the support set, another one every step."""
        if not self.holdout:
            return support, support
        # Folded far from the numbers of turns, so that no draw of a turn has this key.
        return split(support, self.holdout, functional.fold(seed, 1 << 20))

    def condition(self, snapshot: Snapshot, support: Any) -> Any:
        """See `Game.condition`: `{"support": support set, "task_embedding": code}`, each where it is used."""
        made = {"support": support} if self.sees_support else {}
        if "encoder" in self.nets:
            made["task_embedding"], _ = self._call("encoder", snapshot, support, None, False, tf.zeros([2], tf.int32))
        return made or None

    def latents(self, num: Any, seed: Any) -> Any:
        """Draws float[num, latent_dim] from a standard normal; row i does not depend on `num`.

        What a generator calls `stratified`, its first so many numbers, is spread evenly over rows, see `spread`.
        """
        generator = self.nets["generator"]
        z = tf.random.stateless_normal(tf.stack([num, self.latent_dim]), seed, dtype=generator.compute_dtype)
        columns = getattr(generator, "stratified", 0)
        if not columns:
            return z
        even = tf.cast(spread(num, columns, functional.fold(seed, 0)), z.dtype)
        return tf.concat([even, z[:, columns:]], axis=1)

    def _call(self, net: str, snapshot: Snapshot, x: Any, conditioning: Any, training: bool, seed: Any) -> Any:
        return functional.call(
            self.nets[net], snapshot.weights[net], snapshot.state[net], x, conditioning, training, seed
        )

    def loss(
        self, player: str, snapshot: Snapshot, batch: Any, conditioning: Any, settings: Settings, seed: Any
    ) -> tuple[Any, ByNet, Any]:
        """See `Game.loss`. Signals: of the discriminator its loss, the mean real and fake logits, the mean sign of the
        real logits, and the penalty before its weight (0 without one); of the generator its loss and the mean logit.
        """
        draws, share = [functional.fold(seed, i) for i in range(7)], settings.augmentation
        z = self.latents(tf.shape(batch)[0], draws[0])
        fake, generator_state = self._call("generator", snapshot, z, conditioning, True, draws[1])
        batch = tf.cast(batch, fake.dtype)  # episodes are float32 whatever the nets are
        start = Snapshot(snapshot.weights, {**snapshot.state, "generator": generator_state})
        if player == "generator":
            value, state, logits = self._generator_loss(start, batch, fake, z, conditioning, draws, share)
            return value, state, _signals(value, logits)
        real_logits, between = self._judge(start, batch, conditioning, draws[2], draws[5], share)
        fake_logits, after = self._judge(between, fake, conditioning, draws[3], draws[5], share)
        value = self.loss_function.discriminator(real_logits, fake_logits)
        penalty = tf.zeros([], value.dtype)
        if self.penalty is not None:
            penalty = self._penalty(snapshot, batch, fake, conditioning, draws[4])
            scale = 1.0 if settings.penalty_scale is None else tf.cast(settings.penalty_scale, penalty.dtype)
            value += scale * penalty
        return value, after.state, _signals(value, real_logits, fake_logits, tf.sign(real_logits), penalty)

    def _judge(self, snapshot: Snapshot, x: Any, conditioning: Any, seed: Any, augment_seed: Any, share: Any) -> Any:
        """The discriminator's logits of augmented examples, and the values after; one seed augments real and fake."""
        if self.augmentation is not None and share is None:
            x = self.augmentation(x, augment_seed)
        elif self.augmentation is not None:
            x = augmented_share(self.augmentation, x, share, augment_seed)
        logits, state = self._call("discriminator", snapshot, x, conditioning, True, seed)
        return logits, Snapshot(snapshot.weights, {**snapshot.state, "discriminator": state})

    def _generator_loss(
        self, snapshot: Snapshot, batch: Any, fake: Any, z: Any, conditioning: Any, draws: list[Any], share: Any
    ) -> tuple[Any, ByNet, Any]:
        """The weighted terms, the new state, and the logits of the fakes."""
        logits, after = self._judge(snapshot, fake, conditioning, draws[2], draws[5], share)
        terms, value = self.terms, tf.zeros([], fake.dtype)
        if terms.adversarial:
            against = [logits]
            if self.loss_function.relativistic:
                real_logits, after = self._judge(after, batch, conditioning, draws[3], draws[5], share)
                against.append(real_logits)
            value += terms.adversarial * self.loss_function.generator(*against)
        if terms.features:
            support = self._features(after, conditioning["support"]) if terms.nearness else None
            value += in_features(terms, self._features(after, fake), self._features(after, batch), support)
        if terms.pixels:
            value += terms.pixels * energy_distance(coarse(fake), coarse(batch))
        if terms.mode_seeking:
            other = self.latents(tf.shape(batch)[0], draws[6])
            second, _ = self._call("generator", after, other, conditioning, True, draws[1])
            value += ModeSeeking(terms.mode_seeking)(fake, second, z, other)
        if terms.likelihood:
            weights = snapshot.weights["generator"]
            nats = functional.pure(self.nets["generator"], "log_likelihood", weights, batch, conditioning)
            value -= terms.likelihood * tf.reduce_mean(nats)
        return value, after.state, logits

    def _features(self, snapshot: Snapshot, x: Any) -> Any:
        return self._call("features", snapshot, x, None, False, tf.zeros([2], tf.int32))[0]

    def _penalty(self, snapshot: Snapshot, real: Any, fake: Any, conditioning: Any, seed: Any) -> Any:
        call_seed, draw_seed = functional.fold(seed, 0), functional.fold(seed, 1)

        def critic(x: Any) -> Any:
            return self._call("discriminator", snapshot, x, conditioning, True, call_seed)[0]

        return self.penalty(critic, real, fake, draw_seed)

    def distance(self, snapshot: Snapshot, query: Any, conditioning: Any, seed: Any, biased: bool = False) -> Any:
        """The energy distance between as many samples as there are query examples.

        `2 E|x - y| - E|x - x'| - E|y - y'|`, unbiased, so it may fall below 0 when the two agree, or with `biased` of
        the two sets as they are; between features where the game has a net for them, else in pixel space.

        Reference: Szekely and Rizzo, "Energy statistics", 2013.
        """
        z = self.latents(tf.shape(query)[0], functional.fold(seed, 0))
        fake, _ = self._call("generator", snapshot, z, conditioning, True, functional.fold(seed, 1))
        query = tf.cast(query, fake.dtype)
        if "features" in self.nets:
            fake, query = self._features(snapshot, fake), self._features(snapshot, query)
        return energy_distance(fake, query, biased)

    def probe(self, player: str, snapshot: Snapshot, episode: Any, seed: Any) -> Any:
        """See `Game.probe`: the generator's examples of shared z, the discriminator's logits of shared examples."""
        conditioning = self.condition(snapshot, episode.support)
        if player == "discriminator":
            return self._call("discriminator", snapshot, episode.query, conditioning, True, seed)[0]
        z = self.latents(tf.shape(episode.query)[0], functional.fold(seed, 0))
        return self._call("generator", snapshot, z, conditioning, True, functional.fold(seed, 1))[0]

    @property
    def endpoints(self) -> dict[str, Endpoint]:
        """`sample(num, seed) -> samples`, `generate(z) -> samples`, and `discriminate(images) -> logits`, float[n]."""

        def generate(snapshot: Snapshot, conditioning: Any, inputs: Any, seed: Any) -> dict[str, Any]:
            images, _ = self._call("generator", snapshot, inputs["z"], conditioning, False, seed)
            return {"samples": images}

        def sample(snapshot: Snapshot, conditioning: Any, inputs: Any, seed: Any) -> dict[str, Any]:
            z = self.latents(inputs["num"], functional.fold(seed, 0))
            return generate(snapshot, conditioning, {"z": z}, functional.fold(seed, 1))

        def discriminate(snapshot: Snapshot, conditioning: Any, inputs: Any, seed: Any) -> dict[str, Any]:
            logits, _ = self._call("discriminator", snapshot, inputs["images"], conditioning, False, seed)
            return {"logits": tf.reshape(logits, [-1])}

        dtype = self.nets["generator"].compute_dtype
        z = tf.TensorSpec([None, self.latent_dim], dtype, name="z")
        images = tf.TensorSpec([None, *self.example_shape], dtype, name="images")
        return {
            "sample": Endpoint(sample, {"num": tf.TensorSpec([], tf.int32, name="num")}, True, ("generator",)),
            "generate": Endpoint(generate, {"z": z}, False, ("generator",)),
            "discriminate": Endpoint(discriminate, {"images": images}, False, ("discriminator",)),
        }

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this game again, nets included."""
        serialize = keras.saving.serialize_keras_object
        parts = {**self.nets, "loss": self.loss_function, "penalty": self.penalty}
        parts.update(terms=self.terms, augmentation=self.augmentation)
        return {
            **{name: None if parts.get(name) is None else serialize(parts[name]) for name in _NESTED},
            "discriminator_turns": self.discriminator_turns,
            "example_shape": list(self.example_shape),
            "holdout": self.holdout,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> GAN:
        """Makes the game that `get_config` described, with freshly initialised nets."""
        make = keras.saving.deserialize_keras_object
        made = {key: make(value) if key in _NESTED and value is not None else value for key, value in config.items()}
        return cls(**{**made, "example_shape": tuple(config["example_shape"])})


def _signals(loss: Any, *logits: Any) -> Any:
    values = [loss, *[tf.reduce_mean(batch) for batch in logits]]
    return tf.stack([tf.cast(value, tf.float32) for value in values])
