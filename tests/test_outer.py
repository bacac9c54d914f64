"""Outer steps that are left out because their meta-gradient is not finite."""

import keras
import pytest
import tensorflow as tf

from meta_gan import functional
from tests.test_model import EPISODES, everything, make
from tests.toys import flat_close

BAD = EPISODES._replace(query=EPISODES.query * float("nan"), support=EPISODES.support * float("nan"))


@pytest.mark.parametrize("graph", [False, True])
def test_a_step_that_is_not_finite_is_left_out_if_asked(graph):
    """Nothing moves, averages and optimizers included, and the next good step is what it would have been."""
    model, other = (make(averaging=0.9, optimizer=keras.optimizers.Adam(0.1), skip_nonfinite=True) for _ in range(2))
    steps = [tf.function(m.meta_step, autograph=False) if graph else m.meta_step for m in (model, other)]
    before = everything(model)
    assert float(steps[0](BAD)["skipped"]) == 1.0
    flat_close(everything(model), before)
    functional.write(other.game.nets, functional.read(model.game.nets))
    for shadow, value in zip(other._averages, model._averages, strict=True):
        shadow.assign(value)
    good = [step(EPISODES) for step in steps]
    flat_close(*([m[key] for key in sorted(m)] for m in good))
    flat_close(everything(model), everything(other))
    assert float(good[0]["skipped"]) == 0.0


def test_the_means_of_an_epoch_are_over_the_steps_that_were_taken():
    model, alone = make(skip_nonfinite=True), make(skip_nonfinite=True)
    functional.write(alone.game.nets, functional.read(model.game.nets))
    for episodes in (BAD, EPISODES):
        tracked = model.train_step(episodes)
    expected = alone.train_step(EPISODES)
    assert float(tracked.pop("skipped")) == 0.5 and float(expected.pop("skipped")) == 0.0
    flat_close(*([m[key] for key in sorted(m)] for m in (tracked, expected)), rtol=1e-6)


def test_without_a_word_no_step_is_left_out():
    assert "skipped" not in make().meta_step(EPISODES)
    with pytest.raises(tf.errors.InvalidArgumentError, match="is not finite"):
        make().meta_step(BAD)
