"""The methods of an evaluation, their checks, and the images that they make."""

import dataclasses

import numpy as np
import pytest

import meta_gan as mg
from meta_gan.augment import class_seed
from meta_gan.meta_learners import Adam
from meta_gan.protocol.baselines import Copy
from meta_gan.protocol.methods import Method, all_methods, from_scratch, make_examples
from meta_gan.protocol.methods import check_comparable as check
from meta_gan.protocol.settings import RATE_SCALES, Settings
from meta_gan.report.sections import BARS
from meta_gan.tasks.pixels import to_uint8
from tests.protocol.helpers import SHAPE, patterned_source, pixel_judge
from tests.toys import flat_close, numbers, tiny_dcgan

CLASSES = np.array([3, 4, 5])


@pytest.fixture(scope="module")
def source():
    return patterned_source(6, split=[0, 0, 1, 2, 2, 2])


def model_of(algorithm=None, **data_card):
    model = mg.MetaModel(tiny_dcgan(), algorithm or mg.FOMAML(inner_steps=2))
    model.data_card = data_card
    return model


@pytest.fixture(scope="module")
def mine():
    splits = {"train": ["class 0", "class 1"], "validation": ["class 2"], "test": ["class 3", "class 4", "class 5"]}
    return Method("mine", model_of(name="patterns", splits=splits, polarity=patterned_source(6).polarity))


def test_matching_models_and_judges_pass(source, mine):
    card = {"name": "patterns", "classes": ["class 0", "class 1"]}
    check(source, CLASSES, "test", [mine], [pixel_judge(data=card), pixel_judge("other")])


@pytest.mark.parametrize("judges", [[], [pixel_judge(), pixel_judge()]])
def test_judges_are_required_and_have_different_names(source, judges):
    with pytest.raises(ValueError, match=r"'judges' must (be one or more|have different names). Received: "):
        check(source, CLASSES, "test", [], judges)


@pytest.mark.parametrize(
    "name", ["oracle", "copy", "shift", "affine", "elastic", "trivial", "none", "from scratch", "wrong class"]
)
def test_names_of_fixed_rows_are_refused(source, mine, name):
    with pytest.raises(ValueError, match=rf"other than the fixed rows.*Received: \['{name}'\]"):
        check(source, CLASSES, "test", [dataclasses.replace(mine, name=name)], [pixel_judge()])


def test_judges_and_models_of_another_image_shape_are_refused(source, mine):
    with pytest.raises(ValueError, match=r"judge 'pixels' must take images of \(8, 8, 1\). Rec.*4"):
        check(source, CLASSES, "test", [], [pixel_judge(shape=(4, 8, 1))])
    other = patterned_source(6, split=[0, 0, 1, 2, 2, 2], shape=(8, 4, 1))
    with pytest.raises(ValueError, match=r"model 'mine' must take images of \(8, 4, 1\)"):
        check(other, CLASSES, "test", [mine], [pixel_judge(shape=(8, 4, 1))])


def test_training_on_evaluated_classes_is_refused(source, mine):
    seen = {"name": "patterns", "classes": ["class 0", "class 4", "class 5"]}
    with pytest.raises(ValueError, match=r"judge 'pixels' must not have been trained on.*2 of 3 classes.*'class 4'"):
        check(source, CLASSES, "test", [], [pixel_judge(data=seen)])
    model = Method("mine", model_of(name="patterns", splits={"train": ["class 3"]}))
    with pytest.raises(ValueError, match=r"model 'mine' must not have been trained on.*1 of 3 classes"):
        check(source, CLASSES, "test", [model], [pixel_judge()])
    check(source, CLASSES, "train", [model], [pixel_judge(data=seen)])


def test_a_class_of_the_same_name_in_other_data_is_allowed(source):
    card = {"name": "elsewhere", "classes": ["class 3"]}
    check(source, CLASSES, "test", [], [pixel_judge(data=card)])


def test_the_baselines_are_those_of_the_protocol():
    assert [method.name for method in all_methods([], Settings())] == [*BARS, "one image repeated"]


def test_a_model_has_a_row_and_a_row_from_scratch(mine):
    found = all_methods([mine], Settings(steps=3, scratch_steps=9, scratch_classes=2))
    own, scratch = found[-2:]
    assert (own.name, own.steps, own.row_steps, own.evaluated) == ("mine", (0, 1, 3, 5, 10, 20, 50, 100), 3, True)
    assert (scratch.name, scratch.steps, scratch.classes, scratch.evaluated) == ("from scratch", (9,), 2, False)
    assert all_methods([mine], Settings(scratch_steps=0))[-1].name == "mine"


