"""`meta-gan train`."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

from meta_gan import loading, presets, storage
from meta_gan.cli import arguments as flags
from meta_gan.cli import sources
from trainers import MetaTrainer, TrainConfig, run_folder
from trainers.memorisation import CopyWatch

EXAMPLE = "meta-gan train --data glyphs --out runs --steps 2000 --set width=16 symmetries=true log_every=50"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    main = parser.add_argument_group("main arguments")
    names = " | ".join(sorted(presets.PRESETS))
    main.add_argument("--preset", default="fusion", metavar="NAME", help=f"{names} (default: fusion)")
    main.add_argument("--data", required=True, metavar="SOURCE", help=flags.SOURCE_HELP)
    main.add_argument("--out", required=True, metavar="DIR", help="folder that numbered runs go into")
    flags.add_pairs(parser, "two domains (the presets translation and cyclegan)")
    length = parser.add_argument_group("length and episodes")
    length.add_argument("--steps", type=int, metavar="N", help="outer steps, >= 1 (default: 1000)")
    length.add_argument("--shots", type=int, default=5, metavar="K", help="support examples, >= 1 (default: 5)")
    length.add_argument("--queries", type=int, default=7, metavar="Q", help="query examples, >= 1 (default: 7)")
    length.add_argument("--seed", type=int, default=0, metavar="S", help=flags.SEED_HELP)
    other = parser.add_argument_group("other arguments")
    flags.add_source(other)
    other.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="fields of the recipe or run; --dry-run prints them all",
    )
    start = "start from the nets of this model, of the same recipe but for its algorithm (default: none)"
    other.add_argument("--start", metavar="DIR", help=start)
    other.add_argument("--resume", action="store_true", help="with the same command: continue the newest run in DIR")
    other.add_argument("--dry-run", action="store_true", help="check everything, print the config, write nothing")


def run(arguments: argparse.Namespace) -> None:
    """Train."""
    recipe, config = _settings(arguments)
    flags.check_folder(arguments.out)
    tasks = sources.open_pairs(arguments, seed=arguments.seed)
    description = {"recipe": dataclasses.asdict(recipe), "source": arguments.data}
    if arguments.target is not None:
        description["target"] = arguments.target
    if arguments.start is not None:
        description["start"] = arguments.start
    resolved = {**description, "train": dataclasses.asdict(config), "out": arguments.out}
    print(json.dumps(resolved, indent=2), flush=True)
    print(tasks.describe(), flush=True)
    # Errors that would only appear in the first step are raised now, before anything is written.
    config.episodes(tasks)
    model = presets.build(recipe, tasks.example_shape, tasks.card.get("rate"))
    CopyWatch.over_run(config, model.game, tasks)
    if arguments.start is not None:
        loading.start_from(model, arguments.start)
    if arguments.resume:
        folder = run_folder.latest_run(arguments.out)
        MetaTrainer(model, tasks, folder, config, description).check_resumable()
    if arguments.dry_run:
        print(f"dry run: a model of {model.count_params():,} values; nothing was written")
        return
    if not arguments.resume:
        name = arguments.data.removeprefix("tfds:")
        folder = run_folder.new_run(arguments.out, f"{recipe.name}-{Path(name).stem}")
    print(f"run folder: {folder}", flush=True)
    _report(MetaTrainer(model, tasks, folder, config, description), config)


def _report(trainer: MetaTrainer, config: TrainConfig) -> None:
    """Train, and say which model was saved and why."""
    saved = trainer.run()
    if trainer.watch.over:
        steps = storage.read_config(saved)["training"]["steps"]
        ended = int(trainer.step.numpy())
        print(f"stopped after step {ended}: too many copies; the saved model is that of step {steps}")
    if config.copy_limit and not trainer.watch.ever_within:
        print(f"no validation kept 'copy_limit' {config.copy_limit}: the saved model makes more copies than that")
    print(f"saved model: {saved}")


def _settings(arguments: argparse.Namespace) -> tuple[presets.Recipe, TrainConfig]:
    """The recipe and run settings that the flags and `--set` describe."""
    run_fields = {f.name: f for f in dataclasses.fields(TrainConfig)}
    recipe_fields = {f.name: f for f in dataclasses.fields(presets.Recipe) if f.name != "name"}
    base = presets.get(arguments.preset, seed=arguments.seed)
    for_run: dict[str, Any] = {}
    for_recipe: dict[str, Any] = {}
    for item in arguments.set:
        key, equals, text = item.partition("=")
        if not equals or key not in {**run_fields, **recipe_fields}:
            raise ValueError(
                f"--set must be KEY=VALUE with a key of {sorted({**run_fields, **recipe_fields})}. Received: {item!r}"
            )
        if key in run_fields:
            for_run[key] = _value(key, text, getattr(TrainConfig(), key))
        else:
            for_recipe[key] = _value(key, text, getattr(base, key))
    if arguments.steps is not None:
        for_run["steps"] = arguments.steps
    return dataclasses.replace(base, **for_recipe), TrainConfig(**for_run)


def _value(key: str, text: str, default: Any) -> Any:
    """A value of the default's type out of text."""
    kind = type(default)
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        if kind is tuple:
            return tuple(int(part) for part in text.split(","))
        return kind(text)
    except (ValueError, KeyError) as error:
        wanted = {tuple: "whole numbers with commas", bool: "true or false"}.get(kind, kind.__name__)
        raise ValueError(f"--set {key} must be {wanted}. Received: {text!r}") from error
