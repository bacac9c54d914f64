"""The training data and commands of the models of many kinds of pictures, and the tables of task E."""

import numpy as np
import pytest

from benchmarks.pictures import data, distances, shipping, training, unseen
from meta_gan import tasks
from meta_gan.cli import program
from meta_gan.tasks.pixels import to_float
from meta_gan.tasks.readers.arrays import make_source


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Archives of the forms of those that the models are trained on: 3 fonts of 2 characters, and 2 emoji of 3 sets."""
    path = tmp_path_factory.mktemp("archives")
    images = np.arange(3 * 2 * 8 * 8, dtype=np.int64).reshape(3, 2, 8, 8).astype(np.uint8)
    fonts = {"fonts": np.array(["a", "b", "c"]), "chars": np.array(["X", "Y"])}
    np.savez(path / "fonts32.npz", images=images, font_split=np.int8([0, 1, 0]), char_split=np.int8([0, 2]), **fonts)
    vendors = {"vendors": np.array(["p", "q", "r"]), "vendor_licences": np.array(["MIT", "CC-BY-SA-4.0", "CC-BY-4.0"])}
    np.savez(
        path / "emoji9_64.npz",
        images=np.repeat(np.arange(6, dtype=np.uint8), 8 * 8 * 3).reshape(6, 8, 8, 3),
        labels=np.int32([0, 0, 0, 1, 1, 1]),
        vendor=np.int8([0, 1, 2, 2, 1, 0]),
        class_names=np.array(["cat", "dog"]),
        class_split=np.int8([0, 1]),
        **vendors,
    )
    return path


def test_fonts_and_characters_by_hand(folder):
    fonts, characters = data.fonts(folder), data.characters(folder)
    with np.load(folder / "fonts32.npz") as archive:
        images = archive["images"]
    assert fonts["labels"].tolist() == [0, 0, 1, 1, 2, 2] and fonts["class_split"].tolist() == [0, 2, 0]
    np.testing.assert_array_equal(fonts["images"][3], images[1, 1])
    # Of the fonts that are held out, no character is left.
    assert characters["labels"].tolist() == [0, 1, 0, 1] and characters["class_split"].tolist() == [0, 2]
    np.testing.assert_array_equal(characters["images"][2], images[2, 0])


def test_emoji_under_share_alike_licences_are_left_out(folder):
    made = data.emoji(folder)
    assert made["images"][:, 0, 0, 0].tolist() == [0, 2, 3, 5] and made["labels"].tolist() == [0, 0, 1, 1]


def test_the_archives_are_read_as_sources(folder, tmp_path):
    sources = data.prepare(folder, tmp_path)
    assert set(sources) == {"omniglot", "icons", "glyphs", *data.MADE}
    read = tasks.open_source(sources["fonts"], shots=1, queries=1)
    assert read.splits == {"train": ["a", "c"], "validation": [], "test": ["b"]}
    before = {name: (tmp_path / f"{name}.npz").stat().st_mtime_ns for name in data.MADE}
    data.prepare(folder, tmp_path)
    assert before == {name: (tmp_path / f"{name}.npz").stat().st_mtime_ns for name in data.MADE}


@pytest.mark.parametrize("name", list(training.MODELS))
def test_the_commands_are_understood(name, folder, tmp_path):
    sources = data.prepare(folder, tmp_path / "data")
    parsed = program.parser().parse_args(training.command(name, sources, tmp_path))
    weights = training.MODELS[name].weights
    assert len(parsed.data) == len(parsed.weights) == len(weights) and parsed.weights == list(weights.values())
    assert [text.startswith("variations:") for text in parsed.data] == [
        text.startswith("variations:") for text in weights
    ]
    judge = program.parser().parse_args(training.objective_command(name, sources, tmp_path / "objective"))
    assert judge.image_shape == training.MODELS[name].shape and judge.purpose == "objective"


def test_no_model_is_trained_on_a_set_of_task_e_but_on_its_training_classes():
    trained = {name.removeprefix("variations:") for model in training.MODELS.values() for name in model.weights}
    assert trained == {"omniglot", "icons", "glyphs", "fonts", "characters", "emoji"}
    # Icons and fonts are evaluated on classes that are held out.
    assert {name for name, found in unseen.SETS.items() if found.evaluated == "held out"} == {"GTSRB", "icons", "fonts"}


def test_the_source_of_a_set(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (10 * 12, 16, 16), np.uint8)
    labels = np.repeat(np.arange(10, dtype=np.int32), 12)
    split = np.int8([0] * 6 + [1] * 2 + [2] * 2)
    for file in ("mnist.npz", "fashion_mnist.npz", "icons32.npz"):
        np.savez(tmp_path / file, images=images, labels=labels, class_split=split)
    whole = unseen.source_of("MNIST", tmp_path, {}, (28, 28, 1))
    assert whole.example_shape == (28, 28, 1) and (whole.class_split == 2).all()
    half = unseen.source_of("Fashion-MNIST, odd", tmp_path, {}, (8, 8, 3))
    assert half.example_shape == (8, 8, 3) and half.class_split.tolist() == [0, 2] * 5
    np.testing.assert_array_equal(half.images[..., 0], half.images[..., 2])
    assert unseen.source_of("icons", tmp_path, {}, (16, 16, 1)).class_split.tolist() == [0] * 6 + [2] * 4


def scored(gain, energies):
    """A row under two judges."""
    scores = {score: {"mean": 0.5} for score in unseen.SCORES}
    return {
        judge: {**scores, "classification_gain": {"mean": gain}, "energy_distance": {"mean": energy}}
        for judge, energy in zip("ab", energies, strict=True)
    }


def test_the_verdicts_by_hand():
    plain = {row: scored(0.1 * i, (0.5 - 0.1 * i, 0.2 + 0.1 * i)) for i, row in enumerate(unseen.PLAIN)}
    report = {"rows": {**plain, "mine": scored(0.45, (0.05, 0.15)), "mine, 0 steps": scored(9.0, (9.0, 9.0))}}
    other = {"rows": {**plain, "mine": scored(0.35, (0.05, 0.25))}}
    found = unseen.verdicts({("one", 5): report, ("two", 1): other}, "mine").splitlines()
    assert found[2] == "| one | 5 | +0.450 | +0.400 trivial | +0.000 | yes | yes |"
    assert found[3] == "| two | 1 | +0.350 | +0.400 trivial | +0.000 | no | no |"
    lines = unseen.table({("one", 5): report}).splitlines()
    assert len(lines) == 2 + 6 and "| one | 5 | mine | 0.050 / 0.150 |" in lines[-1] and lines[-1].endswith("| 0.450 |")


def test_the_temperature_is_the_lowest_with_few_enough_copies(monkeypatch):
    rates = {1.0: 0.2, 1.05: 0.046, 1.1: 0.045, 1.15: 0.0}
    monkeypatch.setattr(shipping, "measure", lambda folder, t, allocated: {"copy_rate": rates.get(t, 0.0)})
    assert shipping.choose("run", []) == 1.1
    monkeypatch.setattr(shipping, "measure", lambda folder, t, allocated: {"copy_rate": 1.0})
    assert shipping.choose("run", []) == shipping.TEMPERATURES[-1] == 1.8


def test_the_temperature_is_measured_on_validation_classes(tmp_path, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (4 * 14, 8, 8), np.uint8)
    labels = np.repeat(np.arange(4, dtype=np.int32), 14)
    np.savez(tmp_path / "icons.npz", images=images, labels=labels, class_split=np.int8([0, 1, 2, 1]))
    chosen = training.Training("12x12x3", 1, {"icons": 1, "variations:glyphs": 1})
    monkeypatch.setitem(training.MODELS, "drawings28", chosen)
    (found,) = shipping.allocations("drawings28", {"icons": str(tmp_path / "icons.npz")})
    assert sorted(found.classes) == [1, 3] and found.source.example_shape == (12, 12, 3)
    assert [len(part) for part in found.images("support")] == [5, 5]


class FlatJudge:
    """A judge whose features are the pixels in [0, 1]."""

    def features(self, images):
        return images.reshape(len(images), -1) / 255.0


def test_distances_of_copies_and_of_one_image():
    levels = np.random.default_rng(0).integers(0, 256, (36, 8, 8, 1)).astype(np.uint8)
    source = make_source(levels, np.repeat([0, 1], 18), ["a", "b"], np.array([2, 2], np.int8), "toy")
    pairs = list(distances.draws(source, 3))
    assert len(pairs) == 2 * distances.DRAWS
    for support, others in pairs:
        assert (len(support), len(others)) == (3, 15)
        assert not {image.tobytes() for image in support} & {image.tobytes() for image in others}
    rows = distances.scores(pairs, lambda support, seed: to_float(np.repeat(support, 4, axis=0)), [FlatJudge()] * 2)
    assert rows[2:] == ["0.000 / 0.000", "1.000"]
    one = distances.scores(pairs, lambda support, seed: to_float(np.repeat(support[:1], 9, axis=0)), [FlatJudge()])
    assert one[1] == "0.000" and float(one[0]) > float(rows[0].split(" / ")[0])
