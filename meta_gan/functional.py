"""Keras models as pure functions of their values, algebra on trees of tensors, seeds, and mapping over tasks.

This is the only file that calls `stateless_call`. All other code passes weights as values, so that the inner loop
can be differentiated through its own updates; no gradient flows through Keras optimizers and `assign`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf

from meta_gan.types import Snapshot, Tensor, Tensors, Tree

MAX_SIDE_BY_SIDE = 8


def is_seed(variable: keras.Variable) -> bool:
    """Return whether a Keras variable is the state of a `SeedGenerator` (of a Dropout or noise layer)."""
    return str(variable.path).rpartition("/")[2].startswith("seed_generator_state")


def fold(seed: Tensor, number: int | Tensor) -> Tensor:
    """Derive a new seed deterministically from a seed and a number.

    Args:
        seed: int32[2].
        number: int or int32[].

    Returns:
        int32[2].
    """
    return tf.random.experimental.stateless_fold_in(tf.convert_to_tensor(seed), number)


def seed_pair(seed: int | Tensor) -> Tensor:
    """Convert a user's seed, int or int32[], to the int32[2] key of a draw."""
    return tf.stack([tf.cast(seed, tf.int32), tf.constant(0x6D67, tf.int32)])


def read(nets: dict[str, keras.Model]) -> Snapshot:
    """Read the current values of models into a snapshot.

    Args:
        nets: `{name: built Keras model}`.

    Returns:
        `Snapshot` of `{name: [tensor]}`, trainable and non-trainable, in Keras's order.
    """

    def value(variable: keras.Variable) -> Tensor:
        return tf.convert_to_tensor(variable.value)

    return Snapshot(
        {name: [value(v) for v in net.trainable_variables] for name, net in nets.items()},
        {name: [value(v) for v in net.non_trainable_variables] for name, net in nets.items()},
    )


def of_nets(snapshot: Snapshot, names: Iterable[str]) -> Snapshot:
    """Return the part of a snapshot that holds the values of some nets, without a copy."""
    wanted = tuple(names)
    return Snapshot({n: snapshot.weights[n] for n in wanted}, {n: snapshot.state[n] for n in wanted})


def write(nets: dict[str, keras.Model], snapshot: Snapshot) -> None:
    """Assign a snapshot's values to the models' variables."""
    for name, net in nets.items():
        for variable, value in zip(net.trainable_variables, snapshot.weights[name], strict=True):
            variable.assign(value)
        for variable, value in zip(net.non_trainable_variables, snapshot.state[name], strict=True):
            variable.assign(value)


def call(
    net: keras.Model,
    weights: Tensors,
    state: Tensors,
    inputs: Tree,
    conditioning: Tree,
    training: bool,
    seed: Tensor,
) -> tuple[Tree, Tensors]:
    """Call a Keras model with the given values in place of its variables.

    The state of every seed generator inside the model is overwritten from `seed` and returned unchanged, so that
    Dropout and noise layers are functions of `seed` alone.

    Args:
        net: a built Keras model.
        weights: values for `net.trainable_variables`.
        state: values for `net.non_trainable_variables`.
        inputs: of the model.
        conditioning: tree of tensors passed as the keyword `conditioning`; None to pass nothing, so that any plain
            Keras model can be an unconditioned player.
        training: bool.
        seed: int32[2].

    Returns:
        `(outputs, new state)`.
    """
    keyed = [
        tf.cast(fold(seed, i), value.dtype) if is_seed(variable) else value
        for i, (variable, value) in enumerate(zip(net.non_trainable_variables, state, strict=True))
    ]
    extra = {} if conditioning is None else {"conditioning": conditioning}
    outputs, new_state, added = net.stateless_call(
        weights, keyed, inputs, training=training, return_losses=True, **extra
    )
    if added:
        raise ValueError(
            f"a net must add no loss in its call, which would be lost; add a penalty to the game. "
            f"Received: {len(added)} from add_loss or regularizers in {net.name!r}"
        )
    kept = [
        old if is_seed(variable) else new
        for variable, old, new in zip(net.non_trainable_variables, state, new_state, strict=True)
    ]
    return outputs, kept


def added_losses(net: keras.Model, inputs: Tree) -> Tensors:
    """Return the losses that layers add in a call, of a built model at its own values, unconditioned."""
    weights, state = read({"net": net})
    return list(net.stateless_call(weights["net"], state["net"], inputs, training=False, return_losses=True)[2])


def pure(
    model: keras.Model, function: str | Callable[..., Any], values: Tensors, *args: Any, state: Tensors | None = None
) -> Any:
    """Call a function that reads a Keras model, with `values` in place of the model's trainable variables.

    Args:
        model: a Keras model, such as a meta-learner.
        function: the name of a method of the model, or any function that reads its variables.
        values: one tensor for each of `model.trainable_variables`; may be empty.
        *args: the function's arguments.
        state: one tensor for each of `model.non_trainable_variables`; None to read the model's own.

    Returns:
        What the function returns.

    Raises:
        ValueError: the function assigned to a variable; the assignment would be lost.
    """
    mapping = list(zip(model.trainable_variables, values, strict=True))
    if state is not None:
        mapping += zip(model.non_trainable_variables, state, strict=True)
    with keras.StatelessScope(state_mapping=mapping) as scope:
        result = (getattr(model, function) if isinstance(function, str) else function)(*args)
    given = {id(variable): value for variable, value in mapping}
    for variable in model.variables:
        if scope.get_current_value(variable) is not given.get(id(variable)):
            raise ValueError(
                f"{type(model).__name__}.{getattr(function, '__name__', function)} must be pure: no assignment to its "
                f"variables. Received: an assignment to {variable.path!r}"
            )
    return result


