"""The images of a row: one trajectory, finite or refused, whole on disk or absent, and never made twice."""

import numpy as np
import pytest

import meta_gan as mg
from meta_gan.augment import class_seed
from meta_gan.meta_learners import Adam
from meta_gan.protocol import generation
from meta_gan.protocol.baselines import Copy
from meta_gan.protocol.generation import Contender, Store, Wanted, fill, from_scratch, make
from meta_gan.tasks.pixels import to_uint8
from tests.protocol.helpers import SHAPE
from tests.toys import flat_close, numbers, tiny_dcgan

SUPPORT = np.random.default_rng(0).integers(0, 256, (3, *SHAPE)).astype(np.uint8)


@pytest.fixture(scope="module")
def model():
    return mg.MetaModel(tiny_dcgan(), mg.Reptile(inner_steps=2, meta_learner=Adam(0.01)), averaging=0.9)


@pytest.fixture(scope="module")
def made(model):
    contender = Contender("mine", model, (0, 2, 5), 2, stable=True)
    return make(contender, SUPPORT, Wanted(4, 6, True), 3, "a class")


def test_every_stop_of_the_trajectory_is_the_model_adapted_so_far(model, made):
    key = class_seed(3, 0)
    for steps in (0, 2, 5):
        expected = to_uint8(model.adapt(SUPPORT, steps=steps, seed=key).sample(4, seed=key))
        np.testing.assert_array_equal(made[f"samples/{steps}"], expected)
    assert np.any(made["samples/0"] != made["samples/5"])


def test_what_a_classifier_is_given_begins_with_the_row_itself(made):
    assert made["extra"].shape == (6, *SHAPE) and made["extra"].dtype == np.uint8
    difference = made["extra"][:4].astype(int) - made["samples/2"]
    assert np.abs(difference).max() <= 1, "the same images, but for the rounding of another batch size"


def test_another_rate_gives_other_images_and_the_own_rate_the_same(made):
    np.testing.assert_array_equal(made["rate/1"], made["samples/2"])
    assert np.any(made["rate/10"] != made["samples/2"])


def test_every_stop_has_a_time(made):
    assert made["ms/0"] > 0 and made["ms/2"].shape == ()
    assert {key for key in made if key.startswith("ms/")} == {"ms/0", "ms/2", "ms/5"}


def test_only_what_is_wanted_is_made(model):
    contender = Contender("mine", model, (0, 2), 2, stable=True)
    assert set(make(contender, SUPPORT, Wanted(2, 0, False), 0, "")) == {"samples/0", "samples/2", "ms/0", "ms/2"}
    plain = make(Contender("copy", Copy()), SUPPORT, Wanted(4, 5, True), 0, "")
    assert set(plain) == {"samples/0", "ms/0", "extra"}
    np.testing.assert_array_equal(plain["samples/0"], SUPPORT[[0, 1, 2, 0]])
    np.testing.assert_array_equal(plain["extra"], SUPPORT[[0, 1, 2, 0, 1]])


class Broken:
    """Adapts to anything, and samples what is not a number."""

    def adapt(self, support, steps=None, seed=0):
        return self

    def sample(self, count, seed=0):
        return np.full((count, *SHAPE), np.nan, np.float32)


def test_samples_that_are_not_numbers_are_refused():
    with pytest.raises(ValueError, match=r"samples of 'bad' must be finite.*NaN.*class 'K' after 0 inner steps"):
        make(Contender("bad", Broken()), SUPPORT, Wanted(2, 0, False), 0, "K")


def test_a_diverged_adaptation_keeps_no_images():
    """A rate of 10^30 times the rule's ends in infinities, which another rate of the stability score may do."""
    wild = mg.MetaModel(tiny_dcgan(), mg.FOMAML(inner_steps=3, inner_rate=1e30))
    contender = Contender("wild", wild, (0,), 3, stable=True)
    made = make(contender, SUPPORT, Wanted(2, 0, True), 0, "")
    assert [len(made[f"rate/{scale:g}"]) for scale in generation.RATE_SCALES] == [0] * 5
    assert made["rate/1"].shape == (0, *SHAPE)


def test_from_scratch_is_the_same_game_with_nothing_learned(model):
    start = numbers(model.meta_weights().initial)
    trained = mg.MetaModel.from_config(model.get_config())
    for variable in trained.nets["generator"].trainable_variables:
        variable.assign(variable + 1.0)
    scratch = from_scratch("from scratch", trained, 7, 100)
    assert (scratch.steps, scratch.row_steps, scratch.classes, scratch.stable) == ((7,), 7, 100, False)
    flat_close(numbers(scratch.model.meta_weights(averaged=True).initial), start)
    assert scratch.model.algorithm.meta_learner.get_config() == model.algorithm.meta_learner.get_config()


def test_who_takes_part():
    assert [Contender("a", None, classes=2).takes_part(place) for place in (0, 1, 2)] == [True, True, False]
    assert Contender("a", None).takes_part(10**6)


def test_a_store_keeps_a_class_whole(tmp_path):
    store = Store(tmp_path)
    arrays = {"0/samples/0": SUPPORT, "1/ms/20": np.array(2.5)}
    store.save(1, 12, arrays)
    assert store.path(1, 12) == tmp_path / "draw1" / "00012.npz"
    read = store.load(1, 12, ["0/samples/0", "absent"])
    assert set(read) == {"0/samples/0"}
    np.testing.assert_array_equal(read["0/samples/0"], SUPPORT)
    assert float(store.load(1, 12, ["1/ms/20"])["1/ms/20"]) == 2.5
    assert not list(tmp_path.rglob("*.part"))


def test_what_is_there_is_not_made_again(tmp_path):
    store, calls, seen = Store(tmp_path), [], []

    def one(position, index):
        calls.append((position, index))
        if index == 9 and len(calls) < 3:
            raise KeyboardInterrupt
        return {"a": np.array(index)}

    with pytest.raises(KeyboardInterrupt):
        fill(store, 0, [4, 9, 2], one, seen.append)
    fill(store, 0, [4, 9, 2], one, seen.append)
    assert calls == [(0, 4), (1, 9), (1, 9), (2, 2)]
    assert seen == [1, 1, 2, 3]
    assert [int(store.load(0, index, ["a"])["a"]) for index in (4, 9, 2)] == [4, 9, 2]
