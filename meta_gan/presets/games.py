"""The games of a recipe, as configuration: one class for each family of generative models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import keras

from meta_gan import losses, networks
from meta_gan.games import GAN, VAE, FlowDistillation, FlowMatching, Game, Terms, Translation
from meta_gan.losses.base import Configured
from meta_gan.presets.networks import (
    DCGAN,
    MLP,
    SAGAN,
    ColourFusion,
    Fusion,
    Network,
    Paired,
    TaskEncoder,
    Translator,
    UNet,
    medium_of,
)
from meta_gan.presets.nodes import Node, always, integer, number, one_of, text
from meta_gan.presets.players import features, flow_teacher

LOSSES: dict[str, Configured] = {
    "non_saturating": losses.NonSaturating(),
    "hinge": losses.Hinge(),
    "least_squares": losses.LeastSquares(),
    "wasserstein": losses.Wasserstein(),
    "relativistic": losses.RelativisticAverage(),
}
PENALTIES = {"none": None, "gradient": losses.GradientPenalty(1.0), "r1": losses.R1(1.0)}
LIKELIHOODS = {"bernoulli": losses.Bernoulli(), "gaussian": losses.Gaussian()}
AUGMENTATIONS = {"none": None, "differentiable": losses.DifferentiableAugmentation()}
TASK_ENCODERS = {"none": None, "task_encoder": TaskEncoder()}


@dataclass(frozen=True)
class GameNode(Node):
    """Base of the games.

    Attributes:
        task_encoder: makes the task embedding of a support set, or None for no task embedding.
    """

    takes: ClassVar[tuple[type[Network], ...]]
    """The kinds of networks that the game can be played with."""
    players: ClassVar[tuple[str, ...]]
    """The players; the first one makes examples."""
    task_encoder: TaskEncoder | None = one_of(TASK_ENCODERS, "none")

    @property
    def embedding_dim(self) -> int:
        """Size of the task embedding, 0 for none."""
        return 0 if self.task_encoder is None else self.task_encoder.embedding_dim

    def build(self, network: Any, shape: Any, rate: int | None, seed: int) -> Game:
        """Return the game.

        Args:
            network: of one of the kinds that the game `takes`.
            shape: of an example; for a translation `{"source": shape, "target": shape}`.
            rate: of sounds, in samples a second.
            seed: of the initial weights.

        Raises:
            ValueError: settings that do not suit such examples, or sounds without a rate.
        """
        raise NotImplementedError

    def _encoder(self, shape: tuple[int, ...], seed: int) -> keras.Model | None:
        return None if self.task_encoder is None else self.task_encoder.build(shape, seed)


@dataclass(frozen=True)
class Adversarial(GameNode):
    """Base of the games with a discriminator.

    Attributes:
        loss: one of `LOSSES`.
        penalty: one of `PENALTIES`, part of the discriminator's loss.
        discriminator_turns: moves of the discriminator before each move of the generator, >= 1.
        features: the frozen feature network: the folder or shipped name of a network of the purpose "objective",
            `spectrogram` for sounds, `pairs` (of symbols) for texts, or "" for none. Terms in features use it, and so
            does the distance on which a learned meta-learner is trained.
    """

    loss: Configured = one_of(LOSSES, "hinge")
    penalty: losses.GradientPenalty | losses.R1 | None = one_of(PENALTIES, "r1")
    discriminator_turns: int = integer(1, least=1)
    features: str = text("")

    @property
    def feature_weight(self) -> float:
        """Weight of the energy distance in features."""
        raise NotImplementedError

    def feature_network(self, shape: tuple[int, ...], rate: int | None) -> keras.Model | None:
        """Return the frozen feature network, or None.

        Raises:
            ValueError: the network is of another purpose or for other examples.
        """
        return features(self.features, shape, rate) if self.features else None


@dataclass(frozen=True)
class GANGame(Adversarial):
    """`games.GAN`.

    Attributes:
        terms: weights of the generator's loss.
        augmentation: of what the adversarial losses receive, or None.
        holdout: support images that an inner step trains on while it conditions on the others; 0 to use all as both.
    """

    takes: ClassVar[tuple[type[Network], ...]] = (DCGAN, MLP, SAGAN, Fusion, ColourFusion, UNet)
    players: ClassVar[tuple[str, ...]] = ("generator", "discriminator")
    terms: Terms = always(Terms())
    augmentation: losses.DifferentiableAugmentation | None = one_of(AUGMENTATIONS, "none")
    holdout: int = integer(0)

    @property
    def feature_weight(self) -> float:
        return self.terms.features

    def build(self, network: Paired | UNet, shape: tuple[int, ...], rate: int | None, seed: int) -> Game:
        generator, discriminator = network.pair(shape, rate, self.embedding_dim, seed)
        return GAN(
            network.wrapped(generator),
            network.wrapped(discriminator),
            loss=self.loss,
            penalty=self.penalty,
            discriminator_turns=self.discriminator_turns,
            encoder=self._encoder(shape, seed),
            features=self.feature_network(shape, rate),
            terms=self.terms,
            augmentation=self.augmentation,
            holdout=self.holdout,
        )


@dataclass(frozen=True)
class VAEGame(GameNode):
    """`games.VAE`: the network's generator as the decoder, and an encoder of its width.

    A network that cannot be conditioned is wrapped in `networks.SetPrior` where there is a task encoder.

    Attributes:
        likelihood: `losses.Bernoulli`, for drawings of two levels, or `losses.Gaussian`.
        beta: weight of the divergence, >= 0.
    """

    takes: ClassVar[tuple[type[Network], ...]] = (DCGAN, MLP, SAGAN)
    players: ClassVar[tuple[str, ...]] = ("autoencoder",)
    likelihood: losses.Bernoulli | losses.Gaussian = one_of(LIKELIHOODS, "bernoulli")
    beta: float = number(1.0, least=0)

    def build(self, network: Paired, shape: tuple[int, ...], rate: int | None, seed: int) -> Game:
        if isinstance(self.likelihood, losses.Bernoulli) and (medium := medium_of(shape)) != "pictures":
            raise ValueError(f"'game.likelihood' must be 'gaussian' for {medium}. Received: 'bernoulli'")
        kind = networks.MLPEncoder if isinstance(network, MLP) else networks.ImageEncoder
        encoder = network.wrapped(kind(shape, network.latent_dim, width=network.width, seed=seed))
        generator = network.wrapped(network.pair(shape, rate, self.embedding_dim, seed)[0])
        if self.task_encoder is not None and not network.takes_embedding:
            generator = networks.SetPrior(generator, self.embedding_dim, seed=seed)
        return VAE(generator, encoder, self.likelihood, self.beta, self._encoder(shape, seed))


@dataclass(frozen=True)
class FlowGame(GameNode):
    """`games.FlowMatching`.

    Attributes:
        unconditional: probability that a row is trained without the support set, in [0, 1); guidance needs it.
        draws: noises and times that a loss draws for each example, >= 1.
        time_location: mean of the normal number of the times.
        time_scale: its standard deviation, > 0.
        holdout: support images that an inner step trains on while it conditions on the others; 0 to use all as both.
        teacher: folder or shipped name of a trained flow, to be distilled into the network's `solver_steps`; it is then
            `games.FlowDistillation`, which starts from the teacher's weights. "" to learn from examples.
        teacher_steps: of the teacher, a multiple of the network's `solver_steps`.
        teacher_guidance: guidance of the teacher, which the network learns and does not need itself, >= 0.
    """

    takes: ClassVar[tuple[type[Network], ...]] = (UNet,)
    players: ClassVar[tuple[str, ...]] = ("generator",)
    unconditional: float = number(0.0, least=0, below=1)
    draws: int = integer(1, least=1)
    time_location: float = number(0.0)
    time_scale: float = number(1.0, above=0)
    holdout: int = integer(0)
    teacher: str = text("")
    teacher_steps: int = integer(16, least=1)
    teacher_guidance: float = number(2.0, least=0)

    def build(self, network: UNet, shape: tuple[int, ...], rate: int | None, seed: int) -> Game:
        generator, encoder = network.build(shape, self.embedding_dim, seed), self._encoder(shape, seed)
        if self.teacher:
            taught = flow_teacher(self.teacher, self.teacher_guidance, {"generator": generator, "encoder": encoder})
            return FlowDistillation(
                generator, taught["generator"], encoder, taught["encoder"], self.teacher_steps, self.draws, self.holdout
            )
        return FlowMatching(
            generator,
            encoder,
            unconditional=self.unconditional,
            draws=self.draws,
            time_location=self.time_location,
            time_scale=self.time_scale,
            holdout=self.holdout,
        )


@dataclass(frozen=True)
class TranslationGame(Adversarial):
    """`games.Translation` between two domains of pictures.

    Attributes:
        cycle: weight of what a translation there and back changes, >= 0; 0 for one way only.
        identity: weight of what a translation changes of the target's own images, >= 0.
        content: weight of what a translation changes at all, >= 0.
        truth: weight of the difference to the true translations of paired query sets, in the outer loop, >= 0.
        energy: weight of the energy distance to the target, in features or else in pixels, >= 0.
    """

    takes: ClassVar[tuple[type[Network], ...]] = (Translator,)
    players: ClassVar[tuple[str, ...]] = ("translator", "discriminator")
    cycle: float = number(0.0, least=0)
    identity: float = number(0.0, least=0)
    content: float = number(0.0, least=0)
    truth: float = number(0.0, least=0)
    energy: float = number(0.0, least=0)

    @property
    def feature_weight(self) -> float:
        return self.energy

    def build(self, network: Translator, shape: Mapping[str, tuple[int, ...]], rate: int | None, seed: int) -> Game:
        single = shape["source"]
        # Two networks of one kind and seed would start with the same weights.
        translator, discriminator = network.build(single, self.embedding_dim, seed)
        back = network.build(single, self.embedding_dim, seed + 1) if self.cycle else (None, None)
        return Translation(
            translator,
            discriminator,
            back=back[0],
            back_discriminator=back[1],
            loss=self.loss,
            penalty=self.penalty,
            cycle=self.cycle,
            identity=self.identity,
            content=self.content,
            encoder=self._encoder(single, seed),
            discriminator_turns=self.discriminator_turns,
            features=self.feature_network(single, None),
            energy=self.energy,
            truth=self.truth,
        )


GAMES: dict[str, GameNode] = {
    "flow": FlowGame(),
    "gan": GANGame(),
    "translation": TranslationGame(),
    "vae": VAEGame(),
}
