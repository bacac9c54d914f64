"""Exit codes of real processes: good, the user's error, ours, and a signal; and that the thread pools are set."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from meta_gan.cli import info, program
from tests.cli.conftest import call, train_arguments
from tests.trainers import helpers

OURS = """
import sys
import tensorflow as tf
from meta_gan.cli import info, main

def fail(arguments):
    threads = tf.config.threading
    print(threads.get_inter_op_parallelism_threads(), threads.get_intra_op_parallelism_threads())
    raise RuntimeError("ours alone")

info.run = fail
sys.argv = ["meta-gan", "info", "--model", "any"]
main()
"""
SCRIPT = str(Path(sys.executable).with_name("meta-gan"))


def start(*command):
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([str(part) for part in command], **options)


def interrupt(child, log):
    """Sends SIGINT once the third step is on record."""
    limit = time.monotonic() + 240
    while time.monotonic() < limit and child.poll() is None and not (log.exists() and '"step": 3,' in log.read_text()):
        time.sleep(0.1)
    child.send_signal(signal.SIGINT)


@pytest.fixture(scope="module")
def ended(world, tmp_path_factory):
    """`{name: (exit code, stdout, stderr)}` of processes that ran side by side, and a folder that none may make."""
    out = tmp_path_factory.mktemp("processes")
    children = {
        "good": start(sys.executable, "-m", "meta_gan.cli", "info", "--model", world.runs),
        "theirs": start(SCRIPT, *train_arguments(world, out / "none", "--preset", "wgan")),
        "ours": start(sys.executable, "-c", OURS),
    }
    texts = {name: child.communicate(timeout=240) for name, child in children.items()}
    return {name: (children[name].returncode, *text) for name, text in texts.items()}, out / "none"


def test_good(ended, world, capsys):
    code, printed, _ = ended[0]["good"]
    assert call("info", "--model", world.runs) == 0
    assert code == 0 and printed == capsys.readouterr().out


def test_theirs(ended):
    code, printed, errors = ended[0]["theirs"]
    assert code == 2 and printed == "" and "Traceback" not in errors
    ours = [line for line in errors.splitlines() if line.startswith("meta-gan")]
    assert len(ours) == 1 and errors.endswith("Received: 'wgan'\n")
    assert not ended[1].exists()


def test_ours(ended):
    code, printed, errors = ended[0]["ours"]
    assert code == 1
    assert "Traceback (most recent call last):" in errors and errors.endswith("RuntimeError: ours alone\n")
    assert printed == f"{min(len(os.sched_getaffinity(0)), 8)} 1\n"


@pytest.mark.slow
def test_a_signal_saves_and_the_run_goes_on(world, tmp_path):
    folder = tmp_path / "runs" / "00000-fomaml-noise"
    rare = ["--set", "validate_every=100000", "checkpoint_every=100000"]
    child = start(SCRIPT, *train_arguments(world, tmp_path / "runs", "--steps", 100000, *rare))
    interrupt(child, folder / "metrics.jsonl")
    printed, errors = child.communicate(timeout=240)
    assert child.returncode == 130 and errors.endswith("meta-gan train: interrupted\n") and "Traceback" not in errors
    assert "finishing the step, then saving" in errors
    # Nothing but the config, the data and the folder: there is no terminal for a bar.
    assert printed.endswith(f"run folder: {folder}\n")
    (checkpoint,) = (folder / "checkpoints").glob("ckpt-*.index")
    done = int(checkpoint.stem.removeprefix("ckpt-"))
    assert done >= 3 and helpers.metrics(folder)[-1]["step"] == done
    assert call(*train_arguments(world, tmp_path / "runs", "--resume", "--steps", done + 1, *rare)) == 0
    steps = [line["step"] for line in helpers.metrics(folder) if "seconds" in line]
    assert steps == list(range(1, done + 2))


@pytest.mark.parametrize(
    ("arguments", "code"),
    [((signal.SIGINT,), 130), ((signal.SIGTERM,), 143), ((), 130)],
    ids=["int", "term", "bare"],
)
def test_the_exit_code_of_an_interruption_names_its_signal(monkeypatch, capsys, arguments, code):
    def fail(_):
        raise KeyboardInterrupt(*arguments)

    monkeypatch.setattr(info, "run", fail)
    assert call("info", "--model", "any") == code
    assert capsys.readouterr().err == "meta-gan info: interrupted\n"


def test_an_error_of_ours_is_not_swallowed(monkeypatch):
    def fail(_):
        raise RuntimeError("ours alone")

    monkeypatch.setattr(info, "run", fail)
    with pytest.raises(RuntimeError, match=r"ours alone"):
        program.run(program.parser().parse_args(["info", "--model", "any"]))


def test_a_message_of_many_lines_becomes_one(monkeypatch, capsys):
    def fail(_):
        raise ValueError("first\n  second")

    monkeypatch.setattr(info, "run", fail)
    assert call("info", "--model", "any") == 2
    assert capsys.readouterr().err == "meta-gan info: error: first second\n"
