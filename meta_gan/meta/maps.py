"""Who looks at whom: the attention of a learned rule while it adapts to a few examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from meta_gan import functional
from meta_gan.checks import check_integer
from meta_gan.meta import inner_loop, masks
from meta_gan.meta.rescaled import Wrapped
from meta_gan.types import ByPlayer, Tensors


class AttentionMap(NamedTuple):
    """The attention of one move.

    Attributes:
        step: the inner step, from 0.
        player: who moved.
        tokens: what each token is: net and path of a weight, `game`, or `code`.
        weights: float[blocks, heads, tokens, tokens], rows of sum 1: how much each token takes from each.
    """

    step: int
    player: str
    tokens: tuple[str, ...]
    weights: np.ndarray


class _Watched(Wrapped):
    """A rule that notes its attention before every move. For loops that are not traced."""

    def __init__(self, learner: Any):
        super().__init__(learner)
        self.attended = learner.attended
        self.noted: list[tuple[str, np.ndarray]] = []

    def update(
        self,
        state: Any,
        player: str,
        params: ByPlayer,
        gradients: Tensors,
        signals: Mapping[str, Any],
        seed: Any,
    ) -> tuple[Any, Tensors]:
        self.noted.append((player, self.attended(state, player, params, gradients, signals).numpy()))
        return self.learner.update(state, player, params, gradients, signals, seed)


def attention_maps(model: Any, support: Any, steps: int = 10, seed: int = 0) -> list[AttentionMap]:
    """Adapts a model, step by step, and keeps what the rule attended to.

    Args:
        model: a `MetaModel` whose rule is an `AttentionMetaLearner`.
        support: float[k, *example] in [-1, 1] or uint8, k >= 1.
        steps: inner steps, >= 1.
        seed: of the adaptation, as in `MetaModel.adapt`.

    Returns:
        An `AttentionMap` for every move, in order.

    Raises:
        ValueError: a rule without attention, no steps, or a support that `MetaModel.adapt` would refuse.

    Example:
        >>> first = attention_maps(model, five_images, steps=1)[0]
        >>> first.weights.shape[2:] == (len(first.tokens),) * 2
        True
    """
    learner, mask = model.meta_learner, model.mask
    if not callable(getattr(learner, "attended", None)):
        raise ValueError(f"`model` must have a rule with attention. Received: {type(learner).__name__}")
    steps = check_integer(steps, "steps", 1)
    examples = model.adaptation.checked(support)
    meta, watched = model.meta_weights(averaged=True), _Watched(learner)
    rule: Any = watched
    carry = inner_loop.begin(model.game, rule, mask, meta)
    maps: list[AttentionMap] = []
    for step in range(steps):
        carry, _ = inner_loop.advance(model.game, rule, mask, meta, carry, examples, 1, 1, functional.seed_pair(seed))
        maps += [AttentionMap(step, player, _tokens(model, player), found) for player, found in watched.noted]
        watched.noted.clear()
    return maps


def _tokens(model: Any, player: str) -> tuple[str, ...]:
    """What the rule's tokens are when a player moves."""
    told = masks.infos(model.game, model.mask)
    others = [name for name, params in told.items() if params and name != player and model.meta_learner.coupled]
    last = ("game", "task_embedding") if model.meta_learner.embedding_dim else ("game",)
    return (*(param.path for name in (player, *others) for param in told[name]), *last)
