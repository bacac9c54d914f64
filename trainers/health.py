"""Alarms of a run: a dead discriminator, collapsed samples, divergence; and the rollbacks after bad steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

COLLAPSED = 0.1
"""Diversity of a task's samples, relative to its real examples, below which they have collapsed."""
DEAD_SPREAD = 1e-6
"""Spread of a discriminator's logits over their size, below which they do not depend on its input."""
DEAD_GRADIENT = 1e-12
"""Norm of the discriminator's meta-gradient below which it does not learn."""
ROLLBACKS = 2
"""Number of times that a run goes back to a checkpoint before it stops."""


def alarms(metrics: Mapping[str, float], validation: Mapping[str, float]) -> dict[str, str]:
    """Return the alarms after a validation, as `{name: sentence}`.

    Args:
        metrics: of the last step.
        validation: means over the validation tasks, with the keys that `metrics.jsonl` has.

    Returns:
        Any of "divergence", "collapse" and "dead_discriminator".

    Example:
        >>> list(alarms({}, {"validation/diversity": 0.02}))
        ['collapse']
    """
    found = {}
    broken = [name for name, value in validation.items() if not math.isfinite(value)]
    if broken:
        found["divergence"] = f"{broken[0]!r} is not finite on the validation classes"
    diversity = validation.get("validation/diversity", math.inf)
    if diversity < COLLAPSED:
        found["collapse"] = f"samples of a class differ by {diversity:.3g} of what real ones do (below {COLLAPSED:g})"
    spread = validation.get("validation/discriminator_spread", math.inf)
    norm = metrics.get("gradient_norm/discriminator", math.inf)
    if spread < DEAD_SPREAD:
        found["dead_discriminator"] = f"the discriminator's outputs do not depend on its input (spread {spread:.3g})"
    elif norm < DEAD_GRADIENT:
        found["dead_discriminator"] = f"the discriminator is saturated: the norm of its gradient is {norm:.3g}"
    return found


@dataclass(frozen=True)
class Rollback:
    """A return to a checkpoint.

    Attributes:
        at: the step after which the run went back.
        to: the step of the checkpoint.
    """

    at: int
    to: int


def data_step(step: int, rollbacks: Sequence[Rollback]) -> int:
    """Return the number of the meta-batch of a step.

    After a rollback the run has the meta-batches that follow those with which it went wrong; the same ones would lead
    there again. A resumed run knows the rollbacks of its folder, so it has the same meta-batches.

    Args:
        step: >= 0.
        rollbacks: those of the run until now.

    Example:
        >>> [data_step(step, [Rollback(at=30, to=20)]) for step in (19, 20, 21)]
        [19, 30, 31]
    """
    return step + sum(back.at - back.to for back in rollbacks if back.to <= step)
