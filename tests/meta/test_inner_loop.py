"""The inner loop: a while loop that equals a Python one, in graph and eagerly, and that can be continued."""

import numpy as np
import pytest
import tensorflow as tf

from meta_gan import functional
from meta_gan.games import GAN
from meta_gan.losses import GradientPenalty, Wasserstein
from meta_gan.meta_learners import Adam
from meta_gan.types import Snapshot
from tests.meta.meta_learners import Planner, Recorder
from tests.references.plain import descend
from tests.toys import (
    Scalar,
    TwoPlayers,
    adapt,
    constant_episodes,
    flat_close,
    numbers,
    one,
    parts,
    random_episodes,
    tiny_gan,
)

EPISODE = one(random_episodes(dtype="float64"))


def wgan_gp():
    return tiny_gan("float64", loss=Wasserstein(), penalty=GradientPenalty(1.0), discriminator_turns=2)


def assess(made, episode, steps):
    loop, meta = made
    return loop.assess(meta, episode, steps)


def end_norm(weights):
    """A nonlinear scalar of adapted weights, to differentiate."""
    return tf.add_n([tf.reduce_sum(tf.sin(w)) for w in tf.nest.flatten(weights)])


def test_the_while_loop_is_the_unrolled_loop_with_its_gradient():
    """Values and total second-order gradients against the plain Python loop, three steps of WGAN-GP."""
    loop, meta = pieces = parts(wgan_gp(), rate=0.05)
    start = tf.nest.flatten(meta.initial.weights)

    @tf.function(autograph=False)
    def looped():
        with tf.GradientTape() as tape:
            tape.watch(start)
            carry, records = adapt(pieces, EPISODE, 3, order=2, partial=False)
            ends = {net: carry.params[net] for net in ("discriminator", "generator")}
            value = end_norm(ends)
        return value, records, tape.gradient(value, start)

    @tf.function(autograph=False)
    def unrolled():
        with tf.GradientTape() as tape:
            tape.watch(start)
            ends, _, losses = descend(loop.game, *meta.initial, EPISODE, 3, 0.05, order=2)
            value = end_norm({net: ends[net] for net in ("discriminator", "generator")})
        return value, tf.reshape(tf.stack(losses), [3, -1]), tape.gradient(value, start)

    (a, records, slopes), (b, losses, expected) = looped(), unrolled()
    np.testing.assert_allclose(a, b, rtol=1e-12)
    np.testing.assert_allclose(records, losses, rtol=1e-6)
    flat_close(slopes, expected, rtol=1e-9, atol=1e-11)


def test_eager_is_graph():
    pieces = parts(wgan_gp(), Adam(0.05))
    flat_close(
        adapt(pieces, EPISODE, 3),
        tf.function(lambda: adapt(pieces, EPISODE, 3), autograph=False)(),
        rtol=1e-6,
        atol=1e-9,
    )


def test_two_steps_and_three_are_five_to_the_bit():
    """With Adam, whose state and bias correction must go on too, and a draw of latents at every step."""
    pieces = parts(wgan_gp(), Adam(0.05))

    @tf.function(autograph=False)
    def run(steps, carry):
        return adapt(pieces, EPISODE, steps, carry=carry)

    start = pieces[0].begin(pieces[1])
    whole, records = run(tf.constant(5), start)
    half, first = run(tf.constant(2), start)
    rest, second = run(tf.constant(3), half)
    flat_close(rest, whole)
    flat_close(tf.concat([first, second], axis=0), records)
    assert run.experimental_get_tracing_count() == 1
    assert len(np.unique(records)) == np.size(records), "steps must not repeat each other's draws"


def test_no_step_changes_nothing():
    loop, meta = parts(wgan_gp())
    carry, records = adapt((loop, meta), EPISODE, 0)
    flat_close(loop.final(meta, carry), meta.initial)
    assert records.shape == (0, 3)
    assert loop.columns == ["discriminator", "discriminator", "generator"]


def operations(function):
    """The names of the kinds of operations of a traced function, without those of the functions that it calls."""
    return {operation.type for operation in function.get_concrete_function().graph.get_operations()}


