"""Alarms, and rollbacks after bad steps."""

import numpy as np
import pytest
import tensorflow as tf

from meta_gan.games.base import DIVERSITY, SPREAD
from meta_gan.meta.vital_signs import spread, vital_signs
from tests.toys import one, random_episodes, tiny_gan, tiny_translation, weekly
from tests.trainers import helpers
from trainers import TrainConfig, TrainingStopped, run_folder
from trainers.health import Rollback, alarms, data_step

NAN = float("nan")
WELL = {"validation/diversity": 0.8, "validation/discriminator_spread": 0.3, "validation/distance/after": 1.0}


@pytest.mark.parametrize(
    ("metrics", "validation", "expected"),
    [
        ({"gradient_norm/discriminator": 0.1}, WELL, []),
        ({}, {}, []),
        ({"gradient_norm/discriminator": 0.0}, WELL, ["dead_discriminator"]),
        ({"gradient_norm/generator": 0.0}, WELL, []),
        ({}, {**WELL, "validation/discriminator_spread": 1e-8}, ["dead_discriminator"]),
        ({}, {**WELL, "validation/diversity": 0.05}, ["collapse"]),
        ({}, {**WELL, "validation/distance/after": NAN}, ["divergence"]),
        ({}, {**WELL, "validation/diversity": 0.0, "validation/distance/after": NAN}, ["divergence", "collapse"]),
        ({}, {**WELL, "validation/diversity": NAN}, ["divergence"]),
    ],
)
def test_alarms(metrics, validation, expected):
    assert list(alarms(metrics, validation)) == expected


def signs(game, **changes):
    from meta_gan import functional

    episode = one(random_episodes(queries=6))
    snapshot = functional.read(game.nets)
    for name in changes.get("still", ()):
        snapshot.weights[name][:] = [tf.zeros_like(weight) for weight in snapshot.weights[name]]
    found = vital_signs(game, snapshot, episode, episode.seed)
    return {name: float(value) for name, value in found.items()}


def test_spread_of_known_points():
    assert float(spread(tf.constant([[3.0, 0.0], [0.0, 4.0]]))) == 2.5  # each 2.5 from the middle
    assert float(spread(tf.ones([4, 2, 2]))) == 0.0


def test_vital_signs_of_a_game_whose_nets_are_constant():
    alive, dead = signs(tiny_gan()), signs(tiny_gan(), still=["discriminator"])
    assert alive[DIVERSITY] > 0.01 and alive[SPREAD] > 0.001
    assert dead[SPREAD] == 0.0 and dead[DIVERSITY] == alive[DIVERSITY]
    assert signs(tiny_gan(), still=["generator"])[DIVERSITY] == 0.0


def test_games_without_samples_have_no_signs():
    assert vital_signs(tiny_translation(), None, None, None) == {}


def test_data_follows_what_led_astray():
    backs = [Rollback(30, 20), Rollback(45, 40)]
    assert [data_step(step, backs) for step in (0, 19, 20, 39, 40, 41)] == [0, 19, 30, 49, 55, 56]


class Faulty:
    """A meta-step whose metrics are those of a skipped one, without the step, when the data are of given steps."""

    def __init__(self, trainer, bad):
        self.real, self.bad, self.seen = trainer._meta_step, bad, []
        self.numbers = {
            bytes(episode.seed.numpy().tobytes()): number
            for number, episode in enumerate(trainer.config.episodes(trainer.tasks).take(60))
        }
        trainer._meta_step = self

    def __call__(self, episodes):
        number = self.numbers[episodes.seed.numpy().tobytes()]
        self.seen.append(number)
        if number in self.bad:
            return {"skipped": tf.constant(1.0), "loss/generator": tf.constant(NAN)}
        return self.real(episodes)


def faulty(folder, bad, **changes):
    often = {"steps": 8, "checkpoint_every": 2, "validate_every": 100, "bad_steps": 2, **changes}
    trainer = helpers.trainer(folder, data=helpers.tasks((0,) * 4), **often)
    return trainer, Faulty(trainer, bad)


