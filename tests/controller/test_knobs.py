"""Knobs by hand: what options come to over several decisions, and what a policy sees of them."""

import numpy as np
import pytest
import tensorflow as tf

from meta_gan.controller.policy import ACTIONS, knobs_of

PLAYERS = ("discriminator", "generator")
ALL = {knob.name: knob for knob in knobs_of(ACTIONS, PLAYERS)}


def turned(name, *options):
    knob = ALL[name]
    value = tf.constant(knob.start)
    for option in options:
        value = knob.turned(value, tf.constant(option))
    return float(value)


def test_every_player_has_a_rate_and_the_order_is_fixed():
    assert list(ALL) == ["rate/discriminator", "rate/generator", "turns", "penalty", "augmentation", "stop"]
    assert [knob.name for knob in knobs_of(("stop", "rates"), ("learner",))] == ["rate/learner", "stop"]


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("rate/generator", (4,), 2.0),
        ("rate/generator", (4, 0, 1), 0.8),
        ("rate/generator", (4,) * 6, 16.0),
        ("rate/generator", (0,) * 6, 1 / 16),
        ("turns", (2, 1), 2.0),
        ("turns", (2, 0), 1.0),
        ("penalty", (0, 0), 0.25),
        ("augmentation", (0, 0, 2), 0.9),
        ("augmentation", (2,), 1.0),
        ("augmentation", (0,) * 12, 0.0),
        ("stop", (1,), 1.0),
    ],
)
def test_decisions_add_up(name, options, expected):
    assert turned(name, *options) == pytest.approx(expected)


@pytest.mark.parametrize("name", ALL)
def test_the_still_option_changes_nothing_exactly(name):
    assert turned(name, ALL[name].still) == ALL[name].start


def test_what_is_shown_is_0_at_the_start_and_of_order_1():
    for name, knob in ALL.items():
        if name != "stop":
            ends = [float(knob.shown(tf.constant(value))) for value in (knob.start, knob.low, knob.high)]
            assert ends[0] == 0.0 and max(np.abs(ends)) <= 2.0 + 1e-6 and max(np.abs(ends)) >= 1.0 - 1e-6
    assert float(ALL["rate/generator"].shown(tf.constant(2.0))) == pytest.approx(0.5)
