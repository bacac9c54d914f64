"""Learned rates: equal to the hand-designed meta-learner at the start, by hand, and their derivatives."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_gan.losses import NonSaturating
from meta_gan.meta import Unrolled
from meta_gan.meta_learners import ALFA, Adam, GradientDescent, LearnedAdam, MetaCurvature, MetaSGD, PerStepRates
from meta_gan.meta_learners.ancestors.alfa import symmetric_log
from meta_gan.meta_learners.ancestors.meta_curvature import modes
from meta_gan.types import MetaWeights, ParamInfo
from tests.meta_learners.helpers import SEED, START, infos, ready, shake, trajectory
from tests.toys import adapt, central_difference, one, parts, random_episodes, tiny_gan, weekly

RATES = {"a": 0.02, "b": 0.05}
LEARNED = {
    "MetaSGD": lambda **k: MetaSGD(RATES, **k),
    "PerStepRates": lambda **k: PerStepRates(RATES, 2, **k),
    "LearnedAdam": lambda **k: LearnedAdam(RATES, 0.6, 0.95, 1e-9, **k),
    "ALFA": lambda **k: ALFA(RATES, hidden=5, seed=3, **k),
    "MetaCurvature": lambda **k: MetaCurvature(RATES, largest=3, **k),
}


def made(name, **options):
    return LEARNED[name](dtype="float64", **options)


def close(path, other, rtol):
    assert len(path) == len(other)
    for x, y in zip(path, other, strict=True):
        for player in x:
            for a, b in zip(x[player], y[player], strict=True):
                np.testing.assert_allclose(a, b, rtol=rtol, atol=0.1 * rtol)


@pytest.mark.parametrize("name", LEARNED)
def test_before_any_training_it_is_the_hand_designed_one(name):
    by_hand = Adam(RATES, 0.6, 0.95, 1e-9) if name == "LearnedAdam" else GradientDescent(RATES)
    # Adam holds its bias corrections in float32.
    close(trajectory(made(name), 4), trajectory(by_hand, 4), 1e-6 if name == "LearnedAdam" else 1e-10)


@pytest.mark.parametrize("name", LEARNED)
def test_every_learned_number_changes_the_trajectory(name):
    """Moved one at a time, over enough steps for the second rate of two to be used, and for Adam's decays to tell."""
    meta_learner = shake(ready(made(name)), 0.02)
    if name == "ALFA":
        for numbers in meta_learner.made.values():
            numbers["bias"].assign(np.full(5, 30.0))  # every hidden unit is on
    before = np.concatenate([w.ravel() for ws in trajectory(meta_learner, 3)[-1].values() for w in ws])
    for variable in meta_learner.trainable_variables:
        value = variable.numpy()
        for index in np.ndindex(*value.shape):
            moved = value.copy()
            moved[index] += 0.05
            variable.assign(moved)
            after = np.concatenate([w.ravel() for ws in trajectory(meta_learner, 3)[-1].values() for w in ws])
            assert np.abs(after - before).max() > 0, (variable.name, index)
        variable.assign(value)


