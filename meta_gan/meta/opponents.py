"""DAWSON's meta-gradient: the generator adapts against one discriminator and is judged by another.

Liang, Liu and Liu, "DAWSON: A Domain Adaptive Few Shot Generation Framework", 2020. The discriminator is adapted on
the support set and, apart from that, on the query set; the generator is adapted against the first and its query loss
is taken with the second, so that the judge of held-out images has seen held-out images. To first order, as in the
authors' code, on top of our inner loop. We depart from that code in two places. There the discriminator makes all its
steps against the initial generator, and then the generator makes its own; here both take turns on the support set, as
they will when the model is used. And there the discriminator's query loss is taken against the initial generator;
here against the adapted one, which is its plain first-order MAML gradient.
"""

from __future__ import annotations

from typing import Any

import keras

from meta_gan import functional
from meta_gan.games.base import Game
from meta_gan.meta import inner_loop
from meta_gan.meta.gradients import Estimate, Estimator
from meta_gan.meta.unrolled import Unrolled
from meta_gan.meta_learners.base import MetaLearner
from meta_gan.types import Episode, Mask, MetaWeights, Snapshot

# The role of the draws of the discriminator that adapts on the query set: not those of the one on the support set.
OPPONENT = 5


class _Judged:
    """A game as it is, but for one player's objective, for which other nets have the values of another snapshot."""

    def __init__(self, game: Any, player: str, judge: Snapshot, nets: tuple[str, ...]):
        self._game, self._player, self._nets = game, player, nets
        # The judge holds still while it judges.
        self._judge = Snapshot(functional.stop(judge.weights), functional.stop(judge.state))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._game, name)

    def objective(self, player: str, snapshot: Snapshot, query: Any, conditioning: Any, seed: Any) -> Any:
        if player == self._player:
            weights = {net: self._judge.weights[net] for net in self._nets}
            state = {net: self._judge.state[net] for net in self._nets}
            snapshot = Snapshot({**snapshot.weights, **weights}, {**snapshot.state, **state})
        return self._game.objective(player, snapshot, query, conditioning, seed)


@keras.saving.register_keras_serializable("meta_gan")
class SplitOpponents(Estimator):
    """DAWSON: the generator's query objective is judged by a discriminator that was adapted on the query set.

    1. Both players adapt on the support set: D_s, G_s, as everywhere.
    2. From the initial weights, the discriminator alone adapts on the query set, against the initial generator and
       by as many steps, each of as many turns: D_q.
    3. The generator's gradient is that of its query objective at (G_s, D_q); the discriminator's is that of its
       query objective at (D_s, G_s). Both are taken at the end point, so to first order.

    Args:
        generator: name of the player that is judged.
        discriminator: name of the player that is adapted twice.

    Raises:
        ValueError: two equal names; when an estimate is made, a game whose players are not just these two, or mask
            that move nothing of the discriminator.

    Example:
        >>> algorithm = Algorithm("DAWSON", GradientDescent(0.001), SplitOpponents(), inner_steps=3)

    Reference: Liang, Liu and Liu, "DAWSON: A Domain Adaptive Few Shot Generation Framework", 2020.
    """

    def __init__(self, generator: str = "generator", discriminator: str = "discriminator"):
        if generator == discriminator:
            raise ValueError(f"'generator' and 'discriminator' must be two players. Received: {generator!r} twice")
        self.generator, self.discriminator = str(generator), str(discriminator)

    def get_config(self) -> dict[str, Any]:
        return {"generator": self.generator, "discriminator": self.discriminator}

    def task(
        self, game: Game, learner: MetaLearner, mask: Mask, meta: MetaWeights, episode: Episode, steps: Any
    ) -> Estimate:
        """See `Estimator.task`. Metrics are those of `Unrolled`; `query/GENERATOR` is what D_q makes of it."""
        if set(game.players) != {self.generator, self.discriminator}:
            raise ValueError(
                f"SplitOpponents needs a game of the players {self.generator!r} and {self.discriminator!r}. "
                f"Received: players {sorted(game.players)}"
            )
        if not mask[self.discriminator]:
            raise ValueError(
                f"SplitOpponents needs mask that move weights of {self.discriminator!r}. Received: {dict(mask)}"
            )
        alone = {player: chosen if player == self.discriminator else () for player, chosen in mask.items()}
        carry = inner_loop.begin(game, learner, alone, meta)
        seed = functional.fold(episode.seed, OPPONENT)
        carry, _ = inner_loop.advance(game, learner, alone, meta, carry, episode.query, steps, 1, seed)
        judge = inner_loop.final(alone, meta, carry)
        judged: Any = _Judged(game, self.generator, judge, game.players[self.discriminator])
        # The rest is first-order MAML, whose objective for the generator now has D_q in the place of D_s.
        return Unrolled(order=1).task(judged, learner, mask, meta, episode, steps)
