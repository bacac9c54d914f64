"""What commands print: results always, other lines unless `--quiet`, times and tracebacks with `--verbose`."""

from __future__ import annotations

import argparse
import contextlib
import contextvars
import sys
import time
import traceback
from collections.abc import Iterator

QUIET, NORMAL, VERBOSE = 0, 1, 2
_LEVEL = contextvars.ContextVar("level", default=NORMAL)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `--quiet` and `--verbose`, which every command has."""
    group = parser.add_argument_group("printed lines").add_mutually_exclusive_group()
    quiet = "print only errors, warnings and the result: a command that writes files prints their place"
    group.add_argument("--quiet", action="store_true", help=quiet)
    verbose = "also print the time of each phase, and the traceback of an error, on standard error"
    group.add_argument("--verbose", action="store_true", help=verbose)


@contextlib.contextmanager
def level(arguments: argparse.Namespace) -> Iterator[None]:
    """Print as the flags of a command say, until the block ends."""
    token = _LEVEL.set(QUIET if arguments.quiet else VERBOSE if arguments.verbose else NORMAL)
    try:
        with phase("in all"):
            yield
    finally:
        _LEVEL.reset(token)


def quiet() -> bool:
    """Return True with `--quiet`."""
    return _LEVEL.get() == QUIET


def say(text: str) -> None:
    """Print a line about the progress of a command, unless `--quiet`."""
    if not quiet():
        print(text, flush=True)


def result(text: str) -> None:
    """Print a result of a command."""
    print(text, flush=True)


@contextlib.contextmanager
def phase(name: str) -> Iterator[None]:
    """With `--verbose` print the wall time of the block on standard error.

    Example:
        >>> with phase("reading the data"):
        ...     tasks = open_tasks()
    """
    began = time.monotonic()
    try:
        yield
    finally:
        if _LEVEL.get() == VERBOSE:
            print(f"{name}: {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)


def show_traceback() -> None:
    """With `--verbose` print the traceback of the exception that is being handled."""
    if _LEVEL.get() == VERBOSE:
        traceback.print_exc()
