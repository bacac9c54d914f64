"""Parsing of the command line, and its exit codes.

0 success; 2 an error in the request, explained in one line; 1 an error of the program or the machine, such as a full
disk; 4 training or adaptation diverged; 128 + a signal's number, which includes 141 if standard output was closed.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

import tensorflow as tf
from absl import app, logging
from absl.flags import argparse_flags

from meta_gan import atomic
from meta_gan.cli import (
    adapt,
    augment,
    completion,
    console,
    data,
    demo,
    evaluate,
    export,
    finetune,
    info,
    judge,
    sample,
    train,
)
from meta_gan.cli.launcher import (
    COMMANDS,
    DESCRIPTION,
    EPILOG,
    complain,
    guarded_output,
    open_standard_streams,
    reddened,
)
from meta_gan.errors import DivergenceError
from meta_gan.hints import did_you_mean
from meta_gan.tasks.errors import shown
from trainers import TrainingStopped, WorkerLost, configure_threads, interruption

# Raised by TensorFlow for a full disk and for a folder without write permission.
DISK = (tf.errors.ResourceExhaustedError, tf.errors.PermissionDeniedError)
OUT_OF_MEMORY = (
    "the memory of this machine must hold the work. Received: out of memory; ask for fewer samples or tasks at a time, "
    "or for smaller pictures"
)
MODULES = {
    **{"train": train, "finetune": finetune, "adapt": adapt, "sample": sample, "augment": augment},
    **{"evaluate": evaluate, "judge": judge, "export": export, "info": info, "demo": demo, "data": data},
    "completion": completion,
}
# Renamed flags; the old names are accepted for one release.
RENAMED = {"adapt": {"--steps": "--inner-steps"}, "evaluate": {"--steps": "--inner-steps"}}


class _Parser(argparse_flags.ArgumentParser):
    """Report an error in one line, as the commands do, and accept only whole flag names."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **kwargs})
        self.commands: dict[str, argparse.ArgumentParser] = {}

    def _print_message(self, message: str, file: Any = None) -> None:
        # argparse ignores a help that cannot be printed.
        if message and file is not sys.stderr:
            print(message, end="", file=file)
        else:
            super()._print_message(message, file)

    def parse_args(self, args: Any = None, namespace: Any = None) -> argparse.Namespace:  # type: ignore[override]
        words = list(sys.argv[1:] if args is None else args)
        # First, because argparse would name the flag that a misspelt one leaves out, and not the misspelt one.
        if words and (command := self.commands.get(words[0])) is not None:
            known = command._option_string_actions
            own = words[1 : words.index("--")] if "--" in words else words[1:]
            for name in (word.partition("=")[0] for word in own):
                if name.startswith("--") and name not in known:
                    hint = did_you_mean(name, re.findall(r"--[\w-]+", command.format_usage()))
                    command.error(f"unrecognized arguments: {name}{hint}")
        parsed, unknown = self.parse_known_args(words, namespace)
        if unknown:
            self.commands[parsed.command].error(f"unrecognized arguments: {' '.join(unknown)}")
        return parsed

    def error(self, message: str) -> NoReturn:
        if found := re.search(r"argument (--[\w-]+): invalid (int|float) value: (.*)$", message):
            message = f"{found[1]} must be {'an integer' if found[2] == 'int' else 'a number'}. Received: {found[3]}"
        if found := re.search(r"invalid choice: '(.*)' \(choose from (.*)\)$", message):
            message += did_you_mean(found[1], re.findall(r"[\w-]+", found[2]))
        self.exit(2, reddened(f"{self.prog}: error: {message} (see {self.prog} --help)") + "\n")


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; in its result, `run` is the function to call."""
    made = _Parser(prog="meta-gan", description=DESCRIPTION, epilog=EPILOG)
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, what in COMMANDS.items():
        module = MODULES[name]
        command = commands.add_parser(
            name,
            help=what,
            description=what,
            epilog=f"example:\n  {module.EXAMPLE}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
        console.add_arguments(command)
        made.commands[name] = command
        # Looked up when called, so that a test can replace the command.
        command.set_defaults(run=lambda arguments, module=module: module.run(arguments))
    return made


def current_spelling(words: Sequence[str]) -> list[str]:
    """Return a command line with the flags of the last release renamed, and print a warning for each.

    Args:
        words: such as `["data", "--data", "glyphs", "--image_shape", "28x28x1"]`.

    Returns:
        The same words with current flag names: hyphens instead of underscores, and renamed flags.

    Example:
        >>> current_spelling(["data", "--image_shape=8x8x1"])
        ['data', '--image-shape=8x8x1']
    """
    renamed, found = RENAMED.get(words[0] if words else "", {}), []
    for word in words:
        name, equals, value = word.partition("=")
        new = renamed.get(name, name.replace("_", "-")) if name.startswith("--") else name
        if new != name:
            print(f"meta-gan: warning: {name} is now {new}; this spelling goes in the next release", file=sys.stderr)
        found.append(f"{new}{equals}{value}")
    return found


def expanded(words: Sequence[str]) -> list[str]:
    """Return a command line with `~/` at the head of a value replaced by the home folder.

    A shell does so except within quotes and after `=`, where `~` would become the name of a new folder.

    Example:
        >>> expanded(["--data=./~/flags"])
        ['--data=./~/flags']
    """
    found = []
    for word in words:
        head, equals, value = word.partition("=") if not word.startswith("~") else ("", "", word)
        found.append(f"{head}{equals}{os.path.expanduser(value) if value.startswith('~/') else value}")
    return found


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Parse a command line, without the name of the program; a SystemExit of code 2 if it cannot be."""
    return parser().parse_args(expanded(current_spelling(words)))


