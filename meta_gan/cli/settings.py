"""The settings of `meta-gan train`, from a configuration file or a preset, changed by flags and `--set`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import tomllib
from pathlib import Path
from typing import Any

from meta_gan import presets
from meta_gan.hints import missing_hint
from meta_gan.presets.nodes import Node, always
from meta_gan.tasks.files import FILE, NOTHING, kind_of
from trainers import TrainConfig

_EPISODES = {"shots": 5, "queries": 7, "seed": 0}
# Flags that a configuration records if they are given.
_FLAGS = (
    *("weights", "target", "pair", "both_ways", "archives", "image_shape", "rate", "length", "protocol", "start"),
    *("on_bad_file", "small_classes"),
)
# Further entries of a run folder's `config.json` and of the output of `--dry-run`.
_RECORDS = ("kind", "versions", "model", "data", "out", "run", "fingerprints", "changed", "rollbacks", "callbacks")


@dataclasses.dataclass(frozen=True)
class Settings(Node):
    """The settings that `--set` changes.

    Attributes:
        recipe: the recipe of the model.
        train: the settings of the run.
    """

    recipe: presets.Recipe = always(presets.Recipe())
    train: TrainConfig = always(TrainConfig())


def resolve(arguments: argparse.Namespace) -> tuple[Settings, argparse.Namespace]:
    """Return the settings of a run, and the arguments completed by those of `--config` and by defaults.

    Args:
        arguments: those of `meta-gan train`; None (False for `both_ways`) for a flag that was not given.

    Raises:
        ValueError: no data, or a setting that is unknown or out of its range.
        OSError: `--config` cannot be read.
    """
    config = {} if arguments.config is None else _read(arguments.config)
    recorded = {"data": config.get("source"), **_EPISODES, **config.get("episodes", {})}
    recorded |= {flag: config[flag] for flag in _FLAGS if flag in config}
    given = {name: value for name, value in vars(arguments).items() if value is not None and value is not False}
    arguments = argparse.Namespace(**{**vars(arguments), **recorded, **given})
    if isinstance(arguments.data, list) and len(arguments.data) == 1:
        arguments.data = arguments.data[0]
    if arguments.data is None:
        raise ValueError("--data must be given, or be 'source' in the file of --config. Received: neither")
    try:
        settings = Settings.from_config({name: config[name] for name in ("recipe", "train") if name in config})
    except ValueError as error:
        raise ValueError(f"--config {arguments.config!r}: {error}") from error
    changes: dict[str, Any] = {}
    if "preset" in given or "recipe" not in config:
        settings = dataclasses.replace(settings, recipe=presets.get(given.get("preset", "fusion")))
        changes["recipe.seed"] = arguments.seed
    elif "seed" in given:
        changes["recipe.seed"] = arguments.seed
    for item in arguments.set:
        key, equals, text = item.partition("=")
        if not equals:
            raise ValueError(f"--set must be KEY=VALUE. Received: {item!r}")
        changes.pop(key, None)
        changes[key] = text
    if arguments.steps is not None:
        changes["train.steps"] = arguments.steps
    return presets.change(settings, changes), arguments


def describe(settings: Settings, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the entries of a run's configuration other than `train` and `episodes`, for `--config` to read."""
    given = {flag: getattr(arguments, flag) for flag in _FLAGS}
    kept = {flag: value for flag, value in given.items() if value is not None and value is not False}
    return {"recipe": settings.recipe.to_config(), "source": arguments.data, **kept}


def _read(path: str) -> dict[str, Any]:
    """Read a configuration, such as a run folder's `config.json`."""
    if (kind := kind_of(path)) not in (FILE, NOTHING):
        raise ValueError(f"--config must be a .json or .toml file. Received: {path!r}, {kind}")
    if kind == NOTHING:
        raise FileNotFoundError(f"--config must be a file. Received: {path!r}, {kind}{missing_hint(path)}")
    content, ending = Path(path).read_bytes(), Path(path).suffix
    if ending not in (".json", ".toml"):
        raise ValueError(f"--config must be a .json or .toml file. Received: {path!r}")
    try:
        text = content.decode("utf-8")
        # The output of `--dry-run` has further lines after the JSON.
        config = tomllib.loads(text) if ending == ".toml" else json.JSONDecoder().raw_decode(text.lstrip())[0]
    except (ValueError, RecursionError) as error:
        raise ValueError(f"--config must be a valid {ending} file. Received: {path!r}: {error}") from error
    if not isinstance(config, dict) or not isinstance(config.get("episodes", {}), dict):
        raise ValueError(f"--config and its 'episodes' must be tables of settings. Received: {path!r}")
    known = ("recipe", "train", "source", "episodes", *_FLAGS, *_RECORDS)
    unknown = [name for name in config if name not in known]
    unknown += [f"episodes.{name}" for name in config.get("episodes", {}) if name not in _EPISODES]
    if unknown:
        raise ValueError(f"{unknown[0]!r} must be a setting, one of {', '.join(known)}. Received: {path!r}")
    return config
