"""Commands in forked processes, which start in no time because their parent has imported TensorFlow.

The parent must never run an operation of TensorFlow: its threads do not survive a fork.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code, negative for a signal, and what it printed; `None` if it hung."""

    code: int | None
    output: str
    errors: str


def command(
    words: Sequence[Any], folder: Path, environment: Mapping[str, str] | None = None, seconds: float = 600.0
) -> Ended:
    """Run `meta-gan WORDS` in a forked process, with `folder` as its current directory.

    Args:
        words: the command line after `meta-gan`.
        folder: where to run; the output is kept beside it, in `FOLDER.out` and `FOLDER.err`.
        environment: additional variables.
        seconds: after which the process counts as hung and is killed.
    """
    from meta_gan.cli import program

    def run() -> None:
        os.chdir(folder)
        os.environ.update(environment or {})
        sys.argv = ["meta-gan", *map(str, words)]
        program.main()

    logs = [folder.with_name(f"{folder.name}.{ending}") for ending in ("out", "err")]
    code = wait(fork(run, logs), seconds)
    return Ended(code, *(log.read_text("utf-8", errors="replace") for log in logs))


def fork(run: Callable[[], Any], logs: Sequence[Path]) -> int:
    """Run a function in a forked process, whose standard output and error go to `logs`; return its number."""
    sys.stdout.flush()
    number = os.fork()
    if number:
        return number
    code = 99
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for target, log in enumerate(logs, start=1):
            os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), target)
        run()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def wait(number: int, seconds: float) -> int | None:
    """Return the exit code of a forked process, or None after killing one that hung."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        ended, status = os.waitpid(number, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(number, signal.SIGKILL)
    os.waitpid(number, 0)
    return None


def side_by_side(jobs: Mapping[str, Callable[[], Any]], folder: Path, lanes: int) -> dict[str, Any]:
    """Return the JSON results of functions, each run in its own forked process, at most `lanes` at once.

    Raises:
        RuntimeError: a job failed; the message has the end of its standard error.
    """
    folder.mkdir(parents=True, exist_ok=True)
    waiting, running, results = list(jobs), {}, {}
    while waiting or running:
        while waiting and len(running) < lanes:
            name = waiting.pop(0)
            logs = [folder / f"{name}.out", folder / f"{name}.err"]
            running[fork(lambda name=name: _write(folder / f"{name}.json", jobs[name]()), logs)] = name
        number, status = os.wait()
        name = running.pop(number)
        if status:
            errors = (folder / f"{name}.err").read_text("utf-8", errors="replace")
            raise RuntimeError(f"the job {name!r} failed: {errors[-2000:]}")
        results[name] = json.loads((folder / f"{name}.json").read_text("utf-8"))
    return results


def _write(path: Path, result: Any) -> None:
    path.write_text(json.dumps(result), encoding="utf-8")
