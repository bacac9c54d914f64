"""What a controller may turn: for every knob the options of one decision, and what they come to over several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf

ACTIONS = ("rates", "turns", "penalty", "augmentation", "stop")
"""The kinds of knobs; "rates" is one knob for every player."""
NEEDS = {"penalty": "penalty_scale", "augmentation": "augmentation"}
"""What a game must heed (`Game.supports`) for a knob to turn anything."""
_FURTHEST = 16.0


class Knob(NamedTuple):
    """One knob.

    Attributes:
        name: such as `rate/generator`, or an entry of `ACTIONS`.
        options: what one decision chooses from: factors, summands, or the new value itself.
        still: the place among `options` of the one that changes nothing at the start.
        start: the value before the first decision, at which the game is as it is.
        how: "times", "plus" or "is": how an option changes the value.
        low, high: bounds of the value.
    """

    name: str
    options: tuple[float, ...]
    still: int
    start: float
    how: str
    low: float
    high: float

    def turned(self, value: Any, option: Any) -> Any:
        """The value after a decision: float32[] of a value float32[] and the place of an option int32[]."""
        chosen = tf.gather(tf.constant(self.options), option)
        changed = {"times": value * chosen, "plus": value + chosen, "is": chosen}[self.how]
        return tf.clip_by_value(changed, self.low, self.high)

    def shown(self, value: Any) -> Any:
        """The value as a policy sees it, of order 1 and 0 at the start."""
        return value - self.start if self.how == "plus" else tf.math.log(value / self.start) / tf.math.log(4.0)


def knobs_of(actions: Sequence[str], players: Sequence[str]) -> tuple[Knob, ...]:
    """The knobs of some kinds, in the order of `ACTIONS`.

    Rates and the penalty's weight are multiplied, and stay within 1/16 to 16 times the game's own; the discriminator's
    turns (those of the game's first turn) are 1, 2 or 4 times as many as the game's own; the share of augmented
    examples starts at 1 and goes down or up by a tenth; and to stop is for good.

    Args:
        actions: some of `ACTIONS`.
        players: those that move.
    """
    bounds = (1.0 / _FURTHEST, _FURTHEST)
    made = {
        "rates": [Knob(f"rate/{player}", (0.5, 0.8, 1.0, 1.25, 2.0), 2, 1.0, "times", *bounds) for player in players],
        "turns": [Knob("turns", (1.0, 2.0, 4.0), 0, 1.0, "is", 1.0, 4.0)],
        "penalty": [Knob("penalty", (0.5, 1.0, 2.0), 1, 1.0, "times", *bounds)],
        "augmentation": [Knob("augmentation", (-0.1, 0.0, 0.1), 1, 1.0, "plus", 0.0, 1.0)],
        "stop": [Knob("stop", (0.0, 1.0), 0, 0.0, "is", 0.0, 1.0)],
    }
    return tuple(knob for action in ACTIONS if action in actions for knob in made[action])
