"""A run with a time limit: it stops after a step, saves, and can be resumed with more minutes."""

import time
from types import SimpleNamespace

import pytest

import meta_gan
from tests.toys import weekly
from tests.trainers import helpers
from trainers import MetaTrainer, meta_trainer, run_folder


class Clock:
    """A clock that advances by a number of seconds at each reading, which a run does once a step."""

    def __init__(self, seconds):
        self.now, self.seconds = 0.0, seconds

    def read(self):
        self.now += self.seconds
        return self.now


@pytest.fixture(autouse=True)
def slow_steps(monkeypatch):
    monkeypatch.setattr(
        meta_trainer, "time", SimpleNamespace(monotonic=Clock(30.0).read, process_time=Clock(12.0).read)
    )
    monkeypatch.setattr(MetaTrainer, "_export", lambda self: None)


def timed(folder, minutes, steps=4, **changes):
    """A trainer whose steps do nothing but count."""
    rest = {"validate_every": 100, "checkpoint_every": 100, "log_every": 100, **changes}
    trained = helpers.trainer(folder, data=helpers.tasks((0,) * 4), steps=steps, minutes=minutes, **rest)
    trained._meta_step = lambda episodes: {}
    return trained


def steps(folder):
    return [line["step"] for line in helpers.metrics(folder)]


@pytest.mark.parametrize(
    ("minutes", "made"), [(0.5, 1), (0.75, 2), (0, 4), *weekly((0.25, 1), (1, 2), (1.75, 4), (60, 4))]
)
def test_it_stops_at_the_first_step_that_ends_after_them(tmp_path, minutes, made):
    """Each step takes half a minute, and four are as many as there are."""
    folder = run_folder.new_run(tmp_path, "toy")
    trained = timed(folder, minutes)
    assert trained.run() == folder / "model"
    assert int(trained.step.numpy()) == made and float(trained.seconds.numpy()) == 30.0 * made
    assert run_folder.latest_checkpoint(folder).endswith(f"ckpt-{made}") and steps(folder) == [made]
    assert meta_gan.storage.read_config(folder / "model")["training"]["steps"] == made


def test_minutes_that_are_used_up_are_so_after_a_resume_and_more_may_be_given(tmp_path):
    folder = run_folder.new_run(tmp_path, "toy")
    timed(folder, 0.75).run()
    again = timed(folder, 0.75)
    again.run()
    assert int(again.step.numpy()) == 2 and steps(folder) == [2]
    longer = timed(folder, 10)
    longer.run()
    assert int(longer.step.numpy()) == 4 and steps(folder) == [2, 4]
    assert float(longer.seconds.numpy()) == 120.0


def test_minutes_of_processor_time_are_another_clock(tmp_path):
    """A step takes 12 seconds of the processors, and 30 on the wall."""
    folder = run_folder.new_run(tmp_path, "toy")
    trained = timed(folder, 0.5, steps=5, processor_time=True)
    trained.run()
    assert int(trained.step.numpy()) == 3 and float(trained.seconds.numpy()) == 36.0


def test_processor_time_excludes_other_processes(monkeypatch):
    """The clock that is asked: waiting is time on the wall, and none of the process's own."""
    monkeypatch.undo()
    wall, own = time.monotonic(), time.process_time()
    time.sleep(0.2)
    assert time.monotonic() - wall >= 0.2 and time.process_time() - own < 0.1
