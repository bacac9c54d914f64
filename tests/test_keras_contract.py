"""A case for every row of the table in `docs/keras.md`: what holds of `keras.Model`, and what is refused."""

import copy
import pickle
import re
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from tests.toys import random_episodes, tiny_gan

ROWS = re.findall(
    r"^\| (`.*?) \| (holds|refused) \|", (Path(__file__).parents[1] / "docs/keras.md").read_text("utf-8"), re.M
)
NAMES = {name: row for row, _ in ROWS for name in re.findall("`([^`]+)`", row)}
EPISODES = random_episodes(tasks=2)
DATA = tf.data.Dataset.from_tensors(EPISODES).repeat()
SUPPORT = EPISODES.support[0].numpy()
SOURCE = {"name": "noise", "splits": {"train": ["a"]}}


def make(averaging=None, **options):
    model = mg.MetaModel(tiny_gan(), mg.FOMAML(inner_steps=0), averaging)
    model.data_card = dict(SOURCE)
    model.compile(**{"optimizer": keras.optimizers.Adam(0.01), **options})
    return model


@pytest.fixture(scope="module")
def model():
    return make()


def fit(model, *callbacks, epochs=2, **options):
    settings = {"steps_per_epoch": 1, "epochs": epochs, "verbose": 0, "callbacks": list(callbacks)}
    return model.fit(DATA, **{**settings, **options})


def state(model):
    return [v.numpy() for v in [*model._stored_variables(), *model.optimizer.variables]]


def assert_same(found, wanted):
    assert len(found) == len(wanted) > 0
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a, b)


def assert_goes_on_alike(copied, model):
    """State, card and the next step."""
    assert copied.data_card == SOURCE and copied.compiled
    assert_same(state(copied), state(model))
    for each in (copied, model):
        each.train_on_batch(EPISODES)
    assert_same(state(copied), state(model))


