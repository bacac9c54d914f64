"""DAWSON's meta-gradient: the generator adapts against one discriminator and is judged by another.

To first order, as in the authors' code, from which we depart in two places. In theirs the discriminator makes all its
steps against the initial generator before the generator makes any; here they take turns on the support set, as when
the model is used. In theirs the discriminator's query loss is against the initial generator; here it is against the
adapted one, which gives the plain first-order MAML gradient.
"""

from __future__ import annotations

import dataclasses

import keras

from meta_gan import functional
from meta_gan.meta.estimators import Estimate, Estimator, end_gradients, metrics_of
from meta_gan.meta.inner_loop import InnerLoop
from meta_gan.types import Episode, MetaWeights, Snapshot, Tensor

# The role of the draws of the discriminator that adapts on the query set, apart from those on the support set.
OPPONENT = 5


@keras.saving.register_keras_serializable("meta_gan")
class SplitOpponents(Estimator):
    """DAWSON: the generator's query objective is judged by a discriminator that was adapted on the query set.

    1. Both players adapt on the support set as usual: D_s, G_s.
    2. From the initial weights, the discriminator alone adapts on the query set, against the initial generator and
       by as many steps, each of as many turns: D_q.
    3. The generator's gradient is that of its query objective at (G_s, D_q); the discriminator's is that of its
       query objective at (D_s, G_s). Both are taken at the end point, so to first order.

    Args:
        generator: name of the player that is judged.
        discriminator: name of the player that is adapted twice.

    Raises:
        ValueError: two equal names; when an estimate is made, a game whose players are not just these two, or a mask
            that selects no weight of the discriminator.

    Example:
        >>> algorithm = Algorithm("DAWSON", GradientDescent(0.001), SplitOpponents(), inner_steps=3)

    Reference: Liang, Liu and Liu, "DAWSON: A Domain Adaptive Few Shot Generation Framework", 2020.
    """

    def __init__(self, generator: str = "generator", discriminator: str = "discriminator"):
        if generator == discriminator:
            raise ValueError(f"'generator' and 'discriminator' must be two players. Received: {generator!r} twice")
        self.generator, self.discriminator = str(generator), str(discriminator)

    def task(self, loop: InnerLoop, meta: MetaWeights, episode: Episode, steps: int | Tensor) -> Estimate:
        """See `Estimator.task`. Metrics are those of `Unrolled`; `query/GENERATOR` is the objective with D_q."""
        game = loop.game
        if set(game.players) != {self.generator, self.discriminator}:
            raise ValueError(
                f"SplitOpponents needs a game of the players {self.generator!r} and {self.discriminator!r}. "
                f"Received: players {sorted(game.players)}"
            )
        if not loop.mask[self.discriminator]:
            raise ValueError(
                f"SplitOpponents needs a mask that selects weights of {self.discriminator!r}. Received: "
                f"{dict(loop.mask)}"
            )
        alone = dataclasses.replace(loop, mask={**loop.mask, self.generator: ()})
        carry, _ = alone.adapt(meta, episode.query, steps, functional.fold(episode.seed, OPPONENT))
        # No gradient goes through the judge.
        judge = functional.stop(alone.final(meta, carry))
        nets = game.players[self.discriminator]

        def objectives(end: Snapshot) -> dict[str, Tensor]:
            judged = Snapshot(
                {**end.weights, **{net: judge.weights[net] for net in nets}},
                {**end.state, **{net: judge.state[net] for net in nets}},
            )
            faced = {self.generator: judged, self.discriminator: end}
            return {p: loop.objective(p, game.own(p, faced[p]), episode) for p in game.players}

        carry, records = loop.adapt(meta, episode.support, steps, episode.seed)
        gradients, values = end_gradients(loop.final(meta, carry), objectives)
        return Estimate(gradients, [], carry.state, metrics_of(loop, records, values))
