"""`model.optimizer`: rates, averages, options and state of all groups at once."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from tests.toys import TwoPlayers, constant_episodes

LOSSES = {
    "psi": lambda psi, theta, mean: 0.5 * (psi - mean) ** 2 + psi * theta,
    "theta": lambda psi, theta, mean: 0.5 * (theta + mean) ** 2 - psi * theta,
}
EPISODES = constant_episodes([0.0, 1.0], [0.5, -2.0])
DATA = tf.data.Dataset.from_tensors(EPISODES).repeat()


def make(optimizer=None, **options):
    model = mg.MetaModel(TwoPlayers(0.7, -0.4, LOSSES), mg.FOMAML(inner_steps=0))
    model.compile(optimizer=keras.optimizers.SGD(0.1) if optimizer is None else optimizer, **options)
    return model


def two_rates(**options):
    groups = {"psi": keras.optimizers.SGD(0.4, **options), "theta": keras.optimizers.SGD(0.1, **options)}
    return make(groups)


def rates(model):
    return {group: float(o.learning_rate) for group, o in model.optimizers.items()}


def weights(model):
    return [v.numpy() for v in model.trainable_variables]


def assert_same(found, wanted):
    assert len(found) == len(wanted) > 0
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a, b)


def fit(model, epochs=1, steps=1, **options):
    return model.fit(DATA, steps_per_epoch=steps, epochs=epochs, verbose=0, **options)


def test_setting_the_rate_moves_all_groups_in_proportion():
    model = two_rates()
    model.optimizer.learning_rate = 0.2
    assert rates(model) == pytest.approx({"psi": 0.2, "theta": 0.05})
    model.optimizer.learning_rate.assign(0.8)
    assert rates(model) == pytest.approx({"psi": 0.8, "theta": 0.2})
    model.optimizer.learning_rate = model.optimizer.learning_rate * 0.5
    assert rates(model) == pytest.approx({"psi": 0.4, "theta": 0.1})


def test_a_rate_of_0_can_be_left_again():
    model = two_rates()
    model.optimizer.learning_rate = 0.0
    assert rates(model) == {"psi": 0.0, "theta": 0.0}
    model.optimizer.learning_rate = 0.4
    assert rates(model) == pytest.approx({"psi": 0.4, "theta": 0.1})


def test_equal_rates_stay_equal_to_the_bit():
    model = make()
    model.optimizer.learning_rate = 1 / 3
    assert set(rates(model).values()) == {float(np.float32(1 / 3))}


def test_the_callbacks_of_keras_move_all_groups():
    model = two_rates()
    fit(model, 3, callbacks=[keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.1 if epoch else rate)])
    assert rates(model) == pytest.approx({"psi": 0.004, "theta": 0.001})
    model = two_rates()
    plateau = keras.callbacks.ReduceLROnPlateau("query/theta", mode="min", factor=0.5, patience=0, min_delta=1e9)
    history = fit(model, 3, callbacks=[plateau]).history
    assert rates(model) == pytest.approx({"psi": 0.1, "theta": 0.025})
    assert history["learning_rate"] == pytest.approx([0.4, 0.4, 0.2])


def test_a_changed_rate_is_that_of_the_next_step():
    changed, wanted = make(), make(keras.optimizers.SGD(0.05))
    changed.set_weights(wanted.get_weights())
    for model in (changed, wanted):
        model.train_on_batch(EPISODES)
    changed.set_weights(wanted.get_weights())
    changed.optimizer.learning_rate = 0.05
    for model in (changed, wanted):
        model.train_on_batch(EPISODES)
    assert_same(weights(changed), weights(wanted))


@pytest.mark.parametrize("value", [-0.1, float("nan"), "fast"])
def test_bad_rates_are_refused(value):
    with pytest.raises(ValueError, match="'learning_rate' must be a finite number >= 0"):
        make().optimizer.learning_rate = value


def test_the_rate_of_a_schedule_cannot_be_set():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    model = make({"psi": keras.optimizers.SGD(0.1), "theta": keras.optimizers.SGD(schedule)})
    with pytest.raises(TypeError, match=r"schedules for \['theta'\]"):
        model.optimizer.learning_rate = 0.2
    assert rates(model) == pytest.approx({"psi": 0.1, "theta": 0.1}), "none may have moved"
    assert float(make(keras.optimizers.SGD(schedule)).optimizer.learning_rate) == pytest.approx(0.1)


def test_averages_are_each_players_own():
    """Two steps: after the first the average is the weight itself, after the second momentum a + (1 - momentum) w."""
    plain, averaged = make(), make(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.75))
    averaged.set_weights(plain.get_weights())
    each = []
    for _ in range(2):
        plain.train_on_batch(EPISODES)
        each.append(weights(plain))
    fit(averaged, steps=2)  # at the end of which Keras assigns the averages
    for found, first, second in zip(weights(averaged), *each, strict=True):
        np.testing.assert_allclose(found, 0.75 * first + 0.25 * second, rtol=1e-6, atol=1e-7)


def test_averages_that_overwrite_in_training():
    """At momentum 1 the average stays the first step's weights, to which every second step returns."""
    plain, model = make(), make(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=1.0, ema_overwrite_frequency=2))
    model.set_weights(plain.get_weights())
    plain.train_on_batch(EPISODES)
    model.train_on_batch(EPISODES)
    assert_same(weights(model), weights(plain))
    model.train_on_batch(EPISODES)
    assert_same(weights(model), weights(plain))


