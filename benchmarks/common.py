"""Shared parts of the benchmarks: arguments, sizes, Markdown tables, and long jobs pinned to one core each."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

from meta_gan import loading, storage
from meta_gan.protocol import Method

JUDGES = ("omniglot28-conv", "omniglot28-residual")
"""The shipped judges of Omniglot."""
SCORES = (
    "energy_distance",
    "recognisability",
    "relative_diversity",
    "copy_rate",
    "support_closeness",
    "classification_gain",
)
"""The scores of a table that compares models with plain augmentations."""
ENDLESS = 10_000_000
"""Outer steps of a training that its minutes end."""

Job = TypeVar("Job")


class Size(SimpleNamespace):
    """The size of a benchmark as named numbers; two sizes with the same numbers are equal."""

    def replaced(self, **changes: Any) -> Size:
        """Return a copy with other numbers."""
        return Size(**{**vars(self), **changes})


def parser(
    name: str, description: str | None, data: str = "", quick: str = "", out: str = "folder of the results; resumable"
) -> argparse.ArgumentParser:
    """Return a parser with `--out`, and with `--data` and `--quick` where a help text is given.

    Args:
        name: of the module after `benchmarks.`.
        description: docstring of the module.
        data: help of `--data`.
        quick: help of `--quick`.
        out: help of `--out`.
    """
    made = argparse.ArgumentParser(
        prog=f"benchmarks.{name}", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--out", required=True, help=out)
    if data:
        made.add_argument("--data", required=True, help=data)
    if quick:
        made.add_argument("--quick", action="store_true", help=quick)
    return made


def claimed(out: Path, size: Size) -> Any:
    """Record the size of a run in its folder, so that results of different sizes cannot be confused.

    Returns:
        None, or the size that the folder already has, if it is another.
    """
    path, own = out / "size.json", json.loads(json.dumps(vars(size)))
    if not path.is_file():
        storage.write_json(path, own)
    found = json.loads(path.read_text("utf-8"))
    return None if found == own else found


def claim(arguments: argparse.ArgumentParser, out: Path, size: Size) -> None:
    """Create the folder of a run and record its size; end the program if the folder has another size."""
    out.mkdir(parents=True, exist_ok=True)
    if (other := claimed(out, size)) is not None:
        arguments.error(f"--out must be empty, or of a run of this size, {size}. Received: {str(out)!r}, of {other}")


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a Markdown table.

    Example:
        >>> table(["row", "score"], [["copy", 0.5]])
        '| row | score |\\n|---|---|\\n| copy | 0.5 |\\n'
    """
    lines = [f"| {' | '.join(map(str, cells))} |" for cells in (head, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]]) + "\n"


def interval(entry: Mapping[str, float], digits: int = 3) -> str:
    """Return a mean with the ends of its interval.

    Example:
        >>> interval({"mean": 0.5, "low": 0.4, "high": 0.6}, 1)
        '0.5 (0.4 to 0.6)'
    """
    mean, low, high = (f"{entry[key]:.{digits}f}" for key in ("mean", "low", "high"))
    return f"{mean} ({low} to {high})"


def method(name: str, path: str | Path) -> Method:
    """Return a model for evaluation, by its shipped name or folder, with its card."""
    folder = loading.resolve(path)
    config = storage.read_config(folder)
    card = {"weights_sha256": config["weights_sha256"], "training": config.get("training") or {}}
    return Method(name, loading.load(folder), card)


def cores() -> list[int]:
    """Return the cores that this process may use; the first two if the system does not report them."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0, 1]


def _run(arguments: Sequence[str], core: int | None) -> subprocess.CompletedProcess[str]:
    """Run Python from any folder, pinned to a core where one is given and the system can pin."""
    pin = None if core is None or not hasattr(os, "sched_setaffinity") else lambda: os.sched_setaffinity(0, {core})
    root = str(Path(__file__).resolve().parents[1])
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    command, environment = [sys.executable, *arguments], {**os.environ, "PYTHONPATH": paths}
    return subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=pin, env=environment)


def check(done: subprocess.CompletedProcess[str], what: str) -> None:
    """Raise a RuntimeError with the end of its output if a process failed."""
    if done.returncode:
        raise RuntimeError(f"{what} failed:\n{done.stdout[-500:]}{done.stderr[-2000:]}")


def meta_gan(arguments: Sequence[str], core: int) -> subprocess.CompletedProcess[str]:
    """Run `meta-gan` with arguments in a process pinned to one core, and return it even if it failed."""
    return _run(["-m", "meta_gan.cli", *arguments], core)


def python(arguments: Sequence[str], core: int | None) -> None:
    """Run Python, pinned to a core where one is given.

    Raises:
        RuntimeError: it failed; the message holds the end of its output.
    """
    check(_run(arguments, core), " ".join(arguments))


def started(folder: Path) -> bool:
    """Return True if a folder holds anything, such as a training to resume."""
    return folder.is_dir() and any(folder.iterdir())


def train(
    preset: str, data: str | Path, out: Path, minutes: float, core: int, fields: Iterable[str], *flags: str
) -> subprocess.CompletedProcess[str]:
    """Train a preset for some minutes on one core in a separate process, or resume its last run.

    Args:
        preset: the preset's name.
        data: the data set.
        out: folder of the runs.
        minutes: processor time.
        core: where the process is pinned.
        fields: `FIELD=VALUE` of `--set`, beside the time.
        flags: other arguments of `meta-gan train`.

    Returns:
        The process, whether it failed or not.
    """
    command = ["train", "--preset", preset, "--data", str(data), "--out", str(out), "--steps", str(ENDLESS), *flags]
    command += ["--set", *fields, f"minutes={minutes:g}", "processor_time=true", "validate_every=100000"]
    return meta_gan([*command, "--resume"] if started(out) else command, core)


def side_by_side(jobs: Sequence[Job], work: Callable[[Job, int], None], most: int = 2) -> None:
    """Call `work(job, core)` for every job, up to `most` at once, each on a separate core.

    Raises:
        Exception: the first error of a job, once all lanes have ended; a lane ends at its first error.
    """
    free = cores()[:most]

    def lane(number: int) -> None:
        for job in jobs[number :: len(free)]:
            work(job, free[number])

    with ThreadPoolExecutor(len(free)) as pool:
        lanes = [pool.submit(lane, number) for number in range(len(free))]
    for ended in lanes:
        ended.result()
