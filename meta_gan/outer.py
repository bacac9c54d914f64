"""The outer step's Keras optimizers: one a group, checked before any of them moves a weight."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from meta_gan import functional

Groups = Mapping[str, Sequence[Any]]


def optimizers_of(groups: Groups, optimizer: Any) -> dict[str, keras.optimizers.Optimizer]:
    """An optimizer for every group.

    Args:
        groups: `{group: variables}`.
        optimizer: one Keras optimizer, copied for every group; `{group: optimizer}`; or None for Adam(1e-4).

    Raises:
        ValueError: a mapping that does not name every group and no other, or that shares one optimizer.
    """
    if optimizer is None:
        optimizer = keras.optimizers.Adam(1e-4)
    if not isinstance(optimizer, Mapping):
        kind, config = type(keras.optimizers.get(optimizer)), keras.optimizers.get(optimizer).get_config()
        return {group: kind.from_config(config) for group in groups}
    if set(optimizer) != set(groups):
        raise ValueError(f"'optimizer' must be one optimizer or name {sorted(groups)}. Received: {sorted(optimizer)}")
    if len({id(one) for one in optimizer.values()}) < len(optimizer):
        raise ValueError("every group must have an 'optimizer' of its own. Received: one object for several groups")
    return dict(optimizer)


def clips_of(groups: Groups, clip: float | Mapping[str, float] | None) -> dict[str, float | None]:
    """The greatest gradient norm of every group, None for no limit.

    Raises:
        ValueError: an unknown group, or a limit that is not > 0.
    """
    clips: dict[str, float | None] = dict.fromkeys(groups)
    clips.update(clip if isinstance(clip, Mapping) else dict.fromkeys(groups, clip))
    bad = {g: c for g, c in clips.items() if g not in groups or (c is not None and not c > 0)}
    if bad:
        raise ValueError(f"'clip' must be > 0 for groups of {sorted(groups)}. Received: {bad}")
    return clips


def checked_norms(gradients: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """The norm of every group's gradient, float32[], each behind a check that it is finite.

    Clipping would turn one NaN element into a NaN in every variable, so the check comes first; and the caller lets
    nothing move before all norms are there, so that a step is taken whole or not at all.

    Raises:
        tf.errors.InvalidArgumentError: when run, for a norm that is NaN or infinite.
    """
    return {
        group: tf.debugging.check_numerics(
            functional.global_norm(values),
            f"the meta-gradient of {group!r} is not finite: lower the inner or outer rate, or set 'clip'",
        )
        for group, values in gradients.items()
    }


def applied(apply: Callable[[], None], gradients: Mapping[str, Sequence[Any]], skip_nonfinite: bool) -> dict[str, Any]:
    """Takes an outer step if its gradients are finite.

    Args:
        apply: takes it.
        gradients: `{group: [tensor]}`.
        skip_nonfinite: whether a step whose gradients are not finite is left out, in place of an error.

    Returns:
        `{"gradient_norm/GROUP": float32[]}`, and with `skip_nonfinite` also `"skipped"`, 1 if the step was left out.

    Raises:
        tf.errors.InvalidArgumentError: see `checked_norms`; not with `skip_nonfinite`.
    """
    if not skip_nonfinite:
        norms = checked_norms(gradients)
        with tf.control_dependencies(list(norms.values())):
            apply()
        return {f"gradient_norm/{group}": norm for group, norm in norms.items()}
    norms = {group: functional.global_norm(values) for group, values in gradients.items()}
    finite = tf.reduce_all(tf.math.is_finite(list(norms.values())))

    def taken() -> Any:
        apply()
        return tf.constant(0.0)

    skipped = tf.cond(finite, taken, lambda: tf.constant(1.0))
    return {**{f"gradient_norm/{group}": norm for group, norm in norms.items()}, "skipped": skipped}


def metric_names(players: Iterable[str], meta_learner: str) -> list[str]:
    """All that an outer step or a validation may report, of a game with these players."""
    names = [f"{kind}/{when}" for kind in ("distance", "copy_rate") for when in ("before", "after")]
    names += [f"gradient_norm/{meta_learner}", "skipped"]
    names += ["reward", "entropy", "diverged"]
    for player in players:
        names += [f"{prefix}/{player}" for prefix in ("query", "loss", "gradient_norm", "consistency")]
        names += [f"query/{player}/{when}" for when in ("before", "after")]
    return names


def clipped(gradients: list[Any], limit: float | None) -> list[Any]:
    """The gradients, scaled together to a norm of at most `limit`."""
    return gradients if limit is None else functional.clip_by_norm(gradients, limit)


def average(shadows: list[Any], variables: list[Any], averaging: float, steps: Any) -> None:
    """Moves moving averages a step towards their variables.

    The decay is `averaging`, but in the first steps less, (1 + steps) / (10 + steps): else an average of a short run is
    mostly of the initial weights, of which .999 keeps 61 % for 500 steps.

    Args:
        shadows: the averages, Keras variables.
        variables: what they are averages of.
        averaging: in (0, 1).
        steps: int[], outer steps made, this one included.
    """
    made = tf.cast(steps, tf.float32)
    decay = tf.minimum(averaging, (1.0 + made) / (10.0 + made))
    for shadow, variable in zip(shadows, variables, strict=True):
        shadow.assign(variable + tf.cast(decay, variable.dtype) * (shadow - variable))
