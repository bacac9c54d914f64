"""`adapt`, `sample`, `export`, `info` and `data`: what they write and print, and that Python gives the same."""

import json
import re
import shutil
import subprocess

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import meta_gan
from meta_gan import storage
from meta_gan.tasks import load_support
from meta_gan.tasks.pictures import GAP, grid
from meta_gan.tasks.pixels import to_uint8
from tests.cli.conftest import call
from tests.test_damaged_folders import DAMAGE
from tests.trainers import helpers


def pngs(folder):
    return {path.name: path.read_bytes() for path in sorted((folder / "samples").iterdir())}


def pixels(path):
    return np.asarray(Image.open(path))


def test_adapt_writes_a_generator_in_two_forms_and_pictures(world):
    names = {path.name for path in world.adapted.iterdir()}
    assert names == {
        *storage.FILES,
        "generator.keras",
        "saved_model",
        "samples",
        "grid.png",
        "history.json",
        "steps.png",
    }
    assert list(pngs(world.adapted)) == ["0000.png", "0001.png", "0002.png"]
    assert Image.open(world.adapted / "samples" / "0000.png").size == helpers.SHAPE[:2]
    z = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    plain = keras.saving.load_model(world.adapted / "generator.keras")
    served = tf.saved_model.load(str(world.adapted / "saved_model" / "1"))
    wanted = meta_gan.load_adapted(world.adapted).generator(z)
    np.testing.assert_array_equal(plain(z), wanted)
    got = served.signatures["serving_default"](z=tf.constant(z))["samples"]
    np.testing.assert_allclose(got, wanted, atol=1e-6)


def test_adapt_is_what_python_does(world):
    adapted = meta_gan.load(world.runs).adapt(world.images, steps=1, seed=7)
    samples = adapted.sample(3, seed=7)
    for index, image in enumerate(samples):
        np.testing.assert_array_equal(pixels(world.adapted / "samples" / f"{index:04d}.png"), to_uint8(image)[..., 0])
    support = world.images / np.float32(127.5) - 1
    np.testing.assert_array_equal(pixels(world.adapted / "grid.png"), grid([support, samples])[..., 0])
    stored = np.load(world.adapted / "weights.npz")
    kept = [np.array(v) for v in tf.nest.flatten(adapted.snapshot)]
    helpers.assert_same_values([stored[key] for key in sorted(stored.files) if key != "support"], kept)


def test_steps_that_held_out_images_decide(world, tmp_path, capsys):
    """The command says the number, writes why, and gives the samples of that number of steps."""
    given = ["--model", world.run, "--support", world.support_npz, "--sample", 3]
    assert call("adapt", *given, "--out", tmp_path / "auto", "--inner-steps", "auto") == 0
    history = json.loads((tmp_path / "auto" / "history.json").read_text())
    tried = {int(number): distance for number, distance in history["held_out"].items()}
    assert history["steps"] == min(tried, key=tried.get) and set(tried) >= {0, 1, 2}
    assert (
        f"{history['steps']} inner steps; distance to held-out examples after N steps: 0: " in capsys.readouterr().out
    )
    assert call("adapt", *given, "--out", tmp_path / "same", "--inner-steps", history["steps"]) == 0
    assert pngs(tmp_path / "auto") == pngs(tmp_path / "same")
    assert call("adapt", *given, "--out", tmp_path / "none", "--inner-steps", 0) == 0
    assert not (tmp_path / "none" / "history.json").exists()


def test_a_picture_shows_samples_over_steps(world):
    model = meta_gan.load(world.runs)
    rows = [model.adapt(world.images, steps=steps, seed=7).sample(8, seed=7) for steps in (0, 1)]
    np.testing.assert_array_equal(pixels(world.adapted / "steps.png"), grid(rows)[..., 0])


def test_sample_gives_the_bytes_that_adapt_gave(world, tmp_path, capsys):
    out = tmp_path / "more"
    assert call("sample", "--model", world.adapted, "--count", 12, "--out", out, "--seed", 7) == 0
    assert capsys.readouterr().out == f"12 samples and grid.png: {out}\n"
    assert {name: pngs(out)[name] for name in pngs(world.adapted)} == pngs(world.adapted)
    assert len(pngs(out)) == 12 and {path.name for path in out.iterdir()} == {"samples", "grid.png"}
    side = helpers.SHAPE[0] + GAP
    assert Image.open(out / "grid.png").size == (10 * side - GAP, 2 * side - GAP)
    assert call("sample", "--model", world.adapted, "--count", 3, "--out", tmp_path / "other", "--seed", 8) == 0
    assert not set(pngs(tmp_path / "other").values()) & set(pngs(world.adapted).values())


