"""The LSTMs that follow every parameter by itself: by hand, and their derivatives."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_gan.losses import NonSaturating
from meta_gan.meta import Unrolled
from meta_gan.meta_learners import CoordinatewiseLSTM, GradientDescent, MetaLSTM
from meta_gan.meta_learners.ancestors.coordinatewise_lstm import logarithm_and_sign
from meta_gan.types import MetaWeights
from tests.meta_learners.helpers import SEED, START, ready, shake, slopes, trajectory
from tests.toys import adapt, central_difference, flat_close, one, parts, random_episodes, tiny_gan

RATES = {"a": 0.02, "b": 0.05}
KINDS = {"coordinatewise": CoordinatewiseLSTM, "meta-LSTM": MetaLSTM}
KIND = pytest.mark.parametrize("kind", KINDS)


def made(kind, shaken=0.0, **options):
    meta_learner = ready(KINDS[kind](RATES, hidden=4, dtype="float64", **options))
    return shake(meta_learner, shaken) if shaken else meta_learner


def test_logarithm_and_sign_by_hand():
    got = logarithm_and_sign(tf.constant([np.e, -np.exp(-5), np.exp(-10), 0.0, -1e-6], tf.float64))
    expected = [[0.1, 1], [-0.5, -1], [-1, 1], [-1, 0], [-1, -np.exp(10) * 1e-6]]
    np.testing.assert_allclose(got, expected, rtol=1e-9)


def test_the_encodings_slope_at_zero_is_finite():
    x = tf.constant([0.0, 1e-30, 1.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(logarithm_and_sign(x))
    np.testing.assert_allclose(tape.gradient(total, x), [np.exp(10), np.exp(10), 0.1], rtol=1e-5)


def test_before_any_training_the_meta_lstm_is_gradient_descent():
    for ours, theirs in zip(trajectory(made("meta-LSTM"), 4), trajectory(GradientDescent(RATES), 4), strict=True):
        for player in ours:
            for a, b in zip(ours[player], theirs[player], strict=True):
                np.testing.assert_allclose(a, b, atol=1e-4)


def test_the_meta_lstms_step_by_hand():
    """Gates of biases alone: a rate of sigmoid(logit(.02) + 1) and a share of sigmoid(-12 + 11) forgotten."""
    meta_learner = made("meta-LSTM")
    meta_learner.gates[0].bias.assign([1.0])
    meta_learner.gates[1].bias.assign([11.0])
    (step,) = trajectory(meta_learner, 1, players=("a",))
    rate = 1 / (1 + np.exp(-(np.log(0.02 / 0.98) + 1)))
    forget = 1 / (1 + np.exp(1.0))
    for after, w in zip(step["a"], START["a"], strict=True):
        np.testing.assert_allclose(after, (1 - forget) * w - rate * (w**3 + 1), rtol=1e-10)


def test_before_any_training_the_coordinatewise_meta_learner_hardly_moves():
    (step,) = trajectory(made("coordinatewise"), 1)
    for player, ws in START.items():
        for after, w in zip(step[player], ws, strict=True):
            assert 0 < np.abs(after - w).max() < 0.05 * RATES[player]


def test_the_coordinatewise_update_is_the_rate_times_the_readout():
    meta_learner = made("coordinatewise")
    meta_learner.readout.kernel.assign(np.zeros((4, 1)))
    meta_learner.readout.bias.assign([2.0])
    (step,) = trajectory(meta_learner, 1)
    for player, ws in START.items():
        for after, w in zip(step[player], ws, strict=True):
            np.testing.assert_allclose(after, w + 2.0 * RATES[player], rtol=1e-12)


@KIND
def test_every_parameter_is_followed_by_itself(kind):
    """A parameter moves as if it were alone, and equal parameters move equally."""
    meta_learner = made(kind, shaken=0.3)
    path = trajectory(meta_learner, 3, players=("a",))
    alone = trajectory(meta_learner, 3, players=("a",), start={"a": [np.array([-2.0, -2.0])]})
    for whole, single in zip(path, alone, strict=True):
        np.testing.assert_allclose(single["a"][0], [whole["a"][0][1]] * 2, rtol=1e-10)


@KIND
def test_it_has_a_memory(kind):
    """The same gradient gives another update after another history."""
    meta_learner = made(kind, shaken=0.3)
    params = {p: [tf.constant(w) for w in ws] for p, ws in START.items()}
    signals, after = {"a": tf.zeros([2]), "b": tf.zeros([2])}, []
    for scale in (1.0, 50.0):
        state = meta_learner.begin(params)
        for gradients in ([scale * g for g in slopes(START["a"])], slopes(START["a"])):
            state, deltas = meta_learner.update(state, "a", params, [tf.constant(g) for g in gradients], signals, SEED)
        after.append(np.concatenate([d.numpy().ravel() for d in deltas]))
    assert np.abs(after[1] - after[0]).max() > 1e-6


def test_only_the_meta_lstm_receives_the_loss():
    for kind, receives in (("coordinatewise", False), ("meta-LSTM", True)):
        meta_learner, got = made(kind, shaken=0.3), []
        params = {p: [tf.constant(w) for w in ws] for p, ws in START.items()}
        for loss in (0.5, 50.0):
            signals = {p: tf.constant([loss, 0.0]) for p in START}
            _, deltas = meta_learner.update(meta_learner.begin(params), "a", params, slopes(params["a"]), signals, SEED)
            got.append(deltas[0].numpy())
        assert (np.abs(got[1] - got[0]).max() > 1e-8) == receives


@KIND
def test_the_meta_gradient_equals_finite_differences(kind):
    rates = {"generator": 0.1, "discriminator": 0.05}
    meta_learner = KINDS[kind](rates, hidden=3, dtype="float64")
    loop, meta = parts(tiny_gan("float64", loss=NonSaturating()), meta_learner)
    shake(meta_learner, 0.05)
    meta = meta._replace(meta_learner=[tf.convert_to_tensor(v) for v in meta_learner.trainable_variables])
    episode = one(random_episodes(dtype="float64"))

    @tf.function(autograph=False)
    def distance(learned):
        start = MetaWeights(meta.initial, learned)
        carry, _ = adapt((loop, start), episode, 3)
        return loop.distance(loop.final(start, carry), episode)

    got = tf.function(lambda: Unrolled(2).task(loop, meta, episode, 3), autograph=False)()
    values = [v.numpy() for v in meta.meta_learner]
    for draw in range(3):
        direction = [np.random.default_rng([draw, i]).normal(size=v.shape) for i, v in enumerate(values)]
        measured = central_difference(lambda a: distance([tf.constant(x) for x in a]), values, direction, step=1e-4)
        claimed = sum(np.sum(g * d) for g, d in zip(got.meta_learner, direction, strict=True))
        assert abs(measured) > 1e-6
        # The meta-LSTM receives losses rounded to float32.
        np.testing.assert_allclose(claimed, measured, rtol=1e-6 if kind == "coordinatewise" else 1e-3)


@KIND
def test_round_trip_and_seeds(kind):
    meta_learner = KINDS[kind](RATES, hidden=3, seed=5)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(meta_learner))
    assert type(again) is type(meta_learner) and meta_learner.learned
    assert again.get_config() == meta_learner.get_config()
    first, same = ([v.numpy() for v in ready(r).trainable_variables] for r in (meta_learner, again))
    flat_close(first, same)
    other = [v.numpy() for v in ready(KINDS[kind](RATES, hidden=3, seed=6)).trainable_variables]
    assert max(np.abs(a - b).max() for a, b in zip(first, other, strict=True)) > 0.1


@KIND
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": 0.0}, "'rate' must be a finite number > 0"),
        ({"hidden": 0}, "hidden"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_arguments_are_rejected(kind, options, message):
    with pytest.raises(ValueError, match=message):
        KINDS[kind](**options)


@pytest.mark.parametrize("rate", [1.0, {"a": 0.1, "b": 2.0}])
def test_rates_of_one_or_more_are_rejected(rate):
    with pytest.raises(ValueError, match=r"'rate' must lie in \(0, 1\)"):
        MetaLSTM(rate)


@KIND
def test_a_player_that_moves_needs_a_rate(kind):
    with pytest.raises(ValueError, match="a rate is required for every player"):
        ready(KINDS[kind]({"a": 0.1}))
