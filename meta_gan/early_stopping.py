"""How many inner steps to make, decided by support examples that are held out; and a record of what was done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from meta_gan.adaptation import CompiledAdaptation
from meta_gan.checks import check_converged, check_integer, check_support

AUTO = "auto"
NUMBERS = (0, 1, 2, 5, 10, 20, 50, 100)
"""The numbers of inner steps that are tried."""
PARTS = 3
"""The parts of a support set, each of which is held out once; and so the fewest examples."""


@dataclass(frozen=True)
class History:
    """What the inner loop did.

    Attributes:
        steps: number of inner steps that led to the adapted weights.
        losses: `{player: float32[steps]}`, the mean loss of the player's turns in each step, before they moved.
        held_out: `{number of steps: distance}`, for `steps="auto"` only: the mean distance from samples to held-out
            examples, from which `steps` was chosen.
    """

    steps: int
    losses: dict[str, np.ndarray]
    held_out: dict[int, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the attributes as values that JSON can hold, None for a number that is not finite."""
        losses = {player: [_finite(loss) for loss in values] for player, values in self.losses.items()}
        return {"steps": self.steps, "losses": losses, "held_out": {str(n): d for n, d in self.held_out.items()}}


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def check_steps(steps: int | str | None, own: int, argument: str = "steps") -> int | None:
    """Return a number of inner steps, or None for "auto".

    Args:
        steps: an int >= 0, "auto", or None for the model's own.
        own: the model's own.
        argument: its name in the message.

    Raises:
        ValueError: anything else.

    Example:
        >>> check_steps(None, own=5)
        5
    """
    if isinstance(steps, str) and steps != AUTO:
        raise ValueError(f"{argument!r} must be an integer >= 0 or 'auto'. Received: {steps!r}")
    if steps == AUTO:
        return None
    return own if steps is None else check_integer(steps, argument, 0)


def fewest_best(distances: dict[int, float]) -> int:
    """Return the number of steps of the least distance, the smallest of equal ones."""
    return min(sorted(distances), key=lambda number: distances[number])


def held_out_distances(adaptation: CompiledAdaptation, support: Any, seed: int) -> dict[int, float]:
    """Measure how well a model fits examples of a class after different numbers of inner steps on others of it.

    The support set is cut into three parts. The model is adapted to each two of them, and its samples are compared with
    the third (`Game.distance`, biased); the distances are averaged. This is cross-validation, and has its weaknesses:
    each adaptation sees two thirds of the examples only, and the distance to a few of them is mostly chance.

    Args:
        adaptation: the compiled adaptation of a model of one kind of examples.
        support: float[k, *example] in [-1, 1], k >= 3.
        seed: int32 range, of the adaptations and samples.

    Returns:
        `{number of steps: mean distance}`, ascending from 0 steps, without those after which it is not finite.

    Raises:
        ValueError: fewer than three examples, or a game of two domains.
        DivergenceError: the distance is not finite even before adaptation.

    Example:
        >>> distances = held_out_distances(model.adaptation, twenty_images, seed=0)
        >>> steps = fewest_best(distances)
    """
    if isinstance(adaptation.game.example_shape, Mapping):
        raise ValueError("'steps' must be a number for a game of two domains. Received: 'auto'")
    examples = np.asarray(check_support(support, adaptation.game.example_shape))
    if len(examples) < PARTS:
        raise ValueError(
            f"'support' must have at least {PARTS} examples for steps='auto', which holds out a third. "
            f"Received: {len(examples)}"
        )
    parts = [np.arange(len(examples)) % PARTS == i for i in range(PARTS)]
    trajectories = [adaptation.trajectory(examples[~part], NUMBERS, seed) for part in parts]
    found = {}
    for number, snapshots in zip(NUMBERS, zip(*trajectories, strict=True), strict=True):
        each = [
            adaptation.held_out_distance(snapshot, examples[~part], examples[part], seed)
            for snapshot, part in zip(snapshots, parts, strict=True)
        ]
        found[number] = float(np.mean(each))
    check_converged([np.array(found[0])], "the distance from samples to held-out examples before adaptation")
    return {number: distance for number, distance in found.items() if np.isfinite(distance)}