@pytest.mark.slow
def test_a_run_goes_back_and_on_with_other_tasks(tmp_path):
    trainer, step = faulty(run_folder.new_run(tmp_path, "toy"), {5, 6})
    trainer.run()
    assert trainer.rollbacks == [Rollback(7, 4)]
    assert step.seen == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]  # steps 5 to 8 are of the tasks after those
    lines = helpers.metrics(trainer.folder)
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 4, 5, 6, 7, 8]
    assert lines[4] == {"step": 4, "rolled_back_from": 7.0}


@pytest.mark.slow
def test_a_run_goes_back_twice_and_then_stops(tmp_path):
    trainer, step = faulty(run_folder.new_run(tmp_path, "toy"), set(range(4, 60)))
    with pytest.raises(TrainingStopped, match="the last 2 steps updated nothing"):
        trainer.run()
    assert trainer.rollbacks == [Rollback(6, 4), Rollback(6, 4)] and step.seen == list(range(10))
    again, step = faulty(trainer.folder, set(range(4, 60)))
    with pytest.raises(TrainingStopped, match="the last 2 steps updated nothing"):
        again.run()
    assert step.seen == [8, 9], "a resumed run has gone back twice already"


@pytest.mark.slow
def test_a_resumed_run_knows_its_rollbacks(tmp_path):
    """Resumed after a rollback, or from a checkpoint before it, it ends in the same bits."""
    whole, _ = faulty(run_folder.new_run(tmp_path, "whole"), {5, 6})
    whole.run()
    for keep in (6, 2):
        folder = run_folder.new_run(tmp_path, f"cut{keep}")
        faulty(folder, {5, 6}, keep=10)[0].run()
        for path in (folder / "checkpoints").glob("ckpt-*"):
            if int(path.name.split("-")[1].split(".")[0]) > keep:
                path.unlink()
        resumed, step = faulty(folder, {5, 6})
        resumed.run()
        assert step.seen == {6: [9, 10], 2: [2, 3, 7, 8, 9, 10]}[keep]
        helpers.assert_same_values(helpers.values(resumed), helpers.values(whole))


@pytest.mark.parametrize(("on_alarm", "stops"), [*weekly(("log", False)), ("stop", True)])
def test_an_alarm_is_logged_and_stops_a_run_that_asks_for_it(tmp_path, monkeypatch, on_alarm, stops, capsys):
    trainer = helpers.trainer(run_folder.new_run(tmp_path, "toy"), steps=2, validate_every=1, on_alarm=on_alarm)
    monkeypatch.setattr(trainer, "validate", lambda log: {"validation/diversity": 0.01})
    if stops:
        with pytest.raises(TrainingStopped, match=r"after step 1: samples of a class differ by 0\.01 .*ckpt-1$"):
            trainer.run()
    else:
        trainer.run()
    raised = [line["step"] for line in helpers.metrics(trainer.folder) if line.get("alarm/collapse") == 1.0]
    assert raised == ([1] if stops else [1, 2])
    assert "warning: alarm 'collapse' after step 1: samples of a class differ" in capsys.readouterr().err


def test_validation_reports_vital_signs(tmp_path):
    trainer = helpers.trainer(run_folder.new_run(tmp_path, "toy"), steps=1, picture_steps=(0,))
    trainer.run()
    validated = [line for line in helpers.metrics(trainer.folder) if "validation/diversity" in line]
    assert [line["step"] for line in validated] == [0, 1]
    assert all(np.isfinite(line[f"validation/{name}"]) for line in validated for name in (DIVERSITY, SPREAD))


@pytest.mark.parametrize("changes", [{"bad_steps": 0}, {"on_alarm": "exit"}, {"worker_timeout": 1.0}])
def test_settings_out_of_range(changes):
    with pytest.raises(ValueError, match=f"'{next(iter(changes))}' must be"):
        TrainConfig(**changes)
