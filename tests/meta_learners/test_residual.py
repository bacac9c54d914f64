"""The recurrent and the attention meta-learner: Adam before training, invariance to order, derivatives."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_gan.losses import NonSaturating
from meta_gan.meta import Unrolled
from meta_gan.meta_learners import Adam, AttentionMetaLearner, RecurrentMetaLearner
from meta_gan.types import MetaWeights
from tests.meta_learners.helpers import SEED, START, ready, shake, slopes, trajectory
from tests.toys import adapt, central_difference, flat_close, one, parts, random_episodes, tiny_gan, weekly

RATES = {"a": 0.02, "b": 0.05}
KINDS = {"recurrent": RecurrentMetaLearner, "attention": AttentionMetaLearner}
SMALL = {"recurrent": {"hidden": 6}, "attention": {"hidden": 8, "heads": 2, "blocks": 2}}
KIND = pytest.mark.parametrize("kind", KINDS)


def made(kind, rate=None, shaken=0.0, start=None, **options):
    meta_learner = KINDS[kind](RATES if rate is None else rate, **{"dtype": "float64", **SMALL[kind], **options})
    return shake(ready(meta_learner, start), shaken) if shaken else ready(meta_learner, start)


def apart(path, other):
    """The largest difference of two trajectories, by player."""
    return {
        p: max(np.abs(a - b).max() for x, y in zip(path, other, strict=True) for a, b in zip(x[p], y[p], strict=True))
        for p in path[0]
    }


@KIND
def test_before_any_training_it_is_adam(kind):
    adam = trajectory(Adam(RATES, 0.5, 0.99, 1e-6), 5)
    assert max(apart(trajectory(made(kind), 5), adam).values()) < 1e-6
    assert max(apart(trajectory(made(kind, shaken=0.1), 5), adam).values()) > 1e-3


@KIND
def test_turned_adds_one_feature_per_parameter(kind):
    """Before training it is Adam as well; afterwards one more row of weights is the only difference."""
    ahead, plain = made(kind, turned=True), made(kind)
    assert max(apart(trajectory(ahead, 5), trajectory(Adam(RATES, 0.5, 0.99, 1e-6), 5)).values()) < 1e-6
    for meta_learner in (ahead, plain):
        shake(meta_learner, 0.2)
    for own, other in zip(ahead.trainable_variables, plain.trainable_variables, strict=True):
        own.assign(tf.concat([other, tf.zeros_like(own[-1:])], axis=0) if own.shape != other.shape else other)
    assert max(apart(trajectory(ahead, 5), trajectory(plain, 5)).values()) < 1e-12
    ahead.from_parameter.kernel[-1].assign(tf.ones_like(ahead.from_parameter.kernel[-1]))
    assert min(apart(trajectory(ahead, 5), trajectory(plain, 5)).values()) > 1e-6


@KIND
def test_the_order_of_tensors_does_not_matter(kind):
    """In reverse order, every tensor moves as before."""
    meta_learner = made(kind, shaken=0.3)
    backwards = {p: ws[::-1] for p, ws in START.items()}
    other = [{p: ws[::-1] for p, ws in step.items()} for step in trajectory(meta_learner, 4, start=backwards)]
    assert max(apart(trajectory(meta_learner, 4), other).values()) < 1e-10


@KIND
def test_the_order_of_parameters_does_not_matter(kind):
    """The order of the parameters within a tensor does not matter either."""
    meta_learner, turned = made(kind, shaken=0.3), {**START, "a": [START["a"][0][::-1].copy(), START["a"][1]]}
    path, other = (trajectory(meta_learner, 3, start=start) for start in (START, turned))
    np.testing.assert_allclose(path[-1]["a"][0], other[-1]["a"][0][::-1], rtol=1e-10)


@KIND
def test_its_weights_fit_any_tensors(kind):
    """No variable has a shape of the first network: other players, tensors and ranks, with the same weights."""
    meta_learner = made(kind, rate=0.05, shaken=0.3)
    before = [v.numpy() for v in meta_learner.variables]
    other = {"only": [np.full((2, 2, 1, 3), 0.5), np.ones(4), np.array(2.0)]}
    path = trajectory(meta_learner, 3, players=("only",), start=other)
    assert all(np.isfinite(w).all() for w in path[-1]["only"])
    assert np.abs(path[-1]["only"][1] - other["only"][1]).min() > 1e-3
    flat_close([v.numpy() for v in meta_learner.variables], before)


def update(meta_learner, signals, others=None):
    """The first update of `a`; with `others`, after a move of `b` by gradients of that scale."""
    params = {p: [tf.constant(w) for w in ws] for p, ws in START.items()}
    state = meta_learner.begin(params)
    if others is not None:
        state, _ = meta_learner.update(
            state, "b", params, [tf.constant(others * g) for g in slopes(START["b"])], signals, SEED
        )
    _, deltas = meta_learner.update(state, "a", params, slopes(params["a"]), signals, SEED)
    return np.concatenate([d.numpy().ravel() for d in deltas])


def signals(own, other):
    return {"a": tf.constant([own, 0.5]), "b": tf.constant([other, -0.5])}


@KIND
def test_coupling_and_game_features_decide_the_inputs(kind):
    """If coupled, the update depends on the other player's loss and gradients; it depends on its own loss always."""
    base = {"own": 1.0, "other": 2.0}
    for options, uses_own, uses_other in (
        ({}, True, True),
        ({"coupled": False}, True, False),
        ({"game_features": False}, False, False),
    ):
        meta_learner = made(kind, shaken=0.3, **options)
        got = [update(meta_learner, signals(**base)), update(meta_learner, signals(**{**base, "own": 9.0}))]
        got.append(update(meta_learner, signals(**{**base, "other": 9.0})))
        assert (np.abs(got[1] - got[0]).max() > 1e-6) == uses_own
        assert (np.abs(got[2] - got[0]).max() > 1e-6) == uses_other
        moved = [update(meta_learner, signals(**base), scale) for scale in (1.0, 30.0)]
        assert (np.abs(moved[1] - moved[0]).max() > 1e-6) == meta_learner.coupled


