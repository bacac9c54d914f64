"""`Replicas`: the tasks of a meta-batch shared out over the devices and workers of a `tf.distribute` strategy.

Each replica maps its share of the tasks. A mean over tasks is added in pairs (`functional.pairwise_sum`): where the
size of a share is a power of two, each replica adds its own tasks and sends one sum, else all gather what every task
gave. Either way the additions are those of one process, so that a result does not depend on the number of replicas,
not even in its last bit, and no estimator needs to know of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from meta_gan import functional
from meta_gan.functional import TaskMap, pairwise_sum
from meta_gan.types import Tensor, Tensors, Tree

STRATEGIES = (tf.distribute.MirroredStrategy, tf.distribute.MultiWorkerMirroredStrategy)
_CARRIER = tf.float32


class Replicas:
    """The replicas of a strategy, one on each device of each worker.

    Variables are not distributed: every worker has its own, plain ones. Their values go into `run` and values come out,
    equal on all replicas, so that the same update of every worker's variables keeps them equal.

    Args:
        strategy: a `tf.distribute.MirroredStrategy` or `MultiWorkerMirroredStrategy`. The latter must be made before
            any TensorFlow operation, and reads `TF_CONFIG`.

    Attributes:
        count: number of replicas, of all workers.
        workers: number of workers, 1 for one process.
        worker: index of this worker; 0 is the chief, which writes files.
        addresses: `"host:port"` of each worker; none for one process.

    Raises:
        ValueError: another strategy; or a cluster with tasks other than workers (and a chief).

    Example:
        >>> replicas = Replicas(tf.distribute.MirroredStrategy(["CPU:0"]))
        >>> replicas.run(lambda map_tasks: map_tasks(lambda x: 2.0 * x, tf.constant([1.0, 2.0]))).numpy()
        array([2., 4.], dtype=float32)
    """

    def __init__(self, strategy: tf.distribute.Strategy):
        if not isinstance(strategy, STRATEGIES):
            raise ValueError(
                "'strategy' must be a MirroredStrategy or a MultiWorkerMirroredStrategy. Received: "
                f"{type(strategy).__name__}"
            )
        self.strategy, self.count = strategy, int(strategy.num_replicas_in_sync)
        self.addresses, self.worker = _cluster(strategy)
        self.workers = max(1, len(self.addresses))
        self._gatherings: dict[tuple[tf.TensorSpec, ...], Any] = {}

    @property
    def chief(self) -> bool:
        """True for the worker that writes files."""
        return self.worker == 0

    def run(self, function: Callable[[TaskMap], Tree]) -> Tree:
        """Call a pure function on every replica; to be called within a `tf.function`.

        Args:
            function: of a `TaskMap` that shares its tasks out, to a tree of tensors that is equal on all replicas.

        Returns:
            What the function returned on this worker's first replica.
        """
        results = self.strategy.run(lambda: function(_SharedTaskMap()))
        return tf.nest.map_structure(lambda value: self.strategy.experimental_local_results(value)[0], results)

    def gather(self, values: Sequence[float]) -> np.ndarray:
        """Return the values of every worker, float64[workers, n]; every worker must call it with as many values.

        Args:
            values: n numbers.
        """
        return self.gather_tensors([tf.constant(list(values), tf.float64)])[0].numpy()

    def gather_tensors(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return tensors of every worker, each with a leading axis `workers`; every worker must give the same shapes.

        Args:
            tensors: of one shape and dtype each on all workers.
        """
        if self.workers == 1:
            return [tf.convert_to_tensor(tensor)[None] for tensor in tensors]
        specs = tuple(tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in tensors)
        if specs not in self._gatherings:

            def gathered(*values: Tensor) -> list[Tensor]:
                found = self.run(lambda _: _gather([value[None] for value in values], 1))
                return [each[:: self.count // self.workers] for each in found]

            self._gatherings[specs] = tf.function(gathered, autograph=False, input_signature=specs)
        return list(self._gatherings[specs](*tensors))


def _cluster(strategy: tf.distribute.Strategy) -> tuple[list[str], int]:
    """Return the addresses of all workers, the chief's first, and this worker's index; none and 0 for one process."""
    resolver = strategy.cluster_resolver
    cluster = {} if resolver is None else resolver.cluster_spec().as_dict()
    if not cluster or not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return [], 0
    if other := sorted(set(cluster) - {"chief", "worker"}):
        raise ValueError(f"TF_CONFIG must have workers, and at most one chief. Received: {other}")
    chiefs = list(cluster.get("chief", []))
    index = int(resolver.task_id) + (len(chiefs) if resolver.task_type == "worker" else 0)
    return [*chiefs, *cluster.get("worker", [])], index


class _SharedTaskMap(TaskMap):
    """Maps a share of the tasks on each replica; to be called in the replicas' context."""

    def __call__(self, fn: Callable[[Any], Any], batch: Tree, side_by_side: int | None = None) -> Any:
        own, tasks, share = _share_of(batch)
        results = functional.map_tasks(fn, own, side_by_side)
        gathered = _gather(functional.flat(results), share)
        return tf.nest.pack_sequence_as(results, [each[:tasks] for each in gathered])

    def sums(
        self, fn: Callable[[Any], tuple[dict[str, Tensor], Tensors]], batch: Tree
    ) -> tuple[dict[str, Tensor], Tensors]:
        own, tasks, share = _share_of(batch)
        vectors, others = functional.map_to_arrays(fn, own)
        others = [each.read(0) for each in others]
        if share & (share - 1):
            gathered = [each[:tasks] for each in _gather([each.stack() for each in vectors.values()], share)]
        else:
            gathered = _gather([_own_sum(each, share, tasks)[None] for each in vectors.values()], 1)
        rows = [tf.TensorArray(each.dtype, each.shape[0], element_shape=each.shape[1:]) for each in gathered]
        sums = [pairwise_sum(row.unstack(each)) for row, each in zip(rows, gathered, strict=True)]
        return dict(zip(vectors, sums, strict=True)), others


def _own_sum(values: tf.TensorArray, share: int, tasks: int) -> Tensor:
    """Return the sum over a replica's share of the tasks, those beyond the last left out."""
    replica = tf.distribute.get_replica_context()
    first = replica.replica_id_in_sync_group * share
    for i in range(share if share * replica.num_replicas_in_sync > tasks else 0):
        own = values.read(i)
        values = values.write(i, tf.where(first + i < tasks, own, tf.zeros_like(own)))
    return pairwise_sum(values)


def _share_of(batch: Tree) -> tuple[Tree, int, int]:
    """Return a replica's share of a batch, the number of tasks of the whole, and of the share.

    Where the tasks do not divide evenly the last replicas repeat the last task, for every replica gathers as many. What
    the repetitions give is dropped.
    """
    replica = tf.distribute.get_replica_context()
    tasks = int(functional.flat(batch)[0].shape[0])
    share = -(-tasks // replica.num_replicas_in_sync)
    mine = tf.minimum(replica.replica_id_in_sync_group * share + tf.range(share), tasks - 1)
    own = tf.nest.map_structure(lambda t: tf.ensure_shape(tf.gather(t, mine), [share, *t.shape[1:]]), batch)
    return own, tasks, share


def _gather(tensors: Sequence[Tensor], share: int) -> list[Tensor]:
    """Return the tensors of all replicas, joined along their leading axis of size `share`; the bits are kept.

    They travel as one tensor: a model has a hundred of them, and each gathering waits for every replica.
    """
    replica = tf.distribute.get_replica_context()
    packed = [tf.reshape(_carried(tensor), [share, -1]) for tensor in tensors]
    joined = replica.all_gather(tf.concat(packed, axis=1), axis=0)
    total = share * replica.num_replicas_in_sync
    parts = tf.split(tf.ensure_shape(joined, [total, None]), [part.shape[1] for part in packed], axis=1)
    return [_restored(part, tensor, total) for part, tensor in zip(parts, tensors, strict=True)]


def _carried(tensor: Tensor) -> Tensor:
    """Return a tensor's bits as float32, with a last axis of 2 for numbers of eight bytes."""
    if tensor.dtype.size < _CARRIER.size:  # exact, there and back
        return tf.cast(tensor, _CARRIER)
    return tensor if tensor.dtype == _CARRIER else tf.bitcast(tensor, _CARRIER)


def _restored(part: Tensor, tensor: Tensor, total: int) -> Tensor:
    """Return what `_carried` gave in the dtype and shape of `tensor`, but for a leading axis of size `total`."""
    shape = [total, *tensor.shape[1:]]
    if tensor.dtype.size < _CARRIER.size:
        return tf.cast(tf.reshape(part, shape), tensor.dtype)
    if tensor.dtype == _CARRIER:
        return tf.reshape(part, shape)
    return tf.bitcast(tf.reshape(part, [*shape, *[2] * (tensor.dtype.size // _CARRIER.size - 1)]), tensor.dtype)
