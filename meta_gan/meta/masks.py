"""Which weights the inner loop moves. ANIL, context-only and scale-and-shift adaptation differ in this alone."""

from __future__ import annotations

import re
from typing import Any

from meta_gan.games.base import Game
from meta_gan.meta_learners.base import MetaLearner
from meta_gan.types import ByPlayer, Mask, ParamInfo, Snapshot


def select(game: Game, pattern: str) -> Mask:
    """Chooses trainable weights by a regular expression on `net name/variable path`.

    Args:
        game: whose nets.
        pattern: searched (not matched in full) in names such as `generator/dcgan_generator/dense/kernel`; the empty
            pattern chooses every weight.

    Returns:
        `{player: ((net, index into the net's trainable variables), ...)}`, every player named.

    Raises:
        ValueError: an expression that is not valid, or that chooses no weight.

    Example:
        >>> mask = select(game, r"^generator/")   # only the generator adapts
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"'mask' must be a regular expression ({error}). Received: {pattern!r}") from error
    chosen: dict[str, tuple[tuple[str, int], ...]] = {}
    names = []
    for player, nets in game.players.items():
        params = []
        for net in nets:
            for index, variable in enumerate(game.nets[net].trainable_variables):
                names.append(f"{net}/{variable.path}")
                if expression.search(names[-1]):
                    params.append((net, index))
        chosen[player] = tuple(params)
    if not any(chosen.values()):
        raise ValueError(f"'mask' must choose at least one of {names}. Received: {pattern!r}")
    return chosen


def take(mask: Mask, snapshot: Snapshot) -> ByPlayer:
    """The adapted params of a snapshot, `{player: [tensor]}`."""
    return {p: [snapshot.weights[net][i] for net, i in params] for p, params in mask.items()}


def merge(mask: Mask, initial: Snapshot, params: ByPlayer, state: dict[str, Any]) -> Snapshot:
    """The snapshot that has `params` in their places, `initial` elsewhere, and `state`."""
    weights = {net: list(tensors) for net, tensors in initial.weights.items()}
    for player, places in mask.items():
        for (net, i), value in zip(places, params[player], strict=True):
            weights[net][i] = value
    return Snapshot(weights, state)


def prepare(game: Game, mask: Mask, learner: MetaLearner) -> None:
    """Makes a rule ready for a game and what adapts of it; see `MetaLearner.prepare`.

    Raises:
        ValueError: the rule decides a setting that the game does not heed, or how often a turn is taken in which
            nothing adapts, so that it would decide nothing; or it was set up for what does not fit.
    """
    supported = game.supports | ({"turns"} if any(mask[player] for player in game.turns[0][0]) else set())
    if unsupported := sorted(learner.needs - supported):
        raise ValueError(
            f"{type(learner).__name__} decides {unsupported}, which needs a game that supports it: one with a penalty, with "
            f"an augmentation, or whose first turn adapts. Received: a {type(game).__name__} that supports "
            f"{sorted(supported)}"
        )
    learner.prepare(infos(game, mask), game.signals)


def infos(game: Game, mask: Mask) -> dict[str, list[ParamInfo]]:
    """What a meta-learner is told about the params, `{player: [ParamInfo]}`."""
    told: dict[str, list[ParamInfo]] = {}
    for player, places in mask.items():
        told[player] = []
        for net, i in places:
            variable = game.nets[net].trainable_variables[i]
            shape = tuple(int(n) for n in variable.shape)
            fan_in = 1
            for size in shape[:-1]:
                fan_in *= size
            told[player].append(ParamInfo(f"{net}/{variable.path}", shape, fan_in))
    return told