def fits(model, tmp_path):
    trained, stepped = make(), make()
    stepped.set_weights(trained.get_weights())
    history = fit(trained, validation_data=DATA, validation_steps=1).history
    assert len(history["query/generator"]) == len(history["val_distance/after"]) == 2
    for _ in range(2):
        stepped.meta_step(EPISODES)
    for a, b in zip(trained.get_weights(), stepped.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def evaluates(model, tmp_path):
    found = model.evaluate(DATA, steps=1, verbose=0, return_dict=True)
    wanted = {name: float(value) for name, value in model.assess(EPISODES).items()}
    assert found == pytest.approx(wanted, rel=1e-5) and len(found) >= 6


def steps_on_batches(model, tmp_path):
    one, two = make(), make()
    two.set_weights(one.get_weights())
    fit(one, epochs=1)
    assert two.train_on_batch(EPISODES, return_dict=True).keys() == one.history.history.keys()
    assert_same(state(two), state(one))
    assert model.test_on_batch(EPISODES, return_dict=True) == pytest.approx(
        model.evaluate(DATA, steps=1, verbose=0, return_dict=True)
    )
    assert len(model.test_on_batch(EPISODES)) == len(model.test_on_batch(EPISODES, return_dict=True))


def has_functions(model, tmp_path):
    model.make_train_function(), model.make_test_function()
    assert model.test_step(EPISODES).keys() == model.assess(EPISODES).keys()
    assert callable(model.train_function) and callable(model.test_function)
    with pytest.raises(ValueError, match="a batch must be an Episode"):
        model.train_step(SUPPORT)


def compiles(model, tmp_path):
    made = make(optimizer={"discriminator": keras.optimizers.SGD(0.1), "generator": keras.optimizers.Adam(0.2)})
    assert [type(o).__name__ for o in made.optimizers.values()] == ["SGD", "Adam"]
    assert make(optimizer="sgd").optimizers.keys() == {"discriminator", "generator"}
    fresh = mg.MetaModel(tiny_gan(), mg.FOMAML(inner_steps=0))
    assert not fresh.compiled and not fresh.optimizers
    with pytest.raises(ValueError, match="compile"):
        fit(fresh)


def compiles_as_asked(model, tmp_path):
    results, start = [], make().get_weights()
    asked = ({}, {"run_eagerly": True}, {"steps_per_execution": 2}, {"auto_scale_loss": True, "jit_compile": "auto"})
    for options in asked:
        made = make(**options)
        made.set_weights(start)
        fit(made, epochs=1, steps_per_epoch=2)
        results.append(made.get_weights())
    for found in results[1:]:
        for a, b in zip(found, results[0], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    assert make(jit_compile=True).jit_compile


def one_optimizer(model, tmp_path):
    made = make()
    made.optimizer.learning_rate = 0.5
    assert [float(o.learning_rate) for o in made.optimizers.values()] == [0.5, 0.5]
    assert int(made.optimizer.iterations) == 0 and isinstance(made.optimizer, keras.optimizers.Optimizer)


def options_of_optimizers(model, tmp_path):
    for options in ({"weight_decay": 0.1}, {"clipnorm": 1.0}, {"gradient_accumulation_steps": 2}):
        fit(make(optimizer=keras.optimizers.Adam(0.01, **options)))


def averages(model, tmp_path):
    fit(make(optimizer=keras.optimizers.Adam(0.01, use_ema=True, ema_overwrite_frequency=1)))


def compile_config(model, tmp_path):
    made = make(clip=2.0, skip_nonfinite=True, steps_per_execution=3)
    again = mg.MetaModel(tiny_gan(), mg.FOMAML(inner_steps=0))
    again.compile_from_config(made.get_compile_config())
    assert again.get_compile_config() == made.get_compile_config() and again.steps_per_execution == 3
    assert mg.MetaModel(tiny_gan(), mg.FOMAML(inner_steps=0)).get_compile_config() == {}


def has_metrics(model, tmp_path):
    model.test_on_batch(EPISODES)
    assert {"distance/after", "query/generator"} <= set(model.metrics_names)
    assert len(model.metrics) == len(model.metrics_names) and len(model.metrics_variables) == 2 * len(model.metrics)
    assert float(model.get_metrics_result()["distance/after"]) != 0
    model.reset_metrics()
    assert float(model.get_metrics_result()["distance/after"]) == 0


def saves(model, tmp_path):
    made = make(averaging=0.9)
    fit(made)
    made.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    with pytest.raises(ValueError, match="must not exist yet"):
        made.save(tmp_path / "m.keras")
    made.save(tmp_path / "m.keras", overwrite=True)
    assert_goes_on_alike(loaded, made)
    (tmp_path / "mine.keras").write_text("no model")
    with pytest.raises(ValueError, match=r"must be a \.keras file, to be replaced"):
        made.save(tmp_path / "mine.keras", overwrite=True)
    with pytest.raises(ValueError, match=r"no further entries.*training"):
        made.save(tmp_path / "n.keras", training={"steps": 1})
    made.save(tmp_path / "folder")
    assert mg.load(tmp_path / "folder").data_card == SOURCE
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "m.keras", "mine.keras"]


def saves_weights(model, tmp_path):
    made, other = make(averaging=0.9), make(averaging=0.9)
    fit(made)
    made.save_weights(tmp_path / "w.weights.h5")
    other.load_weights(tmp_path / "w.weights.h5")
    assert_goes_on_alike(other, made)
    store = {}
    made.save_own_variables(store)
    other.load_own_variables(store)
    assert len(store) == len(made._averages) > 0


def copies(model, tmp_path):
    made = make(averaging=0.9)
    fit(made)
    for copied_by in (copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))):
        assert_goes_on_alike(copied_by(made), made)
    clone = keras.models.clone_model(made)
    assert clone.data_card == SOURCE and clone.compiled and clone.optimizers.keys() == made.optimizers.keys()
    assert int(clone.optimizer.iterations) == 0
    uncompiled = copy.deepcopy(mg.MetaModel(tiny_gan(), mg.FOMAML(inner_steps=0)))
    assert not uncompiled.compiled


def exports(model, tmp_path):
    model.export(tmp_path / "1", format="tf_saved_model", verbose=False)
    assert "adapt_and_sample" in tf.saved_model.load(str(tmp_path / "1")).signatures