def test_meta_sgd_by_hand():
    """Each parameter by a rate of its own."""
    meta_learner = ready(MetaSGD(0.1, dtype="float64"))
    meta_learner.made["a"][0].assign(np.log([0.5, 0.25]))
    (step,) = trajectory(meta_learner, 1)
    np.testing.assert_allclose(step["a"][0], [1 - 0.5 * 2, -2 + 0.25 * 7], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(step["a"][1], [[3 - 0.1 * 28]], rtol=1e-12)


def test_rates_by_step_by_hand_and_the_last_goes_on():
    start = {"a": [np.array([1.0])]}
    meta_learner = ready(PerStepRates(0.1, 2, dtype="float64"), start)
    meta_learner.made["a"].assign(np.log([[0.5], [0.25]]))
    values = [step["a"][0][0] for step in trajectory(meta_learner, 3, players=("a",), start=start)]
    expected, w = [], 1.0
    for rate in (0.5, 0.25, 0.25):
        w -= rate * (w**3 + 1)
        expected.append(w)
    np.testing.assert_allclose(values, expected, rtol=1e-12)


def test_moves_are_counted_by_player():
    """b's second move has b's second rate, however often a moved in between."""
    alone = shake(ready(made("PerStepRates")))
    both = trajectory(alone, 3)
    close([{"b": s["b"]} for s in both], [{"b": s["b"]} for s in trajectory(alone, 3, players=("b",))], 1e-12)


def test_learned_adam_by_hand():
    """Two steps of one number, with rate and decays that are not those it started from."""
    start = {"a": [np.array([1.0])]}
    meta_learner = ready(LearnedAdam(0.7, 0.9, 0.9, 1e-9, dtype="float64"), start)
    meta_learner.made["a"].assign([[np.log(0.1), 0.0, np.log(3.0)]])  # decays 1/2 and 3/4
    first, second = trajectory(meta_learner, 2, players=("a",), start=start)
    assert first["a"][0] == pytest.approx([0.9])
    g1, g2 = 2.0, 0.9**3 + 1
    mean = (0.5 * 0.5 * g1 + 0.5 * g2) / (1 - 0.5**2)
    square = (0.75 * 0.25 * g1**2 + 0.25 * g2**2) / (1 - 0.75**2)
    assert second["a"][0] == pytest.approx([0.9 - 0.1 * mean / np.sqrt(square)])


def test_alfa_equals_numpy():
    meta_learner = shake(ready(made("ALFA")), 0.3)
    (step,) = trajectory(meta_learner, 1, players=("b",))
    n = {key: value.numpy() for key, value in meta_learner.made["b"].items()}
    grads = [w**3 + 1 for w in START["b"]]
    inputs = np.arcsinh(np.array([t.mean() for t in (*grads, *START["b"])]) / 0.002)
    by_rate, decay = np.split(np.maximum(inputs @ n["kernel"] + n["bias"], 0) @ n["readout"], 2)
    assert np.abs(decay).min() > 1e-3
    for i, w in enumerate(START["b"]):
        expected = w - np.exp(n["log_rates"][i] + by_rate[i]) * grads[i] - decay[i] * w
        np.testing.assert_allclose(step["b"][i], expected, rtol=1e-10)


def test_the_symmetric_logarithm():
    got = symmetric_log(tf.constant([0.0, 1e-6, 1.0, -100.0], tf.float64))
    np.testing.assert_allclose(got, [0.0, 5e-4, np.log(1e3), -np.log(1e5)], rtol=1e-5)


def test_curvature_equals_one_sum_over_all_indices():
    """A kernel of 1x2 places, 3 inputs and 4 outputs, the last axis too large for a full factor."""
    meta_learner = shake(ready(made("MetaCurvature")), 0.5)
    (step,) = trajectory(meta_learner, 1, players=("b",))
    places, inputs, outputs = (f.numpy() for f in meta_learner.made["b"][1])
    assert (places.shape, inputs.shape, outputs.shape) == ((2, 2), (3, 3), (4,))
    w = START["b"][1]
    turned = np.einsum("pq,ij,o,qjo->pio", places, inputs, outputs, (w**3 + 1).reshape(2, 3, 4))
    np.testing.assert_allclose(step["b"][1], w - 0.05 * turned.reshape(w.shape), rtol=1e-12)


def test_modes():
    assert [modes(s) for s in ((), (5,), (2, 3), (7, 2, 3), (3, 3, 2, 8))] == [(), (5,), (2, 3), (7, 2, 3), (9, 2, 8)]


def test_a_scalar_has_no_axis_to_turn():
    meta_learner = MetaCurvature(0.1, dtype="float64")
    meta_learner.setup({"a": [ParamInfo("a/0", (), 1)]}, {"a": 1})
    params = {"a": [tf.constant(2.0, tf.float64)]}
    _, (delta,) = meta_learner.update(meta_learner.begin(params), "a", params, [tf.constant(3.0, tf.float64)], {}, SEED)
    np.testing.assert_allclose(delta, -0.3, rtol=1e-12)


@pytest.mark.parametrize("name", ["PerStepRates", *weekly("MetaSGD", "ALFA", "LearnedAdam", "MetaCurvature")])
def test_the_meta_gradient_equals_finite_differences(name):
    """Of every learned tensor of both players, through three steps of a GAN; the discriminator's acts on the distance
    only through the generator's later moves."""
    rates = {"generator": 0.2, "discriminator": 0.1}
    options = {"PerStepRates": {"moves": 3}, "ALFA": {"hidden": 4}, "LearnedAdam": {"epsilon": 1e-2}}.get(name, {})
    meta_learner = type(LEARNED[name]())(rates, **options, dtype="float64")
    loop, meta = parts(tiny_gan("float64", loss=NonSaturating()), meta_learner)
    shake(meta_learner, 0.1)
    meta = meta._replace(meta_learner=[tf.convert_to_tensor(v) for v in meta_learner.trainable_variables])
    episode = one(random_episodes(dtype="float64"))

    @tf.function(autograph=False)
    def distance(learned):
        start = MetaWeights(meta.initial, learned)
        carry, _ = adapt((loop, start), episode, 3)
        return loop.distance(loop.final(start, carry), episode)

    got = tf.function(lambda: Unrolled(2).task(loop, meta, episode, 3), autograph=False)()
    values, checked = [v.numpy() for v in meta.meta_learner], set()
    for index, variable in enumerate(meta_learner.trainable_variables):
        direction = [np.zeros_like(v) for v in values]
        direction[index] = np.random.default_rng(index).normal(size=values[index].shape)
        measured = central_difference(lambda a: distance([tf.constant(x) for x in a]), values, direction, step=3e-4)
        claimed = np.sum(got.meta_learner[index] * direction[index])
        np.testing.assert_allclose(claimed, measured, rtol=1e-5, atol=1e-9, err_msg=variable.name)
        checked |= {player for player in rates if player in variable.name and abs(measured) > 1e-5}
    assert checked == set(rates), "numbers of both players must matter"


@pytest.mark.parametrize("name", LEARNED)
def test_round_trip(name):
    meta_learner = LEARNED[name]()
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(meta_learner))
    assert type(again) is type(meta_learner) and again.get_config() == meta_learner.get_config() and not again.built
    shapes = [[v.shape for v in ready(r).variables] for r in (meta_learner, again)]
    assert shapes[0] == shapes[1] and meta_learner.learned
    close(trajectory(meta_learner, 2), trajectory(again, 2), 0.0)


