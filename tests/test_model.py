"""`MetaModel`: compile, the outer step by hand, fit, adapt, save and load."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from meta_gan import functional, storage
from meta_gan.losses import Hinge, NonSaturating
from meta_gan.meta import Unrolled
from tests.games.nets import batch_norm_gan, dropout_gan
from tests.meta.meta_learners import LearnedRates
from tests.toys import flat_close, numbers, one, parts, random_episodes, tiny_gan

EPISODES = random_episodes(tasks=2)
SUPPORT = EPISODES.support[0].numpy()


def make(game=None, algorithm=None, averaging=None, **options):
    model = mg.MetaModel(
        tiny_gan(loss=NonSaturating()) if game is None else game,
        mg.FOMAML(inner_steps=2, inner_rate=0.1) if algorithm is None else algorithm,
        averaging,
    )
    model.compile(**{"optimizer": keras.optimizers.SGD(0.5), **options})
    return model


def everything(model):
    """Every variable: of nets, meta-learner, averages and optimizers."""
    optimizers = [v for o in model.optimizers.values() for v in o.variables]
    return [v.numpy() for v in [*model._stored_variables(), *optimizers]]


def weights(model):
    return {net: [v.numpy() for v in m.trainable_variables] for net, m in model.game.nets.items()}


def test_one_step_of_sgd_by_hand():
    """The new weights are the old ones minus the rate times the estimate, for every player."""
    model = make()
    before = weights(model)
    estimate = Unrolled(1).estimate(*parts(model.game), EPISODES, 2)
    metrics = model.meta_step(EPISODES)
    for net, old in before.items():
        expected = [w - 0.5 * g for w, g in zip(old, estimate.weights[net], strict=True)]
        flat_close(weights(model)[net], expected, rtol=1e-5, atol=1e-7)
        norm = functional.global_norm(estimate.weights[net])
        np.testing.assert_allclose(metrics[f"gradient_norm/{net}"], norm, rtol=1e-5)
    assert set(metrics) == {f"{kind}/{player}" for kind in ("loss", "query", "gradient_norm") for player in before}


def test_clip_by_hand_for_one_group_alone():
    """A clipped step has the length rate times limit and the direction of the gradient."""
    free, clipped = make(), make(clip={"generator": 1e-3})
    for model in (free, clipped):
        functional.write(model.game.nets, functional.read(free.game.nets))
    start = weights(free)
    free.meta_step(EPISODES)
    clipped.meta_step(EPISODES)
    steps = [
        np.concatenate([(b - a).ravel() for a, b in zip(start["generator"], weights(m)["generator"], strict=True)])
        for m in (free, clipped)
    ]
    lengths = [np.linalg.norm(s) for s in steps]
    assert lengths[0] > 0.5 * 1e-3 * 2, "nothing would be clipped"
    np.testing.assert_allclose(lengths[1], 0.5 * 1e-3, rtol=1e-3)
    np.testing.assert_allclose(steps[1] / lengths[1], steps[0] / lengths[0], atol=1e-3)
    flat_close(weights(clipped)["discriminator"], weights(free)["discriminator"])


def test_every_group_has_its_own_optimizer():
    rates = {"discriminator": 0.5, "generator": 0.25}
    model = make(optimizer={g: keras.optimizers.SGD(r) for g, r in rates.items()})
    start = weights(model)
    gradients = Unrolled(1).estimate(*parts(model.game), EPISODES, 2).weights
    model.meta_step(EPISODES)
    for net, rate in rates.items():
        expected = [w - rate * g for w, g in zip(start[net], gradients[net], strict=True)]
        flat_close(weights(model)[net], expected, rtol=1e-5, atol=1e-7)


def test_one_optimizer_is_copied_for_every_group():
    given = keras.optimizers.Adam(0.01)
    model = make(optimizer=given)
    assert len({id(o) for o in [given, *model.optimizers.values()]}) == 3
    assert {float(o.learning_rate) for o in model.optimizers.values()} == {np.float32(0.01)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": {"generator": keras.optimizers.SGD()}}, r"\['discriminator', 'generator'\]"),
        ({"optimizer": dict.fromkeys(("generator", "discriminator", "third"), "sgd")}, "third"),
        ({"clip": {"third": 1.0}}, r"'clip' must be > 0 for groups.*third"),
        ({"clip": 0.0}, "'clip' must be > 0"),
        ({"clip": {"generator": -1.0}}, "'clip' must be > 0"),
    ],
)
def test_bad_compile_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_one_optimizer_object_for_two_groups_is_refused_or_works():
    """Keras builds an optimizer for one set of variables: the first group would be unknown to it at the first step."""
    shared = keras.optimizers.Adam(0.01)
    try:
        model = make(optimizer={"discriminator": shared, "generator": shared})
    except ValueError as error:
        assert "optimizer" in str(error)
        return
    start = weights(model)
    model.meta_step(EPISODES)
    assert all(np.any(a != b) for n in start for a, b in zip(start[n], weights(model)[n], strict=True))


def test_a_learned_meta_learner_is_a_group_and_learns():
    meta_learner = mg.Algorithm("learned", LearnedRates(-2.0, dtype="float32"), mg.Unrolled(2), 2)
    model = make(algorithm=meta_learner)
    assert set(model.groups) == {"discriminator", "generator", "meta_learner"}
    before = [v.numpy() for v in model.meta_learner.trainable_variables]
    metrics = model.meta_step(EPISODES)
    after = [v.numpy() for v in model.meta_learner.trainable_variables]
    assert float(metrics["gradient_norm/meta_learner"]) > 0
    assert all(a != b for a, b in zip(before, after, strict=True))


def test_the_moving_average_by_hand_after_two_steps():
    """s2 = e (d w0 + (1-d) w1) + (1-e) w2, d = 2/11, e = 3/12; adapt and sample start from it, training does not."""
    model = make(averaging=0.75)
    path = [weights(model)]
    for _ in range(2):
        model.meta_step(EPISODES)
        path.append(weights(model))
    got = model.meta_weights(averaged=True).initial.weights
    for net in path[0]:
        for w0, w1, w2, s in zip(*(p[net] for p in path), got[net], strict=True):
            np.testing.assert_allclose(s, 0.25 * (2 / 11 * w0 + 9 / 11 * w1) + 0.75 * w2, rtol=1e-5, atol=1e-7)
    flat_close(model.meta_weights().initial.weights, path[2])
    flat_close(model.adapt(SUPPORT, steps=0).snapshot.weights, got)


@pytest.mark.parametrize("averaging", [0.0, 1.0, -0.1, float("nan")])
def test_bad_averaging_is_refused(averaging):
    with pytest.raises(ValueError, match="'averaging' must be a finite number > 0 and < 1"):
        make(averaging=averaging)


@pytest.mark.parametrize("graph", [pytest.param(False, marks=pytest.mark.slow), True], ids=["eager", "graph"])
@pytest.mark.parametrize("game", [lambda: tiny_gan(loss=Hinge()), batch_norm_gan], ids=["mlp", "batch norm"])
def test_a_meta_gradient_that_is_not_finite_changes_nothing(game, graph):
    """Neither weights nor batch statistics, averages or optimizer moments; and the message says what to do."""
    model = make(game(), optimizer=keras.optimizers.Adam(0.01), averaging=0.5)
    step = tf.function(model.meta_step, autograph=False) if graph else model.meta_step
    step(EPISODES)
    before = everything(model)
    bad = EPISODES._replace(query=EPISODES.query * float("nan"), support=EPISODES.support * float("nan"))
    for _ in range(5 if graph else 1):  # in a graph the order of effects may be one of luck
        with pytest.raises(tf.errors.InvalidArgumentError, match="lower the inner or outer rate"):
            step(bad)
        for old, new in zip(before, everything(model), strict=True):
            np.testing.assert_array_equal(new, old)
    step(EPISODES)
    assert any(np.any(a != b) for a, b in zip(before, everything(model), strict=True))


def dataset(steps):
    return tf.data.Dataset.from_tensors(EPISODES).repeat(steps)


def test_fit_trains_reports_and_validates():
    model = make()
    start = weights(model)
    history = model.fit(dataset(4), validation_data=dataset(1), epochs=2, steps_per_epoch=2, verbose=0).history
    moved = [np.any(a != b) for net in start for a, b in zip(start[net], weights(model)[net], strict=True)]
    assert all(moved)
    expected = {"query/generator", "loss/discriminator", "gradient_norm/generator"}
    expected |= {"val_distance/before", "val_distance/after", "val_query/generator/after", "val_copy_rate/after"}
    assert expected <= set(history) and all(len(values) == 2 for values in history.values())


def test_fit_equals_meta_steps():
    models = [make(), make()]
    functional.write(models[1].game.nets, functional.read(models[0].game.nets))
    models[0].fit(dataset(3), epochs=1, verbose=0)
    for _ in range(3):
        models[1].meta_step(EPISODES)
    flat_close(weights(models[0]), weights(models[1]), rtol=1e-4, atol=1e-6)


def test_evaluate_changes_nothing_but_its_metrics():
    model = make(averaging=0.5)
    before = everything(model)
    result = model.evaluate(dataset(2), verbose=0, return_dict=True)
    flat_close(everything(model), before)
    metrics = numbers(model.assess(EPISODES))
    np.testing.assert_allclose(result["distance/after"], metrics["distance/after"], rtol=1e-5)
    assert metrics["distance/after"] != metrics["distance/before"]


@pytest.mark.parametrize("game", [tiny_gan, batch_norm_gan, dropout_gan])
def test_adapt_leaves_every_variable_untouched_to_the_bit(game):
    model = make(game(), averaging=0.5)
    before = everything(model)
    model.adapt(SUPPORT, steps=3, seed=1).sample(3)
    flat_close(everything(model), before)


def test_steps_none_is_the_models_own():
    model = make()
    own, two, three = (model.adapt(SUPPORT, steps=n, seed=1).sample(3) for n in (None, 2, 3))
    np.testing.assert_array_equal(own, two)
    assert np.any(own != three)


def test_no_step_is_the_models_own_samples():
    model = make(averaging=0.5)
    model.meta_step(EPISODES)
    np.testing.assert_array_equal(model.adapt(SUPPORT, steps=0).sample(4, seed=2), model.sample(4, seed=2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"support": SUPPORT[:, :1]}, r"'support' must have shape \[n, 2\]"),
        ({"support": SUPPORT[:0]}, "n >= 1"),
        ({"support": SUPPORT * np.nan}, "finite"),
        ({"support": SUPPORT * 300}, r"lie in \[-1, 1\]"),
        ({"steps": -1}, "'steps' must be an integer >= "),
        ({"steps": 1.5}, "'steps'"),
        ({"steps": True}, "'steps'"),
        ({"seed": 2**31}, "'seed'"),
        ({"seed": None}, "'seed'"),
    ],
)
def test_bad_adapt_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make().adapt(**{"support": SUPPORT, **arguments})


def test_bytes_are_taken_as_levels():
    model, levels = make(), np.array([[0, 255], [51, 204]], np.uint8)
    floats = np.array([[-1, 1], [-0.6, 0.6]])
    np.testing.assert_allclose(model.adapt(levels).sample(3), model.adapt(floats).sample(3), atol=1e-6)


@pytest.mark.parametrize(
    ("game", "averaging"), [(lambda: tiny_gan(loss=Hinge()), None), (batch_norm_gan, 0.9), (dropout_gan, 0.9)]
)
def test_save_and_load_to_the_bit(tmp_path, game, averaging):
    model = make(game(), averaging=averaging)
    model.meta_step(EPISODES)
    model.data_card = {"name": "noise", "splits": {"train": ["a"]}}
    model.save(tmp_path / "m", training={"note": "two"})
    again = mg.load(tmp_path / "m")
    assert again.data_card == model.data_card and again.averaging == averaging
    flat_close([v.numpy() for v in again._stored_variables()], [v.numpy() for v in model._stored_variables()])
    ours, theirs = (m.adapt(SUPPORT, seed=3).sample(3, seed=4) for m in (model, again))
    np.testing.assert_array_equal(ours, theirs)
    again.compile(optimizer="sgd")
    again.meta_step(EPISODES)


def test_a_learned_meta_learner_is_saved_and_loaded(tmp_path):
    model = make(algorithm=mg.Algorithm("learned", LearnedRates(-2.0, dtype="float32"), mg.Unrolled(1), 2))
    model.meta_step(EPISODES)
    model.save(tmp_path / "m")
    again = mg.load(tmp_path / "m")
    flat_close(*([v.numpy() for v in m.meta_learner.variables] for m in (again, model)))
    np.testing.assert_array_equal(*(m.adapt(SUPPORT).sample(3) for m in (again, model)))


def test_a_folder_of_another_architecture_is_refused(tmp_path):
    """Weights that do not fit the configuration must not be assigned in part."""
    make(tiny_gan(width=3)).save(tmp_path / "a")
    make(tiny_gan(width=4)).save(tmp_path / "b")
    config, _ = storage.read_model(tmp_path / "a", "meta_model")
    _, arrays = storage.read_model(tmp_path / "b", "meta_model")
    storage.write_model(tmp_path / "c", config, arrays)
    with pytest.raises(ValueError, match="must have shapes"):
        mg.load(tmp_path / "c")


@pytest.mark.parametrize("name", ["folder", "file.keras"])
def test_a_part_that_could_not_be_loaded_is_not_saved(tmp_path, name):
    class Unregistered(mg.games.GAN):
        pass

    game = Unregistered(*mg.networks.mlp((2,), latent_dim=2, width=2, depth=1))
    with pytest.raises(ValueError, match=r"must be registered with .*Received: Unregistered"):
        make(game).save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_keras_config_round_trip():
    model = make(averaging=0.9)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model))
    assert again.averaging == 0.9 and again.algorithm.name == "FOMAML"
    assert again.game.loss_function == model.game.loss_function


def test_one_task_of_a_batch_is_that_task_alone():
    """No task may see another: the estimate of two is the mean of each by itself."""
    pieces = parts(tiny_gan(loss=NonSaturating()))
    both = Unrolled(1).estimate(*pieces, EPISODES, 2).weights
    each = [Unrolled(1).task(*pieces, one(EPISODES, i), 2).weights for i in range(2)]
    flat_close(both, tf.nest.map_structure(lambda a, b: (a + b) / 2, *each), rtol=1e-5, atol=1e-7)
