"""The ranges of `TrainConfig`."""

import dataclasses
import math
import re

import numpy as np
import pytest

from tests.trainers import helpers
from trainers import TrainConfig

COUNTS = [field.name for field in dataclasses.fields(TrainConfig) if field.type == "int" and field.default]


@pytest.mark.parametrize("field", COUNTS)
@pytest.mark.parametrize("value", [0, -1, 1.0, True, None, "2"])
def test_counts_are_ints_of_at_least_one(field, value):
    with pytest.raises(ValueError, match=f"'{field}' must be an integer >= 1 and .*. Received: {value!r}"):
        TrainConfig(**{field: value})
    assert getattr(TrainConfig(**{field: 1}), field) == 1


@pytest.mark.parametrize("value", [(), (-1,), (0, 2.0), ("5",), 5, None])
def test_picture_steps_are_ints_of_at_least_zero(value):
    with pytest.raises(ValueError, match=r"'picture_steps' must be (an integer >= 0|a tuple of integers).*Received: "):
        TrainConfig(picture_steps=value)


def test_picture_steps_become_a_tuple():
    assert TrainConfig(picture_steps=[0, 3]).picture_steps == (0, 3)


def test_there_are_ten_counts_and_every_field_has_a_test():
    assert len(COUNTS) == 10
    fields = {field.name for field in dataclasses.fields(TrainConfig)}
    others = {"minutes", "processor_time", "symmetries", "fewest_shots", "picture_steps", "copy_limit", "keep_best"}
    assert fields == {*COUNTS, *others, "on_alarm", "worker_timeout"}


@pytest.mark.parametrize("value", ["end", "", None, True])
def test_an_alarm_is_logged_or_stops_the_run(value):
    assert [TrainConfig(on_alarm=each).on_alarm for each in ("log", "stop")] == ["log", "stop"]
    with pytest.raises(ValueError, match="'on_alarm' must be"):
        TrainConfig(on_alarm=value)


@pytest.mark.parametrize("value", [0, 4.9, math.inf, math.nan, "1", None, True])
def test_the_wait_for_other_workers_is_at_least_five_seconds(value):
    assert TrainConfig(worker_timeout=5).worker_timeout == 5
    with pytest.raises(ValueError, match="'worker_timeout' must be"):
        TrainConfig(worker_timeout=value)


@pytest.mark.parametrize("value", [-1, -0.1, math.inf, math.nan, "1", None, True])
def test_minutes_are_finite_and_not_negative(value):
    with pytest.raises(ValueError, match=f"'minutes' must be a finite number >= 0. Received: {value!r}"):
        TrainConfig(minutes=value)


def test_there_is_no_limit_of_minutes_by_default():
    assert TrainConfig().minutes == 0
    assert TrainConfig(minutes=2).minutes == 2 and TrainConfig(minutes=0.5).minutes == 0.5


@pytest.mark.parametrize("value", [-0.1, 1.1, math.inf, math.nan, "1", None, True])
def test_the_limit_of_copies_is_a_share(value):
    with pytest.raises(ValueError, match=f"'copy_limit' must be a finite number >= 0 and <= 1. Received: {value!r}"):
        TrainConfig(copy_limit=value)
    assert TrainConfig(copy_limit=1).copy_limit == 1 and TrainConfig().copy_limit == 0


@pytest.mark.parametrize("value", [-1, 1.0, None, True, "2"])
def test_fewest_shots_is_an_integer(value):
    with pytest.raises(ValueError, match=f"'fewest_shots' must be an integer >= 0 and .*. Received: {value!r}"):
        TrainConfig(fewest_shots=value)


def test_the_episodes_are_those_that_the_fields_ask_for():
    tasks = helpers.tasks()
    config = TrainConfig(meta_batch=2, symmetries=True, fewest_shots=1)
    own, asked = (iter(d) for d in (config.episodes(tasks, 3), tasks.train(2, 3, symmetries=True, fewest_shots=1)))
    for _ in range(4):
        np.testing.assert_array_equal(next(own).support, next(asked).support)
    (always,) = TrainConfig(meta_batch=2).episodes(tasks).take(1)
    assert always.support.shape[1] == tasks.shots
    with pytest.raises(ValueError, match=f"'fewest_shots' must be an integer >= 1 and <= {tasks.shots}. Received: 99"):
        TrainConfig(meta_batch=2, fewest_shots=99).episodes(tasks)


@pytest.mark.parametrize("field", ["symmetries", "processor_time"])
@pytest.mark.parametrize("value", [0, 1, None, "true", np.True_])
def test_switches_are_true_or_false(field, value):
    """A word such as "no" would count as true."""
    with pytest.raises(ValueError, match=f"'{field}' must be True or False. Received: {re.escape(repr(value))}"):
        TrainConfig(**{field: value})


def test_switches_are_off_unless_asked_for():
    assert TrainConfig().symmetries is False and TrainConfig().processor_time is False
    assert TrainConfig(symmetries=True).symmetries is True