def configures(model, tmp_path):
    again = mg.MetaModel.from_config(model.get_config())
    assert again.get_config() == model.get_config() and again.data_card == SOURCE
    assert keras.models.model_from_json(model.to_json()).get_config() == model.get_config()


def is_built(model, tmp_path):
    before = model.get_weights()
    model.build((None, 2)), model.build_from_config(model.get_build_config() or {})
    assert model.built
    assert_same(model.get_weights(), before)


def summarises(model, tmp_path):
    lines = []
    model.summary(print_fn=lambda line, **_: lines.append(line), expand_nested=True)
    assert all(net.name in "\n".join(lines) for net in model.game.nets.values()) and model.path == model.name
    assert all(model.get_layer(net.name) is net for net in model.game.nets.values())
    assert set(map(id, model.game.nets.values())) < set(map(id, model.layers))
    assert model.count_params() == sum(value.size for value in model.get_weights())


def has_weights(model, tmp_path):
    made = make(averaging=0.9)
    assert len(made.variables) >= len(made.weights) == len(made.trainable_weights) + len(made.non_trainable_weights)
    assert len(made.trainable_variables) == sum(len(each) for each in made.groups.values())
    assert len(made.non_trainable_variables) >= len(made._averages) == len(made.trainable_variables)
    made.set_weights([np.zeros_like(value) for value in made.get_weights()])
    assert not any(v.numpy().any() for v in made.trainable_variables)


def has_a_tree(model, tmp_path):
    layers = keras.layers
    generator = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="one")], name="maker")
    discriminator = keras.Sequential([keras.Input((2,)), layers.Dense(1, name="two")], name="critic")
    made = mg.MetaModel(mg.games.GAN(generator, discriminator), mg.FOMAML(inner_steps=0))
    made.compile(optimizer="sgd")
    tree, before = copy.deepcopy(made.get_state_tree("numpy_array")), made.get_weights()
    assert set(tree["trainable_variables"]) == {"maker", "critic"}
    made.set_weights([np.ones_like(value) for value in before])
    made.set_state_tree(tree)
    assert_same(made.get_weights(), before)


def freezes(model, tmp_path):
    game = tiny_gan()
    game.nets["generator"].body.layers[0].trainable = False
    made = mg.MetaModel(game, mg.FOMAML(inner_steps=0))
    made.compile()
    frozen = [v.numpy() for v in game.nets["generator"].non_trainable_variables]
    made.train_on_batch(EPISODES)
    assert_same([v.numpy() for v in game.nets["generator"].non_trainable_variables], frozen)
    game.nets["generator"].trainable = False
    for refused in (
        lambda: fit(made),
        lambda: made.adapt(SUPPORT),
        lambda: made.compile(),
        lambda: made.train_on_batch(EPISODES),
    ):
        with pytest.raises(ValueError, match=r"'trainable' must be set before.*generator"):
            refused()


def adds_weights(model, tmp_path):
    made = make()
    made.add_weight(shape=(2,), name="own", trainable=False)
    made.add_variable(shape=(2,), initializer="zeros", trainable=False)
    fit(made)


def is_float32(model, tmp_path):
    named = (model.dtype, model.compute_dtype, model.variable_dtype, model.input_dtype, model.dtype_policy.name)
    assert set(named) == {"float32"} and model.quantization_mode is None


def has_no_loss(model, tmp_path):
    assert model.loss is None and model.losses == []
    assert hasattr(keras.Model, "compiled_loss") and hasattr(keras.Model, "compiled_metrics")


def is_trivial(model, tmp_path):
    assert model.compute_mask(None, None) is None and not model.supports_masking and model.input_spec is None


def runs(model, tmp_path):
    assert make(run_eagerly=True).run_eagerly and not model.run_eagerly and not model.jit_compile


