"""Finding and loading what was saved."""

import warnings
from pathlib import Path

import keras
import numpy as np
import pytest

import meta_gan as mg
from meta_gan import functional, loading, storage
from meta_gan.cli.arguments import sampling
from meta_gan.losses import NonSaturating
from tests.toys import random_episodes, tiny_flow, tiny_gan

SUPPORT = random_episodes().support[0].numpy()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two finished runs of different models, and a later one that is not finished: `(root, samples by run)`."""
    root, samples = tmp_path_factory.mktemp("runs"), {}
    for number, width in ((0, 2), (1, 3)):
        model = mg.MetaModel(tiny_gan(width=width), mg.FOMAML(1, 0.1))
        run = root / f"0000{number}-rings"
        model.save(run / "model")
        samples[run.name] = model.adapt(SUPPORT).sample(3)
    (root / "00002-rings").mkdir()
    (root / "notes").mkdir()
    return root, samples


def test_a_model_folder_a_run_and_the_newest_of_runs(folders):
    root, samples = folders
    for path, run in (
        (root / "00000-rings" / "model", "00000-rings"),
        (root / "00000-rings", "00000-rings"),
        (str(root / "00001-rings"), "00001-rings"),
        (root, "00001-rings"),
    ):
        with warnings.catch_warnings(record=True) as caught:
            assert loading.resolve(path) == root / run / "model"
        # The newest run has no model yet, and an older one is never taken silently.
        assert [str(w.message).count("has no model yet: the model of") for w in caught] == [1] * (path == root)
        np.testing.assert_array_equal(mg.load(path).adapt(SUPPORT).sample(3), samples[run])


def test_what_holds_no_model_is_refused(folders, tmp_path):
    root, _ = folders
    for path in (root / "00002-rings", root / "notes", tmp_path):
        with pytest.raises(ValueError, match=r"must hold config.json and weights.npz"):
            mg.load(path)
    with pytest.raises(ValueError, match=r"a folder or one of the shipped names .*Received: 'no-such-model'"):
        mg.load("no-such-model")
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="must hold"):
        mg.load(tmp_path / "file")


def test_an_adapted_model_is_not_a_meta_model_nor_the_other_way_round(folders, tmp_path):
    model = mg.load(folders[0])
    model.adapt(SUPPORT).save(tmp_path / "adapted")
    with pytest.raises(ValueError, match=r"must hold a meta-model, .*Received: an adapted model"):
        mg.load(tmp_path / "adapted")
    with pytest.raises(ValueError, match=r"must hold an adapted model, .*Received: a meta-model"):
        mg.load_adapted(folders[0] / "00001-rings" / "model")


def test_a_folder_of_a_shipped_name_is_taken_with_a_warning(tmp_path, monkeypatch):
    """Whichever is meant, the user learns which it was, and how to name either."""
    monkeypatch.chdir(tmp_path)
    ships = loading.shipped_root() / "omniglot"
    assert loading.resolve("omniglot") == ships
    (tmp_path / "omniglot").mkdir()
    for name in (storage.CONFIG, storage.WEIGHTS):
        (tmp_path / "omniglot" / name).touch()
    with pytest.warns(UserWarning, match=r"'omniglot' is both a folder here, which is used.*'\./omniglot'"):
        assert loading.resolve("omniglot") == Path("omniglot")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert loading.resolve("./omniglot") == Path("./omniglot")
        assert loading.resolve(ships) == ships


def test_every_shipped_name_loads():
    """Without a download, from five images to samples of their class; and what ships is small."""
    assert "omniglot" in loading.shipped()
    for name in loading.shipped():
        model = mg.load(name)
        support = -np.ones((5, *model.game.example_shape), np.float32)
        support[:, 8:20, 13:15] = 1.0
        samples = model.adapt(support, seed=0).sample(3, seed=0)
        assert samples.shape == (3, *model.game.example_shape)
        assert np.abs(samples - support[:3]).mean() < np.abs(samples + support[:3]).mean()
        assert sum(file.stat().st_size for file in loading.resolve(name).iterdir()) < 8e6


def test_shipped_names_are_folders_with_a_configuration(tmp_path, monkeypatch, folders):
    mg.load(folders[0]).save(tmp_path / "rings")
    (tmp_path / "judges").mkdir()
    monkeypatch.setattr(loading, "shipped_root", lambda: tmp_path)
    assert loading.shipped() == ["rings"]
    assert loading.resolve("rings") == tmp_path / "rings"
    np.testing.assert_array_equal(mg.load("rings").adapt(SUPPORT).sample(3), folders[1]["00001-rings"])


def test_a_preset_has_the_averages_as_its_weights_and_the_same_samples(tmp_path):
    model = mg.MetaModel(tiny_gan(), mg.FOMAML(1, 0.1), averaging=0.9)
    model.compile()
    for seed in range(2):
        model.meta_step(random_episodes(seed=seed))
    before = [v.numpy() for v in model.variables]
    mg.save_to_preset(model, tmp_path / "rings", {"steps": 2}, {"licence": "MIT"})
    again = mg.from_preset(tmp_path / "rings")
    nets = model.game.nets.values()
    assert again.averaging is None and again.count_params() == sum(net.count_params() for net in nets)
    expected = model.adapt(SUPPORT, steps=2).sample(4)
    np.testing.assert_array_equal(again.adapt(SUPPORT, steps=2).sample(4), expected)
    assert all(np.array_equal(a, v) for a, v in zip(before, model.variables, strict=True))
    card = (tmp_path / "rings" / "README.md").read_text()
    assert "- steps: 2" in card and "- licence: MIT" in card
    with pytest.raises(ValueError, match="must not exist yet"):
        mg.save_to_preset(model, tmp_path / "rings")


def test_training_starts_from_the_averages_of_a_saved_model_whatever_the_algorithm(tmp_path):
    trained = mg.MetaModel(tiny_gan(), mg.Pretraining(), averaging=0.9)
    trained.compile()
    for seed in range(2):
        trained.meta_step(random_episodes(seed=seed))
    trained.save(tmp_path / "trained")
    for averaging in (None, 0.5):
        model = mg.MetaModel(tiny_gan(seed=7), mg.FOMAML(2, 0.1), averaging=averaging)
        mg.start_from(model, tmp_path / "trained")
        expected = functional.flat(trained.meta_weights(averaged=True).initial.weights)
        assert not np.array_equal(expected[0], functional.flat(trained.meta_weights().initial.weights)[0])
        for averaged in (False, True):
            found = functional.flat(model.meta_weights(averaged).initial.weights)
            assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_a_start_of_other_nets_is_refused_and_changes_nothing(tmp_path):
    mg.MetaModel(tiny_gan(width=3), mg.FOMAML(1, 0.1)).save(tmp_path / "wider")
    model = mg.MetaModel(tiny_gan(width=2), mg.FOMAML(1, 0.1))
    before = [v.numpy() for v in model.variables]
    with pytest.raises(ValueError, match=r"the same nets, of the same shapes\. Received: .*wider', which differs"):
        mg.start_from(model, tmp_path / "wider")
    assert all(np.array_equal(a, v) for a, v in zip(before, model.variables, strict=True))


def test_every_shipped_configuration_has_a_checksum():
    files = sorted(loading.shipped_root().rglob(storage.CONFIG))
    assert len(files) >= 5
    for file in files:
        config = storage.read_config(file.parent)
        assert config["format"] == storage.FORMAT and len(config[storage.CHECKSUM]) == 64


def test_the_shapes_of_the_models_for_any_pictures():
    for name, shape in loading.GENERAL.items():
        assert mg.load(name).game.example_shape == shape


def test_the_nearest_model_has_the_channels_and_the_area(monkeypatch):
    monkeypatch.setattr(loading, "GENERAL", {"a": (28, 28, 1), "b": (32, 32, 3), "c": (64, 64, 3)})
    for shape, name in {(5, 90, 90): "a", (5, 90, 90, 1): "a", (1, 44, 44, 3): "b", (1, 46, 46, 3): "c"}.items():
        assert loading.nearest(shape) == name, "45.3 is as far from 32 as from 64 in ratio"
    for shape in ((5, 8), (5, 8, 8, 4), (0, 8, 8, 3), (5, 8, 8, 3, 1)):
        with pytest.raises(
            ValueError, match=r"'like' must be pictures \[n, height, width, 1 or 3\]. Received: shape \("
        ):
            loading.nearest(shape)


def test_the_model_for_given_pictures():
    images = np.zeros((5, 40, 40, 3), np.uint8)
    assert mg.load("auto", like=images).game.example_shape == (32, 32, 3)
    with pytest.raises(ValueError, match=r"'like' must be pictures with the path 'auto'.*Received: none"):
        mg.load("auto")
    with pytest.raises(ValueError, match=r"and None with others. Received: ndarray, with 'omniglot'"):
        mg.load("omniglot", like=images)


@pytest.fixture(scope="module")
def flow(tmp_path_factory):
    """A saved flow of points."""
    folder = tmp_path_factory.mktemp("flow") / "model"
    mg.MetaModel(tiny_flow(), mg.FOMAML(inner_steps=0)).save(folder)
    return folder


def test_settings_of_sampling_change_samples_and_are_kept(flow, tmp_path):
    settings = {"solver": "euler", "solver_steps": 3}
    changed = mg.load(flow, sampling=settings)
    samples = changed.adapt(SUPPORT).sample(3)
    assert not np.array_equal(samples, mg.load(flow).adapt(SUPPORT).sample(3))
    changed.save(tmp_path / "changed")
    np.testing.assert_array_equal(mg.load(tmp_path / "changed").adapt(SUPPORT).sample(3), samples)
    mg.load(flow).adapt(SUPPORT).save(tmp_path / "adapted")
    np.testing.assert_array_equal(mg.load_adapted(tmp_path / "adapted", sampling=settings).sample(3), samples)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"colour": 1}, r"'sampling' of a PointFlow must be settings of \['solver', .*\]. Received: \['colour'\]"),
        ({"guidance": -1.0}, "'guidance' must be a finite number >= 0. Received: -1.0"),
        ({"temperature": "hot"}, "'temperature' must be a finite number > 0. Received: 'hot'"),
        ({"width": 8}, r"Received: \['width'\]"),
    ],
)
def test_settings_that_a_generator_does_not_have_are_refused(flow, settings, message):
    with pytest.raises(ValueError, match=message):
        mg.load(flow, sampling=settings)


def test_a_generator_without_such_settings_is_named(folders):
    with pytest.raises(ValueError, match=r"'sampling' of a MLPGenerator must be settings of \[\]. Received: \['temp"):
        mg.load(folders[0], sampling={"temperature": 1.0})


@pytest.mark.parametrize(
    ("items", "found"),
    [
        (["guidance=2.5", "solver_steps=8", "solver=heun"], {"guidance": 2.5, "solver_steps": 8, "solver": "heun"}),
        (["temperature=1e-1"], {"temperature": 0.1}),
        ([], {}),
    ],
)
def test_settings_of_the_command_line(items, found):
    parsed = sampling(items)
    assert parsed == found and [type(v) for v in parsed.values()] == [type(v) for v in found.values()]


@pytest.mark.parametrize("item", ["guidance", "=2", "guidance="])
def test_settings_of_another_form_are_refused(item):
    with pytest.raises(ValueError, match=f"--sampling must be KEY=VALUE. Received: '{item}'"):
        sampling([item])


def test_a_class_that_is_not_imported_is_named(tmp_path):
    @keras.saving.register_keras_serializable("elsewhere")
    class Elsewhere(NonSaturating):
        """A loss that a process without this registration does not know."""

    mg.MetaModel(tiny_gan(loss=Elsewhere()), mg.FOMAML(1, 0.1)).save(tmp_path / "model")
    del keras.saving.get_custom_objects()["elsewhere>Elsewhere"]
    with pytest.raises(ValueError, match=r"config.json' must be .*Received: .*Could not locate class 'Elsewhere'"):
        mg.load(tmp_path / "model")