def test_a_folder_of_pictures_and_a_run_folder_do_as_well(world, tmp_path):
    out = tmp_path / "deep" / "adapted"
    arguments = ["--model", world.run, "--support", world.support, "--out", out, "--seed", 7, "--sample", 3]
    assert call("adapt", *arguments, "--inner-steps", 1, "--invert", "no") == 0
    assert pngs(out) == pngs(world.adapted)


def test_the_models_own_steps_and_polarity_are_the_default(world, tmp_path, capsys):
    out = tmp_path / "adapted"
    assert call("adapt", "--model", world.run, "--support", world.support, "--out", out, "--sample", 2) == 0
    model = meta_gan.load(world.run)
    support, message, _ = load_support(world.support, helpers.SHAPE, polarity=model.data_card["polarity"])
    wanted = model.adapt(support, steps=2, seed=0).sample(2, seed=0)
    np.testing.assert_array_equal(pixels(out / "samples" / "0001.png"), to_uint8(wanted[1])[..., 0])
    told = f"adapted model, 2 samples and grid.png (inner steps: history.json, steps.png): {out}"
    assert capsys.readouterr().out.splitlines() == [message, told]


def test_export_numbers_versions(world, tmp_path, capsys):
    out = tmp_path / "served"
    for version in (1, 2):
        assert call("export", "--model", world.runs, "--out", out) == 0
        assert capsys.readouterr().out.splitlines()[-1] == f"exported: {out / str(version)}"
    assert sorted(path.name for path in out.iterdir()) == ["1", "2"]
    (out / "9").mkdir()
    (out / "notes").mkdir()
    assert call("export", "--model", world.runs, "--out", out) == 0
    assert (out / "10" / "saved_model.pb").is_file()
    served = tf.saved_model.load(str(out / "1")).signatures["adapt_and_sample"]
    inputs = {"steps": tf.constant(1), "num": tf.constant(3), "seed": tf.constant(7)}
    images = world.images / np.float32(127.5) - 1
    got = served(support=tf.constant(images), **inputs)["samples"]
    wanted = meta_gan.load_adapted(world.adapted).sample(3, seed=7)
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_an_export_has_the_limits_that_were_asked_for_and_info_tells_them(world, tmp_path, capsys):
    out = tmp_path / "served"
    limits = ["--limits", "shots=7", "steps=3", "--warm-up", "glyphs"]
    assert call("export", "--model", world.runs, "--out", out, *limits) == 0
    capsys.readouterr()
    assert (out / "1" / "assets.extra" / "tf_serving_warmup_requests").stat().st_size > 1000
    assert call("info", "--model", out / "1") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        f"SavedModel: {out / '1'}",
        "limits of a request: shots 7, steps 3, num 1024, tasks 16",
    ]
    signature = "adapt_and_sample(num int32[], seed int32[], steps int32[], support float32[n, 8, 8, 1])"
    assert f"{signature} -> samples float32[n, 8, 8, 1]" in lines
    assert lines[-1].startswith("operations: ") and lines[-1].endswith("; not allowed: none")
    served = tf.saved_model.load(str(out / "1")).signatures["adapt_and_sample"]
    inputs = {"steps": tf.constant(4), "num": tf.constant(1), "seed": tf.constant(7)}
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"`steps` must lie in \[0, 3\]"):
        served(support=tf.zeros([2, 8, 8, 1]), **inputs)


@pytest.mark.parametrize("bad", ["shots", "shots=-1", "shots=many", "sides=28", "shots=0"])
def test_bad_limits_are_refused_before_anything_is_made(world, tmp_path, capsys, bad):
    assert call("export", "--model", world.runs, "--out", tmp_path / "served", "--limits", bad) == 2
    message = capsys.readouterr().err
    assert re.search(r"--limits must be|'limits.shots' must be", message) and message.count("\n") == 1
    assert not (tmp_path / "served").exists()


def test_info_says_what_a_model_is(world, capsys):
    assert call("info", "--model", world.runs) == 0
    lines = capsys.readouterr().out.splitlines()
    model = meta_gan.load(world.runs)
    config = json.loads((world.run / "model" / "config.json").read_text("utf-8"))
    assert lines == [
        f"model: {world.run / 'model'}",
        "algorithm: fomaml, 2 inner steps",
        f"example shape: (8, 8, 1), polarity {model.data_card['polarity']}",
        f"generator: DCGANGenerator, {model.game.nets['generator'].count_params():,} values",
        f"discriminator: DCGANDiscriminator, {model.game.nets['discriminator'].count_params():,} values",
        "data: noise.npz; classes: 6 train, 2 validation, 2 test",
        f"training: {config['training']}",
        f"weights sha256: {config['weights_sha256']}",
    ]
    digest = subprocess.run(["sha256sum", world.run / "model" / "weights.npz"], capture_output=True, text=True)
    assert lines[-1].split()[-1] == digest.stdout.split()[0]