def test_models_with_equal_initial_weights_share_their_row_from_scratch(mine):
    twin = Method("twin", model_of(mg.Reptile(inner_steps=4)))
    other = Method("other", model_of(mg.Reptile(inner_steps=4, inner_rate=0.5)))
    found = all_methods([mine, twin, other], Settings(steps=None, curve=(0,)))
    names = ["mine", "twin", "other", "from scratch", "from scratch, as other"]
    assert [method.name for method in found[len(BARS) + 1 :]] == names
    assert [method.steps for method in found[len(BARS) + 1 :][:3]] == [(0, 2), (0, 4), (0, 4)], (
        "those of each model's algorithm"
    )


SUPPORT = np.random.default_rng(0).integers(0, 256, (3, *SHAPE)).astype(np.uint8)


@pytest.fixture(scope="module")
def model():
    return mg.MetaModel(tiny_dcgan(), mg.Reptile(inner_steps=2, meta_learner=Adam(0.01)), averaging=0.9)


@pytest.fixture(scope="module")
def made(model):
    method = Method("mine", model, steps=(0, 2, 5), row_steps=2, evaluated=True)
    return make_examples(method, SUPPORT, 4, 3, "a class", extra=6, stability=True)


def test_every_stop_of_the_trajectory_is_an_adapted_model(model, made):
    key = class_seed(3, 0)
    for steps in (0, 2, 5):
        expected = to_uint8(model.adapt(SUPPORT, steps=steps, seed=key).sample(4, seed=key))
        np.testing.assert_array_equal(made[f"samples/{steps}"], expected)
    assert np.any(made["samples/0"] != made["samples/5"])


def test_further_images_begin_with_those_of_the_row(made):
    assert made["extra"].shape == (6, *SHAPE) and made["extra"].dtype == np.uint8
    difference = made["extra"][:4].astype(int) - made["samples/2"]
    assert np.abs(difference).max() <= 1, "the same images, but for the rounding of another batch size"


def test_another_inner_rate_gives_other_images_and_rate_1_the_same(made):
    np.testing.assert_array_equal(made["rate/1"], made["samples/2"])
    assert np.any(made["rate/10"] != made["samples/2"])


def test_every_stop_has_a_time(made):
    assert made["ms/0"] > 0 and made["ms/2"].shape == ()
    assert {key for key in made if key.startswith("ms/")} == {"ms/0", "ms/2", "ms/5"}


def test_only_requested_images_are_made(model):
    method = Method("mine", model, steps=(0, 2), row_steps=2, evaluated=True)
    assert set(make_examples(method, SUPPORT, 2, 0, "")) == {"samples/0", "samples/2", "ms/0", "ms/2"}
    plain = make_examples(Method("copy", Copy()), SUPPORT, 4, 0, "", extra=5, stability=True)
    assert set(plain) == {"samples/0", "ms/0", "extra"}
    np.testing.assert_array_equal(plain["samples/0"], SUPPORT[[0, 1, 2, 0]])
    np.testing.assert_array_equal(plain["extra"], SUPPORT[[0, 1, 2, 0, 1]])


class Broken:
    """A method whose samples are NaN."""

    def adapt(self, support, steps=None, seed=0):
        return self

    def sample(self, count, seed=0):
        return np.full((count, *SHAPE), np.nan, np.float32)


def test_samples_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match=r"'bad' to class 'K' failed: the samples after 0 inner steps must be finite"):
        make_examples(Method("bad", Broken()), SUPPORT, 2, 0, "K")


def test_a_diverged_adaptation_keeps_no_images():
    """A learning rate of 10^30 ends in infinities, as another inner rate of the stability score can."""
    wild = mg.MetaModel(tiny_dcgan(), mg.FOMAML(inner_steps=3, inner_rate=1e30))
    method = Method("wild", wild, row_steps=3, evaluated=True)
    made = make_examples(method, SUPPORT, 2, 0, "", stability=True)
    assert [len(made[f"rate/{scale:g}"]) for scale in RATE_SCALES] == [0] * 5
    assert made["rate/1"].shape == (0, *SHAPE)


def test_from_scratch_is_the_same_game_with_initial_weights(model):
    start = numbers(model.meta_weights().initial)
    trained = mg.MetaModel.from_config(model.get_config())
    for variable in trained.nets["generator"].trainable_variables:
        variable.assign(variable + 1.0)
    scratch = from_scratch("from scratch", trained, 7, 100)
    assert (scratch.steps, scratch.row_steps, scratch.classes, scratch.evaluated) == ((7,), 7, 100, False)
    flat_close(numbers(scratch.model.meta_weights(averaged=True).initial), start)
    assert scratch.model.algorithm.meta_learner.get_config() == model.algorithm.meta_learner.get_config()


def test_a_method_can_be_limited_to_the_first_classes():
    assert [Method("a", None, classes=2).includes(place) for place in (0, 1, 2)] == [True, True, False]
    assert Method("a", None).includes(10**6)