def replicates(model, tmp_path):
    assert model.distribute_strategy.num_replicas_in_sync == 1
    devices = [device.name.removeprefix("/physical_device:") for device in tf.config.list_physical_devices("CPU")]
    with tf.distribute.MirroredStrategy(devices).scope():
        made = make()
    assert made.distribute_strategy.num_replicas_in_sync == 1
    made._distribute_strategy = type("Two", (), {"num_replicas_in_sync": 2})()
    with pytest.raises(ValueError, match="MetaTrainer"):
        fit(made)


def checkpoints(model, tmp_path):
    made, callbacks = make(), keras.callbacks
    fit(
        made,
        callbacks.ModelCheckpoint(tmp_path / "m.keras"),
        callbacks.ModelCheckpoint(tmp_path / "m.weights.h5", save_weights_only=True),
    )
    other = make()
    other.load_weights(tmp_path / "m.weights.h5")
    assert_same(state(other), state(made))
    assert_goes_on_alike(keras.saving.load_model(tmp_path / "m.keras"), made)


def schedules(model, tmp_path):
    made, callbacks = make(), keras.callbacks
    fit(made, callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2), epochs=1)
    assert [float(o.learning_rate) for o in made.optimizers.values()] == pytest.approx([0.005, 0.005])
    fit(made, callbacks.ReduceLROnPlateau("query/generator", mode="min", factor=0.5, patience=0, min_delta=1e9))
    assert [float(o.learning_rate) for o in made.optimizers.values()] == pytest.approx([0.0025, 0.0025])


def calls_back(model, tmp_path):
    made, callbacks, seen = make(), keras.callbacks, []
    stop = callbacks.EarlyStopping(
        "val_distance/after", mode="min", patience=0, min_delta=1e9, restore_best_weights=True
    )
    each = [callbacks.BackupAndRestore(tmp_path / "backup"), callbacks.CSVLogger(tmp_path / "log.csv"), stop]
    each += [
        callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch)),
        callbacks.TensorBoard(tmp_path / "tb"),
    ]
    history = fit(made, *each, epochs=5, validation_data=DATA, validation_steps=1)
    assert history.epoch == seen == [0, 1] and made.stop_training
    assert "val_distance/after" in (tmp_path / "log.csv").read_text().splitlines()[0]
    assert list((tmp_path / "tb").rglob("events*"))


def swaps(model, tmp_path):
    fit(make(optimizer=keras.optimizers.Adam(0.01, use_ema=True)), keras.callbacks.SwapEMAWeights(swap_on_epoch=True))


def raises_by_itself(model, tmp_path):
    made = make()
    made.set_weights([np.full_like(value, np.nan) for value in made.get_weights()])
    with pytest.raises(tf.errors.InvalidArgumentError, match="not finite"):
        fit(made, keras.callbacks.TerminateOnNaN())


def refused(**calls):
    """A case of calls, each of which must raise a ValueError that names itself and what to call."""

    def case(model, tmp_path):
        for name, call in calls.items():
            with pytest.raises(ValueError, match=rf"{name}[^:]*: .{{8}}|must .*{name}"):
                call(model)

    return case


