"""`Transfer`: adaptation of a one-domain game on a source and a target domain, to generate examples of the target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from meta_gan import functional
from meta_gan.checks import check_integer, check_number
from meta_gan.games.base import SOURCE, TARGET, Endpoint, Game, serialized
from meta_gan.types import ByNet, Episode, Examples, Settings, Snapshot, Tensor, Tree


@keras.saving.register_keras_serializable("meta_gan")
class Transfer(Game):
    """A game of one domain, such as a `GAN`, whose inner steps alternate between a source and a target domain.

    A support set and a query set are dicts `{"source": float[n, *example], "target": float[m, *example]}`. The inner
    steps 0, 2, 4, ... use the source's support examples, at most `source_steps` times; all other steps use the
    target's. In each step, conditioned nets receive the support set of the domain of that step. The endpoints generate
    examples of the target.

    Args:
        game: a game of one domain; this game uses its nets.
        source_weight: weight of the source's query set in the outer objective, >= 0; the target's has weight 1.
        source_steps: number of inner steps on the source, >= 0; None to alternate to the end. Samples after a long
            adaptation that alternates to its end lie between the two domains.

    Raises:
        ValueError: `game` has several domains, `source_weight` is negative, or `source_steps` is not an integer >= 0.

    Example:
        >>> gan = GAN(*meta_gan.networks.dcgan((28, 28, 1), width=8))
        >>> model = meta_gan.MetaModel(Transfer(gan), meta_gan.FOMAML(inner_steps=10))
        >>> model.adapt({"source": digits, "target": five_coats}).sample(64)  # coats

    Reference: Lin et al., "Learning to Transfer: Unsupervised Meta Domain Translation", 2020, which alternates between
        the objectives of the domains to train translators. We depart in generating from noise.
    """

    def __init__(self, game: Game, source_weight: float = 0.0, source_steps: int | None = None):
        self.source_weight = check_number(source_weight, "source_weight", least=0)
        self.source_steps = None if source_steps is None else check_integer(source_steps, "source_steps", 0)
        if isinstance(game.example_shape, Mapping):
            raise ValueError(
                f"'game' must have one domain. Received: {type(game).__name__} with {sorted(game.example_shape)}"
            )
        self.game, self.default_endpoint, self.primary = game, game.default_endpoint, game.primary
        self.fixed_sampling = game.fixed_sampling
        self.has_copy_rate = game.has_copy_rate
        super().__init__(
            nets=game.nets,
            players=game.players,
            turns=game.turns,
            signals=game.signals,
            example_shape={SOURCE: game.example_shape, TARGET: game.example_shape},
            conditioners=game.conditioners,
        )

    @property
    def output_shape(self) -> tuple[int, ...]:
        """See `Game.output_shape`."""
        return self.game.output_shape

    @property
    def supports(self) -> frozenset[str]:
        """See `Game.supports`."""
        return self.game.supports

    @property
    def conditioned(self) -> bool:
        """See `Game.conditioned`."""
        return self.game.conditioned

    def view(self, support: Examples, step: Tensor, seed: Tensor) -> tuple[Examples, Examples]:
        """See `Game.view`: the game's view of the domain of this step."""
        on_source = tf.equal(tf.math.floormod(step, 2), 0)
        if self.source_steps is not None:
            on_source = tf.logical_and(on_source, tf.math.floordiv(step, 2) < self.source_steps)
        examples = tf.cond(on_source, lambda: support[SOURCE], lambda: support[TARGET])
        return self.game.view(examples, step, seed)

    def condition(self, snapshot: Snapshot, support: Examples) -> Tree:
        """See `Game.condition`: the game's conditioning on a support set; a dict by domain for two support sets."""
        if not isinstance(support, Mapping):
            return self.game.condition(snapshot, support)
        made = {domain: self.game.condition(snapshot, support[domain]) for domain in (SOURCE, TARGET)}
        return None if made[TARGET] is None else made

    def conditioning_of(self, net: str, conditioning: Tree) -> Tree:
        """See `Game.conditioning_of`."""
        return self.game.conditioning_of(net, _of(conditioning, TARGET))

    def loss(
        self, player: str, snapshot: Snapshot, batch: Examples, conditioning: Tree, settings: Settings, seed: Tensor
    ) -> tuple[Tensor, ByNet, Tensor]:
        """See `Game.loss`: the game's loss; for a batch of two domains, the sum of losses and the target's signals."""
        if not isinstance(batch, Mapping):
            return self.game.loss(player, snapshot, batch, conditioning, settings, seed)
        value, signals = 0.0, None
        for number, domain in enumerate((SOURCE, TARGET)):
            received, draws = _of(conditioning, domain), functional.fold(seed, number)
            loss, state, signals = self.game.loss(player, snapshot, batch[domain], received, settings, draws)
            value, snapshot = value + loss, Snapshot(snapshot.weights, state)
        return value, snapshot.state, signals

    def objective(self, player: str, snapshot: Snapshot, query: Examples, conditioning: Tree, seed: Tensor) -> Tensor:
        """See `Game.objective`: the game's objective on the target plus the weighted objective on the source."""
        value = self.game.objective(player, snapshot, query[TARGET], _of(conditioning, TARGET), seed)
        if self.source_weight:
            received, draws = _of(conditioning, SOURCE), functional.fold(seed, 1)
            value += self.source_weight * self.game.objective(player, snapshot, query[SOURCE], received, draws)
        return value

    def distance(
        self, snapshot: Snapshot, query: Examples, conditioning: Tree, seed: Tensor, biased: bool = False
    ) -> Tensor:
        """See `Game.distance`: the game's distance on the target."""
        return self.game.distance(snapshot, query[TARGET], _of(conditioning, TARGET), seed, biased)

    def copy_rate(
        self, snapshot: Snapshot, support: Examples, query: Examples, conditioning: Tree, seed: Tensor
    ) -> Tensor:
        """See `Game.copy_rate`: the game's copy rate on the target."""
        return self.game.copy_rate(snapshot, support[TARGET], query[TARGET], _of(conditioning, TARGET), seed)

    def probe(self, player: str, snapshot: Snapshot, episode: Episode, seed: Tensor) -> Tensor:
        """See `Game.probe`: the game's outputs on the target."""
        target = episode._replace(support=episode.support[TARGET], query=episode.query[TARGET])
        return self.game.probe(player, snapshot, target, seed)

    @property
    def endpoints(self) -> dict[str, Endpoint]:
        """The game's endpoints, applied to the target domain."""

        def of_target(endpoint: Endpoint) -> Endpoint:
            def run(snapshot: Snapshot, conditioning: Tree, inputs: Tree, seed: Tensor) -> dict[str, Tensor]:
                return endpoint.fn(snapshot, _of(conditioning, TARGET), inputs, seed)

            return endpoint._replace(fn=run)

        return {name: of_target(endpoint) for name, endpoint in self.game.endpoints.items()}

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, with nets serialised."""
        return serialized(game=self.game, source_weight=self.source_weight, source_steps=self.source_steps)


def _of(conditioning: Tree, domain: str) -> Tree:
    """Return the conditioning of one domain; in an inner step the tree is already that of a single domain."""
    both = isinstance(conditioning, Mapping) and set(conditioning) == {SOURCE, TARGET}
    return conditioning[domain] if both else conditioning
