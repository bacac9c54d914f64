"""Refusals of a controller, and its config."""

import json

import keras
import pytest

from meta_gan.controller import ScheduleController
from meta_gan.losses import NonSaturating
from meta_gan.meta import InnerLoop
from meta_gan.meta_learners import Adam, GradientDescent, MetaSGD
from tests.controller.test_schedule_controller import controller, prepared
from tests.toys import tiny_gan, tiny_vae


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base": MetaSGD(0.1)}, "hand-designed.*MetaSGD"),
        ({"base": ScheduleController(Adam(0.1))}, "hand-designed.*ScheduleController"),
        ({"horizon": 0}, "horizon"),
        ({"every": 2.5}, "every"),
        ({"actions": ()}, "actions"),
        ({"actions": "rates"}, "actions"),
        ({"actions": ("speed",)}, "'actions' must be some of.*speed"),
        ({"holdout": 1.0}, "holdout"),
        ({"calm": float("inf")}, "calm"),
        ({"calm": 0.0}, "'calm' must be a finite number > 0"),
        ({"holdout": "a"}, "'holdout' must be a finite number"),
        ({"logit_clip": 0.0}, "logit_clip"),
        ({"closed_loop": 1}, "closed_loop"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        ScheduleController(**{"base": Adam(0.1), **options})


@pytest.mark.parametrize("action", ["penalty", "augmentation"])
def test_a_knob_that_the_game_does_not_have_is_refused(action):
    with pytest.raises(ValueError, match=f"ScheduleController decides.*{action}.*a GAN that supports"):
        prepared(tiny_gan(loss=NonSaturating()), controller(actions=("rates", action)))


def test_turns_in_which_nothing_adapts_are_refused():
    game, meta_learner = tiny_gan(loss=NonSaturating()), controller(actions=("turns",))
    with pytest.raises(ValueError, match=r"decides \['turns'\].*whose first turn adapts"):
        InnerLoop.build(game, meta_learner, "^generator/")


def test_a_controller_of_one_game_is_refused_by_another():
    meta_learner = controller(actions=("rates",))
    prepared(tiny_gan(loss=NonSaturating()), meta_learner)
    with pytest.raises(ValueError, match=r"whose adapting players report.*'discriminator': 5.*'autoencoder'"):
        prepared(tiny_vae(), meta_learner)


def test_it_is_made_again_from_its_config():
    meta_learner = controller(GradientDescent({"discriminator": 0.1, "generator": 0.2}), actions=("stop", "rates"))
    config = keras.saving.serialize_keras_object(meta_learner)
    again = keras.saving.deserialize_keras_object(json.loads(json.dumps(config)))
    assert keras.saving.serialize_keras_object(again) == config
    assert again.actions == ("rates", "stop") and again.base.rates.value == {"discriminator": 0.1, "generator": 0.2}
