"""The shapes that travel between the parts: episodes, snapshots, meta-weights, and the inner loop's carry.

Vocabulary of axes: `tasks` is the meta-batch, `shots` the support images of a task, `queries` its query images, and
`*example` the shape of one example, for images `[height, width, channels]`, float32 in [-1, 1]. Every type is a
named tuple, so every one of them is a nested structure for `tf.nest`, `tf.while_loop` and `tf.data`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    import tensorflow as tf

Tensor: TypeAlias = "tf.Tensor"
"""A tensor of TensorFlow, in annotations."""
Tensors = list[Any]
ByNet = dict[str, Tensors]
ByPlayer = dict[str, Tensors]
Mask = Mapping[str, tuple[tuple[str, int], ...]]
"""`{player: ((net name, index into its trainable variables), ...)}`: the weights that the inner loop moves."""


class Episode(NamedTuple):
    """One task, or with a leading `tasks` axis a meta-batch of them.

    Attributes:
        support: float32[shots, *example] in [-1, 1], what the model adapts to.
        query: float32[queries, *example] in [-1, 1], disjoint from `support`, what the adapted model is judged on.
        task_id: int32[], the index of the class.
        seed: int32[2], the key of every random draw made for this task.
    """

    support: Any
    query: Any
    task_id: Any
    seed: Any


class Snapshot(NamedTuple):
    """Values of all nets of a game, trainable (`weights`) and not (`state`, such as moving averages), by net name."""

    weights: ByNet
    state: ByNet


class MetaWeights(NamedTuple):
    """All that the outer loop trains: where every task starts, and the values of the meta-learner's variables."""

    initial: Snapshot
    meta_learner: Tensors


class Carry(NamedTuple):
    """The whole state of the inner loop, of fixed structure; continuing from it is the same as never having stopped.

    Attributes:
        step: int32[], inner steps made so far.
        params: `{player: [tensor]}`, the current values of the adapted weights.
        state: `{net: [tensor]}`, the current non-trainable values of every net.
        meta_learner_state: the meta-learner's own tree, such as momenta.
        signals: `{player: float32[n]}`, what each player last reported of its loss and logits.
    """

    step: Any
    params: ByPlayer
    state: ByNet
    meta_learner_state: Any
    signals: dict[str, Any]


class Settings(NamedTuple):
    """What a meta-learner may decide before a turn; `None` leaves the game's own choice.

    Attributes:
        rate_scale: float32[] >= 0 that multiplies the update, or None for 1.
        penalty_scale: float32[] >= 0 that multiplies the game's gradient penalty, or None for 1.
        augmentation: float32[] in [0, 1], the share of examples that the game's augmentation changes, or None for all.
    """

    rate_scale: Any = None
    penalty_scale: Any = None
    augmentation: Any = None


class ParamInfo(NamedTuple):
    """What a meta-learner is told of one adapted tensor: its variable path, static shape, and fan-in."""

    path: str
    shape: tuple[int, ...]
    fan_in: int