HOLDS = {
    "fit": fits,
    "evaluate": evaluates,
    "train_on_batch": steps_on_batches,
    "train_step": has_functions,
    "compute_mask": is_trivial,
    "loss": has_no_loss,
    "compile": compiles,
    "compile: run_eagerly, steps_per_execution, jit_compile, auto_scale_loss": compiles_as_asked,
    "run_eagerly": runs,
    "optimizer": one_optimizer,
    "optimizer: use_ema, ema_overwrite_frequency": averages,
    "optimizer: weight_decay, clipnorm, gradient_accumulation_steps": options_of_optimizers,
    "get_compile_config": compile_config,
    "metrics": has_metrics,
    "save": saves,
    "save_weights": saves_weights,
    "copy.deepcopy": copies,
    "export": exports,
    "get_config": configures,
    "build": is_built,
    "summary": summarises,
    "weights": has_weights,
    "get_state_tree": has_a_tree,
    "trainable": freezes,
    "add_weight": adds_weights,
    "dtype": is_float32,
    "distribute_strategy": replicates,
    "ModelCheckpoint": checkpoints,
    "LearningRateScheduler": schedules,
    "EarlyStopping": calls_back,
    "SwapEMAWeights": swaps,
    "TerminateOnNaN": raises_by_itself,
}
REFUSED = {
    "fit: y, sample_weight, class_weight, validation_split": refused(
        y=lambda m: m.fit(DATA, DATA),
        sample_weight=lambda m: m.fit(DATA, sample_weight=SUPPORT),
        class_weight=lambda m: m.fit(DATA, class_weight={0: 1.0}),
        validation_split=lambda m: m.fit(DATA, validation_split=0.1),
    ),
    "call": refused(
        model=lambda m: m(SUPPORT),
        call=lambda m: m.call(SUPPORT),
        predict=lambda m: m.predict(SUPPORT),
        predict_on_batch=lambda m: m.predict_on_batch(SUPPORT),
        predict_step=lambda m: m.predict_step(SUPPORT),
        make_predict_function=lambda m: m.make_predict_function(),
        symbolic_call=lambda m: m.symbolic_call(SUPPORT),
        stateless_call=lambda m: m.stateless_call([], [], SUPPORT),
        rematerialized_call=lambda m: m.rematerialized_call(m.call),
    ),
    "compute_output_shape": refused(
        compute_output_shape=lambda m: m.compute_output_shape((None, 2)),
        compute_output_spec=lambda m: m.compute_output_spec(SUPPORT),
        input=lambda m: m.input,
        output=lambda m: m.output,
    ),
    "compute_loss": refused(
        compute_loss=lambda m: m.compute_loss(x=SUPPORT),
        stateless_compute_loss=lambda m: m.stateless_compute_loss([], [], []),
        compute_metrics=lambda m: m.compute_metrics(SUPPORT, None, None, None),
        add_loss=lambda m: m.add_loss(1.0),
        add_metric=lambda m: m.add_metric(1.0),
    ),
    "compile: loss, loss_weights": refused(
        loss=lambda m: m.compile(loss="mse"), loss_weights=lambda m: m.compile(loss_weights=[1.0])
    ),
    "compile: metrics, weighted_metrics": refused(
        metrics=lambda m: m.compile(metrics=["mse"]), weighted_metrics=lambda m: m.compile(weighted_metrics=["mse"])
    ),
    "optimizer: loss_scale_factor, LossScaleOptimizer": refused(
        loss_scale_factor=lambda m: m.compile(keras.optimizers.SGD(0.1, loss_scale_factor=2.0)),
        LossScaleOptimizer=lambda m: m.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1))),
    ),
    "save: .h5": refused(save=lambda m: m.save("m.h5")),
    "export: input_signature": refused(export=lambda m: m.export("nowhere", input_signature=[SUPPORT])),
    "quantize": refused(
        quantize=lambda m: m.quantize("int8"),
        quantized_build=lambda m: m.quantized_build((None, 2), "int8"),
        quantized_call=lambda m: m.quantized_call(SUPPORT),
        get_quantization_layer_structure=lambda m: m.get_quantization_layer_structure("int8"),
    ),
}
CASES = {**HOLDS, **REFUSED}


def first(row):
    return re.match("`([^`]+)`", row).group(1)


WEEKLY = (
    "compile: run_eagerly",
    "optimizer: weight_decay",
    "export",
    "ModelCheckpoint",
    "EarlyStopping",
    "SwapEMAWeights",
)
LISTED = [
    pytest.param(row, verdict, marks=[pytest.mark.slow] if verdict == "holds" and first(row).startswith(WEEKLY) else [])
    for row, verdict in ROWS
]


@pytest.mark.parametrize(("row", "verdict"), LISTED, ids=[first(row) for row, _ in ROWS])
def test_a_row_of_the_table(row, verdict, model, tmp_path):
    (HOLDS if verdict == "holds" else REFUSED)[first(row)](model, tmp_path)


def test_every_case_has_its_row():
    assert {first(row) for row, _ in ROWS} == set(CASES)


def test_the_table_names_all_that_a_keras_model_has():
    assert not [name for name in dir(keras.Model) if name[0] != "_" and name not in NAMES]