def test_no_step_by_a_number_is_the_carry_itself():
    """Eagerly and in a graph, in which there is then no loop: tracing one that never runs costs as much."""
    loop, meta = pieces = parts(wgan_gp(), Adam(0.05))
    carry = adapt(pieces, EPISODE, 1)[0]
    same, records = adapt(pieces, EPISODE, 0, carry=carry)
    assert same is carry
    assert records.shape == (0, 3) and records.dtype == tf.float32
    seen = []

    @tf.function(autograph=False)
    def none():
        start = loop.begin(meta)
        end, records = adapt(pieces, EPISODE, 0, carry=start)
        seen.append((end is start, records.shape))
        return end, records

    assert not {"While", "StatelessWhile"} & operations(none)
    assert seen == [(True, tf.TensorShape([0, 3]))]
    end, records = none()
    flat_close(numbers(end), numbers(loop.begin(meta)))
    assert records.shape == (0, 3) and records.dtype == tf.float32


def test_no_step_as_a_tensor_gives_the_same():
    pieces = parts(wgan_gp(), Adam(0.05))

    @tf.function(autograph=False)
    def run(steps):
        return adapt(pieces, EPISODE, steps)

    carry, records = run(tf.constant(0))
    flat_close(numbers((carry, records)), numbers(adapt(pieces, EPISODE, 0)))
    assert records.shape == (0, 3) and records.dtype == tf.float32
    eager, empty = adapt(pieces, EPISODE, tf.constant(0))
    flat_close(numbers((eager, empty)), numbers((carry, records)))


def test_no_step_is_differentiated_as_the_identity():
    loop, meta = pieces = parts(wgan_gp())
    start = tf.nest.flatten(meta.initial.weights)
    with tf.GradientTape() as tape:
        tape.watch(start)
        carry, _ = adapt(pieces, EPISODE, 0, order=2)
        value = end_norm(loop.final(meta, carry).weights)
    flat_close(tape.gradient(value, start), [tf.cos(w) for w in start], rtol=1e-12)
    assert sorted(loop.game.nets) == ["discriminator", "generator"]


def test_assess_without_steps_is_the_same_before_and_after():
    metrics = assess(parts(wgan_gp()), EPISODE, 0)
    for name in ("query/generator", "query/discriminator", "distance"):
        assert float(metrics[f"{name}/before"]) == float(metrics[f"{name}/after"])


def test_the_models_own_variables_are_neither_read_nor_assigned():
    """The loop must start from the values it is given, though the nets now hold others."""
    pieces = parts(wgan_gp())
    game, expected = pieces[0].game, numbers(adapt(pieces, EPISODE, 2))
    for net in game.nets.values():
        for variable in net.variables:
            variable.assign(tf.zeros_like(variable))
    flat_close(numbers(adapt(pieces, EPISODE, 2)), expected)
    assert all(not np.any(v) for v in tf.nest.flatten(functional.read(game.nets)))


def test_the_seed_is_what_decides():
    pieces = parts(wgan_gp())
    again = adapt(pieces, EPISODE, 2)[1]
    other = adapt(pieces, EPISODE._replace(seed=tf.constant([5, 6])), 2)[1]
    np.testing.assert_array_equal(adapt(pieces, EPISODE, 2)[1], again)
    assert np.all(other.numpy() != again.numpy())


@pytest.mark.parametrize("scale", [0.0, 0.5, 3.0])
def test_rate_scale_multiplies_the_update(scale):
    start = wgan_gp()
    planned = adapt(parts(start, Planner(0.1, (scale, None))), EPISODE, 2)[0].params
    flat_close(planned, adapt(parts(start, rate=0.1 * scale or 1e-30), EPISODE, 2)[0].params, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [0.0, 4.0])
def test_penalty_scale_multiplies_the_penalty(scale, dtype):
    """A scale of 4 on a penalty of weight 1 is a penalty of weight 4; also for nets that are not float32."""
    episode = tf.nest.map_structure(lambda t: tf.cast(t, dtype) if t.dtype.is_floating else t, EPISODE)
    games = [tiny_gan(dtype, loss=Wasserstein(), penalty=GradientPenalty(weight)) for weight in (1.0, scale)]
    planned = adapt(parts(games[0], Planner(0.1, (None, scale))), episode, 2)[0].params
    flat_close(planned, adapt(parts(games[1], rate=0.1), episode, 2)[0].params, rtol=1e-5, atol=1e-6)