def run(arguments: argparse.Namespace) -> int:
    """Run the command that was parsed, and return the exit code of the process."""
    with console.level(arguments):
        return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    try:
        arguments.run(arguments)
    except DivergenceError as error:
        _complain(arguments, f"error: {error}")
        return 4
    except BrokenPipeError:
        raise  # Standard output has no reader any more.
    except MemoryError:
        _complain(arguments, f"error: {OUT_OF_MEMORY}")
        return 1
    # An ImportError names the extra that a command needs.
    except (ValueError, OSError, ImportError, *DISK) as error:
        _complain(arguments, f"error: {_described(error)}")
        machines = atomic.machine_error(error) or isinstance(error, tf.errors.ResourceExhaustedError)
        return 1 if machines else 2
    except WorkerLost as error:
        _complain(arguments, str(error))
        return 1
    except TrainingStopped as error:
        _complain(arguments, str(error))
        return 4
    except KeyboardInterrupt as stop:
        _complain(arguments, "interrupted")
        return 128 + (stop.args[0] if stop.args else signal.SIGINT)
    return 0


def _described(error: Exception) -> str:
    """Return the message of an error, with the file that could not be written after the reason."""
    if isinstance(error, tf.errors.ResourceExhaustedError) and not atomic.machine_error(error):
        return OUT_OF_MEMORY
    if not isinstance(error, OSError) or not atomic.machine_error(error) or error.strerror is None:
        return str(error)
    if error.filename is not None:
        return f"{error.strerror}: {error.filename}"
    # Errors of files name them; what is left is the operating system's own message about a print.
    plain = error.errno is not None and error.strerror == os.strerror(error.errno)
    return f"{error.strerror}: standard output" if plain else error.strerror


def _complain(arguments: argparse.Namespace, message: str) -> None:
    console.show_traceback()
    complain(f"meta-gan {arguments.command}: {shown(' '.join(message.split()))}")


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    """Print a warning as one line, without the place in this package that raised it."""
    print(f"meta-gan: warning: {shown(' '.join(str(message).split()))}", file=sys.stderr)


def _start(arguments: argparse.Namespace) -> int:
    # Keras and TensorFlow log through absl at INFO level, which would mix with the output of the command.
    logging.set_verbosity(logging.WARNING)
    # Several models in one process are traced one after the other, which TensorFlow would warn about.
    tf.get_logger().setLevel("ERROR")
    warnings.showwarning = _warn
    configure_threads()
    with interruption.raising():
        return run(arguments)


def main() -> None:
    """Run the console script `meta-gan`."""
    open_standard_streams()
    with guarded_output():
        app.run(_start, flags_parser=lambda argv: parse(argv[1:]))
