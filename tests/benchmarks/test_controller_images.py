"""The parts of the benchmark of the controller on drawings, tested on points."""

import numpy as np
import pytest
from PIL import Image

import meta_gan as mg
from benchmarks.controller import images
from meta_gan.controller import PolicyGradient, ScheduleController
from tests.toys import random_episodes, tiny_gan


def model_of(calm):
    controller = ScheduleController(
        images.adam(1e-3), images.STEPS, images.EVERY, actions=("rates", "turns"), calm=calm
    )
    return mg.MetaModel(tiny_gan(), mg.Algorithm("controller", controller, PolicyGradient(rollouts=2), images.STEPS))


@pytest.mark.slow
def test_an_untrained_controller_chooses_no_change():
    model, episodes = model_of(4.0), random_episodes(tasks=3, shape=(2,), seed=0)
    knobs = images.chosen(model, episodes)
    assert knobs.shape == (3, images.STEPS // images.EVERY, 3)
    np.testing.assert_array_equal(knobs, np.ones_like(knobs))


@pytest.mark.slow
def test_choices_of_a_policy_accumulate():
    """Readouts that always double the rate: 2, 4, 8, 16, and no more."""
    model = model_of(0.1)
    controller = model.meta_learner
    bias = np.zeros(controller.policy.readout.bias.shape, np.float32)
    bias[controller.knobs[0].options.index(2.0)] = 4.0
    controller.policy.readout.bias.assign(bias)
    knobs = images.chosen(model, random_episodes(tasks=2, shape=(2,), seed=0))
    np.testing.assert_allclose(knobs[0, :, 0], [2, 4, 8, 16, 16, 16, 16, 16])
    np.testing.assert_array_equal(knobs[..., 1:], 1.0)


def test_the_best_rate_is_the_nearest():
    best, found = images.best_rate(tiny_gan(), random_episodes(tasks=4, shape=(2,), seed=0))
    assert list(found) == [str(rate) for rate in images.RATES] and all(np.isfinite(list(found.values())))
    assert found[str(best)] == min(found.values())


def test_the_picture_is_written(tmp_path):
    images.picture(tmp_path / "chosen.png", ["a", "b"], np.random.default_rng(0).uniform(size=(5, 8, 2)))
    assert Image.open(tmp_path / "chosen.png").size == (990, 264)


def test_the_card_of_a_row_suits_a_report():
    from meta_gan.report.reports import KEYS

    card = images.card_of(model_of(4.0), 8.0)
    made_by_evaluation = {"algorithm", "inner_steps", "parameters", "stability"}
    assert set(KEYS["models"]) == made_by_evaluation | set(card)
