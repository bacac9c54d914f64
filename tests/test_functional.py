"""Models as pure functions, tree algebra, seeds, and mapping over tasks."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import op_def_registry

from meta_gan import functional, networks
from meta_gan.losses import GradientPenalty, Wasserstein
from meta_gan.meta import Displacement, Unrolled
from meta_gan.meta_learners import MetaLearner
from tests.games.nets import batch_norm_gan, dropout_gan
from tests.toys import Scalar, flat_close, numbers, parts, random_episodes, tiny_gan


def test_call_uses_the_values_and_not_the_variables():
    net = Scalar(3.0)
    x = tf.constant([[2.0]], tf.float64)
    for value in (5.0, -1.0):
        out, state = functional.call(net, [tf.constant(value, tf.float64)], [], x, None, True, (0, 0))
        assert float(out[0, 0]) == 2 * value and state == []
    assert float(net.weight) == 3.0


def test_call_returns_the_new_statistics_and_assigns_none():
    net = batch_norm_gan().nets["generator"]
    before = functional.read({"g": net})
    for training, moves in ((True, True), (False, False)):
        _, state = functional.call(net, before.weights["g"], before.state["g"], tf.ones([3, 2]), None, training, (0, 0))
        assert np.any(state[0] != before.state["g"][0]) == moves
        flat_close(functional.read({"g": net}), before)


def test_seed_variables_are_known_as_such_and_batch_statistics_are_not():
    """Every net with a Dropout has one; were it not found, `call` would not key it from the seed."""
    nets = [*dropout_gan().nets.values(), *batch_norm_gan().nets.values()]
    found = [[functional.is_seed(v) for v in net.non_trainable_variables] for net in nets]
    assert found == [[True], [True], [False, False], [False, False]]


def test_a_net_without_the_keyword_is_not_given_conditioning():
    net = networks.MLPGenerator((2,), 2, width=2)
    snapshot = functional.read({"g": net})
    with pytest.raises(ValueError, match="unconditioned"):
        functional.call(net, snapshot.weights["g"], [], tf.zeros([1, 2]), tf.zeros([1]), False, (0, 0))


def test_read_and_write_are_inverse():
    first, second = tiny_gan(seed=1), tiny_gan(seed=2)
    values = numbers(functional.read(first.nets))
    assert np.any(values.weights["generator"][0] != second.nets["generator"].trainable_variables[0].numpy())
    functional.write(second.nets, values)
    flat_close(functional.read(second.nets), values)


def test_fold_is_a_function_of_both():
    seeds = [(0, 0), (0, 1), (1, 0)]
    folded = {tuple(functional.fold(s, n).numpy()) for s in seeds for n in range(20)}
    assert len(folded) == 60
    np.testing.assert_array_equal(functional.fold((3, 4), 5), functional.fold(tf.constant([3, 4]), tf.constant(5)))
    assert functional.fold((3, 4), 5).dtype == tf.int32


def test_seed_pair_keeps_every_int32():
    assert len({tuple(functional.seed_pair(s).numpy()) for s in (-(2**31), -1, 0, 1, 2**31 - 1)}) == 5


class Counting(MetaLearner):
    """Breaks the contract: assigns to a variable in `begin`."""

    def __init__(self, trainable):
        super().__init__()
        self.count = self.add_weight(shape=(), initializer="zeros", name="count", trainable=trainable)
        self.setup({}, {})

    def begin(self, params):
        self.count.assign(self.count + 1.0)
        return ()

    def double(self):
        return 2.0 * self.count


@pytest.mark.parametrize("trainable", [True, False])
def test_pure_refuses_an_assignment_that_would_be_lost(trainable):
    meta_learner = Counting(trainable)
    values = [tf.constant(4.0)] if trainable else []
    with pytest.raises(ValueError, match=r"Counting.begin must be pure.*count"):
        functional.pure(meta_learner, "begin", values, {})


def test_pure_replaces_values_and_passes_gradients():
    meta_learner, value = Counting(True), tf.constant(4.0)
    with tf.GradientTape() as tape:
        tape.watch(value)
        result = functional.pure(meta_learner, "double", [value])
    assert (float(result), float(tape.gradient(result, value)), float(meta_learner.count)) == (8.0, 2.0, 0.0)


def test_global_norm_and_clip_by_hand():
    tensors = [tf.constant([3.0]), tf.constant([[0.0, 4.0]])]
    assert float(functional.global_norm(tensors)) == 5.0
    assert float(functional.global_norm([])) == 0.0
    a, b = functional.clip_by_norm(tensors, 1.0)
    np.testing.assert_allclose([a[0], *b[0]], [0.6, 0.0, 0.8], rtol=1e-6)
    flat_close(functional.clip_by_norm(tensors, 5.0), tensors)
    flat_close(functional.clip_by_norm([tf.constant([0.0])], 1.0), [tf.constant([0.0])])


def test_gradient_of_what_is_looked_up_is_dense():
    """A gather from a variable or a tensor has a sparse gradient, rows 2 and 2 of a table of three here."""
    table = tf.constant([[1.0], [2.0], [3.0]])
    with tf.GradientTape() as tape:
        tape.watch(table)
        value = tf.reduce_sum(tf.square(tf.gather(table, [2, 2])))
    (got,) = functional.gradient(tape, value, [table])
    assert isinstance(got, tf.Tensor)
    np.testing.assert_array_equal(got, [[0.0], [0.0], [12.0]])


def test_gradient_has_the_shape_of_its_source_in_a_graph():
    """The shape of a gradient may only be known when it runs; learned meta-learners need it before."""

    @tf.custom_gradient
    def forgetful(x):
        return tf.square(x), lambda g: tf.compat.v1.placeholder_with_default(2.0 * x * g, None)

    shapes = []

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = tf.reduce_sum(forgetful(x))
        (got,) = functional.gradient(tape, value, [x])
        shapes.append(got.shape)
        return got

    np.testing.assert_array_equal(step(tf.constant([1.0, 3.0])), [2.0, 6.0])
    assert shapes == [(2,)]


def test_gradient_gives_zeros_where_nothing_depends():
    a, b = tf.constant(2.0), tf.constant([1.0, 1.0])
    with tf.GradientTape() as tape:
        tape.watch([a, b])
        c = a * a
    flat_close(functional.gradient(tape, c, {"a": a, "b": [b]}), {"a": np.float32(4), "b": [np.zeros(2)]})


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize("width", [None, 1, 2, 3, 7])
@pytest.mark.parametrize("tasks", [1, 2, 3, 4, 5])
def test_map_tasks_is_a_map(tasks, width, graph):
    batch = {"x": tf.reshape(tf.range(tasks * 2.0), [tasks, 2]), "n": tf.range(tasks)}
    calls = []

    def fn(element):
        calls.append(1)
        return tf.reduce_sum(element["x"] ** 2), [element["n"] * 10, element["x"]]

    def mapped():
        return functional.map_tasks(fn, batch, width)

    total, (tens, same) = tf.function(mapped, autograph=False)() if graph else mapped()
    np.testing.assert_array_equal(total, [float((2 * i) ** 2 + (2 * i + 1) ** 2) for i in range(tasks)])
    np.testing.assert_array_equal(tens, [10 * i for i in range(tasks)])
    np.testing.assert_array_equal(same, batch["x"])
    assert len(calls) == 1, "the function must be traced once, however many tasks there are"


def test_map_tasks_needs_tasks():
    with pytest.raises(ValueError, match="at least 1 task"):
        functional.map_tasks(lambda x: x, tf.zeros([0, 2]))


def test_map_tasks_of_a_number_known_only_when_it_runs():
    """Keras traces a step anew for meta-batches of two sizes, and then the leading axis is unknown."""
    dynamic = tf.function(
        lambda x: functional.map_tasks(lambda y: 2.0 * y, x),
        autograph=False,
        input_signature=[tf.TensorSpec([None, 2])],
    )
    for tasks in (1, 3):
        x = tf.random.stateless_uniform([tasks, 2], [0, tasks])
        np.testing.assert_array_equal(dynamic(x), 2.0 * x.numpy())


def numbers_of_many_sizes(tasks):
    """Their sum depends on the order of the additions in its last bits."""
    rng = np.random.default_rng(tasks)
    return (rng.normal(size=[tasks, 50]) * 10.0 ** rng.integers(-4, 4, [tasks, 50])).astype(np.float32)


@tf.function(autograph=False)
def pairwise_sum(rows):
    return functional.pairwise_sum(tf.TensorArray(tf.float32, rows.shape[0]).unstack(rows))


def test_pairwise_sum_adds_neighbours():
    values = a, b, c, d, e = [np.float32(x) for x in (1e8, 1.0, -1e8, 3.0, 0.25)]
    one_by_one = (((a + b) + c) + d) + e
    for found in (pairwise_sum(tf.constant(values)), pairwise_sum.python_function(tf.constant(values))):
        assert found.numpy() == ((a + b) + (c + d)) + e != one_by_one


@pytest.mark.parametrize("tasks", [3, 5, 8, 13])
@pytest.mark.parametrize("share", [1, 2, 4, 8])
def test_sums_of_shares_add_up_to_the_same_bits(tasks, share):
    """As replicas add them: a share whose size is a power of two, filled up with zeros at the end."""
    rows = numbers_of_many_sizes(tasks)
    filled = np.concatenate([rows, np.zeros([-tasks % share, 50], np.float32)])
    parts = [pairwise_sum(tf.constant(filled[i : i + share])) for i in range(0, len(filled), share)]
    np.testing.assert_array_equal(pairwise_sum(tf.stack(parts)), pairwise_sum(tf.constant(rows)))


@pytest.mark.parametrize("tasks", [1, 2, 3, 5, 8])
def test_mean_over_tasks(tasks):
    """Of every dtype, in the shapes of a result; the same bits where the number of tasks is known only when it runs."""
    rows = numbers_of_many_sizes(tasks)

    def fn(x):
        wide = {"double": tf.cast(x, tf.float64), "matrix": tf.reshape(2.0 * x, [5, 10]), "first": x[0]}
        return wide | {"counter": tf.constant(7), "flag": tf.constant(True), "none": []}

    def mean(x):
        return functional.TaskMap().mean(fn, x)

    found = tf.function(mean, autograph=False)(tf.constant(rows))
    expected = pairwise_sum(tf.constant(rows)).numpy() * (1 / np.float32(tasks))
    np.testing.assert_array_equal(found["first"], expected[0])
    np.testing.assert_array_equal(found["matrix"], (2 * expected).reshape(5, 10))
    np.testing.assert_allclose(found["double"], np.mean(rows.astype(np.float64), axis=0), rtol=1e-11)
    assert found["double"].dtype == tf.float64
    assert (int(found["counter"]), bool(found["flag"]), found["none"]) == (7, True, [])
    dynamic = tf.function(mean, autograph=False, input_signature=[tf.TensorSpec([None, 50])])(tf.constant(rows))
    flat_close(dynamic, tf.nest.map_structure(lambda t: t.numpy(), found), rtol=0, atol=0)


def test_cores(monkeypatch):
    monkeypatch.setattr(functional.os, "sched_getaffinity", lambda pid: set(range(64)))
    assert functional.cores() == 8
    monkeypatch.setattr(functional.os, "sched_getaffinity", lambda pid: {5})
    assert functional.cores() == 1


# Registered as stateful, but with no effect and no place in the order of effects.
HARMLESS = {"Placeholder"}


def stateful_ops(graph):
    """The types of ops in a graph and the functions that it calls which have state or effects."""
    definition = graph.as_graph_def()
    nodes = [*definition.node, *[n for f in definition.library.function for n in f.node_def]]
    found = {node.op for node in nodes}
    return {op for op in found - HARMLESS if _is_stateful(op)}


def _is_stateful(name):
    definition = op_def_registry.get(name)
    return definition is not None and definition.is_stateful


@pytest.mark.parametrize(
    ("make", "kind"),
    [(tiny_gan, "MAML"), (tiny_gan, "Reptile"), (batch_norm_gan, "FOMAML"), (dropout_gan, "FOMAML")],
)
def test_the_work_of_a_task_has_no_stateful_op(kind, make):
    """One would put the tasks of a group in sequence, and half the cores would idle, silently."""
    estimator = {"MAML": Unrolled(2), "FOMAML": Unrolled(1), "Reptile": Displacement()}[kind]
    penalty = GradientPenalty() if make is tiny_gan else None
    pieces = parts(make(loss=Wasserstein(), penalty=penalty))
    spec = tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape[1:], t.dtype), random_episodes())
    inner = tf.function(lambda e: estimator.task(*pieces, e, 2), autograph=False).get_concrete_function(spec)
    assert stateful_ops(inner.graph) == set()


def test_the_guard_on_stateful_ops_sees_one():
    def impure(x):
        return tf.while_loop(lambda i, _: i < 2, lambda i, y: (i + 1, y + tf.random.normal([])), (0, x))

    graph = tf.function(impure).get_concrete_function(tf.TensorSpec([])).graph
    assert stateful_ops(graph) == {"RandomStandardNormal", "While"}


def test_a_keras_layer_with_a_shared_seed_is_told_apart_by_its_place():
    """Two dropout layers of one net draw different masks from one key."""
    net = keras.Sequential([keras.Input((1024,)), keras.layers.Dropout(0.5), keras.layers.Dropout(0.5)])
    state = functional.read({"n": net}).state["n"]
    out, _ = functional.call(net, [], state, tf.ones([1, 1024]), None, True, (0, 1))
    kept = int(np.sum(out != 0))
    assert kept < 384, "with one mask for both layers 512 of 1024 would survive, with two 256"
