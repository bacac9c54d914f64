"""The ranges of `TrainConfig`."""

import dataclasses

import pytest

from trainers import TrainConfig

COUNTS = [field.name for field in dataclasses.fields(TrainConfig) if field.name != "picture_steps"]


@pytest.mark.parametrize("field", COUNTS)
@pytest.mark.parametrize("value", [0, -1, 1.0, True, None, "2"])
def test_counts_are_ints_of_at_least_one(field, value):
    with pytest.raises(ValueError, match=f"'{field}' must be an int >= 1. Received: {value!r}"):
        TrainConfig(**{field: value})
    assert getattr(TrainConfig(**{field: 1}), field) == 1


@pytest.mark.parametrize("value", [(), (-1,), (0, 2.0), ("5",)])
def test_picture_steps_are_ints_of_at_least_zero(value):
    with pytest.raises(ValueError, match=r"'picture_steps' must be ints >= 0. Received: "):
        TrainConfig(picture_steps=value)


def test_picture_steps_become_a_tuple():
    assert TrainConfig(picture_steps=[0, 3]).picture_steps == (0, 3)


def test_there_are_eight_counts():
    assert len(COUNTS) == 8
