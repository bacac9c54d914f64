"""The entry point of the `meta-gan` script: answers `--help` before TensorFlow is imported.

`setup.py` installs this folder a second time as the top-level package `meta_gan_command`, because importing
`meta_gan.cli` would first import `meta_gan` and with it TensorFlow, which takes seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

__all__ = ["COMMANDS", "DESCRIPTION", "EPILOG", "main"]

COMMANDS = {
    "train": "Meta-train a preset on a source of classes, in a new numbered run folder.",
    "adapt": "Adapt a model to a few examples of a class that it never saw, and sample from it.",
    "sample": "Sample from an adapted model, or translate with it.",
    "evaluate": "Measure models beside real images, copies and plain augmentations, under few-shot-28.",
    "judge": "Train a judge, a small feature network, on the meta-training classes of a source.",
    "export": "Export a SavedModel for TF Serving that adapts by itself, as the next DIR/<version>/.",
    "info": "Describe a saved model, or an exported one without running it.",
    "data": "Describe a source of classes (sizes, splits) and draw a contact sheet.",
}
"""Descriptions of the commands; the module `meta_gan.cli.NAME` has its flags."""

DESCRIPTION = "Few-shot generation by meta-learning: meta-train, adapt to a few examples, sample, serve."
EPILOG = (
    "`meta-gan COMMAND --help` lists the flags of a command. Exit codes: 0 success; 2 an error in the request, "
    "explained in one line; 1 an error of the program or the machine; 4 training or adaptation diverged."
)


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


def main() -> None:
    """Run the command line: print the help without TensorFlow, pass everything else to `meta_gan.cli.program`."""
    if sys.argv[1:] in (["-h"], ["--help"]):
        print(_help(), end="")
        return
    with _quiet_standard_error():
        from meta_gan.cli.program import main as run

    run()