def test_what_a_meta_learner_receives():
    """`plan` sees what players reported before this turn, `update` also the mover's report of now, and the params
    of all players as they were when the turn began."""
    losses = {"psi": lambda psi, theta, c: psi * theta, "theta": lambda psi, theta, c: psi + theta}
    game = TwoPlayers(2.0, 3.0, losses, ((("psi", "theta"), 1),))
    carry, _ = adapt(parts(game, Recorder()), one(constant_episodes([0.0], [0.0])), 2)
    seen = numbers(carry.meta_learner_state)
    # Every param goes up by 1 a turn: (2, 3), then (3, 4).
    assert seen["plan"] == {"psi": [6.0], "theta": [5.0]}
    assert seen["update"] == {"psi": [6.0], "theta": [7.0]}  # theta's own new report, psi's of the last turn
    assert seen["params"] == {"psi": [3.0], "theta": [4.0]}
    assert numbers(carry.signals) == {"psi": [12.0], "theta": [7.0]}


def test_view_is_what_is_trained_on():
    """A game may show each step another part of the support set: here example `step`."""

    class Rotating(TwoPlayers):
        def view(self, support, step, seed):
            return support[step][None], support

    losses = {"psi": lambda psi, theta, c: c * psi, "theta": lambda psi, theta, c: 0.0 * theta}
    episode = one(constant_episodes([0.0], [0.0]))._replace(support=tf.constant([[1.0], [10.0], [100.0]]))
    for steps, moved in ((1, -1.0), (2, -11.0), (3, -111.0)):
        game = Rotating(0.0, 0.0, losses)
        episode = episode._replace(support=tf.cast(episode.support, tf.float64))
        carry, _ = adapt(parts(game, rate=1.0), episode, steps)
        assert float(carry.params["psi"][0]) == moved


def test_assess_is_before_and_after():
    """Hand-checked on a quadratic player: psi starts at 1 and moves half way to c at each step."""
    losses = {"psi": lambda psi, theta, c: 0.5 * (psi - c) ** 2, "theta": lambda psi, theta, c: (psi - c) ** 2}
    pieces = parts(TwoPlayers(1.0, 0.0, losses), rate=0.5)
    metrics = assess(pieces, one(constant_episodes([0.0], [0.5])), 2)
    expected = {
        "query/psi/before": 0.125,
        "query/psi/after": 0.5 * 0.25**2,
        "query/theta/before": 0.25,
        "query/theta/after": 0.0625,
        "distance/before": 0.25,
        "distance/after": 0.0625,
    }
    assert {name: float(value) for name, value in metrics.items()} == expected


def test_assess_counts_copies_of_the_support_set_before_and_after():
    """Of a generator of one number: it starts on a support example, and one step takes it away from both."""
    game = GAN(Scalar(0.25, ignores_input=True), Scalar(1.0), example_shape=(1,))
    support, query = (tf.constant(x, tf.float64) for x in ([[0.25], [3.0]], [[3.125], [2.0]]))
    episode = one(constant_episodes([0.0], [0.0]))._replace(support=support, query=query)
    metrics = assess(parts(game, rate=1.0), episode, 1)
    assert float(metrics["copy_rate/before"]) == 1.0 and float(metrics["copy_rate/after"]) == 0.0


def test_objectives_through_own_reach_the_owner_alone():
    """Wasserstein: without `own` the generator's part of the sum is exactly 0; with it, each gets its own."""
    loop, meta = parts(tiny_gan("float64", loss=Wasserstein()))
    gradients = {}
    for own in (True, False):
        with tf.GradientTape() as tape:
            tape.watch(tf.nest.flatten(meta.initial.weights))
            total = tf.add_n(list(loop.objectives(meta.initial, EPISODE, own=own).values()))
        gradients[own] = tape.gradient(total, meta.initial.weights)
    flat_close(gradients[False]["generator"], [tf.zeros_like(g) for g in gradients[True]["generator"]], atol=1e-15)
    with tf.GradientTape() as tape:
        tape.watch(meta.initial.weights["generator"])
        values = loop.objectives(Snapshot(*meta.initial), EPISODE, own=False)
    alone = tape.gradient(values["generator"], meta.initial.weights["generator"])
    flat_close(gradients[True]["generator"], alone, rtol=1e-12)
    assert max(np.abs(g).max() for g in alone) > 0.01
