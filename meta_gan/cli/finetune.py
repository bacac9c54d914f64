"""`meta-gan finetune`."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import keras

from meta_gan import loading, storage
from meta_gan.augmenting.fine_tuning import CLIP, FIRST_DECAY, MOST_TASKS
from meta_gan.augmenting.models import copy_of
from meta_gan.augmenting.pictures import is_inverted
from meta_gan.checks import check_integer, check_number
from meta_gan.cli import arguments as flags
from meta_gan.cli import console, sources
from meta_gan.protocol.folds import alike
from meta_gan.tasks import Collection, DataError, Source
from meta_gan.tasks.media import Pictures
from trainers import MetaTrainer, TrainConfig, run_folder
from trainers.metrics_log import METRICS

EXAMPLE = "meta-gan finetune --model pictures32 --data my_classes/ --out runs --minutes 5"
MINUTES, RATE = 5.0, 1e-4
EVERY = 25
"""Steps between validations, each of which takes about as long as a few steps."""
MOST_COMPARED = 1000
"""The largest class, in pictures, of data in which pictures that look alike are found and held out together."""
MOST_STEPS = 1_000_000
"""The steps of a run with `--minutes`, which end it long before."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    main = parser.add_argument_group("main arguments")
    main.add_argument("--model", required=True, metavar="DIR", help=f"{flags.MODEL_HELP} to train further")
    data = "your classes; a quarter of each is held out to find the best model"
    main.add_argument("--data", required=True, metavar="SOURCE", help=f"{flags.SOURCE_HELP}: {data}")
    main.add_argument("--out", required=True, metavar="DIR", help="folder in which the run makes a folder of its own")
    other = parser.add_argument_group("other arguments")
    minutes = f"of training, > 0 (default: {MINUTES:g})"
    other.add_argument("--minutes", type=float, metavar="M", help=minutes)
    steps = "steps instead of --minutes, >= 1; the same seed then gives the same bits (default: by --minutes)"
    other.add_argument("--steps", type=int, metavar="N", help=steps)
    other.add_argument("--rate", type=float, default=RATE, metavar="R", help=f"learning rate, > 0 (default: {RATE:g})")
    other.add_argument("--seed", type=int, default=0, metavar="S", help=flags.SEED_HELP)
    flags.add_resume(other)
    other.add_argument("--archives", metavar="DIR", help="folder of original downloads, for tfds:NAME")
    flags.add_policy(other)
    flags.add_invert(other)


def run(arguments: argparse.Namespace) -> None:
    """Train a saved model further on all classes of a collection."""
    flags.check_resume(arguments)
    config = _config(arguments)
    check_number(arguments.rate, "--rate", above=0)
    check_integer(arguments.seed, "--seed", 0)
    flags.check_folder(arguments.out)
    place = loading.pinned(arguments.model)
    given = loading.resolve(place)
    with console.phase("loading the model"):
        model = copy_of(loading.load(given))
    with console.phase("reading the data"):
        collection = _collection(arguments, model)
    console.say(collection.describe())
    # The averages of the model's weights, if it has any, start from the same values as the weights.
    model.compile(keras.optimizers.Adam(arguments.rate, beta_1=FIRST_DECAY), clip=CLIP)
    config = dataclasses.replace(config, meta_batch=min(MOST_TASKS, len(collection.splits["train"])))
    start = storage.read_config(given)["weights_sha256"]
    description = {"command": "finetune", "source": arguments.data, "start": str(place)}
    description |= {"learning_rate": arguments.rate, "fingerprints": {"start": start}}
    folder = run_folder.latest_run(arguments.out) if arguments.resume else None
    if folder is None:
        folder = run_folder.new_run(arguments.out, f"finetuned-{Path(arguments.model).name}")
    console.say(f"run folder: {folder}")
    trainer = MetaTrainer(
        model, collection, folder, config, description, arguments.allow_changed, progress=not console.quiet()
    )
    with console.phase("training"):
        saved = trainer.run()
    _report(trainer, saved)


def _config(arguments: argparse.Namespace) -> TrainConfig:
    """Return the settings of the run, except the number of tasks of a step.

    Raises:
        ValueError: `--minutes` or `--steps` is out of range, or both are given.
    """
    flags.refuse_both_lengths(arguments)
    often: dict[str, Any] = {
        "validate_every": EVERY,
        "checkpoint_every": EVERY,
        "picture_steps": (0,),
        "keep_best": True,
    }
    if arguments.steps is not None:
        return TrainConfig(steps=check_integer(arguments.steps, "--steps", 1), **often)
    minutes = MINUTES if arguments.minutes is None else check_number(arguments.minutes, "--minutes", above=0)
    return TrainConfig(steps=MOST_STEPS, minutes=minutes, **often)


def _collection(arguments: argparse.Namespace, model: Any) -> Collection:
    """Read the data in the model's shape; unless a class is very large, pictures that look alike stay together."""
    if not isinstance(model.game.example_shape, tuple):
        raise ValueError(f"--model must be of one domain. Received: {arguments.model!r}, of two")
    unset = dict.fromkeys(("image_shape", "rate", "length", "small_classes", "protocol"))
    given = argparse.Namespace(**{**vars(arguments), **unset})
    source = sources.open_tasks(given, shots=1, queries=1, shape=model.game.example_shape).source
    if source.example_shape != model.game.example_shape:
        raise DataError(
            f"--data must have the examples of the model, {model.game.example_shape}. Received: {source.example_shape}"
        )
    if not isinstance(source.medium, Pictures):
        return Collection(source, arguments.seed)
    groups = alike(source.images, source.labels) if source.class_sizes.max() <= MOST_COMPARED else None
    return Collection(_polarised(source, model, arguments.invert), arguments.seed, groups=groups)


def _polarised(source: Source, model: Any, invert: str) -> Source:
    """Return pictures inverted if that was asked for, or if their polarity is not that of the model's data."""
    if invert == "auto":
        inverted = is_inverted(source.images, model.data_card.get("polarity"))
        if inverted:
            kept = "--invert no keeps them as they are"
            console.say(f"the pictures are {source.polarity}, unlike the model's data: inverted ({kept})")
    else:
        inverted = invert == "yes"
    return dataclasses.replace(source, images=255 - source.images) if inverted else source


def _report(trainer: MetaTrainer, saved: Path) -> None:
    """Print the distance to the held-out examples before and after training, and where the best model is."""
    distances, best = trainer.best.values, trainer.best.step
    last = int(trainer.step.numpy())
    if best is None:
        console.result(f"no validation had a finite distance: the saved model is that of step {last}")
    else:
        first = "not finite" if distances[0] is None else f"{distances[0]:.4g}"
        change = f"{first} before, {distances[best]:.4g} after {best} of {last} steps"
        console.result(f"energy distance to held-out examples: {change} (all validations: {saved.parent / METRICS})")
        if best == 0:
            console.result("no step brought the samples closer to them: the saved model is the one you started from")
    console.result(f"saved model: {saved}")
