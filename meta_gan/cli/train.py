"""`meta-gan train`."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

from meta_gan import loading, presets, storage
from meta_gan.cli import arguments as flags
from meta_gan.cli import console, settings, sources
from trainers import MetaTrainer, TrainConfig, make_strategy, run_folder
from trainers.copy_limit import CopyLimit
from trainers.selection import BestModel
from trainers.strategies import STRATEGIES
from trainers.workers import Workers

EXAMPLE = "meta-gan train --data glyphs --out runs --steps 2000 --set width=16 symmetries=true train.log_every=50"


MEDIA = {"sound": "sounds", "text": "texts"}
"""The medium of a preset that is for one alone."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    main = parser.add_argument_group("main arguments")
    names = " | ".join(sorted(presets.PRESETS))
    main.add_argument("--preset", metavar="NAME", help=f"{names} (default: fusion)")
    several = "several for a mixture; variations:SOURCE for tasks of one picture each (default: that of --config)"
    main.add_argument("--data", nargs="+", metavar="SOURCE", help=f"{flags.SOURCE_HELP}; {several}")
    weights = "for each of several sources, how often its tasks are drawn (default: as its number of tasks)"
    main.add_argument("--weights", nargs="+", type=float, metavar="W", help=weights)
    main.add_argument("--out", required=True, metavar="DIR", help="folder that numbered runs go into")
    flags.add_pairs(parser, "two domains (the presets translation and cyclegan)")
    length = parser.add_argument_group("length and episodes")
    length.add_argument("--steps", type=int, metavar="N", help="outer steps, >= 1 (default: 1000)")
    length.add_argument("--shots", type=int, metavar="K", help="support examples, >= 1 (default: 5)")
    length.add_argument("--queries", type=int, metavar="Q", help="query examples, >= 1 (default: 7)")
    length.add_argument("--seed", type=int, metavar="S", help=flags.SEED_HELP)
    other = parser.add_argument_group("other arguments")
    flags.add_source(other)
    other.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="settings of the recipe and the run, such as terms.nearness=3 train.log_every=50; --dry-run prints all",
    )
    config = "settings from a .json or .toml file, such as a run folder's config.json; flags and --set change them"
    other.add_argument("--config", metavar="FILE", help=f"{config} (default: none)")
    start = (
        "start from the nets of this model or hf://USER/NAME[@REVISION], of the same shapes; nets that it lacks start "
        "anew (default: none)"
    )
    other.add_argument("--start", metavar="DIR", help=start)
    strategy = "none (one device) | mirrored (all devices of this machine) | multiworker (processes by TF_CONFIG)"
    other.add_argument("--strategy", choices=STRATEGIES, default="none", help=f"{strategy} (default: none)")
    flags.add_resume(other)
    other.add_argument("--dry-run", action="store_true", help="check everything, print the config, write nothing")


def run(arguments: argparse.Namespace) -> None:
    """Train."""
    flags.check_resume(arguments)
    # Before anything else: a cluster must be joined before TensorFlow's first operation.
    strategy = make_strategy("none" if arguments.dry_run else arguments.strategy)
    # The chief alone prints and writes; the other workers need no folder.
    chief = Workers(strategy).chief
    say = console.say if chief else _say_nothing
    chosen, arguments = settings.resolve(arguments)
    recipe, config = chosen.recipe, chosen.train
    flags.check_folder(arguments.out)
    with console.phase("reading the data"):
        tasks = sources.open_training(arguments, seed=arguments.seed)
    description = settings.describe(chosen, arguments)
    episodes = {"shots": tasks.shots, "queries": tasks.queries, "seed": tasks.seed}
    resolved = {**description, "train": dataclasses.asdict(config), "episodes": episodes, "out": arguments.out}
    say(json.dumps(resolved, indent=2))
    say(tasks.describe())
    medium, received = MEDIA.get(recipe.name), tasks.card.get("medium", "pictures")
    if medium not in (None, received):
        raise ValueError(f"--preset {recipe.name} needs {medium} in --data. Received: {tasks.name}, of {received}")
    # Raise errors of the first step now, before anything is written.
    config.episodes(tasks)
    with console.phase("building the model"):
        model = presets.build(recipe, tasks.example_shape, tasks.card.get("rate"))
    CopyLimit.of_run(config, model.game, tasks)
    BestModel.of_run(config, tasks)
    if arguments.start is not None:
        start = loading.pinned(arguments.start)
        for net in loading.start_from(model, start):
            say(f"the net {net!r} is not in {arguments.start} and starts from its initial weights")
        description["start"] = str(start)  # of the hub with its commit
        description["fingerprints"] = {"start": storage.read_config(loading.resolve(start))["weights_sha256"]}
    folder = None
    if arguments.resume and chief:
        folder = run_folder.latest_run(arguments.out)
        MetaTrainer(model, tasks, folder, config, description, arguments.allow_changed).check_resumable()
    if arguments.dry_run:
        console.result(f"dry run: a model of {model.count_params():,} values; nothing was written")
        return
    if chief and folder is None:
        name = Path(arguments.data.removeprefix("tfds:")).stem if isinstance(arguments.data, str) else "mixture"
        folder = run_folder.new_run(arguments.out, f"{recipe.name}-{name}")
    say(f"run folder: {folder}")
    trainer = MetaTrainer(
        model, tasks, folder, config, description, arguments.allow_changed, strategy, progress=not console.quiet()
    )
    _report(trainer, config)


def _say_nothing(text: str) -> None:
    pass


def _report(trainer: MetaTrainer, config: TrainConfig) -> None:
    """Train, and print which model was saved and why."""
    with console.phase("training"):
        saved = trainer.run()
    if not trainer.workers.chief:
        return
    if trainer.copy_limit.exceeded:
        steps = storage.read_config(saved)["training"]["steps"]
        ended = int(trainer.step.numpy())
        console.result(f"stopped after step {ended}: too many copies; the saved model is that of step {steps}")
    if config.copy_limit and not trainer.copy_limit.ever_kept:
        within = f"no validation was within 'copy_limit' {config.copy_limit}"
        console.result(f"{within}: the copy rate of the saved model is higher")
    console.result(f"saved model: {saved}")
