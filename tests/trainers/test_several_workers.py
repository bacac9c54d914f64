"""Two processes that train one run: what they compute, and what happens if one of them is lost. Slow."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from trainers import run_folder

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 900  # seconds for what takes up to 60 on an idle machine
# The machine of the figure is idle; a starved process may need longer to notice.
NOTICE = float(os.environ.get("META_GAN_NOTICE_SECONDS", "30"))

pytestmark = pytest.mark.slow


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Cluster:
    """The processes of one run; `others` are further words of each worker."""

    def __init__(self, out, words, workers=2, others=()):
        self.logs = [out / f"worker{i}-{time.monotonic_ns()}.log" for i in range(workers)]
        addresses = [f"127.0.0.1:{port}" for port in free_ports(workers)]
        self.processes = []
        for index, log in enumerate(self.logs):
            environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
            environment.pop("TF_CONFIG", None)
            if workers > 1:
                task = {"type": "worker", "index": index}
                environment["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": task})
            extra = others[index] if index < len(others) else ()
            command = [sys.executable, "-m", "tests.trainers.cluster", str(out / "runs"), *words, *extra]
            with log.open("w") as file:
                made = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, cwd=ROOT, env=environment)
            self.processes.append(made)

    def text(self, index):
        return self.logs[index].read_text()

    def wait_for(self, text):
        end = time.monotonic() + PATIENCE
        while not all(f"{text}\n" in self.text(index) for index in range(len(self.logs))):
            assert time.monotonic() < end, self.text(0)
            assert all(process.poll() is None for process in self.processes), self.text(0) + self.text(1)
            time.sleep(0.1)

    def end(self):
        return [process.wait(PATIENCE) for process in self.processes]

    def stop(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()


@pytest.fixture
def start(tmp_path):
    made = []

    def start(words, name="run", **options):
        out = tmp_path / name
        out.mkdir(exist_ok=True)
        made.append(Cluster(out, words, **options))
        return made[-1]

    yield start
    for cluster in made:
        cluster.stop()


def weights(out):
    """Every variable of the newest checkpoint but the seconds."""
    path = run_folder.latest_checkpoint(run_folder.latest_run(out / "runs"))
    reader = tf.train.load_checkpoint(path)
    names = [n for n in sorted(reader.get_variable_to_shape_map()) if "OBJECT_GRAPH" not in n and "seconds" not in n]
    return [reader.get_tensor(name) for name in names]


def assert_same_bits(one, other):
    assert len(one) == len(other) > 10
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("preset, tasks", [("fomaml", 3), ("reptile", 6), ("fusion", 8)])
def test_two_workers_train_as_one(start, tmp_path, preset, tasks):
    """The same bits after 50 steps, of tasks that do not divide evenly, and of shares of 3 and of 4."""
    words = [f"preset={preset}", "steps=50", f"meta_batch={tasks}", "validate_every=25", "checkpoint_every=25"]
    assert start(words, "one", workers=1).end() == [0]
    assert start(words, "two").end() == [0, 0]
    assert_same_bits(weights(tmp_path / "one"), weights(tmp_path / "two"))
    logs = [run_folder.latest_run(tmp_path / name / "runs") / "metrics.jsonl" for name in ("one", "two")]
    kept = [[{**json.loads(line), "seconds": 0} for line in log.read_text().splitlines()] for log in logs]
    assert kept[0] == kept[1]


WORDS = ["steps=400", "meta_batch=3", "validate_every=1000", "checkpoint_every=50", "log_every=50"]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
@pytest.mark.parametrize("lost", [0, 1])
def test_a_lost_worker_ends_the_other_which_names_it_and_a_relaunch_goes_on(start, tmp_path, how, lost):
    cluster = start(WORDS)
    cluster.wait_for("step 60")
    cluster.processes[lost].send_signal(how)
    began, other = time.monotonic(), 1 - lost
    assert cluster.processes[other].wait(PATIENCE) == 1, cluster.text(other)
    seconds = time.monotonic() - began
    print(f"{how.name} of worker {lost}: the other ended after {seconds:.1f} s")
    assert seconds < NOTICE
    assert f"worker {lost} on 127.0.0.1 ended or does not answer" in cluster.text(other)
    cluster.stop()
    assert start(["steps=120", *WORDS[1:]]).end() == [0, 0]
    assert start(["steps=120", *WORDS[1:]], "whole").end() == [0, 0]
    assert_same_bits(weights(tmp_path / "run"), weights(tmp_path / "whole"))


@pytest.mark.parametrize("stuck", [0, 1])
def test_a_worker_that_does_not_come_is_named_after_the_timeout(start, stuck):
    """It answers, but its main thread never enters the step; TensorFlow would wait for ever."""
    others = [["stuck=20"] if index == stuck else [] for index in range(2)]
    # Tracing, which is part of the first step, must not take as long.
    cluster = start([*WORDS, "worker_timeout=60"], others=others)
    assert cluster.processes[1 - stuck].wait(PATIENCE) == 1
    assert f"worker {stuck} on 127.0.0.1 has not come as far" in cluster.text(1 - stuck)


def test_a_signal_to_one_stops_all_after_the_same_step(start, tmp_path):
    cluster = start(WORDS)
    cluster.wait_for("step 60")
    cluster.processes[1].send_signal(signal.SIGTERM)
    assert cluster.end() == [128 + signal.SIGTERM] * 2
    last = [cluster.text(index).split("step ")[-1].split()[0] for index in range(2)]
    assert last[0] == last[1]
    assert run_folder.latest_checkpoint(run_folder.latest_run(tmp_path / "run/runs")).endswith(f"ckpt-{last[0]}")


@pytest.mark.parametrize(
    ("other", "what"), [("queries=4", "settings"), ("width=5", "settings"), ("tasks_seed=1", "settings")]
)
def test_workers_that_differ_are_refused_by_all(start, other, what):
    cluster = start(["steps=5"], others=[[], [other.replace("queries", "meta_batch")]])
    assert cluster.end() == [2, 2]
    for index in range(2):
        assert f"Received: another {what} on worker 1 (127.0.0.1:" in cluster.text(index)