def flat(tree: Tree) -> Tensors:
    """Return the tensors of a tree in `tf.nest` order."""
    return tf.nest.flatten(tree)


def as_float32(value: Tensor) -> Tensor:
    """Return a tensor with its floats as float32, the dtype of everything that users give and receive."""
    return tf.cast(value, tf.float32) if value.dtype.is_floating else value


def stop(tree: Tree) -> Tree:
    """Return the same tree behind `stop_gradient`."""
    return tf.nest.map_structure(tf.stop_gradient, tree)


def global_norm(tensors: Sequence[Tensor]) -> Tensor:
    """Return the Euclidean norm of all elements of all tensors, float32[]; 0 for none."""
    if not tensors:
        return tf.zeros([])
    return tf.cast(tf.sqrt(tf.add_n([tf.reduce_sum(tf.square(t)) for t in tensors])), tf.float32)


def clip_by_norm(tensors: Sequence[Tensor], limit: float) -> Tensors:
    """Scale tensors together so that their global norm is at most `limit`."""
    norm = global_norm(tensors)
    scale = limit / tf.maximum(norm, limit)
    return [t * tf.cast(scale, t.dtype) for t in tensors]


def gradient(tape: tf.GradientTape, target: Tensor, sources: Tree) -> Tree:
    """Return the dense gradient of a scalar for a tree of sources, zeros where it does not depend on a source."""
    found = tape.gradient(target, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    # The gradient of a lookup, such as an embedding, is sparse and does not support arithmetic, so it is made dense. A
    # gradient can also lose its static shape when the batch size is unknown, as for the kernel of a 1-D convolution.
    return tf.nest.map_structure(lambda g, s: tf.ensure_shape(tf.convert_to_tensor(g), s.shape), found, sources)


def cores() -> int:
    """Return the number of tasks to run in parallel: the CPU cores available to this process, at most 8."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return max(1, min(count, MAX_SIDE_BY_SIDE))


def map_tasks(fn: Callable[[Any], Any], batch: Tree, side_by_side: int | None = None) -> Any:
    """Map a function over the leading axis of a tree, several elements in parallel.

    The function becomes one `tf.function`, traced once; a loop over groups calls it for as many tasks at a time as
    there are cores. The calls of a group do not depend on one another, so TensorFlow's inter-op threads run them in
    parallel, provided that `fn` has no stateful operations, which TensorFlow would run in order.

    Args:
        fn: from one element (the batch's tree without its leading axis) to a tree of tensors.
        batch: tree of tensors with one common leading axis of size `tasks` >= 1, best a static one.
        side_by_side: number of calls in a group; None for `cores()`.

    Returns:
        The tree of results, each with a leading axis `tasks`.

    Example:
        >>> map_tasks(lambda x: x * 2.0, tf.constant([1.0, 2.0, 3.0])).numpy()
        array([2., 4., 6.], dtype=float32)
    """
    return tf.nest.map_structure(lambda array: array.stack(), map_to_arrays(fn, batch, side_by_side))


def map_to_arrays(fn: Callable[[Any], Any], batch: Tree, side_by_side: int | None = None) -> Any:
    """Do what `map_tasks` does, but return a tree of `tf.TensorArray`, whose elements are the results of the tasks."""
    tasks = flat(batch)[0].shape[0]
    if tasks == 0:
        raise ValueError("map_tasks needs a leading axis of at least 1 task. Received: 0")
    # Of a number known only when it runs, as after meta-batches of two sizes, one task at a time.
    width = 1 if tasks is None else min(side_by_side or cores(), tasks)
    total = tf.shape(flat(batch)[0])[0] if tasks is None else tasks

    def element(index: Tensor) -> Tree:
        return tf.nest.map_structure(lambda t: tf.gather(t, index), batch)

    inner = tf.function(fn, autograph=False)
    inner = inner.get_concrete_function(tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape[1:], t.dtype), batch))
    structure, specs = inner.structured_outputs, flat(inner.structured_outputs)
    arrays = [tf.TensorArray(s.dtype, size=total, element_shape=s.shape) for s in specs]

    def group(start: Tensor, arrays: list[tf.TensorArray], count: int) -> tuple[Tensor, list[tf.TensorArray]]:
        results = [flat(inner(element(start + i))) for i in range(count)]
        for i, result in enumerate(results):
            arrays = [a.write(start + i, r) for a, r in zip(arrays, result, strict=True)]
        return start + count, arrays

    start, whole = tf.constant(0), total if tasks is None else tasks - tasks % width
    start, arrays = tf.while_loop(
        lambda start, arrays: start < whole,
        lambda start, arrays: group(start, arrays, width),
        (start, arrays),
        parallel_iterations=1,
    )
    if tasks is not None and tasks > whole:
        _, arrays = group(start, arrays, tasks - whole)
    return tf.nest.pack_sequence_as(structure, arrays)


def pairwise_sum(values: tf.TensorArray) -> Tensor:
    """Add neighbours in pairs, then the sums in pairs, and so on.

    The order of the additions is such that the sums of equal parts whose size is a power of two, added in this order
    too, give the same bits as all values at once. A zero in place of a missing value changes nothing. It is a loop,
    because TensorFlow replaces a tree of additions by a single one in another order.

    Args:
        values: n >= 1 tensors of one shape. The array must not be used afterwards.

    Returns:
        A tensor of that shape.

    Example:
        >>> pairwise_sum(tf.TensorArray(tf.float32, 3).unstack([1.0, 2.0, 3.0])).numpy()
        6.0
    """

    def add(i: Tensor, array: tf.TensorArray) -> tuple[Tensor, tf.TensorArray]:
        return i + 1, array.write(i, array.read(2 * i) + array.read(2 * i + 1))

    def halve(count: Tensor, array: tf.TensorArray) -> tuple[Tensor, tf.TensorArray]:
        pairs = count // 2
        _, array = tf.while_loop(lambda i, _: i < pairs, add, (0, array), parallel_iterations=1)
        array = tf.cond(count % 2 > 0, lambda: array.write(pairs, array.read(count - 1)), lambda: array)
        return pairs + count % 2, array

    _, values = tf.while_loop(lambda count, _: count > 1, halve, (values.size(), values), parallel_iterations=1)
    return values.read(0)


class TaskMap:
    """Maps a pure function over the tasks of a meta-batch, here; that of `Replicas` shares the tasks out.

    Called, it is `map_tasks`.

    Example:
        >>> TaskMap().mean(lambda x: {"double": x * 2.0}, tf.constant([1.0, 2.0, 3.0]))["double"].numpy()
        4.0
    """

    def __call__(self, fn: Callable[[Any], Any], batch: Tree, side_by_side: int | None = None) -> Any:
        """Return the results of all tasks; see `map_tasks`."""
        return map_tasks(fn, batch, side_by_side)

    def mean(self, fn: Callable[[Any], Any], batch: Tree) -> Any:
        """Return the mean over tasks of a function's results, in which the tasks are added by `pairwise_sum`.

        Args:
            fn: from one element (the batch's tree without its leading axis) to a tree of tensors. What is not floating
                point has no mean: it must be the same for every task.
            batch: tree of tensors with one common leading axis of size `tasks` >= 1.

        Returns:
            A tree like a result of `fn`.
        """
        examples: list[Tree] = []

        def packed(element: Tree) -> tuple[dict[str, Tensor], Tensors]:
            examples.append(fn(element))
            return _packed(flat(examples[-1]))

        vectors, others = self.sums(packed, batch)
        count = tf.shape(flat(batch)[0])[0]
        # Not a division: TensorFlow makes it this multiplication only where the number of tasks is known when traced.
        means = {kind: vector * (1.0 / tf.cast(count, vector.dtype)) for kind, vector in vectors.items()}
        return _unpacked(examples[-1], means, others)

    def sums(
        self, fn: Callable[[Any], tuple[dict[str, Tensor], Tensors]], batch: Tree
    ) -> tuple[dict[str, Tensor], Tensors]:
        """Return sums over tasks of the vectors that `fn` returns, and the rest of what it returns for one task."""
        vectors, others = map_to_arrays(fn, batch)
        others = [each.read(0) for each in others]
        return {kind: pairwise_sum(each) for kind, each in vectors.items()}, others


HERE = TaskMap()


def _packed(tensors: Tensors) -> tuple[dict[str, Tensor], Tensors]:
    """Return one vector of all numbers of each floating-point dtype, and the tensors of other dtypes.

    A model has a hundred tensors; a hundred small operations for each step of a sum cost more than the additions.
    """
    kinds = sorted({tensor.dtype.name for tensor in tensors if tensor.dtype.is_floating})
    vectors = {
        kind: tf.concat([tf.reshape(each, [-1]) for each in tensors if each.dtype.name == kind], axis=0)
        for kind in kinds
    }
    return vectors, [tensor for tensor in tensors if not tensor.dtype.is_floating]


def _unpacked(example: Tree, vectors: dict[str, Tensor], others: Tensors) -> Tree:
    """Return the tree, like an example of it, that `_packed` was given."""
    parts = {
        kind: iter(tf.split(vector, [t.shape.num_elements() for t in flat(example) if t.dtype.name == kind]))
        for kind, vector in vectors.items()
    }
    rest = iter(others)
    return tf.nest.map_structure(
        lambda t: tf.reshape(next(parts[t.dtype.name]), t.shape) if t.dtype.is_floating else next(rest), example
    )
