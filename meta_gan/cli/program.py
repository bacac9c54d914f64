"""Parsing and exit codes: 0 done, 2 the user's error in one line, 1 ours (or divergence), 128 + a signal's number."""

from __future__ import annotations

import argparse
import signal
import sys
from typing import Any, NoReturn

import tensorflow as tf
from absl import app, logging
from absl.flags import argparse_flags

from meta_gan.cli import flags
from trainers import TrainingStopped, configure_threads

# What TensorFlow makes of a full disk, and of a folder that may not be written.
DISK = (tf.errors.ResourceExhaustedError, tf.errors.PermissionDeniedError)


class _Parser(argparse_flags.ArgumentParser):
    """Names an error in one line, as the commands do, and takes a flag by its whole name only."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **kwargs})

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="meta-gan",
        description="Few-shot generation by meta-learning: meta-train, adapt to a few images, sample, serve.",
        epilog="Exit codes: 0 done; 2 an error of yours, named in one line; 1 an error of ours, or divergence.",
    )
    commands_ = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in flags.COMMANDS:
        add(commands_)
    return parser


def _run(arguments: argparse.Namespace) -> int:
    try:
        arguments.run(arguments)
    # An ImportError names the extra that a command needs.
    except (ValueError, OSError, ImportError, *DISK) as error:
        _complain(arguments, f"error: {error}")
        return 2
    except TrainingStopped as error:
        _complain(arguments, str(error))
        return 1
    except KeyboardInterrupt as stop:
        _complain(arguments, "interrupted")
        return 128 + (stop.args[0] if stop.args else signal.SIGINT)
    return 0


def _complain(arguments: argparse.Namespace, message: str) -> None:
    print(f"meta-gan {arguments.command}: {' '.join(message.split())}", file=sys.stderr)


def _start(arguments: argparse.Namespace) -> int:
    # Keras and TensorFlow log through absl at INFO; a program's output is its own lines.
    logging.set_verbosity(logging.WARNING)
    configure_threads()
    return _run(arguments)


def main() -> None:
    """The console script `meta-gan`."""
    app.run(_start, flags_parser=lambda argv: _parser().parse_args(argv[1:]))
