"""`Replicas`: the tasks of a meta-batch shared out over the devices and workers of a `tf.distribute` strategy.

Each replica maps its share of the tasks, and all of them gather what every task gave. Whatever follows, such as the
mean over tasks, is computed by every replica from all tasks in their order. So a result does not depend on the number
of replicas, not even in its last bit, and no estimator needs to know of them. An all-reduce of means would send less
(the gradient of one task instead of those of a share), but would add in another order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from meta_gan import functional
from meta_gan.functional import MapTasks
from meta_gan.types import Tensor, Tree

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

    def run(self, function: Callable[[MapTasks], Tree]) -> Tree:
        """Call a pure function on every replica; to be called within a `tf.function`.

        Args:
            function: of a `map_tasks` that stands for `functional.map_tasks` and shares its tasks out, to a tree of
                tensors that is equal on all replicas.

        Returns:
            What the function returned on this worker's first replica.
        """
        results = self.strategy.run(lambda: function(_map_share))
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


def _map_share(fn: Callable[[Any], Any], batch: Tree, side_by_side: int | None = None) -> Any:
    """Map as `functional.map_tasks` does, each replica a share of the tasks; return the results of all of them."""
    replica = tf.distribute.get_replica_context()
    tasks = int(functional.flat(batch)[0].shape[0])
    share = -(-tasks // replica.num_replicas_in_sync)
    # Where the tasks do not divide evenly the last replicas repeat the last task, and the repetitions are dropped:
    # every replica gathers as many.
    mine = tf.minimum(replica.replica_id_in_sync_group * share + tf.range(share), tasks - 1)
    own = tf.nest.map_structure(lambda t: tf.ensure_shape(tf.gather(t, mine), [share, *t.shape[1:]]), batch)
    results = functional.map_tasks(fn, own, side_by_side)
    gathered = _gather(functional.flat(results), share)
    return tf.nest.pack_sequence_as(results, [each[:tasks] for each in gathered])


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
