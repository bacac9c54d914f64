"""Flows: solvers by their order, and everything of a flow whose velocity is known in closed form."""

from statistics import NormalDist

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_gan.layers.portable import exporting
from meta_gan.networks.flow import SOLVERS, FlowGenerator, integrate
from tests.toys import GaussianFlow

ORDERS = {"euler": 1, "midpoint": 2, "heun": 2}


@keras.saving.register_keras_serializable("toys")
class Drift(FlowGenerator):
    """A constant velocity: the mean of the anchor's numbers where a row is conditioned, and 10 where it is not."""

    def __init__(self, **options):
        super().__init__((2,), anchored=True, dtype="float64", **options)
        self.build((None, 3))

    def prepare(self, support, embedding):
        return tf.reduce_mean(support, axis=1)

    def field(self, x, time, anchor, keep, prepared):
        own = tf.gather(prepared, anchor)
        return tf.zeros_like(x) + (keep * own + 10.0 * (1.0 - keep))[:, None]


SUPPORT = {"support": tf.constant([[1.0, 3.0], [-1.0, -3.0]], tf.float64)}


def z_of(anchors, noise):
    numbers = [NormalDist().inv_cdf((index + 0.5) / 2) for index in anchors]
    return tf.constant(np.column_stack([numbers, noise]), tf.float64)


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_error_of_a_solver_falls_by_its_order(solver):
    """Of dx/dt = x, from 1 to e."""

    def error(steps):
        found = integrate(lambda x, t: x, tf.constant([1.0], tf.float64), steps, solver)
        return abs(float(found[0]) - np.e)

    assert error(32) / error(64) == pytest.approx(2.0 ** ORDERS[solver], rel=0.05)


@pytest.mark.parametrize(("solver", "wanted"), [("euler", 0.375), ("midpoint", 0.5), ("heun", 0.5)])
def test_times_reach_the_field(solver, wanted):
    """Of dx/dt = t in four steps, which the two of order 2 solve exactly."""
    assert float(integrate(lambda x, t: t + 0 * x, tf.zeros([], tf.float64), 4, solver)) == pytest.approx(wanted)


