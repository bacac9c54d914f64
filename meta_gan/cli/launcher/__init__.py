"""The entry point of the `meta-gan` script: answers `--help` before TensorFlow is imported.

`setup.py` installs this folder a second time as the top-level package `meta_gan_command`, because importing
`meta_gan.cli` would first import `meta_gan` and with it TensorFlow, which takes seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator

__all__ = ["COMMANDS", "DESCRIPTION", "EPILOG", "complain", "guarded_output", "main", "open_standard_streams"]
__all__ += ["reddened"]

COMMANDS = {
    "train": "Meta-train a preset on a source of classes, in a new numbered run folder.",
    "finetune": "Train a saved model further on all of your own classes, and keep the best model.",
    "adapt": "Adapt a model to a few examples of a class that it never saw, and sample from it.",
    "sample": "Sample from an adapted model, or translate with it.",
    "augment": "Measure which added pictures help a classifier of your classes, and write those.",
    "evaluate": "Measure models beside real images, copies and plain augmentations, under few-shot-28.",
    "judge": "Train a judge, a small feature network, on the meta-training classes of a source.",
    "export": "Export a SavedModel for TF Serving that adapts by itself, as the next DIR/<version>/.",
    "info": "Describe a saved model, or an exported one without running it.",
    "demo": "Serve a page on this machine: draw a few pictures and see what a model makes of them.",
    "data": "Describe a source of classes (sizes, splits) and draw a contact sheet.",
    "completion": "Print a script for a shell that completes commands, flags, names and files.",
}
"""Descriptions of the commands; the module `meta_gan.cli.NAME` has its flags."""

DESCRIPTION = "Few-shot generation by meta-learning: meta-train, adapt to a few examples, sample, serve."
EPILOG = (
    "`meta-gan COMMAND --help` lists the flags of a command. Exit codes: 0 success; 2 an error in the request, "
    "explained in one line; 1 an error of the program or the machine; 4 training or adaptation diverged."
)


OLDEST = (3, 11)
"""The oldest version of Python that the package runs on."""


def _help() -> str:
    parser = argparse.ArgumentParser(prog="meta-gan", description=DESCRIPTION, epilog=EPILOG)
    commands = parser.add_subparsers(metavar="COMMAND")
    for name, what in COMMANDS.items():
        commands.add_parser(name, help=what)
    return parser.format_help()


@contextlib.contextmanager
def _quiet_standard_error() -> Iterator[None]:
    """Buffer the standard error output of libraries while they load, and show it only if loading fails.

    TensorFlow's C++ libraries write to the file descriptor before any log level takes effect.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if not hasattr(sys.stderr, "fileno") or os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0":
        yield
        return
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def open_standard_streams() -> None:
    """Open `/dev/null` for standard streams that the parent closed, which the first opened files would replace."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number, which is this one.
            os.open(os.devnull, os.O_RDWR)


@contextlib.contextmanager
def guarded_output() -> Iterator[None]:
    """Flush standard output at the end of the block, and end the process if it cannot be written.

    If its reader is gone, the process ends quietly as by SIGPIPE, with 141. If its disk is full, it ends with 1.
    """
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        sys.exit(128 + signal.SIGPIPE)
    except OSError as error:
        _discard_output()
        complain(f"meta-gan: error: {error.strerror}: standard output")
        sys.exit(1)


def _discard_output() -> None:
    """Connect standard output to `/dev/null`, so that what is still buffered cannot fail again at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def complain(message: str) -> None:
    """Print a line to standard error, if that can be written."""
    with contextlib.suppress(OSError):
        print(reddened(message), file=sys.stderr, flush=True)


def reddened(message: str) -> str:
    """Return a message for standard error, with its beginning up to the first colon in red where colours are shown.

    They are shown on a terminal, unless `NO_COLOR` is set, and elsewhere if `FORCE_COLOR` is.
    """
    # `sys.stderr` is None if the parent closed it.
    terminal = sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    if os.environ.get("NO_COLOR") or not (terminal or os.environ.get("FORCE_COLOR")):
        return message
    head, colon, rest = message.partition(":")
    return f"\033[31m{head}{colon}\033[0m{rest}"


def _program() -> Callable[[], None]:
    """Import and return the main function of the commands.

    No garbage is collected meanwhile, and what is loaded is left out of later collections: tracing sets off many.
    """
    gc.disable()
    try:
        from meta_gan.cli.program import main as run

        gc.freeze()
    finally:
        gc.enable()
    return run


def main() -> None:
    """Run the command line: print the help without TensorFlow, pass everything else to `meta_gan.cli.program`."""
    open_standard_streams()
    if sys.version_info[:2] < OLDEST:
        wanted, received = (".".join(map(str, version)) for version in (OLDEST, sys.version_info[:3]))
        complain(f"meta-gan: error: Python must be {wanted} or newer; make an environment of it. Received: {received}")
        raise SystemExit(2)
    if sys.argv[1:] in (["-h"], ["--help"]):
        with guarded_output():
            print(_help(), end="")
        return
    # Nothing has been written yet: end at once and quietly.
    interrupt = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        with _quiet_standard_error():
            run = _program()
    except ImportError as error:
        if error.name != "meta_gan":  # another backend of Keras, see `meta_gan.backend`
            raise
        complain(f"meta-gan: error: {error}")
        raise SystemExit(2) from None
    signal.signal(signal.SIGINT, interrupt)
    run()
