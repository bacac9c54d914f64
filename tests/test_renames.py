"""Files of earlier versions: renamed keys are read, and saved models load and give the same samples.

The archives in `golden/earlier` were saved before `code_dim`, `image_shape`, `paths` and the conditioning `code` were
renamed. Each holds a tiny model of 8x8 images; beside it stand its samples.
"""

import importlib
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

import meta_gan as mg
from meta_gan.renames import MODULES, RENAMED, current_names

EARLIER = Path(__file__).parent / "golden" / "earlier"
SUPPORT = np.load(EARLIER / "support.npy")
Z = np.load(EARLIER / "z.npy")


@pytest.fixture
def unpacked(tmp_path):
    """A function that unpacks an archive and returns the path of what it holds."""

    def unpack(name, member=""):
        with zipfile.ZipFile(EARLIER / f"{name}.zip") as archive:
            archive.extractall(tmp_path)
        return tmp_path / (member or name)

    return unpack


def check_samples(made, name):
    """The samples are those of the earlier version; another processor may round the last digits differently."""
    np.testing.assert_allclose(made, np.load(EARLIER / f"{name}.npy"), rtol=0, atol=1e-5)


def check_weights(variables, folder):
    """The variables hold, to the last bit, the arrays of a saved folder in their order."""
    with np.load(folder / "weights.npz") as stored:
        for variable, name in zip(variables, sorted(stored.files), strict=True):
            np.testing.assert_array_equal(variable, stored[name])


def test_keys_are_renamed_at_any_depth():
    earlier = {"code_dim": 2, "nets": [{"image_shape": [8, 8, 1], "width": 1}], "paths": "generator/"}
    wanted = {"embedding_dim": 2, "nets": [{"example_shape": [8, 8, 1], "width": 1}], "mask": "generator/"}
    assert current_names(earlier) == wanted
    assert list(earlier) == ["code_dim", "nets", "paths"]  # the argument is left as it was


def test_a_current_configuration_is_unchanged():
    config = {"embedding_dim": 2, "names": ["code", "paths"], "nested": [{"mask": ""}]}
    assert current_names(config) == config
    assert not set(RENAMED) & set(RENAMED.values())


@pytest.mark.slow
def test_a_conditioned_meta_model_loads(unpacked):
    folder = unpacked("fusion")
    model = mg.load(folder)
    check_weights([v for net in model.game.nets.values() for v in net.variables], folder)
    assert model.algorithm.mask == "generator/(?!style)" and model.game.example_shape == (8, 8, 1)
    assert model.game.nets["generator"].embedding_dim == 2
    check_samples(model.adapt(SUPPORT, steps=2, seed=1).sample(4, seed=5), "fusion")


def test_an_adapted_model_loads(unpacked):
    check_samples(mg.load_adapted(unpacked("adapted")).sample(4, seed=5), "fusion")


def test_a_conditioned_generator_loads_as_a_keras_file(unpacked):
    generator = keras.models.load_model(unpacked("generator", "generator.keras"))
    assert set(generator.conditioning) == {"support", "task_embedding"}
    np.testing.assert_array_equal(generator.conditioning["support"], SUPPORT)
    check_samples(generator(Z), "generator")


def test_a_network_loads_as_a_keras_file(unpacked):
    check_samples(keras.models.load_model(unpacked("dcgan", "dcgan.keras"))(Z), "dcgan")


def test_a_vae_with_a_task_encoder_loads(unpacked):
    check_samples(mg.load(unpacked("vae")).adapt(SUPPORT, seed=1).sample(4, seed=5), "vae")


def test_a_translation_with_a_task_encoder_loads(unpacked):
    adapted = mg.load(unpacked("translation")).adapt({"source": SUPPORT, "target": -SUPPORT}, seed=1)
    check_samples(adapted.translate(SUPPORT), "translation")


@pytest.mark.parametrize("earlier", MODULES)
def test_a_renamed_module_can_be_imported_with_a_warning(earlier):
    sys.modules.pop(earlier, None)
    with pytest.warns(FutureWarning, match=f"'{earlier}' is now '{MODULES[earlier]}'"):
        module = importlib.import_module(earlier)
    present = importlib.import_module(MODULES[earlier])
    public = {name: value for name, value in vars(present).items() if not name.startswith("_")}
    assert public and {name: vars(module)[name] for name in public} == public


def test_a_module_that_never_was_is_not_found():
    with pytest.raises(ModuleNotFoundError, match=r"meta_gan\.tasks\.imagery"):
        importlib.import_module("meta_gan.tasks.imagery")