def test_info_says_what_an_adapted_model_is(world, capsys):
    assert call("info", "--model", world.adapted) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [f"model: {world.adapted}", "adapted to: 5 examples"]
    assert lines[2].startswith("example shape: (8, 8, 1), polarity ") and lines[3].startswith("generator: DCGAN")
    assert len(lines) == 6 and lines[-1].startswith("weights sha256: ")


def test_data_says_what_a_source_holds_and_draws_it(world, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):  # the sheet of the default name is replaced
        assert call("data", "--data", world.data) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].startswith("noise.npz: 10 classes, 120 images of 8 x 8 x 1, ")
        assert [line.split()[:3] for line in lines[1:4]] == [
            *[["train", "6", "classes"], ["validation", "2", "classes"], ["test", "2", "classes"]]
        ]
        assert lines[4] == "contact sheet: contact_sheet-noise.npz.png"
    side = helpers.SHAPE[0] + GAP
    assert Image.open("contact_sheet-noise.npz.png").size == (12 * side - GAP, 10 * side - GAP)
    assert call("data", "--data", world.data, "--out", tmp_path / "new" / "sheet.png", "--image-shape", "4x6x1") == 0
    assert Image.open(tmp_path / "new" / "sheet.png").size == (12 * (6 + GAP) - GAP, 10 * (4 + GAP) - GAP)


@pytest.mark.parametrize("command", ["adapt", "sample"])
def test_an_empty_folder_may_be_the_output(world, tmp_path, command):
    arguments = {
        "adapt": ["--model", world.run, "--support", world.support_npz, "--sample", 1, "--inner-steps", 0],
        "sample": ["--model", world.adapted, "--count", 1],
    }[command]
    assert call(command, *arguments, "--out", tmp_path) == 0
    assert (tmp_path / "grid.png").is_file()


def test_divergence_is_exit_code_4_and_nothing_is_written(world, tmp_path, refused):
    """A model with an inner rate of 1e30, and one that was saved with NaN by an earlier version."""
    model = meta_gan.load(world.runs)
    wild = meta_gan.MetaModel(model.game, meta_gan.FOMAML(inner_steps=4, inner_rate=1e30))
    wild.data_card = model.data_card
    wild.save(tmp_path / "wild")
    asked = ["--support", world.support_npz, "--out", tmp_path / "out"]
    said = refused("adapt", "--model", tmp_path / "wild", *asked, out=tmp_path / "out", code=4)
    assert "the adapted weights must be finite, but training or adaptation diverged: take fewer inner steps" in said
    for kind, folder in (("meta_model", world.run / "model"), ("adapted_model", world.adapted)):
        config, arrays = storage.read_model(folder, kind)
        storage.write_model(tmp_path / kind, config, {name: array * np.nan for name, array in arrays.items()})
    out = ["--out", tmp_path / "out"]
    for command in (
        ["adapt", "--model", tmp_path / "meta_model", *asked],
        ["sample", "--model", tmp_path / "adapted_model", "--count", 2, *out],
        ["export", "--model", tmp_path / "meta_model", *out],
        ["evaluate", "--model", tmp_path / "meta_model", "--data", world.data, *out],
    ):
        assert str(command[2]) in refused(*command, out=tmp_path / "out", code=4)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["adapted_model", "meta_model", "wild"]


@pytest.mark.parametrize("name", [storage.CONFIG, storage.WEIGHTS])
@pytest.mark.parametrize("kind", ["missing", "truncated", "not UTF-8", "a folder", "a device", "a pipe"])
def test_commands_name_a_damaged_file_at_once(world, tmp_path, refused, kind, name):
    out = ["--out", tmp_path / "out"]
    for source, commands in (
        (world.run / "model", (["adapt", "--support", world.support_npz, *out], ["export", *out], ["info"])),
        (world.adapted, (["sample", "--count", 2, *out],)),
    ):
        folder = shutil.copytree(source, tmp_path / source.name)
        DAMAGE[kind](folder / name)
        for command in commands:
            said = refused(*command, "--model", folder, out=tmp_path / "out")
            assert str(folder) in said and name in said


def test_outputs_whose_names_are_not_utf8_are_refused_before_anything_is_computed(world, tmp_path, refused):
    out = ["--out", f"{tmp_path}/bad\udcff"]
    for command in (
        ["adapt", "--model", world.runs, "--support", world.support_npz, *out],
        ["sample", "--model", world.adapted, "--count", 2, *out],
        ["export", "--model", world.runs, *out],
    ):
        assert r"bad\udcff" in refused(*command) and not list(tmp_path.iterdir())
