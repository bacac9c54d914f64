"""A rule in other units: what it is shown of the weights is divided by factors, and its moves multiplied by them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from meta_gan import functional
from meta_gan.meta import masks
from meta_gan.meta_learners.base import MetaLearner
from meta_gan.types import ByPlayer, Mask, Snapshot, Tensors

# The role of the factors' draws; see `inner_loop`.
SCALES = 7


def draw_scales(initial: Snapshot, mask: Mask, size: float, seed: Any) -> ByPlayer:
    """Draws a factor for every adapted tensor, its logarithm uniform in [-size, size].

    Args:
        initial: the nets' values.
        mask: what is adapted.
        size: >= 0.
        seed: int32[2], the task's key.

    Returns:
        `{player: [float[]]}`, in the dtypes of the tensors.
    """
    params, key = masks.take(mask, initial), functional.fold(seed, SCALES)
    numbers = iter(range(len(functional.flat(params))))

    def draw(param: Any) -> Any:
        own = functional.fold(key, next(numbers))
        return tf.exp(tf.random.stateless_uniform([], own, -size, size, dtype=param.dtype, alg="philox"))

    return tf.nest.map_structure(draw, params)


class Wrapped:
    """A rule behind another face: what stands before it changes some of its methods, and passes the rest on."""

    def __init__(self, learner: MetaLearner):
        self.learner = learner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.learner, name)


class Rescaled(Wrapped):
    """A rule that moves w / c in place of w, for one factor c a tensor: the same game in other units.

    The loss of w is a loss of v = w / c too, with c times the gradient; a move of v moves w by c times as much. A rule
    that does not care for units (plain gradient descent does) would move w as before.

    Args:
        learner: the rule.
        scales: `{player: [float[]]}`, > 0, as `draw_scales` gives them.
    """

    def __init__(self, learner: MetaLearner, scales: ByPlayer):
        super().__init__(learner)
        self.scales = scales

    def _shown(self, params: ByPlayer) -> ByPlayer:
        return {p: [w / c for w, c in zip(ws, self.scales[p], strict=True)] for p, ws in params.items()}

    def begin(self, params: ByPlayer) -> Any:
        """See `MetaLearner.begin`."""
        return self.learner.begin(self._shown(params))

    def update(
        self,
        state: Any,
        player: str,
        params: ByPlayer,
        gradients: Tensors,
        signals: Mapping[str, Any],
        seed: Any,
    ) -> tuple[Any, Tensors]:
        """See `MetaLearner.update`."""
        scales = self.scales[player]
        seen = [c * g for g, c in zip(gradients, scales, strict=True)]
        state, deltas = self.learner.update(state, player, self._shown(params), seen, signals, seed)
        return state, [c * d for d, c in zip(deltas, scales, strict=True)]
