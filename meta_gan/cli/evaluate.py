"""`meta-gan evaluate`."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np

from meta_gan.checks import check_integer
from meta_gan.cli import arguments as flags
from meta_gan.cli import console, plane, sources
from meta_gan.cli.progress import Progress
from meta_gan.judges import Judge, load_judge, shipped_judges
from meta_gan.protocol import Evaluation, Method, Settings
from meta_gan.protocol.translations import evaluate_translations, translate_pairs, translation_method
from meta_gan.report import Report, TranslationReport
from meta_gan.tasks import DomainTasks, Source
from meta_gan.tasks.media import Pictures
from meta_gan.tasks.pictures import grid, save_png

EXAMPLE = "meta-gan evaluate --model reptile=runs/a fomaml=runs/b --data omniglot28.npz --quick --out report"
COLUMNS = 8
SHOTS, QUERIES = 5, 50
# Flags of few-shot-28 that do not apply to translations.
ONE_DOMAIN = ("classes", "scratch_steps", "quick")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    main = parser.add_argument_group("main arguments")
    main.add_argument("--data", required=True, metavar="SOURCE", help=flags.SOURCE_HELP)
    main.add_argument("--out", required=True, metavar="DIR", help="report and images; continued if interrupted")
    models = f"each a {flags.MODEL_HELP}; without any, the plain augmentations alone are measured"
    main.add_argument("--model", nargs="+", action="extend", default=[], metavar="[NAME=]DIR", help=models)
    main.add_argument(
        "--judge",
        nargs="+",
        action="extend",
        default=[],
        metavar="DIR",
        help="a judge from `meta-gan judge`, a .keras file, or a shipped name (default: those shipped for this data; "
        "none with --target); with --plane two, of diversity and of recognition",
    )
    plane.add_arguments(parser)
    flags.add_pairs(parser, "two domains: models that translate, scored by energy distance, labels kept, and cycles")
    size = parser.add_argument_group("size")
    size.add_argument("--split", choices=("train", "validation", "test"), help="of the classes (default: test)")
    size.add_argument("--shots", type=int, metavar="K", help="support images, >= 1 (default: 5)")
    size.add_argument("--inner-steps", type=int, metavar="N", help="inner steps, >= 0 (default: each model's own)")
    size.add_argument("--classes", type=int, metavar="N", help="the protocol's first N classes, >= 1 (default: all)")
    size.add_argument("--draws", type=int, metavar="N", help="draws of the support, >= 1 (default: 1)")
    size.add_argument("--quick", action="store_true", help="one draw of 100 classes, few classifiers; marked as quick")
    size.add_argument("--seed", type=int, metavar="S", help=flags.SEED_HELP)
    other = parser.add_argument_group("other arguments")
    other.add_argument(
        "--scratch-steps",
        type=int,
        metavar="N",
        help="steps of the row from scratch on up to 100 classes, >= 0; 0 for no row (default: 500, or 0 if quick)",
    )
    workers = "processes that make the images of one domain, >= 1, each with its own memory (default: 1)"
    other.add_argument("--workers", type=int, default=1, metavar="N", help=workers)
    flags.add_source(other, "the first model's, or the source's own")


def run(arguments: argparse.Namespace) -> None:
    """Evaluate models of one domain, or of two."""
    settings = _settings(arguments)
    check_integer(arguments.workers, "workers", 1)
    flags.check_folder(arguments.out)
    if arguments.plane or arguments.vary:
        plane.evaluate_plane(arguments)
        return
    models = _models(arguments.model)
    if arguments.target is not None:
        _evaluate_translations(arguments, models)
        return
    sources.refuse_pair_flags(arguments)
    shapes = (method.model.game.example_shape for method in models.values())
    shape = next((shape for shape in shapes if len(shape) == 3), None)
    # Two images a class are enough here. Only the evaluated classes need more, which is checked later.
    tasks = sources.open_tasks(arguments, shots=1, queries=1, shape=shape)
    if tasks.source.medium.kind != Pictures.kind:
        raise ValueError(
            f"--data of an evaluation must be pictures; `benchmarks.modalities` measures sounds and texts. "
            f"Received: {tasks.name}, of {tasks.source.medium.kind}"
        )
    judges = [load_judge(name) for name in arguments.judge] or default_judges(tasks.source)
    evaluation = Evaluation(tasks.source, list(models.values()), judges, settings, arguments.out)
    for note in evaluation.description["notes"]:
        console.say(f"note: {note}")
    report = Report.from_dict(evaluation.run(Progress(), arguments.workers))
    written = report.write(arguments.out, html=report.to_html(evaluation.galleries()))
    console.say(report.to_markdown())
    console.result("written: " + ", ".join(map(str, written)))


def _settings(arguments: argparse.Namespace) -> Settings:
    given = {name: getattr(arguments, name) for name in ("split", "shots", "classes", "draws", "seed")}
    given["steps"] = arguments.inner_steps
    given = {name: value for name, value in given.items() if value is not None}
    if arguments.scratch_steps is not None:
        given["scratch_steps"] = arguments.scratch_steps
    if not arguments.quick:
        return Settings(**given)
    if given.get("draws", 1) > 1 or given.get("classes", 1) > Settings().make_quick().classes:
        raise ValueError("--quick is one draw of at most 100 classes. Received: --draws or --classes above that")
    return dataclasses.replace(Settings(**given).make_quick(), scratch_steps=arguments.scratch_steps or 0)


def _models(given: list[str]) -> dict[str, Method]:
    """Return a method for each `DIR` or `NAME=DIR`."""
    return {
        name: Method(name, model, plane.card_of(folder)) for name, (folder, model) in plane.open_models(given).items()
    }


def default_judges(source: Source) -> list[Judge]:
    """Return the shipped judges that were trained only on training classes of this data.

    Raises:
        ValueError: there are none.
    """
    found = plane.fitting_judges(shipped_judges(), source)
    if not found:
        raise ValueError(
            f"--judge must be given for data that no shipped judge was trained for; train two with different --method "
            f"and --seed by `meta-gan judge --data SOURCE --out DIR`. Received: no --judge, {source.name} of "
            f"{source.example_shape}, shipped: {shipped_judges()}"
        )
    return found


def _evaluate_translations(arguments: argparse.Namespace, models: dict[str, Method]) -> None:
    """Evaluate models of two domains; without models, evaluate only the rows that need none."""
    if arguments.workers > 1:
        raise ValueError(f"--workers must be 1 with --target. Received: {arguments.workers}")
    flags.refuse(arguments, ONE_DOMAIN, "--target")
    rows = {name: translation_method(method.model, arguments.inner_steps) for name, method in models.items()}
    judges = [load_judge(name) for name in arguments.judge]
    tasks = _tasks(arguments, models)
    content = evaluate_translations(
        tasks,
        rows,
        judges,
        split=arguments.split or "test",
        draws=1 if arguments.draws is None else arguments.draws,
        seed=arguments.seed or 0,
    )
    report = TranslationReport(**content, models={name: method.card for name, method in models.items()})
    shown = translate_pairs(tasks, rows, report.split, columns=min(COLUMNS, tasks.shots, tasks.queries))
    written = [*report.write(arguments.out), Path(arguments.out) / "translations.png"]
    save_png(written[-1], grid(shown))
    console.say(report.to_markdown())
    console.result("written: " + ", ".join(map(str, written)))


def _tasks(arguments: argparse.Namespace, models: dict[str, Method]) -> DomainTasks:
    """Return the pairs, with as many query images as the smallest class allows, at most 50."""
    shots = SHOTS if arguments.shots is None else arguments.shots
    shapes = {name: method.model.game.example_shape for name, method in models.items()}
    shape = next((each["source"] for each in shapes.values()), None)
    seed = arguments.seed or 0
    # Opened first with one query image, to find the size of the smallest class.
    few = sources.open_pairs(argparse.Namespace(**{**vars(arguments), "shots": shots, "queries": 1}), seed, shape)
    assert isinstance(few, DomainTasks)  # there is a target
    rows = np.concatenate(list(few.pairs.values()))
    sizes = [side.class_sizes[rows[:, i]].min() for i, side in enumerate((few.source, few.target))]
    queries = max(2, min(QUERIES, int(min(sizes)) - shots))
    tasks = DomainTasks(few.source, few.target, few.pairs, shots, queries, seed)
    for name, each in shapes.items():
        if each != tasks.example_shape:
            raise ValueError(f"--model {name} must be of images of {tasks.example_shape}. Received: {each}")
    return tasks
