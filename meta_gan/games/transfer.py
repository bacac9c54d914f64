"""A game of one domain played on pairs of them: what is made is the target's, and knowledge begins with the source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from meta_gan import functional
from meta_gan.checks import check_integer, check_number
from meta_gan.games.base import Endpoint, Game
from meta_gan.types import ByNet, Settings, Snapshot

SOURCE, TARGET = "source", "target"


@keras.saving.register_keras_serializable("meta_gan")
class Transfer(Game):
    """Any game of one domain, a `GAN` from noise say, whose inner steps take source and target in turns.

    A support set and a query set are dicts `{"source": float[n, *example], "target": float[m, *example]}`. The inner
    steps 0, 2, 4, ... are those of the game on the source's support images, `source_steps` of them at most, the others
    on the target's, so that an adaptation starts from knowledge of the source; what is made in the end, by the game's
    own endpoints, is the target's. Nets that are told of a support set are told of the one whose step it is.

    Args:
        game: of one domain; it lends its nets and is not used by itself any more.
        source_weight: weight >= 0 of the source's query set in the outer objective, beside 1 of the target's.
        source_steps: how many inner steps are the source's, >= 0; None for every other one, to the end. A long
            adaptation that still takes turns at its end makes what lies between the domains.

    Raises:
        ValueError: a game that is one of domains already, a negative weight, or a negative or broken number of steps.

    Example:
        >>> gan = GAN(*meta_gan.networks.dcgan((28, 28, 1), width=8))
        >>> model = meta_gan.MetaModel(Transfer(gan), meta_gan.FOMAML(inner_steps=10))
        >>> model.adapt({"source": digits, "target": five_coats}).sample(64)  # coats

    Reference: Lin et al., "Learning to Transfer: Unsupervised Meta Domain Translation", 2020, which takes turns between
        the domains' objectives, in translators; this is the form from noise.
    """

    def __init__(self, game: Game, source_weight: float = 0.0, source_steps: int | None = None):
        check_number(source_weight, "source_weight", least=0)
        self.source_steps = None if source_steps is None else check_integer(source_steps, "source_steps", 0)
        if isinstance(game.example_shape, Mapping):
            raise ValueError(f"'game' must be of one domain. Received: {type(game).__name__} of {game.example_shape}")
        self.game, self.source_weight = game, float(source_weight)
        self.default_endpoint, self.primary, self.tells_copies = game.default_endpoint, game.primary, game.tells_copies
        super().__init__(
            nets=game.nets,
            players=game.players,
            turns=game.turns,
            signals=game.signals,
            example_shape={SOURCE: game.example_shape, TARGET: game.example_shape},
            conditioners=game.conditioners,
        )

    @property
    def made_shape(self) -> tuple[int, ...]:
        """See `Game.made_shape`."""
        return self.game.made_shape

    @property
    def supports(self) -> frozenset[str]:
        """See `Game.supports`."""
        return self.game.supports

    @property
    def conditioned(self) -> bool:
        """See `Game.conditioned`."""
        return self.game.conditioned

    def view(self, support: Any, step: Any, seed: Any) -> tuple[Any, Any]:
        """See `Game.view`: that of the game for the domain whose step it is."""
        whose = tf.equal(tf.math.floormod(step, 2), 0)
        if self.source_steps is not None:
            whose = tf.logical_and(whose, tf.math.floordiv(step, 2) < self.source_steps)
        examples = tf.cond(whose, lambda: support[SOURCE], lambda: support[TARGET])
        return self.game.view(examples, step, seed)

    def condition(self, snapshot: Snapshot, support: Any) -> Any:
        """See `Game.condition`: what the game makes of a support set, by domain where there are two."""
        if not isinstance(support, Mapping):
            return self.game.condition(snapshot, support)
        made = {domain: self.game.condition(snapshot, support[domain]) for domain in (SOURCE, TARGET)}
        return None if made[TARGET] is None else made

    def conditioning_of(self, net: str, conditioning: Any) -> Any:
        """See `Game.conditioning_of`."""
        return self.game.conditioning_of(net, _of(conditioning, TARGET))

    def loss(
        self, player: str, snapshot: Snapshot, batch: Any, conditioning: Any, settings: Settings, seed: Any
    ) -> tuple[Any, ByNet, Any]:
        """See `Game.loss`: the game's; on a batch of both domains the sum of both losses, and the target's signals."""
        if not isinstance(batch, Mapping):
            return self.game.loss(player, snapshot, batch, conditioning, settings, seed)
        value, signals = 0.0, None
        for number, domain in enumerate((SOURCE, TARGET)):
            told, draws = _of(conditioning, domain), functional.fold(seed, number)
            loss, state, signals = self.game.loss(player, snapshot, batch[domain], told, settings, draws)
            value, snapshot = value + loss, Snapshot(snapshot.weights, state)
        return value, snapshot.state, signals

    def objective(self, player: str, snapshot: Snapshot, query: Any, conditioning: Any, seed: Any) -> Any:
        """See `Game.objective`: the game's on the target, and on the source by its weight."""
        value = self.game.objective(player, snapshot, query[TARGET], _of(conditioning, TARGET), seed)
        if self.source_weight:
            told, draws = _of(conditioning, SOURCE), functional.fold(seed, 1)
            value += self.source_weight * self.game.objective(player, snapshot, query[SOURCE], told, draws)
        return value

    def distance(self, snapshot: Snapshot, query: Any, conditioning: Any, seed: Any, biased: bool = False) -> Any:
        """See `Game.distance`: the game's, of the target."""
        return self.game.distance(snapshot, query[TARGET], _of(conditioning, TARGET), seed, biased)

    def copy_rate(self, snapshot: Snapshot, support: Any, query: Any, conditioning: Any, seed: Any) -> Any:
        """See `Game.copy_rate`: the game's, of the target."""
        return self.game.copy_rate(snapshot, support[TARGET], query[TARGET], _of(conditioning, TARGET), seed)

    def probe(self, player: str, snapshot: Snapshot, episode: Any, seed: Any) -> Any:
        """See `Game.probe`: the game's, of the target."""
        target = episode._replace(support=episode.support[TARGET], query=episode.query[TARGET])
        return self.game.probe(player, snapshot, target, seed)

    @property
    def endpoints(self) -> dict[str, Endpoint]:
        """Those of the game, for the target."""

        def of_target(endpoint: Endpoint) -> Endpoint:
            def run(snapshot: Snapshot, conditioning: Any, inputs: Any, seed: Any) -> dict[str, Any]:
                return endpoint.fn(snapshot, _of(conditioning, TARGET), inputs, seed)

            return endpoint._replace(fn=run)

        return {name: of_target(endpoint) for name, endpoint in self.game.endpoints.items()}

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this game again, nets included."""
        game = keras.saving.serialize_keras_object(self.game)
        return {"game": game, "source_weight": self.source_weight, "source_steps": self.source_steps}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Transfer:
        """Makes the game that `get_config` described, with freshly initialised nets."""
        return cls(**{**config, "game": keras.saving.deserialize_keras_object(config["game"])})


def _of(conditioning: Any, domain: str) -> Any:
    """What the nets are told of one domain; inside an inner step there is but that of its own."""
    both = isinstance(conditioning, Mapping) and set(conditioning) == {SOURCE, TARGET}
    return conditioning[domain] if both else conditioning
