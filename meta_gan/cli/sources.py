"""Opening of `--data` and `--target`, for several commands."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from meta_gan.protocol import splits
from meta_gan.tasks import DomainTasks, Tasks, mixture, open_source, pair_classes, variations
from meta_gan.tasks.episodes import EpisodeStream
from meta_gan.tasks.mixtures import Variations

VARIATIONS = "variations:"
"""Before a source, it stands for tasks of one picture each; see `tasks.variations`."""


def open_tasks(
    arguments: argparse.Namespace,
    seed: int = 0,
    shots: int | None = None,
    queries: int | None = None,
    shape: tuple[int, ...] | None = None,
) -> Tasks:
    """Open `--data` at `--image-shape`, with the split of `--protocol` if it is given.

    Args:
        arguments: with `data`, `image_shape`, `archives`, `rate`, `length`, `on_bad_file`, `small_classes` and
            `protocol`, and with `shots` and `queries` unless they are given below.
        seed: seed of the episodes.
        shots: overrides `--shots`; None to use it.
        queries: overrides `--queries`; None to use it.
        shape: the image shape if `--image-shape` is not given; None for that of the source.

    Raises:
        ValueError: raised by the readers, or the classes are not those of the protocol's task.
    """
    shape = _image_shape(arguments) or shape
    options: dict[str, Any] = {
        "shots": arguments.shots if shots is None else shots,
        "queries": arguments.queries if queries is None else queries,
        "seed": seed,
    }
    own: dict[str, Any] = {"rate": arguments.rate, "length": arguments.length}
    own |= {name: getattr(arguments, name) or "error" for name in ("on_bad_file", "small_classes")}
    tasks = open_source(arguments.data, image_shape=shape, archives=arguments.archives, **own, **options)
    if arguments.protocol is None:
        return tasks
    return Tasks(splits.apply_split(tasks.source, arguments.protocol), **options)


def _image_shape(arguments: argparse.Namespace) -> tuple[int, ...] | None:
    if arguments.image_shape is None:
        return None
    match = re.fullmatch(r"(\d+)x(\d+)x(\d+)", arguments.image_shape)
    if not match:
        raise ValueError(f"--image-shape must be HxWxC, such as 28x28x1. Received: {arguments.image_shape!r}")
    return tuple(int(size) for size in match.groups())


def open_training(arguments: argparse.Namespace, seed: int = 0) -> EpisodeStream:
    """Open `--data` to train on: one source, several as a mixture, or a source and its `--target`.

    Args:
        arguments: as in `open_pairs`, with `weights`; `data` may be a list, and each of it `variations:SOURCE`.
        seed: seed of the episodes.

    Raises:
        ValueError: as in `open_pairs`; or a flag that one source, or several, cannot have.
    """
    specs = [arguments.data] if isinstance(arguments.data, str) else list(arguments.data)
    if len(specs) == 1 and not specs[0].startswith(VARIATIONS):
        if arguments.weights is not None:
            raise ValueError(f"--weights needs several sources in --data. Received: {specs}")
        return open_pairs(argparse.Namespace(**{**vars(arguments), "data": specs[0]}), seed)
    refuse_pair_flags(arguments)
    for name in ("target", "protocol"):
        if getattr(arguments, name) is not None:
            raise ValueError(f"--{name} must be left out with several sources or variations. Received: {specs}")
    if arguments.weights is not None and len(arguments.weights) != len(specs):
        raise ValueError(f"--weights must be {len(specs)} numbers, one for each source. Received: {arguments.weights}")
    shape = _image_shape(arguments)
    parts = [_open_part(arguments, spec, seed, shape) for spec in specs]
    return mixture(parts, arguments.weights, shape, seed)


def _open_part(
    arguments: argparse.Namespace, spec: str, seed: int, shape: tuple[int, ...] | None
) -> Tasks | Variations:
    """Open a source of a mixture; grey drawings stay grey, so that the mixture can colour them."""
    alone = spec.removeprefix(VARIATIONS)
    if shape is not None and not Path(alone).is_dir():
        shape = (*shape[:2], 1) if alone == "glyphs" else None  # Others are resized by the mixture.
    given = argparse.Namespace(**{**vars(arguments), "data": alone, "image_shape": None, "protocol": None})
    if alone == spec:
        return open_tasks(given, seed, shape=shape)
    # A task of one picture needs no second one of its class for the query.
    tasks = open_tasks(given, seed, shots=1, queries=1, shape=shape)
    return variations(tasks, arguments.shots, arguments.queries)


def open_pairs(
    arguments: argparse.Namespace, seed: int = 0, shape: tuple[int, ...] | None = None
) -> Tasks | DomainTasks:
    """Open `--data`, and pair its classes with those of `--target` if it is given.

    Args:
        arguments: as in `open_tasks`, with `target`, `pair` and `both_ways`.
        seed: seed of the episodes.
        shape: as in `open_tasks`, for both domains.

    Raises:
        ValueError: raised by the readers or `pair_classes`; or `--protocol` is given with `--target`, or `--pair` or
            `--both-ways` without it.
    """
    if arguments.target is None:
        refuse_pair_flags(arguments)
        return open_tasks(arguments, seed=seed, shape=shape)
    if arguments.protocol is not None:
        raise ValueError(f"--protocol must be left out with --target. Received: {arguments.protocol!r}")
    source = open_tasks(arguments, seed, shape=shape).source
    target = source  # so that no class of one source is paired with itself
    if arguments.target != arguments.data:
        there = argparse.Namespace(**{**vars(arguments), "data": arguments.target})
        target = open_tasks(there, seed, shape=shape).source
    episodes = {"shots": arguments.shots, "queries": arguments.queries, "seed": seed}
    return pair_classes(source, target, arguments.pair or "all", arguments.both_ways, **episodes)


def refuse_pair_flags(arguments: argparse.Namespace) -> None:
    """Raise a ValueError for flags of paired domains in a command with one domain.

    Raises:
        ValueError: `--pair` or `--both-ways` is given.
    """
    for name in ("pair", "both_ways"):
        if getattr(arguments, name):
            flag = name.replace("_", "-")
            raise ValueError(f"--{flag} needs --target. Received: --{flag} without it")
