"""Calls of a game's nets in a row."""

from __future__ import annotations

from typing import Any

from meta_gan import functional
from meta_gan.games.base import Game
from meta_gan.types import Snapshot


class Calls:
    """Calls of nets, each net's state carried on and each call with a seed of its own.

    Args:
        game: whose nets.
        snapshot: values of all nets.
        conditioning: what `Game.condition` returned.
        training: whether the calls are those of training.
        seed: int32[2], of which every call gets one of its own.

    Attributes:
        state: of all nets, after the calls so far.

    Example:
        >>> calls = Calls(game, snapshot, None, False, seed)
        >>> logits = calls("discriminator", images)
    """

    def __init__(self, game: Game, snapshot: Snapshot, conditioning: Any, training: bool, seed: Any):
        self.game, self.weights, self.state = game, snapshot.weights, dict(snapshot.state)
        self.conditioning, self.training, self.seed, self.made = conditioning, training, seed, 0

    def __call__(self, net: str, x: Any) -> Any:
        """Return what the net makes of float[n, ...]."""
        seed, self.made = functional.fold(self.seed, self.made), self.made + 1
        given = self.game.conditioning_of(net, self.conditioning)
        out, self.state[net] = functional.call(
            self.game.nets[net], self.weights[net], self.state[net], x, given, self.training, seed
        )
        return out