@KIND
def test_it_has_a_memory(kind):
    """Two histories that end in equal momenta and weights differ, even with decays of 0 in Adam's means."""
    meta_learner = made(kind, shaken=0.3, first_decay=0.0, second_decay=0.0)
    params = {p: [tf.constant(w) for w in ws] for p, ws in START.items()}
    after = []
    for scale in (1.0, 50.0):
        state = meta_learner.begin(params)
        for gradients in ([scale * g for g in slopes(START["a"])], slopes(START["a"])):
            state, deltas = meta_learner.update(
                state, "a", params, [tf.constant(g) for g in gradients], signals(1, 1), SEED
            )
        after.append(np.concatenate([d.numpy().ravel() for d in deltas]))
    assert np.abs(after[1] - after[0]).max() > 1e-6


@KIND
def test_without_adam_the_update_is_the_networks_output(kind):
    """It moves before training, and doubling its learned rate doubles the update."""
    meta_learner = made(kind, residual=False)
    first = update(meta_learner, signals(1.0, 1.0))
    assert np.abs(first).max() > 1e-4
    meta_learner.log_rate.assign(np.log(2.0))
    np.testing.assert_allclose(update(meta_learner, signals(1.0, 1.0)), 2 * first, rtol=1e-10)


@KIND
def test_the_update_by_hand_from_its_two_readouts(kind):
    """With readouts of biases alone: l = 1, m = -2, d = .25 and s = 3 for every tensor and parameter. Adam's first
    direction has a root mean square of 1, but for epsilon."""
    meta_learner = made(kind)
    meta_learner.of_tensor.bias.assign([1.0, -2.0])
    meta_learner.of_parameter.bias.assign([0.25, 3.0])
    meta_learner.log_rate.assign(0.5)
    direction = -update(made(kind), signals(1.0, 1.0)) / RATES["a"]
    rate = RATES["a"] * np.exp(0.5 + 1.5 * np.tanh(1.0))
    expected = rate * ((1 + 0.5 * np.tanh(-2.0)) * direction + 0.25 * np.exp(0.3))
    np.testing.assert_allclose(-update(meta_learner, signals(1.0, 1.0)), expected, rtol=1e-5)


@KIND
@pytest.mark.parametrize("residual", [True, False])
def test_tensors_without_a_gradient_do_not_move(kind, residual):
    """Whatever was learned; and far below epsilon the update is proportional to the gradient."""
    meta_learner = made(kind, shaken=0.5, residual=residual, epsilon=1.0, first_decay=0.0, second_decay=0.0)
    params = {p: [tf.constant(w) for w in ws] for p, ws in START.items()}
    sizes = []
    for scale in (0.0, 1e-9, 1e-6):
        gradients = [scale * tf.ones_like(w) for w in params["a"]]
        _, deltas = meta_learner.update(meta_learner.begin(params), "a", params, gradients, signals(1.0, 1.0), SEED)
        sizes.append(max(np.abs(d).max() for d in deltas))
    assert sizes[0] == 0.0 and 0 < sizes[1] < 1e-8 and 1e-9 < sizes[2] < 1e-5


def gan_pieces(kind, **options):
    rates = {"generator": 0.05, "discriminator": 0.03}
    meta_learner = KINDS[kind](rates, epsilon=1e-2, **{"dtype": "float64", **SMALL[kind], **options})
    loop, meta = parts(tiny_gan("float64", loss=NonSaturating()), meta_learner)
    shake(meta_learner, 0.05)
    return loop, meta._replace(meta_learner=[tf.convert_to_tensor(v) for v in meta_learner.trainable_variables])


