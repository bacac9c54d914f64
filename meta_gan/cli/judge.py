"""`meta-gan judge`."""

from __future__ import annotations

import argparse
import dataclasses

from meta_gan import storage
from meta_gan.cli import arguments as flags
from meta_gan.cli import console, sources
from meta_gan.cli.progress import Progress
from meta_gan.features import NETWORKS, PURPOSES
from meta_gan.judges import METHODS, JudgeRecipe, train_judge
from meta_gan.judges.spectrograms import judge_source

EXAMPLE = "meta-gan judge --data my_classes/ --out judges/mine --method prototypical --network conv4 --seed 1"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    main = parser.add_argument_group("main arguments")
    main.add_argument("--data", required=True, metavar="SOURCE", help=flags.SOURCE_HELP)
    main.add_argument("--out", required=True, metavar="DIR", help="folder to create; must not exist")
    recipe, default = parser.add_argument_group("recipe"), JudgeRecipe()
    recipe.add_argument("--method", choices=METHODS, help=f"(default: {default.method})")
    recipe.add_argument("--network", choices=tuple(sorted(NETWORKS)), help=f"(default: {default.network})")
    recipe.add_argument("--width", type=int, metavar="N", help=f"channels, >= 1 (default: {default.width})")
    warp = f"warp the training images (default: {'yes' if default.augmentation else 'no'})"
    recipe.add_argument("--augmentation", action=argparse.BooleanOptionalAction, help=warp)
    recipe.add_argument("--steps", type=int, metavar="N", help=f"optimizer steps, >= 1 (default: {default.steps})")
    episodes = "classes of a prototypical episode, >= 2 (default: 20, or all if there are fewer)"
    recipe.add_argument("--ways", type=int, metavar="N", help=episodes)
    recipe.add_argument("--shots", type=int, metavar="K", help=f"of an episode, >= 1 (default: {default.shots})")
    recipe.add_argument("--queries", type=int, metavar="Q", help=f"of an episode, >= 1 (default: {default.queries})")
    symmetries = "rotations and reflections of a class are classes of their own (prototypical; default: no)"
    recipe.add_argument("--symmetries", action=argparse.BooleanOptionalAction, help=symmetries)
    batch = f"images of a step of the other methods, >= 2 (default: {default.batch})"
    recipe.add_argument("--batch", type=int, metavar="N", help=batch)
    recipe.add_argument("--seed", type=int, metavar="S", help=flags.SEED_HELP)
    purpose = "judge; plane, for `evaluate --plane`; or objective, for a recipe's `features` (default: judge)"
    recipe.add_argument("--purpose", choices=PURPOSES, help=purpose)
    other = parser.add_argument_group("other arguments")
    flags.add_source(other)


def run(arguments: argparse.Namespace) -> None:
    """Train a judge."""
    storage.check_free(arguments.out)
    fields = [field.name for field in dataclasses.fields(JudgeRecipe)]
    given = {name: getattr(arguments, name) for name in fields if getattr(arguments, name, None) is not None}
    JudgeRecipe(**given)  # Check the values before the data are read.
    tasks = sources.open_tasks(arguments, shots=1, queries=1)
    recipe = JudgeRecipe(**{"ways": min(JudgeRecipe().ways, max(2, len(tasks.splits["train"]))), **given})
    console.say(f"recipe: {dataclasses.asdict(recipe)}")
    console.say(tasks.source.describe())
    source = judge_source(tasks.source)
    progress = Progress()
    made = train_judge(source, recipe, on_progress=lambda step, *_: progress("training", step, recipe.steps))
    made.save(arguments.out)
    validation = made.card.get("validation")
    if validation:
        console.say(
            f"validation classes: {validation['accuracy']:.3f} accuracy, {validation['ways']}-way "
            f"{validation['shots']}-shot"
        )
    console.result(f"judge: {arguments.out}, {made.dim} features, sha256 {made.sha256}")
