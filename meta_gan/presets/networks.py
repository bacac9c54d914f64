"""The networks of a recipe, as configuration: each kind makes a generator and discriminator for what examples are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import keras

from meta_gan import networks
from meta_gan.networks.convolutional import NORMALIZATIONS
from meta_gan.networks.flow import SOLVERS
from meta_gan.networks.image_fusion import NORMALIZATIONS as FUSION_NORMALIZATIONS
from meta_gan.networks.task_encoder import POOLINGS
from meta_gan.presets.nodes import Node, choice, flag, integer, number

Pair = tuple[keras.Model, keras.Model]
_PHASES = 2  # positions by which a discriminator of sounds is shuffled, as in Donahue et al., 2019
_TEXT_RATIO = 3  # a text generator's units for each channel of its discriminator


def medium_of(shape: tuple[int, ...]) -> str:
    """Return what examples of a shape are: `sounds` [samples, 1], `texts` [length, symbols], or `pictures`.

    Example:
        >>> medium_of((28, 28, 1))
        'pictures'
    """
    if len(shape) != 2:
        return "pictures"
    return "sounds" if shape[1] == 1 else "texts"


def check_rate(rate: int | None) -> int:
    """Return the rate of sounds.

    Raises:
        ValueError: there is none.
    """
    if rate is None:
        raise ValueError("'rate' must be given for sounds, in samples a second. Received: None")
    return rate


@dataclass(frozen=True)
class TaskEncoder(Node):
    """`networks.TaskEncoder`, which makes the task embedding of a support set.

    Attributes:
        embedding_dim: size of the task embedding, >= 1.
        pooling: over the support set: mean or attention.
    """

    embedding_dim: int = integer(64, least=1)
    pooling: str = choice("mean", POOLINGS)

    def build(self, shape: tuple[int, ...], seed: int) -> keras.Model:
        """Return the network for examples of a shape."""
        return networks.TaskEncoder(shape, self.embedding_dim, pooling=self.pooling, seed=seed)


@dataclass(frozen=True)
class Network(Node):
    """Base of the kinds of networks.

    Attributes:
        width: channels (units, for `MLP`) of the narrowest hidden layer, >= 1.
    """

    takes_embedding: ClassVar[bool] = True
    """Whether the networks can be conditioned on a task embedding."""
    width: int = integer(32, least=1)

    @property
    def sees_support(self) -> bool:
        """Whether the networks receive the support set itself."""
        return False

    @property
    def wraps(self) -> bool:
        """Whether the networks are wrapped in `networks.ScaleAndShift`, whose scales and shifts alone then adapt."""
        return getattr(self, "scale_and_shift", False)

    def wrapped(self, net: keras.Model) -> keras.Model:
        """Return a network in its `networks.ScaleAndShift`, or as it is."""
        return networks.ScaleAndShift(net) if self.wraps else net

    def _check_medium(self, shape: tuple[int, ...], *fields: str) -> None:
        """Refuse fields that have no effect on the networks for examples of a shape."""
        for name in fields:
            default, value = getattr(type(self), name), getattr(self, name)
            if value != default:
                medium = medium_of(shape)
                raise ValueError(f"'network.{name}' must be {default!r} for {medium}. Received: {value!r}")


@dataclass(frozen=True)
class Paired(Network):
    """Base of the kinds that make a generator from noise and a discriminator.

    Attributes:
        latent_dim: size of z, >= 1.
    """

    latent_dim: int = integer(64, least=1)

    def pair(self, shape: tuple[int, ...], rate: int | None, embedding_dim: int, seed: int) -> Pair:
        """Return the generator and the discriminator.

        Args:
            shape: of an example.
            rate: of sounds, in samples a second.
            embedding_dim: size of the task embedding that conditions them, 0 for none.
            seed: of the initial weights.

        Raises:
            ValueError: there is no such network for these examples, a field that has no effect on it, or sounds
                without a rate.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class MLP(Paired):
    """Dense networks for examples of any kind, `networks.mlp`.

    Attributes:
        scale_and_shift: adapt only a scale and a shift of every channel, see `networks.ScaleAndShift`.
    """

    takes_embedding: ClassVar[bool] = False
    scale_and_shift: bool = flag(False)

    def pair(self, shape: tuple[int, ...], rate: int | None, embedding_dim: int, seed: int) -> Pair:
        return networks.mlp(shape, self.latent_dim, self.width, seed=seed)