@pytest.mark.parametrize("kind", ["recurrent", pytest.param("attention", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("game_features", "step", "rtol"), [(True, 1e-5, 1e-3), *weekly((False, 1e-5, 1e-6))])
def test_the_meta_gradient_equals_finite_differences(kind, game_features, step, rtol):
    """For the meta-learner's weights and both nets' initial weights, through three steps. Float32 signals need a wide
    tolerance, and kinks on either side a small step."""
    pieces = loop, meta = gan_pieces(kind, game_features=game_features)
    episode = one(random_episodes(dtype="float64"))

    @tf.function(autograph=False)
    def distance(weights, learned):
        start = MetaWeights(meta.initial._replace(weights=weights), learned)
        carry, _ = adapt((loop, start), episode, 3)
        return loop.distance(loop.final(start, carry), episode)

    got = tf.function(lambda: Unrolled(2).task(*pieces, episode, 3), autograph=False)()
    sources = {"meta-learner": (meta.meta_learner, got.meta_learner)}
    sources |= {net: (meta.initial.weights[net], got.weights[net]) for net in ("generator", "discriminator")}
    for name, (tensors, gradients) in sources.items():
        values = [t.numpy() for t in tensors]

        def moved(arrays, name=name):
            tensors = [tf.constant(a) for a in arrays]
            weights = meta.initial.weights if name == "meta-learner" else {**meta.initial.weights, name: tensors}
            return distance(weights, tensors if name == "meta-learner" else meta.meta_learner)

        for draw in range(3):
            direction = [np.random.default_rng([draw, i]).normal(size=v.shape) for i, v in enumerate(values)]
            measured = central_difference(moved, values, direction, step=step)
            claimed = sum(np.sum(g * d) for g, d in zip(gradients, direction, strict=True))
            assert abs(measured) > 1e-5
            np.testing.assert_allclose(claimed, measured, rtol=rtol, err_msg=name)


@KIND
def test_steps_in_pieces_equal_steps_in_one_graph(kind):
    pieces = gan_pieces(kind)
    episode = one(random_episodes(dtype="float64"))
    whole, _ = tf.function(lambda: adapt(pieces, episode, 5), autograph=False)()
    carry, _ = adapt(pieces, episode, 2)
    carry, _ = adapt(pieces, episode, 3, carry=carry)
    flat_close(whole, carry, rtol=1e-9, atol=1e-12)


@KIND
def test_a_hundred_steps_are_finite(kind):
    pieces = gan_pieces(kind)
    episode = one(random_episodes(dtype="float64"))
    carry, _ = tf.function(lambda: adapt(pieces, episode, 100), autograph=False)()
    assert all(np.isfinite(t).all() for t in tf.nest.flatten(carry))


@KIND
def test_round_trip(kind):
    meta_learner = KINDS[kind](
        {"a": 0.1, "b": 0.2},
        0.3,
        0.7,
        1e-4,
        coupled=False,
        residual=False,
        game_features=False,
        seed=5,
        turned=True,
        fused=True,
        **SMALL[kind],
    )
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(meta_learner))
    assert type(again) is type(meta_learner) and again.get_config() == meta_learner.get_config()
    assert max(apart(trajectory(ready(meta_learner), 2), trajectory(ready(again), 2)).values()) == 0
    assert meta_learner.learned and len(meta_learner.trainable_variables) > 8


@KIND
def test_seeds_differ_and_repeat(kind):
    first, same, other = ([v.numpy() for v in made(kind, seed=seed).trainable_variables] for seed in (1, 1, 2))
    flat_close(first, same)
    assert max(np.abs(a - b).max() for a, b in zip(first, other, strict=True)) > 0.1


@KIND
def test_no_two_layers_have_the_same_initial_weights(kind):
    """Layers of one shape and seed would otherwise be copies of one another."""
    kernels = [v.numpy() for v in made(kind).trainable_variables if v.shape.rank == 2 and np.any(v.numpy())]
    for i, kernel in enumerate(kernels):
        assert not any(k.shape == kernel.shape and np.allclose(k, kernel) for k in kernels[:i])


BAD = {
    "rate": (0.0, "'rate' must be a finite number > 0"),
    "first_decay": (1.0, "'first_decay' must be a finite number >= 0 and < 1"),
    "second_decay": (-0.1, "'second_decay' must be a finite number >= 0 and < 1"),
    "epsilon": (0.0, "'epsilon' must be a finite number > 0"),
    "hidden": (0, "hidden"),
    "coupled": (1, "'coupled' must be True or False"),
    "residual": (None, "'residual' must be True or False"),
    "game_features": ("no", "'game_features' must be True or False"),
    "seed": (-1, "seed"),
    "turned": (0, "'turned' must be True or False"),
    "fused": (1, "'fused' must be True or False"),
}


@KIND
@pytest.mark.parametrize("name", BAD)
def test_bad_arguments_are_rejected(kind, name):
    value, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        KINDS[kind](**{name: value})


@KIND
def test_a_player_that_moves_needs_a_rate(kind):
    with pytest.raises(ValueError, match="a rate is required for every player"):
        ready(KINDS[kind]({"a": 0.1}))
