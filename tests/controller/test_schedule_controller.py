"""The controller against its base: knobs that are not turned, and knobs that are, against games and meta-learners that
were built with those values."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from meta_gan import functional
from meta_gan.controller import ScheduleController
from meta_gan.controller.policy import drawn
from meta_gan.controller.schedule_controller import PolicySteering
from meta_gan.losses import DifferentiableAugmentation, GradientPenalty, NonSaturating
from meta_gan.meta import InnerLoop, masks
from meta_gan.meta_learners import Adam, GradientDescent
from meta_gan.types import MetaWeights
from tests.toys import flat_close, one, random_episodes, tiny_dcgan, tiny_gan

EPISODE = one(random_episodes(shots=6))
STILL = {"rate/discriminator": 2, "rate/generator": 2, "turns": 0, "penalty": 1, "stop": 0}


def prepared(game, meta_learner):
    loop = InnerLoop.build(game, meta_learner)
    values = [tf.identity(v) for v in meta_learner.trainable_variables]
    return loop, MetaWeights(functional.read(game.nets), values)


def controller(base=None, **options):
    options = {"horizon": 8, "every": 2, "hidden": 4, "holdout": 0.0, **options}
    return ScheduleController(Adam(0.02, epsilon=1e-3) if base is None else base, **options)


def restless(meta_learner, seed=0, size=0.7):
    """The same controller with readouts drawn at random: at 0 they hide what reaches them."""
    draw = np.random.default_rng(seed)
    for variable in meta_learner.policy.trainable_variables:
        variable.assign_add(draw.normal(0, size, variable.shape).astype("float32"))
    return meta_learner


def ends(game, meta_learner, steps=4, carry=None):
    loop, meta = prepared(game, meta_learner)
    carry = loop.begin(meta) if carry is None else carry
    return tf.function(lambda: loop.advance(meta, carry, EPISODE.support, steps, EPISODE.seed), autograph=False)()


def scripted(controller, *actions):
    """Steering that takes `actions` in turn, the last one from then on."""
    names = [knob.name for knob in controller.knobs]
    table = tf.constant([[{**STILL, **action}[name] for name in names] for action in actions])
    last = len(actions) - 1
    return PolicySteering(controller, lambda logits, step: table[tf.minimum(step // controller.every, last)])


def ends_scripted(game, meta_learner, *actions, steps=4):
    loop, meta = prepared(game, meta_learner)
    loop = dataclasses.replace(loop, steering=scripted(meta_learner, *actions))
    return loop.adapt(meta, EPISODE.support, steps, EPISODE.seed)


def test_before_training_it_equals_its_base():
    game = tiny_gan(loss=NonSaturating(), penalty=GradientPenalty(1.0))
    actions = ("rates", "turns", "penalty", "stop")
    plain, records = ends(game, Adam(0.02, epsilon=1e-3))
    steered, same = ends(game, controller(actions=actions))
    flat_close(steered.params, plain.params, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(records, same, rtol=1e-5)
    assert {name: float(v) for name, v in steered.meta_learner_state["knobs"].items()} == {
        "rate/discriminator": 1,
        "rate/generator": 1,
        "turns": 1,
        "penalty": 1,
        "stop": 0,
    }


@pytest.mark.slow
def test_it_continues_in_pieces_as_if_it_had_never_stopped():
    game, meta_learner = tiny_gan(loss=NonSaturating()), controller(holdout=0.3)
    prepared(game, meta_learner)
    restless(meta_learner)
    whole, _ = ends(game, meta_learner, 5)
    part, _ = ends(game, meta_learner, 3)
    rest, _ = ends(game, meta_learner, 2, part)
    flat_close(tf.nest.flatten(rest), tf.nest.flatten(whole), rtol=0, atol=0)
    stand = {name: float(value) for name, value in whole.meta_learner_state["knobs"].items()}
    assert stand.pop("stop") == 0.0 and set(stand.values()) != {1.0}


def test_a_turned_rate_equals_that_rate():
    game = tiny_gan(loss=NonSaturating())
    carry, _ = ends_scripted(game, controller(GradientDescent(0.1)), {"rate/generator": 4}, {"rate/generator": 2})
    plain, _ = ends(game, GradientDescent({"discriminator": 0.1, "generator": 0.2}))
    flat_close(carry.params, plain.params, rtol=1e-6)


def test_turns_and_penalty_equal_those_of_another_game():
    made = {"turns": 1, "penalty": 2}
    game = tiny_gan(loss=NonSaturating(), penalty=GradientPenalty(1.0))
    meta_learner = controller(GradientDescent(0.1), actions=("turns", "penalty"))
    carry, records = ends_scripted(game, meta_learner, made, {**made, "penalty": 1})
    other = tiny_gan(loss=NonSaturating(), penalty=GradientPenalty(2.0), discriminator_turns=2)
    plain, theirs = ends(other, GradientDescent(0.1))
    flat_close(carry.params, plain.params, rtol=1e-6)
    # The last loss of a turn stands in the columns that the game plans.
    np.testing.assert_allclose(records, theirs.numpy()[:, 1:], rtol=1e-6)


def test_after_a_stop_nothing_moves():
    game = tiny_gan(loss=NonSaturating())
    carry, records = ends_scripted(game, controller(), {}, {"stop": 1}, {}, steps=8)
    plain, theirs = ends(game, Adam(0.02, epsilon=1e-3), 2)
    flat_close(carry.params, plain.params, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(records, np.concatenate([theirs, np.zeros((6, 2))]), rtol=1e-5)
    assert int(carry.step) == 8 and int(carry.meta_learner_state["decisions"]) == 2


def test_held_out_examples_are_not_trained_on():
    game, half = tiny_gan(loss=NonSaturating()), controller(holdout=0.5)
    carry, _ = ends(game, half)
    kept, held_out = (t.numpy() for t in half.steering.split(EPISODE.support, EPISODE.seed))
    loop, meta = prepared(game, Adam(0.02, epsilon=1e-3))
    plain, _ = loop.adapt(meta, kept, 4, EPISODE.seed)
    flat_close(carry.params, plain.params, rtol=1e-6, atol=1e-7)
    assert len(held_out) == 3


def test_the_observation_by_hand():
    """Signals, mean losses, ratio of norms, distance and its changes, knobs, time: in this order."""
    game, meta_learner = tiny_gan(loss=NonSaturating()), controller(horizon=8)
    pieces = prepared(game, meta_learner)
    carry, records = ends(game, meta_learner, 3)
    state, signals = dict(carry.meta_learner_state), {p: tf.constant(s) for p, s in carry.signals.items()}
    state["distances"] = tf.math.log([2.0, 0.5])
    state["knobs"] = {**state["knobs"], "rate/generator": tf.constant(0.5)}
    seen = meta_learner.observation(state, carry.step, signals, tf.constant(0.25)).numpy()
    reports = np.concatenate([np.arcsinh(signals[p]) for p in ("discriminator", "generator")])
    norms = [float(state["norms"][p]) for p in ("discriminator", "generator")]
    # The mean of the losses of three steps, which is all of them so far.
    losses = np.arcsinh(records.numpy().mean(axis=0))
    by_hand = [*reports, *losses, (norms[0] - norms[1]) / 3]
    by_hand += [np.log(0.25) / 3, np.log(2.0), np.log(8.0), 0.0, -0.5, 0.0, 3 / 8]
    np.testing.assert_allclose(seen, by_hand, rtol=1e-5, atol=1e-6)
    gradients = [np.concatenate([np.ravel(g) for g in grads]) for grads in _last_gradients(pieces, 2)]
    np.testing.assert_allclose(np.exp(norms), [np.linalg.norm(g) for g in gradients], rtol=1e-4)


def _last_gradients(pieces, before):
    """Those of the discriminator and of the generator in the step after `before` others."""
    loop, meta = pieces
    game, meta, kept = loop.game, meta._replace(meta_learner=[]), {}

    class Recording(GradientDescent):
        def update(self, state, player, params, gradients, signals, seed):
            kept[player] = [g.numpy() for g in gradients]
            return state, [tf.zeros_like(g) for g in gradients]

    carry, _ = ends(game, Adam(0.02, epsilon=1e-3), before)
    base = Adam(0.02, epsilon=1e-3)
    recording = InnerLoop(game, Recording(1.0), loop.mask)
    carry = carry._replace(meta_learner_state=())
    found = []
    for player in ("discriminator", "generator"):
        recording.advance(meta, carry, EPISODE.support, 1, EPISODE.seed)
        found.append(kept[player])
        if player == "discriminator":
            moved, _ = ends(game, base, before + 1)
            carry = carry._replace(params={**carry.params, "discriminator": moved.params["discriminator"]})
    return found


def test_observations_are_within_bounds():
    game, meta_learner = tiny_gan(loss=NonSaturating()), controller()
    prepared(game, meta_learner)
    carry, _ = ends(game, meta_learner, 2)
    wild = {p: tf.constant([np.nan, np.inf, -1e30, 1e30, 0.0][: len(s)]) for p, s in carry.signals.items()}
    for distance in (np.nan, np.inf, 0.0, -1e-9, 1e30):
        seen = meta_learner.observation(carry.meta_learner_state, carry.step, wild, tf.constant(distance, tf.float32))
        assert np.isfinite(seen).all() and np.abs(seen).max() <= 5.0
    observed = (carry.meta_learner_state, carry.step, wild, tf.constant(np.nan))
    state = meta_learner.steering.observe(*observed, tf.constant([0, 1]))
    assert all(np.isfinite(t).all() for t in tf.nest.flatten(state))


def test_an_open_loop_observes_the_time_only():
    game, meta_learner = tiny_gan(loss=NonSaturating()), controller(closed_loop=False)
    prepared(game, meta_learner)
    carry, _ = ends(game, meta_learner, 3)
    seen = meta_learner.observation(carry.meta_learner_state, carry.step, carry.signals, tf.constant(0.3)).numpy()
    assert seen[-1] == pytest.approx(3 / 8) and not seen[:-1].any()


def test_log_probabilities_of_a_rollout_are_judged_the_same_afterwards():
    """One by one as the decisions are drawn, and all at once from observations and actions."""
    game, meta_learner = tiny_gan(loss=NonSaturating()), controller(every=1)
    prepared(game, meta_learner)
    restless(meta_learner)
    state, seen, chosen = meta_learner.begin(functional_params(game, meta_learner)), [], []
    for number in range(4):
        signals = {p: tf.random.stateless_normal([n], [number, n]) for p, n in meta_learner.reports.items()}
        received = (state, tf.constant(number), signals, tf.constant(0.5 + number))
        state = meta_learner.decide(*received, lambda logits, step: drawn(logits, tf.stack([step, 7])))
        seen.append(state["observation"])
        chosen.append(state["action"])
    judged, entropy = meta_learner.judge(tf.stack(seen)[None], tf.stack(chosen)[None], tf.ones([1, 4]))
    assert judged.shape == entropy.shape == (1, 4)
    np.testing.assert_allclose(tf.reduce_sum(judged), state["log_prob"], rtol=1e-5)
    assert len({tuple(c.numpy()) for c in chosen}) > 1


def functional_params(game, meta_learner):
    return masks.take(masks.select(game, ""), functional.read(game.nets))


def test_options_are_drawn_by_their_probabilities():
    game, meta_learner = tiny_gan(loss=NonSaturating()), controller(actions=("turns",), calm=1.0)
    prepared(game, meta_learner)
    state = meta_learner.begin(functional_params(game, meta_learner))
    signals = {p: tf.zeros([n]) for p, n in meta_learner.reports.items()}

    received = (state, tf.constant(0), signals, tf.constant(1.0))
    seeds = tf.stack([tf.range(2000), tf.ones(2000, tf.int32)], 1)

    def draw(seed):
        return meta_learner.decide(*received, lambda logits, step: drawn(logits, seed))["action"][0]

    found = tf.function(lambda: tf.map_fn(draw, seeds, fn_output_signature=tf.int32))()
    logits = 4.0 * np.tanh(np.array([1.0, 0.0, 0.0]) / 4.0)
    np.testing.assert_allclose(np.bincount(found) / 2000, np.exp(logits) / np.exp(logits).sum(), atol=0.04)


def test_memory_is_all_that_is_kept_for_the_next_attempt():
    game, meta_learner = tiny_gan(loss=NonSaturating()), controller()
    prepared(game, meta_learner)
    restless(meta_learner)
    carry, _ = ends(game, meta_learner, 3)
    fresh = meta_learner.begin(functional_params(game, meta_learner))
    kept = meta_learner.remember(fresh, carry.meta_learner_state)
    np.testing.assert_array_equal(kept["memory"], carry.meta_learner_state["memory"])
    assert np.any(kept["memory"] != fresh["memory"])
    flat_close({**kept, "memory": 0.0}, {**fresh, "memory": 0.0}, rtol=0, atol=0)


def test_the_mean_loss_forgets_what_is_more_than_five_moves_ago():
    game, meta_learner = tiny_gan(loss=NonSaturating()), controller(horizon=8)
    carry, records = ends(game, meta_learner, 8)
    mean = 0.0
    for number, loss in enumerate(records.numpy()[:, 0]):
        mean += (loss - mean) / min(number + 1, 5)
    assert float(carry.meta_learner_state["losses"]["discriminator"]) == pytest.approx(mean, rel=1e-5)


def test_the_augmented_share_reaches_the_loss():
    """Ten decisions to augment less: then the step is that of the game without augmentation."""
    game = tiny_dcgan(augmentation=DifferentiableAugmentation(0.5))
    meta_learner = controller(GradientDescent(0.1), every=1, actions=("augmentation",))
    loop, meta = prepared(game, meta_learner)
    support = tf.random.stateless_uniform([4, 8, 8, 1], [1, 2], -1.0, 1.0)
    carry = loop.begin(meta)
    for _ in range(10):
        observed = (carry.meta_learner_state, carry.step, carry.signals, tf.constant(1.0))
        state = meta_learner.decide(*observed, lambda *_: tf.constant([0]))
        carry = carry._replace(meta_learner_state=state)
    assert float(state["knobs"]["augmentation"]) == pytest.approx(0.0, abs=1e-6)
    steered_loop = dataclasses.replace(loop, steering=scripted(meta_learner, {"augmentation": 0}))
    steered, _ = steered_loop.advance(meta, carry, support, 1, EPISODE.seed)
    plain, start = prepared(tiny_dcgan(), GradientDescent(0.1))
    expected, _ = plain.adapt(start, support, 1, EPISODE.seed)
    flat_close(steered.params, expected.params, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_steers_nets_of_another_dtype(dtype):
    """Its own numbers are float32, whatever the nets are and the episode is."""
    game, meta_learner = tiny_gan(dtype, loss=NonSaturating()), controller(GradientDescent(0.1), every=1)
    loop, meta = prepared(game, meta_learner)
    carry, _ = loop.adapt(meta, tf.cast(EPISODE.support, dtype), 2, EPISODE.seed)
    assert carry.params["generator"][0].dtype == dtype and carry.meta_learner_state["memory"].dtype == "float32"
    assert np.isfinite(game.distance(functional.read(game.nets), EPISODE.query, None, EPISODE.seed))
