"""The contract of games: networks owned by players, a loss for each player, and an order of turns."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from meta_gan import functional
from meta_gan.layers import check_differentiable, check_honoured, foreign
from meta_gan.types import ByNet, Episode, Examples, Settings, Snapshot, Tensor, Tree

Turn = tuple[tuple[str, ...], int]
SOURCE, TARGET = "source", "target"
"""The domains of games on pairs of domains."""
NO_SEED = (0, 0)
"""The key of calls that draw nothing."""
DIVERSITY, SPREAD = "diversity", "discriminator_spread"
"""The names of what `meta.vital_signs` measures."""


class Endpoint(NamedTuple):
    """A function of a trained game, such as `sample`: part of exported models, and a method of `AdaptedModel`.

    Attributes:
        fn: `(snapshot, conditioning, inputs {name: tensor}, seed) -> {name: tensor}`, pure.
        inputs: `{name: tf.TensorSpec}`. An input named `images` holds examples: an exported model checks that they are
            finite and in [-1, 1].
        seeded: whether `fn` uses the seed.
        nets: names of all nets whose values `fn` uses, apart from those that make the conditioning; an exported model
            passes it no others.
    """

    fn: Callable[[Snapshot, Tree, Mapping[str, Tensor], Tensor], dict[str, Tensor]]
    inputs: dict[str, tf.TensorSpec]
    seeded: bool
    nets: tuple[str, ...]


class Game:
    """A family of generative models as a game: who owns which nets, who moves when, and what each player minimises.

    A player is the set of nets that one loss moves. Players are a partition of the nets: every net has exactly one
    owner. All methods are pure functions of their arguments; the nets' own variables are never read.

    Args:
        nets: `{name: built Keras model}`.
        players: `{player: names of the nets that it owns}`.
        turns: `((players of the turn, repeats), ...)`; players inside one turn step from the same values.
        signals: `{player: how many numbers it reports}`.
        conditioners: names of the nets that make the conditioning; an exported model passes `condition` no others.
        example_shape: static shape of one example; or `{domain: shape}`, and then a support set, a batch and a query
            set are dicts with the same keys.

    Raises:
        ValueError: a net that is not built, has a layer with wrong second derivatives or asks for what a game does
            not honour, such as a regularizer; players that are not a
            partition, an unknown name in `turns` or `conditioners`, or repeats below 1.
    """

    default_endpoint = ""
    """The endpoint that an exported model serves as `serving_default`."""
    primary = "generator"
    """The net that makes examples, which `AdaptedModel.generator` returns."""
    fixed_sampling: tuple[str, ...] = ()
    """The settings of sampling of the net `primary` that the game depends on, and that may not be changed."""
    has_copy_rate: bool = False
    """Whether `copy_rate` is defined."""

    def __init__(
        self,
        nets: Mapping[str, keras.Model],
        players: Mapping[str, tuple[str, ...]],
        turns: tuple[Turn, ...],
        signals: Mapping[str, int],
        example_shape: tuple[int, ...] | Mapping[str, tuple[int, ...]],
        conditioners: tuple[str, ...] = (),
    ):
        self.nets = dict(nets)
        self.players = {player: tuple(names) for player, names in players.items()}
        self.turns = tuple((tuple(names), int(repeats)) for names, repeats in turns)
        self.signals = dict(signals)
        self.example_shape: Any = (
            {domain: tuple(int(n) for n in shape) for domain, shape in example_shape.items()}
            if isinstance(example_shape, Mapping)
            else tuple(int(n) for n in example_shape)
        )
        self.conditioners = tuple(conditioners)
        self._check()

    def _check(self) -> None:
        for name, net in self.nets.items():
            if not isinstance(net, keras.Model) or not net.built:
                raise ValueError(f"the net {name!r} must be a built keras.Model. Received: {net!r}")
            check_differentiable(net)
            check_honoured(name, net)
            _check_adds_no_loss(name, net)
        owned = sorted(name for names in self.players.values() for name in names)
        if owned != sorted(self.nets):
            raise ValueError(
                f"'players' must give every net exactly one owner. Received: nets {sorted(self.nets)}, owned {owned}"
            )
        if len({id(net) for net in self.nets.values()}) < len(self.nets):
            raise ValueError(f"'nets' must be different models. Received: one model twice in {sorted(self.nets)}")
        for names, repeats in self.turns:
            if unknown := sorted(set(names) - set(self.players)):
                raise ValueError(f"'turns' must name players of {sorted(self.players)}. Received: {unknown}")
            if repeats < 1:
                raise ValueError(f"'turns' must have repeats >= 1. Received: {repeats} for {names}")
        if unknown := sorted(set(self.conditioners) - set(self.nets)):
            raise ValueError(f"'conditioners' must be nets of {sorted(self.nets)}. Received: {unknown}")
        if set(self.signals) != set(self.players):
            raise ValueError(f"'signals' must name {sorted(self.players)}. Received: {sorted(self.signals)}")

    @property
    def card(self) -> dict[str, Any]:
        """The game's part of a saved model's `config.json` for readers: the shape of examples, and the endpoints."""
        shape: Any = list(self.example_shape)
        if isinstance(self.example_shape, Mapping):
            shape = {domain: list(each) for domain, each in self.example_shape.items()}
        return {"example_shape": shape, "endpoints": sorted(self.endpoints)}

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of one example that the net `primary` makes."""
        return tuple(self.example_shape)

    @property
    def supports(self) -> frozenset[str]:
        """The fields of `Settings`, of `penalty_scale` and `augmentation`, that change a loss; by default none."""
        return frozenset()

    @property
    def conditioned(self) -> bool:
        """Whether losses and endpoints need a support set; by default, whether there are `conditioners`."""
        return bool(self.conditioners)

    def own(self, player: str, snapshot: Snapshot) -> Snapshot:
        """Return the same values, with `stop_gradient` on every net that `player` does not own, and on all state.

        A loss through `own` gives the *partial* derivative, in which the other players are held fixed, as is meant in
        a GAN. Otherwise a second-order meta-gradient also runs through the opponent's weights: the *total* derivative.
        """
        mine = self.players[player]
        weights = {n: ts if n in mine else functional.stop(ts) for n, ts in snapshot.weights.items()}
        return Snapshot(weights, functional.stop(snapshot.state))

    def call_net(
        self, net: str, snapshot: Snapshot, x: Tensor, conditioning: Tree, training: bool, seed: Any
    ) -> tuple[Tensor, list[Tensor]]:
        """Call a net with the values of a snapshot.

        Args:
            net: its name.
            snapshot: values of all nets.
            x: float[n, ...].
            conditioning: the net's own conditioning, or None.
            training: whether it is a call of training.
            seed: int32[2], or `NO_SEED` for nets that draw nothing.

        Returns:
            `(output, the net's new state)`.
        """
        weights, state = snapshot.weights[net], snapshot.state[net]
        return functional.call(self.nets[net], weights, state, x, conditioning, training, tf.convert_to_tensor(seed))

    def view(self, support: Examples, step: Tensor, seed: Tensor) -> tuple[Examples, Examples]:
        """Return `(batch, condition_on)` of one inner step: what it trains on and is conditioned on.

        By default both are the whole support set.
        """
        return support, support

    def condition(self, snapshot: Snapshot, support: Examples) -> Tree:
        """Return the conditioning tree of a support set, for losses and endpoints; None without conditioning."""
        return None

    def conditioning_of(self, net: str, conditioning: Tree) -> Tree:
        """Return the part of the conditioning tree that one net receives, by default all of it."""
        return conditioning

    def loss(
        self, player: str, snapshot: Snapshot, batch: Examples, conditioning: Tree, settings: Settings, seed: Tensor
    ) -> tuple[Tensor, ByNet, Tensor]:
        """Return one player's loss in training mode.

        Args:
            player: whose loss.
            snapshot: values of all nets.
            batch: float[n, *example], or a dict of domains.
            conditioning: what `condition` returned.
            settings: the meta-learner's decisions.
            seed: int32[2].

        Returns:
            `(scalar, the full new state {net: [tensor]}, float32[signals[player]])`.
        """
        raise NotImplementedError

    def objective(self, player: str, snapshot: Snapshot, query: Examples, conditioning: Tree, seed: Tensor) -> Tensor:
        """Return what the outer loop minimises for `player` on the query set, by default its loss."""
        return self.loss(player, snapshot, query, conditioning, Settings(), seed)[0]

    def distance(
        self, snapshot: Snapshot, query: Examples, conditioning: Tree, seed: Tensor, biased: bool = False
    ) -> Tensor:
        """Return a distance from samples to the query set, float[]: objective of learned meta-learners, and a reward.

        With `biased`, it is the distance of the two sets as they are, which is >= 0: a policy's reward takes its
        logarithm.
        """
        raise NotImplementedError

    def copy_rate(
        self, snapshot: Snapshot, support: Examples, query: Examples, conditioning: Tree, seed: Tensor
    ) -> Tensor:
        """Return the share of samples, as many as query examples, that are copies of support examples, float32[]."""
        raise NotImplementedError

    def probe(self, player: str, snapshot: Snapshot, episode: Episode, seed: Tensor) -> Tensor:
        """Return `player`'s outputs for a shared probe, by which two adapted players are compared.

        Args:
            player: whose outputs.
            snapshot: values of all nets.
            episode: one task; its support set conditions, its query set is the probe.
            seed: int32[2], the key of the probe's draws.

        Returns:
            A tensor of the same shape for every snapshot.
        """
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, with nets, losses and penalties serialised by Keras."""
        raise NotImplementedError

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Game:
        """Return the game that `get_config` described, with freshly initialised nets."""
        return cls(**keras.saving.deserialize_keras_object(config))

    @property
    def endpoints(self) -> dict[str, Endpoint]:
        """The functions of the trained game, by name."""
        raise NotImplementedError


def _check_adds_no_loss(name: str, net: keras.Model) -> None:
    """Raise a ValueError if a user's own layer adds a loss when it is called.

    Of a net of unknown inputs nothing is called here; `functional.call` refuses its losses at the first call.
    """
    own, inputs = foreign(net), getattr(net, "inputs", None) or []
    if own and len(inputs) == 1 and None not in inputs[0].shape[1:]:
        zeros = tf.zeros([1, *inputs[0].shape[1:]], inputs[0].dtype)
        if functional.added_losses(net, zeros):
            raise ValueError(
                f"the net {name!r} must have no layer that adds a loss; add a penalty to the game. "
                f"Received: add_loss in one of the layers {own}"
            )


def serialized(**arguments: Any) -> dict[str, Any]:
    """Return arguments as JSON values, for `Game.get_config`: Keras objects serialised, others as they are."""
    return {name: keras.saving.serialize_keras_object(value) for name, value in arguments.items()}


def generated_shape(generator: keras.Model) -> tuple[int, ...]:
    """Return the shape of one example that a generator makes: its `example_shape`, or its output's."""
    return tuple(getattr(generator, "example_shape", None) or generator.output_shape[1:])


