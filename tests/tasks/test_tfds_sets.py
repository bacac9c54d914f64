"""`from_tfds`: fails at once where it must, and reads a small data set prepared here."""

from __future__ import annotations

import hashlib
import sys
import textwrap
import time

import numpy as np
import pytest

pytest.importorskip("tensorflow_datasets")
pytest.importorskip("importlib_resources")

from meta_gan.tasks import DataError, from_tfds

MODULE = '''
"""Builders of small data sets, in a module because TFDS refuses those of __main__."""
import numpy as np
import tensorflow_datasets as tfds


class TinyNumbers(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(4, 4, 1)),
            "label": tfds.features.ClassLabel(names=["zero", "one", "unused", "three"]),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        parts = {"train": (0, 18), "test": (18, 30), "extra": (30, 31)}
        return {part: self._generate_examples(*numbers) for part, numbers in parts.items()}

    def _generate_examples(self, first, last):
        for number in range(first, last):
            image = np.zeros((4, 4, 1), np.uint8)
            image[0, 1] = number
            yield number, {"image": image, "label": (0, 1, 3)[number % 3]}


class RaggedNumbers(TinyNumbers):
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "picture": tfds.features.Image(shape=(None, None, 3)),
            "kind": tfds.features.ClassLabel(names=["zero", "one", "unused", "three"]),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _generate_examples(self, first, last):
        for number in range(first, last):
            image = np.full((4 + number % 2, 6, 3), number, np.uint8)
            yield number, {"picture": image, "kind": (0, 1, 3)[number % 3]}


class OnlyText(TinyNumbers):
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {"text": tfds.features.Text()}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _generate_examples(self, first, last):
        for number in range(first, last):
            yield number, {"text": str(number)}


class TinySounds(TinyNumbers):
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "audio": tfds.features.Audio(sample_rate=8000),
            "label": tfds.features.ClassLabel(names=["zero", "one", "unused", "three"]),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _generate_examples(self, first, last):
        for number in range(first, last):
            level = 1000 * (1 + number)
            yield number, {"audio": np.full(40 + number, level, np.int64), "label": (0, 1, 3)[number % 3]}
'''


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A data_dir in which the small data sets have been prepared."""
    folder = tmp_path_factory.mktemp("tfds")
    (folder / "tiny_numbers_module.py").write_text(textwrap.dedent(MODULE))
    sys.path.insert(0, str(folder))
    import tiny_numbers_module as module

    for builder in (module.TinyNumbers, module.RaggedNumbers, module.OnlyText, module.TinySounds):
        builder(data_dir=str(folder / "data")).download_and_prepare()
    yield folder / "data"
    sys.path.remove(str(folder))
    del sys.modules["tiny_numbers_module"]


def marks(source) -> list[int]:
    return source.images[:, 0, 1, 0].tolist()


def test_a_prepared_set_is_read_with_its_names(prepared):
    tasks = from_tfds("tiny_numbers", data_dir=prepared, shots=2, queries=3, seed=1)
    source = tasks.source
    assert source.name == "tfds:tiny_numbers"
    assert tasks.example_shape == (4, 4, 1)
    assert sorted(marks(source)) == list(range(30))
    np.testing.assert_array_equal(source.labels, np.array(marks(source)) % 3)
    np.testing.assert_array_equal(source.held_out, np.array(marks(source)) >= 18)


def test_classes_that_do_not_occur_are_left_out(prepared):
    source = from_tfds("tiny_numbers", data_dir=prepared, shots=1, queries=1).source
    assert source.class_names == ["zero", "one", "three"]
    np.testing.assert_array_equal(source.class_sizes, 10)


def test_splits_can_be_chosen(prepared):
    source = from_tfds("tiny_numbers", data_dir=prepared, split_names=["test"], shots=1, queries=1).source
    assert sorted(marks(source)) == list(range(18, 30))


def test_a_split_that_is_not_there(prepared):
    with pytest.raises(DataError, match=r"'split_names' must be among \[.*'extra'.*Received: \['valid'\]"):
        from_tfds("tiny_numbers", data_dir=prepared, split_names=["valid"])


def test_reading_twice_gives_the_same(prepared):
    first, second = (from_tfds("tiny_numbers", data_dir=prepared, shots=1, queries=1).source for _ in range(2))
    np.testing.assert_array_equal(first.images, second.images)
    np.testing.assert_array_equal(first.labels, second.labels)


def test_resizing(prepared):
    tasks = from_tfds("tiny_numbers", data_dir=prepared, image_shape=(2, 2, 3), shots=1, queries=1)
    assert tasks.example_shape == (2, 2, 3)
    # The marked pixel is one of the four that become the top left one; Pillow rounds after each of two passes.
    found = np.sort(tasks.source.images[:, 0, 0, 1].astype(float))
    np.testing.assert_allclose(found, np.arange(30) / 4, atol=0.75)


def test_other_feature_names_and_sizes(prepared):
    tasks = from_tfds("ragged_numbers", data_dir=prepared, image_shape=(6, 6, 1), shots=1, queries=1)
    np.testing.assert_array_equal(np.sort(tasks.source.images[:, 3, 3, 0]), np.arange(30))


def test_several_sizes_need_a_shape(prepared):
    with pytest.raises(DataError, match=r"'image_shape' is required: .* has images of several sizes. Received: None"):
        from_tfds("ragged_numbers", data_dir=prepared)


def test_a_set_without_images(prepared):
    with pytest.raises(DataError, match=r"must have a feature of images or sounds, and a class label. Received: text"):
        from_tfds("only_text", data_dir=prepared)


def test_data_dir_from_the_environment(prepared, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared))
    assert len(from_tfds("tiny_numbers", shots=1, queries=1).source.images) == 30


def test_too_few_examples_are_reported_as_everywhere(prepared):
    with pytest.raises(DataError, match=r"tfds:tiny_numbers: every class needs at least shots \+ queries = 12"):
        from_tfds("tiny_numbers", data_dir=prepared)


def test_a_set_of_our_own_that_is_not_prepared(prepared, tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"TFDS has no archives registered for it: prepare it with `tfds build`"
    ):
        from_tfds("tiny_numbers", data_dir=tmp_path)


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("fashion_mnist", ["train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"]),
        ("mnist", ["train-images-idx3-ubyte.gz"]),
        ("kmnist", ["t10k-images-idx3-ubyte.gz"]),
        ("omniglot", ["images_background.zip", "images_evaluation.zip"]),
        ("cifar10", ["cifar-10-binary.tar.gz"]),
    ],
)
def test_without_archives_it_fails_at_once_and_lists_the_files_to_provide(tmp_path, name, files):
    begin = time.monotonic()
    with pytest.raises(FileNotFoundError) as caught:
        from_tfds(name, data_dir=tmp_path)
    assert time.monotonic() - begin < 5
    message = str(caught.value)
    assert message.startswith(f"tfds:{name} is not prepared in {tmp_path}/{name}")
    assert all(file in message for file in files)
    assert "pass download=True" in message
    assert "Received: archives=None, lacking" in message.splitlines()[-1]


def test_the_sha256_is_that_of_the_archive(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"train-images-idx3-ubyte.gz .* sha256 3aede38d61863908ad78613f6a32ed27"
    ):
        from_tfds("fashion_mnist", data_dir=tmp_path)


def test_only_missing_archives_are_listed(tmp_path):
    (tmp_path / "images_background.zip").touch()
    with pytest.raises(FileNotFoundError) as caught:
        from_tfds("omniglot", archives=tmp_path, data_dir=tmp_path / "data")
    assert "images_background.zip" not in str(caught.value)
    assert str(caught.value).endswith(f"Received: archives='{tmp_path}', lacking 3 files")


def test_an_archive_that_is_another_file(tmp_path):
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(b"something else")
    found = hashlib.sha256(b"something else").hexdigest()
    with pytest.raises(
        DataError, match=rf"cifar-10-binary.tar.gz: must be the archive of cifar10.*Received: sha256 {found}"
    ):
        from_tfds("cifar10", archives=tmp_path, data_dir=tmp_path / "data")


def test_archives_must_be_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"'archives' must be a folder. Received: .*nowhere"):
        from_tfds("mnist", archives=tmp_path / "nowhere", data_dir=tmp_path)


@pytest.mark.parametrize("name", ["no_such_set_at_all", "", "mnist/no_such_config"])
def test_names_that_tfds_does_not_know(tmp_path, name):
    with pytest.raises(DataError, match=rf"'name' must be a data set that TFDS knows. Received: '{name}'") as caught:
        from_tfds(name, data_dir=tmp_path)
    assert "\n" not in str(caught.value)


def test_a_wrong_image_shape_is_refused_first(tmp_path):
    with pytest.raises(ValueError, match="'image_shape' must be"):
        from_tfds("no_such_set_at_all", image_shape=(28,), data_dir=tmp_path)


def test_a_missing_package_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "importlib_resources", None)
    with pytest.raises(ImportError, match=r"from_tfds needs `pip install tensorflow-datasets importlib_resources`"):
        from_tfds("mnist", data_dir=tmp_path)


def test_a_set_of_sounds(prepared):
    tasks = from_tfds("tiny_sounds", data_dir=prepared, shots=1, queries=2)
    source = tasks.source
    assert source.class_names == ["zero", "one", "three"] and source.example_shape == (128, 1)
    assert tasks.card == {"medium": "sounds", "rate": 8000} and source.held_out.sum() == 12
    by_level = source.images[np.argsort(source.images[:, 0, 0]), :, 0]
    np.testing.assert_array_equal(by_level[:, 0], 1000 * (1 + np.arange(30)))
    np.testing.assert_array_equal((by_level != 0).sum(axis=1), 40 + np.arange(30))
    assert from_tfds("tiny_sounds", data_dir=prepared, length=32, shots=1, queries=1).example_shape == (32, 1)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("tiny_sounds", {"image_shape": (8, 8, 1)}, r"has sounds, and 'image_shape' must be None"),
        (
            "tiny_numbers",
            {"rate": 8000},
            r"has images, and 'rate' and 'length' must be None\. Received: \(8000, None\)",
        ),
    ],
)
def test_options_for_the_other_kind(prepared, name, options, said):
    with pytest.raises(DataError, match=said):
        from_tfds(name, data_dir=prepared, **options)
