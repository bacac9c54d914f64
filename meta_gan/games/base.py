"""The contract of games: nets owned by players, each player with its own loss, and an order of turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from meta_gan import functional
from meta_gan.layers import check_differentiable
from meta_gan.types import ByNet, Settings, Snapshot

Turn = tuple[tuple[str, ...], int]


class Endpoint(NamedTuple):
    """Something that a trained game can do, such as `sample`: exported, and offered by `AdaptedModel`.

    Attributes:
        fn: `(snapshot, conditioning, inputs {name: tensor}, seed) -> {name: tensor}`, pure.
        inputs: `{name: tf.TensorSpec}`; one of the name `images` holds examples, which an exported model checks to
            be finite and in [-1, 1].
        seeded: whether `fn` uses the seed.
        nets: those whose values `fn` uses, beside what conditions it.
    """

    fn: Callable[[Snapshot, Any, Mapping[str, Any], Any], dict[str, Any]]
    inputs: dict[str, tf.TensorSpec]
    seeded: bool
    nets: tuple[str, ...]


class Game:
    """A family of generative models as a game: who owns which nets, who moves when, and what each one minimises.

    A player is the set of nets that one loss moves, and players are a partition of the nets: every net has exactly
    one owner. All methods are pure functions of the values given; the nets' own variables are never read.

    Args:
        nets: `{name: built Keras model}`.
        players: `{player: names of the nets that it owns}`.
        turns: `((players of the turn, repeats), ...)`; players inside one turn step from the same values.
        signals: `{player: how many numbers it reports}`.
        conditioners: names of nets whose values `condition` uses.
        example_shape: static shape of one example; or `{domain: shape}`, and then a support set, a batch and a query
            set are dicts of the same names.

    Raises:
        ValueError: a net that is not built or holds a layer with wrong second derivatives, players that are not a
            partition, an unknown name in `turns` or `conditioners`, or repeats below 1.
    """

    default_endpoint = ""
    """The endpoint that an exported model serves as `serving_default`."""
    primary = "generator"
    """The net that makes examples, which `AdaptedModel.generator` hands out."""
    tells_copies: bool = False
    """Whether there is a `copy_rate`."""

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
                raise ValueError(f"net {name!r} must be a built keras.Model. Received: {net!r}")
            check_differentiable(net)
        owned = sorted(name for names in self.players.values() for name in names)
        if owned != sorted(self.nets):
            raise ValueError(
                f"every net must have exactly one owner. Received: nets {sorted(self.nets)}, owned {owned}"
            )
        if len({id(net) for net in self.nets.values()}) < len(self.nets):
            raise ValueError(f"every net must be a model of its own. Received: one for two of {sorted(self.nets)}")
        for names, repeats in self.turns:
            if unknown := sorted(set(names) - set(self.players)):
                raise ValueError(f"turns must name players of {sorted(self.players)}. Received: {unknown}")
            if repeats < 1:
                raise ValueError(f"the repeats of a turn must be >= 1. Received: {repeats} for {names}")
        if unknown := sorted(set(self.conditioners) - set(self.nets)):
            raise ValueError(f"conditioners must be nets of {sorted(self.nets)}. Received: {unknown}")
        if set(self.signals) != set(self.players):
            raise ValueError(f"signals must name {sorted(self.players)}. Received: {sorted(self.signals)}")

    @property
    def card(self) -> dict[str, Any]:
        """What a saved model's `config.json` says of the game for people: the shape of examples, and the endpoints."""
        shape: Any = list(self.example_shape)
        if isinstance(self.example_shape, Mapping):
            shape = {domain: list(each) for domain, each in self.example_shape.items()}
        return {"example_shape": shape, "endpoints": sorted(self.endpoints)}

    @property
    def made_shape(self) -> tuple[int, ...]:
        """The shape of one example that the net `primary` makes."""
        return tuple(self.example_shape)

    @property
    def supports(self) -> frozenset[str]:
        """Which `Settings` of a loss change it: of `penalty_scale` and `augmentation`; by default none."""
        return frozenset()

    @property
    def conditioned(self) -> bool:
        """Whether losses and endpoints need a support set; by default, whether there are `conditioners`."""
        return bool(self.conditioners)

    def own(self, player: str, snapshot: Snapshot) -> Snapshot:
        """The same values, with `stop_gradient` on every net that `player` does not own, and on all state.

        A loss through `own` gives the *partial* derivative, the other players held fixed: what a GAN means. Without
        it a second-order meta-gradient also runs through the opponent's weights, the *total* derivative.
        """
        mine = self.players[player]
        weights = {n: ts if n in mine else functional.stop(ts) for n, ts in snapshot.weights.items()}
        return Snapshot(weights, functional.stop(snapshot.state))

    def view(self, support: Any, step: Any, seed: Any) -> tuple[Any, Any]:
        """What one inner step trains on and conditions on: `(batch, condition_on)`, by default all of `support`."""
        return support, support

    def condition(self, snapshot: Snapshot, support: Any) -> Any:
        """The conditioning tree that losses and endpoints are given for a support set; None when there is none."""
        return None

    def conditioning_of(self, net: str, conditioning: Any) -> Any:
        """What one net is given of the conditioning tree: by default all of it."""
        return conditioning

    def loss(
        self, player: str, snapshot: Snapshot, batch: Any, conditioning: Any, settings: Settings, seed: Any
    ) -> tuple[Any, ByNet, Any]:
        """One player's loss in training mode.

        Args:
            player: whose loss.
            snapshot: values of all nets.
            batch: float[n, *example], or a dict of domains.
            conditioning: what `condition` returned.
            settings: what the meta-learner decided.
            seed: int32[2].

        Returns:
            `(scalar, the full new state {net: [tensor]}, float32[signals[player]])`.
        """
        raise NotImplementedError

    def objective(self, player: str, snapshot: Snapshot, query: Any, conditioning: Any, seed: Any) -> Any:
        """What the outer loop minimises for `player` on the query set: by default its loss."""
        return self.loss(player, snapshot, query, conditioning, Settings(), seed)[0]

    def distance(self, snapshot: Snapshot, query: Any, conditioning: Any, seed: Any, biased: bool = False) -> Any:
        """A scalar distance from samples to the query set: the objective of learned rules, a reward of policies.

        With `biased` it is the distance of the two sets as they are, >= 0, of which a policy's reward takes logarithms.
        """
        raise NotImplementedError

    def copy_rate(self, snapshot: Snapshot, support: Any, query: Any, conditioning: Any, seed: Any) -> Any:
        """The share of as many samples as there are query examples that are copies of support examples, float32[]."""
        raise NotImplementedError

    def probe(self, player: str, snapshot: Snapshot, episode: Any, seed: Any) -> Any:
        """What `player` makes of a shared probe: how alike two adapted players are, is how alike these outputs are.

        Args:
            player: whose outputs.
            snapshot: values of all nets.
            episode: `Episode` of one task; its support set conditions, its query set are the probe's examples.
            seed: int32[2], the key of the probe's draws.

        Returns:
            A tensor of the same shape for every snapshot.
        """
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, with nets, losses and penalties serialized by Keras."""
        raise NotImplementedError

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Game:
        """Makes the game that `get_config` described, with freshly initialised nets."""
        raise NotImplementedError

    @property
    def endpoints(self) -> dict[str, Endpoint]:
        """What the trained game can do, by name."""
        raise NotImplementedError