def test_swapping_averages_for_validation():
    model = make(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5))
    seen = []
    watch = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(weights(model)))
    fit(model, 2, callbacks=[keras.callbacks.SwapEMAWeights(swap_on_epoch=True), watch])
    assert_same(weights(model), seen[-1])
    averages = [a.numpy() for o in model.optimizers.values() for a in o._model_variables_moving_average]
    shapes = [a.shape for a in averages]
    assert shapes == [v.shape for group in model.groups.values() for v in group]


def test_accumulated_gradients_make_one_step_of_their_mean():
    one, two = make(), make(keras.optimizers.SGD(0.1, gradient_accumulation_steps=2))
    two.set_weights(one.get_weights())
    start = weights(one)
    one.train_on_batch(EPISODES)
    two.train_on_batch(EPISODES)
    assert_same(weights(two), start)
    two.train_on_batch(EPISODES)
    for a, b in zip(weights(two), weights(one), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


def test_weight_decay_is_of_every_group():
    plain, decayed = make(), make(keras.optimizers.SGD(0.1, weight_decay=0.5))
    decayed.set_weights(plain.get_weights())
    start = weights(plain)
    plain.train_on_batch(EPISODES)
    decayed.train_on_batch(EPISODES)
    for a, b, w in zip(weights(decayed), weights(plain), start, strict=True):
        np.testing.assert_allclose(a, b - 0.1 * 0.5 * w, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.SGD(0.1, loss_scale_factor=8.0),
        lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1)),
        lambda: {
            "psi": keras.optimizers.SGD(0.1),
            "theta": keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1)),
        },
    ],
)
def test_scaling_of_losses_is_refused(optimizer):
    with pytest.raises(ValueError, match="must not scale a loss"):
        make(optimizer())


def test_averages_of_one_group_alone_are_refused():
    groups = {"psi": keras.optimizers.SGD(0.1), "theta": keras.optimizers.SGD(0.1, use_ema=True)}
    with pytest.raises(ValueError, match="'use_ema' and 'ema_momentum' must be the same for every group"):
        make(groups)


def test_no_optimizer_is_refused():
    with pytest.raises(ValueError, match="'theta' must be a Keras optimizer"):
        make({"psi": keras.optimizers.SGD(0.1), "theta": "sgd"})
    names = [optimizer.name for optimizer in make("sgd").optimizers.values()]
    assert names[0].endswith("_psi") and names[1].endswith("_theta")


def test_a_rate_rounded_to_half_precision_is_refused():
    keras.config.set_floatx("float16")
    try:
        rounded = keras.optimizers.SGD(0.1)
    finally:
        keras.config.set_floatx("float32")
    with pytest.raises(ValueError, match=r"floatx\(\) is 'float32'.*float16"):
        make(rounded)
