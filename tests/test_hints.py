"""Ends of error messages, and the mistakes in Python that they are for."""

import keras
import numpy as np
import pytest

import meta_gan as mg
from meta_gan.checks import check_memory, check_range, check_support
from meta_gan.hints import missing_hint, shape_hint
from tests.trainers import helpers

SHAPE = (8, 8, 1)
LEVELS = np.arange(3 * 64, dtype=np.uint8).reshape(3, *SHAPE)


def adapt(support):
    """What `MetaModel.adapt` does with a support set before it computes."""
    return check_support(check_range(support, SHAPE), SHAPE)


MISTAKES = {
    "levels as floats": (
        LEVELS.astype(np.float32),
        "(levels x of 0..255 are x / 127.5 - 1). Received: values from 0 to",
    ),
    "channels first": (LEVELS.transpose(0, 3, 1, 2), "Move the channels last: numpy.moveaxis(support, 1, -1)"),
    "no channels": (LEVELS[..., 0], "Received: shape (3, 8, 8). Add the axis of channels: support[..., None]"),
    "one image": (LEVELS[0], "Received: shape (8, 8, 1). For one example pass support[None]"),
    "one image without channels": (LEVELS[0, ..., 0], "For one example pass support[None, ..., None]"),
    "colours": (np.repeat(LEVELS, 3, -1), "must have shape [n, 8, 8, 1] with n >= 1. Received: shape (3, 8, 8, 3)"),
    "another size": (np.zeros((3, 9, 9, 1)), "must have shape [n, 8, 8, 1] with n >= 1. Received: shape (3, 9, 9, 1)"),
    "several sizes": ([np.zeros((8, 8, 1)), np.zeros((9, 8, 1))], "must be one array, of examples of one shape"),
    "a path": ("my_five_images", "read files by meta_gan.tasks.load_support(path, image_shape).images. Received: the"),
    "an object": (object(), "'support' must be one array of numbers. Received: object"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_support_sets_that_are_refused(name):
    support, words = MISTAKES[name]
    with pytest.raises(ValueError) as caught:
        adapt(support)
    assert words in str(caught.value) and str(caught.value).startswith("'support' must ")


def test_what_a_hint_says_to_do_is_accepted():
    for array in (LEVELS[0][None], LEVELS[0, ..., 0][None, ..., None], LEVELS[..., 0][..., None]):
        assert adapt(array).shape[1:] == SHAPE
    np.testing.assert_array_equal(adapt(np.moveaxis(LEVELS.transpose(0, 3, 1, 2), 1, -1)), adapt(LEVELS))


def test_floats_of_0_to_1_are_read_as_such_with_a_warning():
    with pytest.warns(UserWarning, match=r"read as floats in \[0, 1\], .* value_range=\(0, 1\) or \(-1, 1\)"):
        made = adapt(LEVELS / 255)
    np.testing.assert_allclose(made, adapt(LEVELS), atol=1e-6)


def test_shapes_without_a_cure_have_no_hint():
    assert shape_hint((3, 9, 9, 1), SHAPE, "x") == shape_hint((), SHAPE, "x") == shape_hint((2,), (3,), "x") == ""
    assert shape_hint((2,), (2,), "support['a']") == ". For one example pass array[None]"


def test_missing_paths(tmp_path, monkeypatch):
    (tmp_path / "flags" / "france").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert missing_hint("falgs") == missing_hint("flags ") == ". Did you mean 'flags'?"
    assert missing_hint("flags/frence") == ". Did you mean 'flags/france'?"
    assert missing_hint("~/flags") == f". Did you mean '{tmp_path}/flags'?"
    assert missing_hint("other/france") == ". There is no 'other'"
    assert missing_hint("flags/x") == missing_hint("zz") == missing_hint("a\0b") == ""
    assert missing_hint("omniglto", ["omniglot"]) == ". Did you mean 'omniglot'?"


def test_memory():
    assert check_memory(1, SHAPE, "count") == 1
    with pytest.raises(ValueError, match=r"'count' must be at most \d+, whose .* Received: 1000000000"):
        check_memory(10**9, (10**6,), "count")


@pytest.fixture(scope="module")
def model():
    return helpers.model()


def test_a_model_that_was_not_trained_adapts(model):
    assert model.adapt(np.zeros((2, *SHAPE), np.uint8)).sample(2).shape == (2, *SHAPE)


def test_images_are_no_batches_of_tasks(model):
    for given, words in (
        (LEVELS, "a batch must be an Episode: batches are tasks, `Episode`s of a support and a query set, such as"),
        (helpers.tasks(), "'x' must be batches of tasks; call Tasks.train(meta_batch). Received: a Tasks"),
    ):
        with pytest.raises(ValueError) as caught:
            model.fit(given, verbose=0)
        assert words in str(caught.value)


def test_a_keras_file_is_no_meta_model(tmp_path):
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "generator.keras")
    with pytest.raises(ValueError, match=r"generator.keras', a file, for keras.saving.load_model"):
        mg.load(tmp_path / "generator.keras")
