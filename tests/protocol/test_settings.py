"""The settings of an evaluation: defaults, quick form, values out of range."""

import dataclasses

import pytest

from meta_gan.protocol.settings import Settings


def test_the_full_form_is_the_protocol():
    full = Settings()
    assert (full.split, full.shots, full.samples, full.ways, full.draws) == ("test", 5, 15, 20, 1)
    assert full.curve == (0, 1, 5, 10, 20, 50, 100)
    assert (full.classification_draws, full.classification_seeds, full.per_class) == (20, 3, 100)
    assert not full.quick and full.classes is None


def test_the_quick_form_says_so_and_is_smaller():
    quick = Settings(draws=3, shots=1).make_quick()
    assert quick.quick and quick.shots == 1
    assert (quick.classes, quick.draws, quick.scratch_steps) == (100, 1, 0)
    assert quick.classification_draws * quick.classification_seeds < 10
    assert Settings(classes=30).make_quick().classes == 30
    assert Settings(classes=300).make_quick().classes == 100


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("shots", 0),
        ("steps", -1),
        ("classes", 0),
        ("draws", 0),
        ("seed", -1),
        ("samples", 1),
        ("ways", 1),
        ("scratch_steps", -1),
        ("classification_draws", -1),
        ("classification_seeds", 0),
        ("per_class", 0),
        ("stability_classes", 1.5),
        ("shots", True),
        ("seed", 2**31),
    ],
)
def test_values_out_of_range_are_refused(field, value):
    with pytest.raises(ValueError, match=rf"{field}. must be .* Received: {value}"):
        Settings(**{field: value})


def test_zero_is_allowed_where_it_means_none():
    none = Settings(steps=None, scratch_steps=0, classification_draws=0, stability_classes=0)
    assert dataclasses.asdict(none)["scratch_steps"] == 0 and none.steps is None


@pytest.mark.parametrize("curve", [(), (5, 1), (1, 1), (-1, 5)])
def test_a_curve_must_ascend(curve):
    with pytest.raises(ValueError, match=r"'curve' must be ascending numbers of steps >= 0. Received"):
        Settings(curve=curve)


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match=r"'split' must be one of 'train', 'validation', 'test'. Received: 'all'"):
        Settings(split="all")
