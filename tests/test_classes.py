"""The classes that a configuration names: those of our own models are harmless, and what could run code is not."""

import keras
import pytest

from meta_gan import classes, loading, presets, serving, storage
from tests.presets import helpers


def named(module, name, registered=None):
    return {"module": module, "class_name": name, "config": {}, "registered_name": registered}


@pytest.mark.parametrize("config", sorted(loading.shipped_root().rglob(storage.CONFIG)), ids=lambda p: p.parent.name)
def test_a_shipped_model_is_harmless_and_its_classes_are_listed(config):
    found = serving.inspect(config.parent)
    assert found.refused == () and found.kind == storage.read_config(config.parent)["kind"]
    assert found.operations and all(
        name.startswith(("meta_gan>", "keras", ">__keras_tensor__")) for name in found.operations
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", presets.PRESETS)
def test_a_model_of_every_preset_is_harmless(name, tmp_path):
    model = presets.build(presets.get(name, **helpers.small(name)), helpers.shape_of(name), helpers.RATE)
    model.save(tmp_path / "model")
    kind, found = classes.of_folder(tmp_path / "model", set())
    assert kind == "meta_model" and found.refused == ()


@pytest.mark.parametrize(
    "described",
    [
        named("os", "system"),
        named("keras.layers", "Lambda"),
        named("keras.layers", "TFSMLayer"),
        named("keras.saving", "load_model"),
        named("", "Dense"),
        named("builtins", "function", "eval"),
        named("elsewhere", "GAN", "meta_gan>GAN"),
        named("meta_gan.games.gan", "Other", "meta_gan>GAN"),
    ],
)
def test_what_could_run_code_is_refused_wherever_it_stands(described):
    config = {"game": {"layers": [[{"deep": described}]]}}
    assert len(classes.of_config(config, [], set()).refused) == 1
    assert classes.of_config(config, [], set(classes.of_config(config, [], set()).refused)).refused == ()


def test_harmless_classes_sizes_and_numbers_of_objects():
    dense = keras.saving.serialize_keras_object(keras.layers.Dense(4))
    found = classes.of_config([dense], [(3, 4)], set())
    assert found.refused == () and "keras.layers>Dense" in found.named and found.shapes == ((3, 4),)
    wide = keras.saving.serialize_keras_object(keras.layers.Dense(10**6))
    assert classes.of_config([wide], [(3, 4)], set()).refused == ("'0.config.units' of 1000000, at most 256",)
    many = classes.of_config([named("keras.layers", "Dense")] * 5001, [], set())
    assert many.refused == ("5001 objects, at most 5000",)
