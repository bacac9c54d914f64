"""Scales and shifts of a network: equal to it at the start, by hand, in a game, saved, and frozen."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from meta_gan import functional, networks, presets
from meta_gan.layers import BatchNormalization
from meta_gan.networks import ScaleAndShift
from tests.toys import numbers, one, random_episodes

X = np.random.default_rng(0).uniform(-1, 1, (3, 8, 8, 1)).astype(np.float32)


def line():
    """x -> 2 x + 1, with an example shape."""
    layer = keras.layers.Dense(1)
    net = keras.Sequential([keras.Input((1,)), layer])
    layer.kernel.assign([[2.0]])
    layer.bias.assign([1.0])
    net.example_shape = (1,)
    return net


def values(net):
    return [tf.convert_to_tensor(v) for v in net.trainable_variables]


def state(net):
    return [tf.convert_to_tensor(v) for v in net.non_trainable_variables]


def test_a_new_wrapper_equals_the_network():
    for net in (networks.Translator((8, 8, 1), width=2), networks.dcgan((8, 8, 1), width=2)[1]):
        expected = net(X)
        np.testing.assert_array_equal(ScaleAndShift(net)(X), expected)


def test_by_hand():
    net = ScaleAndShift(line())
    scale, shift = net.changes
    scale.assign([3.0])
    shift.assign([-0.5])
    assert float(net(np.ones((1, 1), np.float32))[0, 0]) == 2.0 * 3.0 + 1.0 - 0.5
    assert scale.path.endswith("/channel_scale_0") and shift.path.endswith("/channel_shift_1")


def test_kernels_are_scaled_by_output_channel():
    net = networks.Translator((8, 8, 1), width=2)
    wrapped = ScaleAndShift(net)
    index = [v.path for v in net.trainable_variables].index(net.enter.kernel.path)
    wrapped.changes[index].assign([1.0, 0.5])
    made = wrapped(X)
    net.enter.kernel.assign(net.enter.kernel * np.array([1.0, 0.5], np.float32))
    wrapped.changes[index].assign([1.0, 1.0])
    np.testing.assert_allclose(made, wrapped(X), atol=1e-6)


def test_every_weight_and_change_has_its_gradient():
    net = ScaleAndShift(line())
    weights = values(net)
    with tf.GradientTape() as tape:
        tape.watch(weights)
        made, _ = functional.call(net, weights, state(net), tf.constant([[4.0]]), None, True, tf.constant([1, 2]))
    gradients = {
        v.path.rpartition("/")[2]: float(tf.squeeze(g))
        for v, g in zip(net.trainable_variables, tape.gradient(made, weights), strict=True)
    }
    assert gradients == {"kernel": 4.0, "bias": 1.0, "channel_scale_0": 8.0, "channel_shift_1": 1.0}


def test_the_networks_state_is_updated():
    """Batch statistics assigned inside the network come out of a pure call as from the network alone."""
    body = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2), BatchNormalization()])
    body.example_shape = (2,)
    x = tf.constant(np.random.default_rng(0).normal(size=(5, 2)), tf.float32)
    seed = tf.constant([1, 2])
    _, expected = functional.call(body, values(body), state(body), x, None, True, seed)
    net = ScaleAndShift(body)
    _, found = functional.call(net, values(net), state(net), x, None, True, seed)
    before = state(body)
    assert any((np.abs(a - b) > 1e-6).any() for a, b in zip(expected, before, strict=True))
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-7)


@pytest.mark.parametrize("frozen", [False, True])
def test_file_round_trip(frozen, tmp_path):
    net = ScaleAndShift(networks.Translator((8, 8, 1), width=2, seed=3), frozen)
    for number, change in enumerate(net.changes):
        change.assign(change + 0.01 * (number + 1))
    net.save(tmp_path / "net.keras")
    again = keras.saving.load_model(tmp_path / "net.keras")
    np.testing.assert_array_equal(again(X), net(X))
    assert again.frozen is frozen and len(again.trainable_variables) == len(net.trainable_variables)


def test_a_frozen_network_keeps_its_weights_in_meta_training():
    nets = [ScaleAndShift(net, frozen=True) for net in networks.dcgan((8, 8, 1), latent_dim=3, width=2)]
    model = mg.MetaModel(mg.games.GAN(*nets), mg.FOMAML(2, 0.05))
    model.compile(optimizer=keras.optimizers.Adam(0.1))
    before = [[v.numpy() for v in net.network.variables] for net in nets]
    changes = [[v.numpy() for v in net.changes] for net in nets]
    # Of three tasks: a mean of three equal numbers is off by a rounding.
    model.meta_step(random_episodes(tasks=3, shape=(8, 8, 1)))
    for net, old, moved in zip(nets, before, changes, strict=True):
        for a, b in zip(old, net.network.variables, strict=True):
            np.testing.assert_array_equal(a, b)
        assert any((a != b.numpy()).any() for a, b in zip(moved, net.changes, strict=True))


def test_a_frozen_stack_of_layers_is_loaded(tmp_path):
    net = ScaleAndShift(line(), frozen=True)
    net.save(tmp_path / "line.keras")
    again = keras.saving.load_model(tmp_path / "line.keras")
    assert float(again(np.ones((1, 1), np.float32))[0, 0]) == 3.0 and len(again.trainable_variables) == 2


def test_calls_change_no_weight_of_a_wrapper_that_is_not_trainable():
    net = ScaleAndShift(line())
    net.changes[0].assign([1.5])
    net.trainable = False
    made = [float(net(np.ones((1, 1), np.float32))[0, 0]) for _ in range(3)]
    assert made == [4.0] * 3


def test_it_has_the_dtype_of_its_network():
    net = ScaleAndShift(networks.Translator((8, 8, 1), width=2, dtype="float64"))
    x = np.random.default_rng(0).uniform(-1, 1, (2, 8, 8, 1))
    assert net.compute_dtype == "float64"
    np.testing.assert_array_equal(net(x), net.network(x))


def test_a_conditioning_that_the_network_does_not_take_is_rejected():
    with pytest.raises(ValueError, match="'conditioning' must be None: Sequential takes none"):
        ScaleAndShift(line())(np.ones((1, 1), np.float32), conditioning={"task_embedding": np.zeros(3)})


@pytest.mark.parametrize("name", ["dcgan", pytest.param("sagan", marks=pytest.mark.slow), "translation", "vae"])
def test_a_recipe_adapts_scales_and_shifts_alone(name):
    changes = {"algorithm": "fomaml", "embedding_dim": 3} if name in ("sagan", "vae") else {}
    changes |= {"terms_features": 0.0, "game_features": ""} if name == "sagan" else {}
    recipe = presets.get(name, width=2, scale_and_shift=True, inner_steps=2, **changes)
    shape = (8, 8, 1)
    domains = {"source": shape, "target": shape}
    model = presets.build(recipe, domains if name == "translation" else shape)
    for player, places in model.loop.mask.items():
        moved = [model.game.nets[net].trainable_variables[i].path for net, i in places]
        assert moved and all("/channel_s" in path for path in moved), player
        assert sum(
            "/channel_s" in v.path for n in model.game.players[player] for v in model.game.nets[n].trainable_variables
        ) == len(moved)
    support = numbers(one(random_episodes(shape=model.game.example_shape)).support)
    start, end = (model.adapt(support, steps=steps, seed=1).snapshot for steps in (0, 2))
    for net in model.game.nets:
        for v, a, b in zip(model.game.nets[net].trainable_variables, start.weights[net], end.weights[net], strict=True):
            if "/channel_s" not in v.path:
                np.testing.assert_array_equal(a, b)
    assert any(
        (a != b).numpy().any() for n in start.weights for a, b in zip(start.weights[n], end.weights[n], strict=True)
    )


def test_bad_networks_and_recipes_are_rejected():
    with pytest.raises(ValueError, match="'network' must be built"):
        ScaleAndShift(keras.Sequential([keras.layers.Dense(1)]))
    with pytest.raises(ValueError, match=r"'algorithm.mask' must be '' with network.scale_and_shift"):
        presets.get("dcgan", scale_and_shift=True, mask="generator")
    with pytest.raises(ValueError, match=r"'network.scale_and_shift' must be True or False"):
        presets.get("dcgan", scale_and_shift=1)
    with pytest.raises(ValueError, match="'scale_and_shift' must not be set when network is 'fusion'"):
        presets.get("fusion", scale_and_shift=True, mask="")
