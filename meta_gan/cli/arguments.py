"""Flags shared by several commands, and checks of their values."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from meta_gan import atomic
from meta_gan.tasks.files import POLICIES
from trainers import run_folder

SOURCE_HELP = "glyphs | tfds:NAME | FILE.npz | FOLDER of class folders of images or sounds, or of text files"
MODEL_HELP = "saved model, run folder, shipped name or hf://USER/NAME[@REVISION]"
SEED_HELP = "0 to 2^31 - 1; the same seed gives the same result (default: 0)"


def add_source(group: argparse._ArgumentGroup, shape: str = "the source's own") -> None:
    """Add the flags that control how `--data` is read."""
    group.add_argument("--archives", metavar="DIR", help="folder of original downloads, for tfds:NAME")
    group.add_argument("--image-shape", metavar="HxWxC", help=f"such as 28x28x1 (default: {shape})")
    group.add_argument("--rate", type=int, metavar="HZ", help="samples a second of sounds, >= 1 (default: their own)")
    length = "samples of a sound, characters of a text, >= 1 (default: the data's own)"
    group.add_argument("--length", type=int, metavar="N", help=length)
    add_policy(group)
    small = "skip the classes that have fewer than shots + queries examples, and name them (default: error)"
    group.add_argument("--small-classes", choices=POLICIES, help=small)
    group.add_argument(
        "--protocol",
        metavar="TASK",
        help="split the classes as few-shot-28 does: A (Omniglot), B/0 to B/9 (MNIST), C/0 to C/4 (Fashion-MNIST), D "
        "(every MNIST digit a test class), weak (Omniglot, characters 01 to 03 of every alphabet) "
        "(default: the source's own split)",
    )


def add_policy(group: argparse._ArgumentGroup) -> None:
    """Add `--on-bad-file`, of the commands that read folders."""
    bad = "skip the files of a folder that cannot be read, and name them (default: error)"
    group.add_argument("--on-bad-file", choices=POLICIES, help=bad)


def add_resume(group: argparse._ArgumentGroup) -> None:
    """Add `--resume` and `--allow-changed`, of the commands that train."""
    group.add_argument("--resume", action="store_true", help="with the same command: continue the newest run in DIR")
    group.add_argument(
        "--allow-changed",
        nargs="+",
        action="extend",
        choices=tuple(run_folder.CHANGES),
        default=[],
        metavar="WHAT",
        help=f"with --resume: go on although these differ: {' | '.join(run_folder.CHANGES)} (default: none may)",
    )


def check_resume(arguments: argparse.Namespace) -> None:
    """Raise a ValueError if `--allow-changed` is given without `--resume`."""
    if arguments.allow_changed and not arguments.resume:
        raise ValueError(f"--allow-changed needs --resume. Received: {arguments.allow_changed} without it")


def add_invert(group: argparse._ArgumentGroup) -> None:
    """Add `--invert`, of the commands that read pictures for a model."""
    group.add_argument(
        "--invert",
        choices=("auto", "yes", "no"),
        default="auto",
        help="swap black and white; auto compares with the model's polarity (default: auto)",
    )


def refuse_both_lengths(arguments: argparse.Namespace) -> None:
    """Raise a ValueError if `--minutes` and `--steps` are both given."""
    if arguments.minutes is not None and arguments.steps is not None:
        given = f"--minutes {arguments.minutes:g} --steps {arguments.steps}"
        raise ValueError(f"--minutes and --steps must not both be given. Received: {given}")


def add_sampling(group: argparse._ArgumentGroup) -> None:
    """Add `--sampling`, of the commands that make or keep samples."""
    text = (
        "change samples: temperature=T; of a flow also guidance=W, solver_steps=N, solver=NAME; of a fusion model "
        "one_shot_temperature=T, with fewer than five support images (default: the model's)"
    )
    group.add_argument("--sampling", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help=text)


def sampling(items: Sequence[str]) -> dict[str, Any]:
    """Parse the `KEY=VALUE` items of `--sampling`; whole numbers become int, others float, and words stay.

    Raises:
        ValueError: an item has another form.

    Example:
        >>> sampling(["guidance=2.5", "solver_steps=8", "solver=heun"])
        {'guidance': 2.5, 'solver_steps': 8, 'solver': 'heun'}
    """
    found: dict[str, Any] = {}
    for item in items:
        key, equals, text = item.partition("=")
        if not equals or not key or not text:
            raise ValueError(f"--sampling must be KEY=VALUE. Received: {item!r}")
        found[key] = text
        for kind in (int, float):
            with contextlib.suppress(ValueError):
                found[key] = kind(text)
                break
    return found


def add_pairs(parser: argparse.ArgumentParser, title: str) -> None:
    """Add the flags of a second domain."""
    pairs = parser.add_argument_group(title)
    pairs.add_argument("--target", metavar="SOURCE", help="translate from --data to this source (default: one domain)")
    pairs.add_argument(
        "--pair", choices=("all", "name"), help="pair every class with every other, or by name (default: all)"
    )
    pairs.add_argument("--both-ways", action="store_true", help="make every pair a task in either direction")


def refuse(arguments: argparse.Namespace, names: Sequence[str], other: str) -> None:
    """Refuse flags, None or False unless they are given, that do not apply with another one.

    Raises:
        ValueError: one of them is given.
    """
    for name in names:
        value = getattr(arguments, name)
        if value is not None and value is not False:
            flag = f"--{name.replace('_', '-')}"
            raise ValueError(f"{flag} must be left out with {other}. Received: {flag}")


def check_folder(out: str) -> Path:
    """Return `out` as a path, which must be a folder or not exist.

    Raises:
        ValueError: `out` is a file, or cannot be written in.
    """
    path = Path(out)
    if path.exists() and not path.is_dir():
        raise ValueError(f"--out must be a folder. Received: the file {out!r}")
    atomic.check_writable(path)
    return path