@pytest.mark.parametrize("name", LEARNED)
def test_a_player_that_does_not_move_has_no_variables(name):
    """And needs no rate."""
    meta_learner = type(LEARNED[name]())({"a": 0.1}, **({"moves": 2} if name == "PerStepRates" else {}))
    meta_learner.setup({"a": infos()["a"], "b": []}, {"a": 2, "b": 2})
    assert meta_learner.trainable_variables and not [v for v in meta_learner.trainable_variables if "_b" in v.name]
    with pytest.raises(ValueError, match="a rate is required for every player"):
        type(meta_learner)({"a": 0.1}, **({"moves": 2} if name == "PerStepRates" else {})).setup(
            infos(), {"a": 2, "b": 2}
        )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        *((lambda r=rate, n=name: type(LEARNED[n]())(r, *[2] * (n == "PerStepRates")), "'rate' must be a finite number")
          for rate in (0.0, -1.0, float("nan")) for name in LEARNED),
        (lambda: PerStepRates(0.1, 0), "moves"),
        (lambda: PerStepRates(0.1, 1.5), "moves"),
        (lambda: LearnedAdam(first_decay=0.0), "'first_decay' must be a finite number > 0 and < 1"),
        (lambda: LearnedAdam(second_decay=1.0), "'second_decay' must be a finite number > 0 and < 1"),
        (lambda: LearnedAdam(epsilon=-1.0), "'epsilon' must be a finite number > 0"),
        (lambda: ALFA(0.1, hidden=0), "hidden"),
        (lambda: ALFA(0.1, seed=-1), "seed"),
        (lambda: MetaCurvature(0.1, largest=0), "largest"),
    ],
)  # fmt: skip
def test_bad_arguments_are_rejected(make, message):
    with pytest.raises(ValueError, match=message):
        make()
