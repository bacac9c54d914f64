"""Real processes without a reader of their output, with a full disk, or with a signal in the middle of a command."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from meta_gan import atomic
from tests.cli.conftest import train_arguments

SCRIPT = str(Path(sys.executable).with_name("meta-gan"))


def started(words, environment=None, **options):
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    return subprocess.Popen([SCRIPT, *map(str, words)], env={**os.environ, **(environment or {})}, **given)


@pytest.fixture(scope="module")
def ended(world, tmp_path_factory):
    """`{name: (exit code, standard error)}` of processes that ran side by side."""
    out = tmp_path_factory.mktemp("streams")
    reading, writing = os.pipe()
    os.close(reading)
    info = ["info", "--model", world.runs]
    with open("/dev/full", "w") as full:
        children = {
            "no reader": started(info, stdout=writing),
            "no reader of the help": started(["--help"], stdout=writing),
            "full": started(info, stdout=full),
            "full help": started(["--help"], stdout=full),
            "closed": subprocess.Popen(
                ["sh", "-c", 'exec "$@" >&-', "sh", SCRIPT, *map(str, info)], stderr=subprocess.PIPE, text=True
            ),
            "disk": started(
                train_arguments(world, out / "runs", "--steps", 1), {atomic.FAULT: "checkpoint.written=ENOSPC"}
            ),
        }
        os.close(writing)
    texts = {name: child.communicate(timeout=300)[1] for name, child in children.items()}
    return {name: (children[name].returncode, texts[name]) for name in children}, out


@pytest.mark.parametrize("name", ["no reader", "no reader of the help"])
def test_a_closed_reader_ends_the_command_quietly(ended, name):
    code, errors = ended[0][name]
    assert code == 128 + signal.SIGPIPE and "meta-gan" not in errors and "Exception" not in errors


@pytest.mark.parametrize("name", ["full", "full help"])
def test_a_full_standard_output_is_named(ended, name):
    code, errors = ended[0][name]
    assert code == 1 and "Traceback" not in errors and "Exception" not in errors
    assert errors.splitlines()[-1].endswith("error: No space left on device: standard output")


def test_a_closed_standard_output_is_no_error(ended):
    code, errors = ended[0]["closed"]
    assert code == 0 and "Traceback" not in errors


def test_a_full_disk_is_the_machines_error_and_names_the_file(ended):
    (code, errors), out = ended[0]["disk"], ended[1]
    (run,) = (out / "runs").iterdir()
    assert code == 1 and "Traceback" not in errors
    wanted = f"No space left on device: {run / 'checkpoints' / 'ckpt-1'}; there is no checkpoint yet"
    assert errors.splitlines()[-1].endswith(wanted)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize("command", ["adapt", "export"])
def test_a_signal_leaves_no_temporary_files(world, tmp_path, command, number):
    words = ["adapt", "--model", world.runs, "--support", world.support, "--sample", 3000]
    words = words if command == "adapt" else ["export", "--model", world.runs]
    child = started([*words, "--out", tmp_path / "made" / "out"])
    limit = time.monotonic() + 240
    while child.poll() is None and time.monotonic() < limit and not list(tmp_path.rglob("*.part")):
        time.sleep(0.01)
    child.send_signal(number)
    _, errors = child.communicate(timeout=240)
    assert child.returncode == 128 + number, errors
    assert errors.endswith(f"meta-gan {command}: interrupted\n")
    assert [path for path in tmp_path.rglob("*") if path.is_file() or path.name.endswith(".part")] == []
