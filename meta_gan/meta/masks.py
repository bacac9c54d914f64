"""Masks: which params the inner loop adapts. ANIL, context-only and scale-and-shift adaptation differ in this alone."""

from __future__ import annotations

import math
import re

from meta_gan.games.base import Game
from meta_gan.types import ByNet, ByPlayer, Mask, ParamInfo, Snapshot


def select(game: Game, pattern: str) -> Mask:
    """Select trainable weights by a regular expression on `net name/variable path`.

    Args:
        game: whose nets.
        pattern: searched (not matched in full) in names such as `generator/dcgan_generator/dense/kernel`; the empty
            pattern selects every weight.

    Returns:
        `{player: ((net, index into the net's trainable variables), ...)}`, with every player.

    Raises:
        ValueError: an expression that is not valid, or that selects no weight.

    Example:
        >>> mask = select(game, r"^generator/")   # only the generator adapts
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"'mask' must be a regular expression ({error}). Received: {pattern!r}") from error
    every = {
        player: {
            (net, index): f"{net}/{variable.path}"
            for net in nets
            for index, variable in enumerate(game.nets[net].trainable_variables)
        }
        for player, nets in game.players.items()
    }
    chosen = {
        player: tuple(place for place, name in names.items() if expression.search(name))
        for player, names in every.items()
    }
    if not any(chosen.values()):
        names = [name for named in every.values() for name in named.values()]
        raise ValueError(f"'mask' must choose at least one of {names}. Received: {pattern!r}")
    return chosen


def take(mask: Mask, snapshot: Snapshot) -> ByPlayer:
    """Return the params of a snapshot, `{player: [tensor]}`."""
    return {player: [snapshot.weights[net][i] for net, i in places] for player, places in mask.items()}


def merge(mask: Mask, initial: Snapshot, params: ByPlayer, state: ByNet) -> Snapshot:
    """Return a snapshot with `params` in the places of the mask, `initial` elsewhere, and `state`."""
    weights = {net: list(tensors) for net, tensors in initial.weights.items()}
    for player, places in mask.items():
        for (net, i), value in zip(places, params[player], strict=True):
            weights[net][i] = value
    return Snapshot(weights, state)


def infos(game: Game, mask: Mask) -> dict[str, list[ParamInfo]]:
    """Describe the params to a meta-learner, `{player: [ParamInfo]}`."""
    described: dict[str, list[ParamInfo]] = {}
    for player, places in mask.items():
        described[player] = []
        for net, i in places:
            variable = game.nets[net].trainable_variables[i]
            shape = tuple(int(n) for n in variable.shape)
            described[player].append(ParamInfo(f"{net}/{variable.path}", shape, math.prod(shape[:-1])))
    return described
