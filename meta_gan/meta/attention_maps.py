"""Attention maps of an attention meta-learner, recorded during adaptation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from meta_gan import functional
from meta_gan.checks import check_integer
from meta_gan.meta import masks
from meta_gan.meta.inner_loop import InnerLoop
from meta_gan.types import ByPlayer, Examples, MetaWeights, Tensor, Tensors, Tree


class AttentionMap(NamedTuple):
    """The attention weights of one move of a player.

    Attributes:
        step: the inner step, from 0.
        player: the player that moved.
        tokens: the name of each token: net and variable path of a tensor, `game`, or `task_embedding`.
        weights: float[blocks, heads, tokens, tokens]; row i has the weights with which token i attends to all tokens,
            of sum 1.
    """

    step: int
    player: str
    tokens: tuple[str, ...]
    weights: np.ndarray


@dataclass(frozen=True, eq=False, kw_only=True)
class _Observed(InnerLoop):
    """An inner loop that records the meta-learner's attention before every move; it must run eagerly."""

    recorded: list[tuple[str, np.ndarray]]

    def _update(
        self,
        meta: MetaWeights,
        state: Tree,
        player: str,
        params: ByPlayer,
        gradients: Tensors,
        signals: dict[str, Tensor],
        seed: Tensor,
    ) -> tuple[Tree, Tensors]:
        meta_learner: Any = self.meta_learner
        received = (state, player, params, gradients, signals)
        found = functional.pure(meta_learner, meta_learner.attended, meta.meta_learner, *received)
        self.recorded.append((player, found.numpy()))
        return super()._update(meta, *received, seed)


def attention_maps(model: Any, support: Examples, steps: int = 10, seed: int = 0) -> list[AttentionMap]:
    """Adapt a model step by step and return the meta-learner's attention weights.

    Args:
        model: a `MetaModel` whose meta-learner is an `AttentionMetaLearner`.
        support: float[k, *example] in [-1, 1] or uint8, k >= 1.
        steps: inner steps, >= 1.
        seed: seed of the adaptation, as in `MetaModel.adapt`.

    Returns:
        An `AttentionMap` for every move, in order.

    Raises:
        ValueError: the meta-learner has no attention, `steps` is < 1, or `MetaModel.adapt` would refuse `support`.

    Example:
        >>> first = attention_maps(model, five_images, steps=1)[0]
        >>> first.weights.shape[2:] == (len(first.tokens),) * 2
        True
    """
    loop: InnerLoop = model.loop
    if not callable(getattr(loop.meta_learner, "attended", None)):
        raise ValueError(
            f"'model' must have a meta-learner with attention. Received: {type(loop.meta_learner).__name__}"
        )
    steps = check_integer(steps, "steps", 1)
    examples, meta = model.adaptation.checked(support), model.meta_weights(averaged=True)
    observed = _Observed(loop.game, loop.meta_learner, loop.mask, recorded=[])
    carry = observed.begin(meta)
    maps: list[AttentionMap] = []
    for step in range(steps):
        carry, _ = observed.advance(meta, carry, examples, 1, functional.seed_pair(seed))
        maps += [AttentionMap(step, player, _tokens(loop, player), found) for player, found in observed.recorded]
        observed.recorded.clear()
    return maps


def _tokens(loop: InnerLoop, player: str) -> tuple[str, ...]:
    """Return the names of the meta-learner's tokens in a move of `player`."""
    infos = masks.infos(loop.game, loop.mask)
    others = [name for name, params in infos.items() if params and name != player and loop.meta_learner.coupled]
    last = ("game", "task_embedding") if loop.meta_learner.embedding_dim else ("game",)
    return (*(param.path for name in (player, *others) for param in infos[name]), *last)