@pytest.mark.parametrize("solver", SOLVERS)
def test_backwards_is_the_way_back_of_a_constant_velocity(solver):
    x = tf.constant([0.25, -1.0])
    there = integrate(lambda x, t: 0 * x + 0.5, x, 3, solver)
    np.testing.assert_allclose(there, x + 0.5, rtol=1e-6)
    np.testing.assert_allclose(integrate(lambda x, t: 0 * x + 0.5, there, 3, solver, 1.0, 0.0), x, rtol=1e-6)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_loop_and_unrolled_steps_have_the_same_values_and_derivatives(solver):
    def both(unrolled, x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            made = integrate(lambda x, t: tf.sin(x) * (1.0 + t), x, 3, solver, 0.25, 1.0, unrolled)
        return made, tape.gradient(made, x)

    x = tf.constant([0.25, -1.0], tf.float64)
    looped, unrolled = (tf.function(both)(each, x) for each in (False, True))
    for one, other in zip(looped, unrolled, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-14)


def graph_of_a_sample(steps):
    flow = Drift(solver_steps=steps)
    return tf.function(lambda z: flow(z, SUPPORT)).get_concrete_function(tf.zeros([2, 3], tf.float64)).graph


def test_the_graph_of_a_sample_does_not_grow_with_the_solver_s_steps():
    def operations(steps):
        whole = graph_of_a_sample(steps).as_graph_def()
        return len(whole.node) + sum(len(each.node_def) for each in whole.library.function)

    assert operations(32) - operations(2) <= 2 * 30, "no more than the times themselves"


@pytest.mark.parametrize(("format", "loops"), [("tf_saved_model", 1), ("litert", 0)])
def test_only_formats_that_have_loops_get_one(format, loops):
    with exporting(keras.Sequential([keras.Input([2]), keras.layers.Dense(1)]), (None, 2), format):
        kinds = [each.type for each in graph_of_a_sample(2).get_operations()]
    assert kinds.count("StatelessWhile") + kinds.count("While") == loops


@pytest.mark.parametrize(("guidance", "velocities"), [(1.0, [2.0, -2.0]), (0.0, [10.0, 10.0]), (3.0, [-14.0, -26.0])])
def test_guidance_by_hand(guidance, velocities):
    """The anchors' velocities are 2 and -2, and 10 without one: 10 + 3 (2 - 10) = -14, 10 + 3 (-2 - 10) = -26."""
    flow, x = Drift(solver_steps=1, guidance=guidance), tf.zeros([2, 2], tf.float64)
    made = flow._guided(tf.constant([-1.0, 1.0], tf.float64), SUPPORT)(x, 0.0)
    np.testing.assert_allclose(made, np.repeat(np.array(velocities)[:, None], 2, axis=1))


def test_samples_are_clipped_and_the_temperature_scales_the_noise():
    flow, z = Drift(solver_steps=2, temperature=0.5), z_of([1, 1], [[2.2, 5.0], [1.0, 2.4]])
    np.testing.assert_allclose(flow(z, conditioning=SUPPORT), [[-0.9, 0.5], [-1.0, -0.8]])
    np.testing.assert_allclose(flow(z, conditioning=SUPPORT, training=True), [[0.2, 1.0], [-1.0, 0.4]])


def test_z_of_given_examples():
    flow, x = Drift(solver_steps=2, temperature=0.5), tf.constant([[0.5, 0.0]], tf.float64)
    # The middle of two support examples is the second one, of velocity -2: from x back to x + 2.
    z = flow.encode(x, SUPPORT)
    np.testing.assert_allclose(z, [[0.0, 5.0, 4.0]])
    np.testing.assert_allclose(flow(z, conditioning=SUPPORT), x)


@pytest.mark.parametrize("solver", SOLVERS)
def test_there_and_back_is_as_exact_as_the_solver(solver):
    """The error falls by the order of the solver, or faster, where the errors of both ways cancel."""
    x = tf.constant([[0.5], [-0.2], [0.3]], tf.float64)

    def error(steps):
        flow = GaussianFlow(0.3, 0.2, solver=solver, solver_steps=steps)
        return float(tf.reduce_max(tf.abs(flow(flow.encode(x, None)) - x)))

    assert 0 < error(64) < 1.1 * error(32) / 2 ** ORDERS[solver]


def test_the_flow_of_two_gaussians_has_the_quantiles_of_the_second():
    """Its solution is x = mean + deviation z: quantiles stay quantiles."""
    z = tf.constant([[-1.5], [0.0], [0.7]], tf.float64)
    found = GaussianFlow(0.3, 0.2, solver="heun", solver_steps=64)(z)
    np.testing.assert_allclose(found, 0.3 + 0.2 * z.numpy(), atol=1e-3)


def test_it_is_saved_and_loaded(tmp_path):
    flow = GaussianFlow(0.25, 0.5, solver="midpoint", solver_steps=3)
    flow.save(tmp_path / "flow.keras")
    loaded = keras.saving.load_model(tmp_path / "flow.keras")
    z = tf.constant([[0.1], [-2.0]], tf.float64)
    np.testing.assert_array_equal(loaded(z), flow(z))
    assert (loaded.solver, loaded.solver_steps, loaded.guidance, loaded.temperature) == ("midpoint", 3, 1.0, 1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"solver": "rk4"}, "'solver' must be one of 'euler', 'midpoint', 'heun'"),
        ({"solver_steps": 0}, "'solver_steps' must be an integer >= 1 .*Received: 0"),
        ({"guidance": -1.0}, "'guidance' must be a finite number >= 0"),
        ({"temperature": 0.0}, "'temperature' must be a finite number > 0"),
        ({"guidance": 2.0}, "'guidance' must be 1 for a generator that is not 'anchored' .*Received: 2.0"),
    ],
)
def test_arguments_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        GaussianFlow(0.0, 1.0, **options)
