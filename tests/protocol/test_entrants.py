"""Who may take part, which rows there are, and what a reader is told."""

import numpy as np
import pytest

import meta_gan as mg
from meta_gan.protocol import entrants
from meta_gan.protocol.entrants import Entry, check, contenders, info, notes
from meta_gan.protocol.settings import Settings
from tests.protocol.helpers import patterned_source, pixel_judge
from tests.toys import tiny_dcgan

CLASSES = np.array([3, 4, 5])


@pytest.fixture(scope="module")
def source():
    return patterned_source(6, split=[0, 0, 1, 2, 2, 2])


def model_of(rule=None, **data_card):
    model = mg.MetaModel(tiny_dcgan(), rule or mg.FOMAML(inner_steps=2))
    model.data_card = data_card
    return model


@pytest.fixture(scope="module")
def entry():
    splits = {"train": ["class 0", "class 1"], "validation": ["class 2"], "test": ["class 3", "class 4", "class 5"]}
    return Entry(model_of(name="patterns", splits=splits, polarity=patterned_source(6).polarity), {})


def test_those_that_fit_may_take_part(source, entry):
    card = {"name": "patterns", "classes": ["class 0", "class 1"]}
    check(source, CLASSES, "test", {"mine": entry}, [pixel_judge(data=card), pixel_judge("other")])


@pytest.mark.parametrize("judges", [[], [pixel_judge(), pixel_judge()]])
def test_judges_must_be_there_and_have_names_of_their_own(source, judges):
    with pytest.raises(ValueError, match=r"`judges` must be one or more, with different names. Received: "):
        check(source, CLASSES, "test", {}, judges)


@pytest.mark.parametrize("name", ["oracle", "copy", "shift", "affine", "none", "from scratch", "wrong class"])
def test_names_of_fixed_rows_are_taken(source, entry, name):
    with pytest.raises(ValueError, match=rf"a name other than those of the fixed rows.*Received: \['{name}'\]"):
        check(source, CLASSES, "test", {name: entry}, [pixel_judge()])


def test_judges_and_models_of_another_image_shape_are_refused(source, entry):
    with pytest.raises(
        ValueError, match=r"judge 'pixels' must take images of \(8, 8, 1\), as patterns has them. Rec.*4"
    ):
        check(source, CLASSES, "test", {}, [pixel_judge(shape=(4, 8, 1))])
    other = patterned_source(6, split=[0, 0, 1, 2, 2, 2], shape=(8, 4, 1))
    with pytest.raises(ValueError, match=r"model 'mine' must take images of \(8, 4, 1\)"):
        check(other, CLASSES, "test", {"mine": entry}, [pixel_judge(shape=(8, 4, 1))])


def test_a_net_for_objectives_is_no_judge(source):
    with pytest.raises(ValueError, match=r"a judge must never have been an objective.*Received: 'third'"):
        check(source, CLASSES, "test", {}, [pixel_judge("third", purpose="objective")])


def test_who_has_seen_the_classes_is_refused(source, entry):
    seen = {"name": "patterns", "classes": ["class 0", "class 4", "class 5"]}
    with pytest.raises(ValueError, match=r"judge 'pixels' must not have been trained on.*2 of 3 classes.*'class 4'"):
        check(source, CLASSES, "test", {}, [pixel_judge(data=seen)])
    model = Entry(model_of(name="patterns", splits={"train": ["class 3"]}), {})
    with pytest.raises(ValueError, match=r"model 'mine' must not have been trained on.*1 of 3 classes"):
        check(source, CLASSES, "test", {"mine": model}, [pixel_judge()])
    check(source, CLASSES, "train", {"mine": model}, [pixel_judge(data=seen)])


def test_the_same_name_in_other_data_is_another_class(source):
    card = {"name": "elsewhere", "classes": ["class 3"]}
    check(source, CLASSES, "test", {}, [pixel_judge(data=card)])


def test_the_notes_say_what_a_reader_must_know(source, entry):
    text = " ".join(notes(source, CLASSES, Settings().made_quick(), {"mine": entry}))
    assert "all of the classes" in text
    assert "Quick form" in text and "is 3-way" in text and "was trained on" not in text
    other = Entry(model_of(polarity="other"), {})
    text = " ".join(notes(source, CLASSES, Settings(split="train", ways=2, draws=2), {"mine": other}))
    assert "seen in training" in text and f"mine was trained on other images, these are {source.polarity}" in text
    assert "Quick" not in text and "way" not in text and "all of the" not in text and "One draw" not in text
    assert "One draw" in " ".join(notes(source, CLASSES, Settings(ways=3), {}))


def test_the_rows_without_a_model_are_those_of_the_protocol():
    assert [c.name for c in contenders({}, Settings())] == ["copy", "shift", "affine", "one image repeated"]


def test_a_model_has_a_row_a_curve_and_a_row_from_scratch(entry):
    found = contenders({"mine": entry}, Settings(steps=3, scratch_steps=9, scratch_classes=2))
    mine, scratch = found[-2:]
    assert (mine.name, mine.steps, mine.row_steps, mine.stable) == ("mine", (0, 1, 3, 5, 10, 20, 50, 100), 3, True)
    assert (scratch.name, scratch.steps, scratch.classes, scratch.stable) == ("from scratch", (9,), 2, False)
    assert contenders({"mine": entry}, Settings(scratch_steps=0))[-1].name == "mine"


def test_models_that_start_alike_share_their_row_from_scratch(entry):
    twin = Entry(model_of(mg.Reptile(inner_steps=4)), {})
    other = Entry(model_of(mg.Reptile(inner_steps=4, inner_rate=0.5)), {})
    names = [c.name for c in contenders({"a": entry, "b": twin, "c": other}, Settings())]
    assert names[4:] == ["a", "b", "c", "from scratch", "from scratch, as c"]


def test_what_is_said_of_every_row(entry):
    settings = Settings(steps=4, scratch_classes=2, classification_classes=5)
    found = info(contenders({"mine": entry}, settings), 3, settings)
    names = [entrants.ORACLE, *entrants.PLAIN, entrants.REPEAT, entrants.WRONG]
    assert set(found) == {*names, "mine", "mine, 0 steps", "from scratch"}
    assert found["mine"] == {"what": "adapted by 4 inner steps", "classes": 3, "classification_classes": 3}
    assert found["from scratch"]["classes"] == 2 and "500 steps" in found["from scratch"]["what"]
    off = Settings(classification_draws=0)
    assert info([], 3, off)["oracle"]["classification_classes"] is None