@dataclass(frozen=True)
class DCGAN(Paired):
    """Convolutional networks: `networks.dcgan`; for sounds a `WaveGenerator`, for texts a `TextGenerator`.

    Attributes:
        normalization: of the generator of pictures: none, layer, instance, group or batch.
        scale_and_shift: adapt only a scale and a shift of every channel, see `networks.ScaleAndShift`.
    """

    takes_embedding: ClassVar[bool] = False
    normalization: str = choice("layer", NORMALIZATIONS)
    scale_and_shift: bool = flag(False)

    def pair(self, shape: tuple[int, ...], rate: int | None, embedding_dim: int, seed: int) -> Pair:
        medium = medium_of(shape)
        if medium == "pictures":
            return networks.dcgan(shape, self.latent_dim, self.width, self.normalization, seed=seed)
        self._check_medium(shape, "normalization", *(["latent_dim"] if medium == "texts" else []))
        if medium == "texts":
            return _texts(self, shape, embedding_dim, seed, 1.0)
        check_rate(rate)
        discriminator = networks.SequenceDiscriminator(shape, self.width, shuffle=_PHASES, seed=seed)
        return networks.WaveGenerator(shape, self.latent_dim, self.width, seed=seed), discriminator


@dataclass(frozen=True)
class SAGAN(Paired):
    """Convolutions with self-attention, conditioned on a task embedding where there is one, for pictures alone.

    Attributes:
        scale_and_shift: adapt only a scale and a shift of every channel, see `networks.ScaleAndShift`.
    """

    scale_and_shift: bool = flag(False)

    def pair(self, shape: tuple[int, ...], rate: int | None, embedding_dim: int, seed: int) -> Pair:
        if (medium := medium_of(shape)) != "pictures":
            raise ValueError(f"'network' must not be 'sagan' for {medium}. Received: examples of shape {shape}")
        return networks.sagan(shape, self.latent_dim, self.width, embedding_dim, seed=seed)


@dataclass(frozen=True)
class Anchored(Paired):
    """Base of the kinds that receive the support set.

    Attributes:
        normalization: of the generator of pictures: meta or none.
        detail: points along each pixel at which a warped picture is sampled, >= 1.
        temperature: factor on z in sampling, not in training, > 0.
        one_shot_temperature: temperature with one support example, > 0; with two to four it lies between this and
            `temperature`, which applies from five on. None for `temperature` always.
    """

    normalization: str = choice("meta", FUSION_NORMALIZATIONS)
    detail: int = integer(2, least=1)
    temperature: float = number(1.0, above=0)
    one_shot_temperature: float | None = number(None, above=0)

    @property
    def sees_support(self) -> bool:
        return True

    @property
    def _temperatures(self) -> tuple[float, float | None]:
        return self.temperature, self.one_shot_temperature


