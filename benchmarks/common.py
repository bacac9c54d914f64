"""Long jobs side by side, each pinned to a core of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Job = TypeVar("Job")


def cores() -> list[int]:
    """The cores that this process may use; of a system that does not tell, the first two."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0, 1]


def meta_gan(arguments: Sequence[str], core: int) -> subprocess.CompletedProcess[str]:
    """Runs `meta-gan` with arguments in a process that stays on one core, where the system can pin it."""
    pin = (lambda: os.sched_setaffinity(0, {core})) if hasattr(os, "sched_setaffinity") else None
    command = [sys.executable, "-m", "meta_gan.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=pin)


def python(arguments: Sequence[str], core: int | None) -> None:
    """Runs Python, pinned to a core where one is given.

    Raises:
        RuntimeError: it failed; the message holds the end of its output.
    """
    pin = None if core is None or not hasattr(os, "sched_setaffinity") else lambda: os.sched_setaffinity(0, {core})
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, preexec_fn=pin)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} failed:\n{done.stdout[-500:]}{done.stderr[-2000:]}")


def side_by_side(jobs: Sequence[Job], work: Callable[[Job, int], None], most: int = 2) -> None:
    """Calls `work(job, core)` for every job, up to `most` at once, and no two on one core.

    Raises:
        Exception: the first that a job raised, once all lanes have ended; a lane ends with its first error.
    """
    free = cores()[:most]

    def lane(number: int) -> None:
        for job in jobs[number :: len(free)]:
            work(job, free[number])

    with ThreadPoolExecutor(len(free)) as pool:
        lanes = [pool.submit(lane, number) for number in range(len(free))]
    for ended in lanes:
        ended.result()
