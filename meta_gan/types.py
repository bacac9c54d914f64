"""The values that pass between the parts: episodes, snapshots, meta-weights and the inner loop's carry.

Axes: `tasks` is the meta-batch, `shots` the support set of a task, `queries` its query set, and `*example` the shape of
one example, for images `[height, width, channels]`. Every type is a named tuple, and so a nested structure for
`tf.nest`, `tf.while_loop` and `tf.data`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from tensorflow import Tensor
else:
    Tensor = Any

Tree = Any
"""A nested structure of tensors, as of `tf.nest`: a tensor, or tuples, lists and dicts of structures; also None."""
Examples: TypeAlias = Tensor | dict[str, Tensor]
"""Examples of one domain, float[n, *example], or of several, `{domain: float[n, *example]}`."""
Tensors = list[Tensor]
ByNet = dict[str, Tensors]
ByPlayer = dict[str, Tensors]
Mask = Mapping[str, tuple[tuple[str, int], ...]]
"""`{player: ((net name, index into its trainable variables), ...)}`: the params that the inner loop adapts."""


class Episode(NamedTuple):
    """One task, or with a leading `tasks` axis a meta-batch of tasks.

    Attributes:
        support: float32[shots, *example] in [-1, 1], to which the model adapts.
        query: float32[queries, *example] in [-1, 1], disjoint from `support`, on which the adapted model is judged.
        task_id: int32[], the index of the class.
        seed: int32[2], the key of every random draw made for this task.
    """

    support: Examples
    query: Examples
    task_id: Tensor
    seed: Tensor


class Snapshot(NamedTuple):
    """Values of all nets of a game, trainable (`weights`) and not (`state`, such as moving averages), by net name."""

    weights: ByNet
    state: ByNet


class MetaWeights(NamedTuple):
    """Everything that the outer loop trains: the snapshot from which tasks start, and the meta-learner's variables."""

    initial: Snapshot
    meta_learner: Tensors


class Carry(NamedTuple):
    """The whole state of the inner loop, of fixed structure; a loop continued from it equals one that never stopped.

    Attributes:
        step: int32[], inner steps made so far.
        params: `{player: [tensor]}`, the current values of the adapted weights.
        state: `{net: [tensor]}`, the current non-trainable values of every net.
        meta_learner_state: the meta-learner's own tree, such as momenta.
        signals: `{player: float32[n]}`, what each player last reported of its loss and logits.
    """

    step: Tensor
    params: ByPlayer
    state: ByNet
    meta_learner_state: Tree
    signals: dict[str, Tensor]


class Settings(NamedTuple):
    """The settings of a turn that a meta-learner may change; None keeps the setting of the game.

    Attributes:
        rate_scale: float32[] >= 0 that multiplies the update, or None for 1.
        penalty_scale: float32[] >= 0 that multiplies the game's gradient penalty, or None for 1.
        augmentation: float32[] in [0, 1], the share of examples that the game augments, or None for all.
    """

    rate_scale: Tensor | None = None
    penalty_scale: Tensor | None = None
    augmentation: Tensor | None = None


class ParamInfo(NamedTuple):
    """The variable path, static shape and fan-in of one adapted tensor, from which a meta-learner is set up."""

    path: str
    shape: tuple[int, ...]
    fan_in: int