@dataclass(frozen=True)
class Fusion(Anchored):
    """Networks that receive the support set, for pictures, sounds or texts."""

    def pair(self, shape: tuple[int, ...], rate: int | None, embedding_dim: int, seed: int) -> Pair:
        medium = medium_of(shape)
        if medium == "pictures":
            fixed = (embedding_dim, self.normalization, self.detail, seed, *self._temperatures)
            return networks.fusion(shape, self.latent_dim, self.width, *fixed)
        unused = ["latent_dim", "one_shot_temperature"] if medium == "texts" else []
        self._check_medium(shape, "detail", "normalization", *unused)
        if medium == "texts":
            return _texts(self, shape, embedding_dim, seed, self.temperature)
        shared: dict[str, Any] = {"rate": check_rate(rate), "embedding_dim": embedding_dim, "seed": seed}
        generator = networks.WaveFusionGenerator(
            shape,
            self.latent_dim,
            self.width,
            temperature=self.temperature,
            one_shot_temperature=self.one_shot_temperature,
            **shared,
        )
        return generator, networks.WaveFusionDiscriminator(shape, max(1, self.width // 2), **shared)


@dataclass(frozen=True)
class ColourFusion(Anchored):
    """Networks that receive the support set, for pictures of up to 64x64 in any colour; `networks.colour_fusion`."""

    def pair(self, shape: tuple[int, ...], rate: int | None, embedding_dim: int, seed: int) -> Pair:
        if (medium := medium_of(shape)) != "pictures":
            raise ValueError(f"'network' must not be 'colour_fusion' for {medium}. Received: examples of shape {shape}")
        fixed = (embedding_dim, self.normalization, self.detail, seed, *self._temperatures)
        return networks.colour_fusion(shape, self.latent_dim, self.width, *fixed)


@dataclass(frozen=True)
class UNet(Network):
    """`networks.UNet`, the velocity of a flow of pictures.

    Attributes:
        anchored: whether it receives the support set.
        solver: euler, midpoint or heun.
        solver_steps: steps from noise to picture, >= 1.
        guidance: weight of the support set in sampling, >= 0; 1 without guidance.
        temperature: factor on the noise in sampling, not in training, > 0.
    """

    anchored: bool = flag(False)
    solver: str = choice("euler", tuple(SOLVERS))
    solver_steps: int = integer(16, least=1)
    guidance: float = number(1.0, least=0)
    temperature: float = number(1.0, above=0)

    @property
    def sees_support(self) -> bool:
        return self.anchored

    def build(self, shape: tuple[int, ...], embedding_dim: int, seed: int) -> keras.Model:
        """Return the generator of pictures of a shape.

        Raises:
            ValueError: examples that are not pictures of a size that the network takes, or a width that it does not.
        """
        if (medium := medium_of(shape)) != "pictures":
            raise ValueError(f"'network' must not be 'unet' for {medium}. Received: examples of shape {shape}")
        sampling = (self.solver, self.solver_steps, self.guidance, self.temperature)
        return networks.UNet(shape, self.width, self.anchored, embedding_dim, *sampling, seed)

    def pair(self, shape: tuple[int, ...], rate: int | None, embedding_dim: int, seed: int) -> Pair:
        """Return the generator, which must be `anchored`, and a discriminator of half its width.

        Raises:
            ValueError: as `build`.
        """
        generator = self.build(shape, embedding_dim, seed)
        normalization = "meta" if embedding_dim else "none"
        return generator, networks.FusionDiscriminator(shape, self.width // 2, embedding_dim, normalization, seed)


@dataclass(frozen=True)
class Translator(Network):
    """`networks.Translator` between two domains of pictures, with discriminators of the kind `dcgan`.

    Attributes:
        scale_and_shift: adapt only a scale and a shift of every channel, see `networks.ScaleAndShift`.
    """

    scale_and_shift: bool = flag(False)

    def build(self, shape: tuple[int, ...], embedding_dim: int, seed: int) -> Pair:
        """Return a translator and a discriminator of what it makes."""
        translator = networks.Translator(shape, self.width, embedding_dim=embedding_dim, seed=seed)
        return self.wrapped(translator), self.wrapped(networks.DCGANDiscriminator(shape, self.width, seed=seed))


def _texts(network: Network, shape: tuple[int, ...], embedding_dim: int, seed: int, temperature: float) -> Pair:
    shared: dict[str, Any] = {"embedding_dim": embedding_dim, "attends": network.sees_support, "seed": seed}
    generator = networks.TextGenerator(shape, network.width, temperature=temperature, **shared)
    narrow = max(1, network.width // _TEXT_RATIO)
    return generator, networks.SequenceDiscriminator(shape, narrow, stride=2, **shared)


NETWORKS: dict[str, Network] = {
    "dcgan": DCGAN(),
    "mlp": MLP(),
    "sagan": SAGAN(),
    "fusion": Fusion(),
    "colour_fusion": ColourFusion(),
    "translator": Translator(),
    "unet": UNet(),
}