def input_shape(net: keras.Model) -> tuple[int, ...] | None:
    """Return the shape of one example that a net takes, or None for a net without a static input shape."""
    shape = getattr(net, "example_shape", None)
    if shape is None and getattr(net, "inputs", None):
        shape = net.inputs[0].shape[1:]
    return None if shape is None or None in shape else tuple(shape)


def check_input(name: str, net: keras.Model | None, shape: tuple[int, ...]) -> None:
    """Raise a ValueError if a net is known to take examples of another shape than `shape`."""
    found = None if net is None else input_shape(net)
    if found is not None and found != tuple(shape):
        raise ValueError(f"the net {name!r} must take examples of shape {tuple(shape)}. Received: {found}")


def check_task_embedding(task_encoder: keras.Model | None, nets: Mapping[str, keras.Model]) -> None:
    """Check that nets take the task embeddings that a task encoder makes, or none without one.

    Args:
        task_encoder: the encoder, or None.
        nets: `{name: net that receives the embedding}`.

    Raises:
        ValueError: a net that takes no conditioning, or task embeddings of another size.
    """
    made = 0 if task_encoder is None else getattr(task_encoder, "embedding_dim", None)
    for name, net in nets.items():
        net = getattr(net, "network", net)  # the network inside a wrapper
        # Plain Keras models ignore unknown keywords, and so would silently ignore the embedding.
        if task_encoder is not None and "conditioning" not in inspect.signature(net.call).parameters:
            raise ValueError(
                f"the net {name!r} must take 'conditioning' with a task embedding. Received: {type(net).__name__}"
            )
        wanted = getattr(net, "embedding_dim", made)
        if made is not None and wanted != made:
            raise ValueError(
                f"the net {name!r} must have the 'embedding_dim' of the task encoder, {made} (0 without one). "
                f"Received: {wanted}"
            )
