"""What workers do apart from computing, in one process."""

import json
import time

import numpy as np
import pytest
import tensorflow as tf

from tests.trainers import helpers
from trainers.fingerprints import of_code
from trainers.strategies import check_cluster, make_strategy
from trainers.watchdog import Watchdog
from trainers.workers import Workers


def pair(timeout=600.0):
    """Two watchdogs of one process, and the sentences that each ended with."""
    ended = [[], []]
    dogs = [Watchdog(i, ["127.0.0.1"] * 2, timeout, end=ended[i].append) for i in range(2)]
    return dogs, ended


def until(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_worker_that_waits_too_long_names_the_one_that_did_not_come():
    dogs, ended = pair(timeout=2.0)
    ports = [dog.port for dog in dogs]
    with dogs[0].running(ports, 7), dogs[1].running(ports, 7):
        with dogs[0].waiting(3), dogs[1].waiting(2):
            pass
        with dogs[0].waiting(4):
            until(lambda: ended[0])
    assert ended[0][0].startswith("worker 1 on 127.0.0.1 has not come as far as this one, though it answers for 2 s")
    assert not ended[1]


@pytest.mark.slow
def test_a_worker_that_fell_silent_is_found():
    dogs, _ = pair()
    ports = [dog.port for dog in dogs]
    with dogs[0].running(ports, 7):
        with dogs[1].running(ports, 7):
            time.sleep(1.5)
            assert dogs[0].silent() == []
        assert dogs[0].silent(within=20.0) == [1]


@pytest.mark.slow
def test_messages_of_another_run_are_no_signs_of_life():
    dogs, _ = pair()
    ports = [dog.port for dog in dogs]
    with dogs[0].running(ports, 7), dogs[1].running(ports, 8):
        assert dogs[0].silent(within=20.0) == [1]


def test_one_process_agrees_with_itself():
    workers, variable = Workers(None), tf.Variable(3.0)
    with workers.together(), workers.waiting():
        workers.adopt([variable])
        workers.compare({"code": "a"})
    assert workers.chief and variable.numpy() == 3.0
    np.testing.assert_array_equal(workers.gather([2.0, 1.0]), [[2.0, 1.0]])


def test_the_fingerprint_of_the_code_is_one_of_all_its_files():
    assert len(of_code()) == 64 and of_code() == of_code()


PLACES = ["127.0.0.1:1", "127.0.0.1:2"]


def config(cluster=None, **task):
    return json.dumps({"cluster": cluster or {"worker": PLACES}, "task": {"type": "worker", "index": 0, **task}})


@pytest.mark.parametrize(
    "text",
    [
        *(None, "", "{", "[]", "{}", config(index=2), config(index=-1), config(index="0"), config(type="chief")),
        *(config({"worker": PLACES[:1]}), config({"worker": PLACES, "ps": PLACES}), config({"worker": ["a", "b"]})),
        config({"worker": [PLACES[0]] * 2}),
    ],
)
def test_a_cluster_that_cannot_be_is_refused(text):
    with pytest.raises(ValueError, match=r"'TF_CONFIG' must be .* Received"):
        check_cluster(text)


def test_clusters_of_workers_and_a_chief_pass():
    check_cluster(config())
    check_cluster(config({"chief": PLACES[:1], "worker": PLACES[1:]}))


def test_strategies_by_name():
    assert make_strategy("none") is None
    with pytest.raises(ValueError, match="'strategy' mirrored must have two devices"):
        make_strategy("mirrored")
    with pytest.raises(ValueError, match="'strategy' must be"):
        make_strategy("parameter server")


@pytest.mark.slow
def test_a_mirrored_run_of_one_device_is_the_run_without(tmp_path):
    made = []
    for strategy in (None, tf.distribute.MirroredStrategy(["CPU:0"])):
        folder = tmp_path / str(len(made))
        (folder / "checkpoints").mkdir(parents=True)
        trainer = helpers.trainer(folder, steps=2, strategy=strategy)
        trainer.run()
        made.append(helpers.values(trainer))
    helpers.assert_same_values(*made)
