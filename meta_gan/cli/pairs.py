"""What `meta-gan evaluate --target` does: models that translate, over pairs of classes of two sources."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from meta_gan import storage
from meta_gan.cli import sources
from meta_gan.judges import load_judge
from meta_gan.protocol import Method
from meta_gan.protocol.translations import (
    evaluate_translations,
    translate_pairs,
    translation_method,
    translations_markdown,
)
from meta_gan.tasks import DomainTasks
from meta_gan.tasks.pictures import grid, save_png

FILES = ("report.json", "report.md", "translations.png")
COLUMNS = 8
_SHOTS, _QUERIES = 5, 50
# Flags of few-shot-28 that have no say here.
_MUTE = ("classes", "scratch_steps", "quick")


def evaluate(arguments: argparse.Namespace, models: dict[str, Method]) -> None:
    """Measures, and writes a report and a picture.

    Args:
        arguments: those of `meta-gan evaluate`, with `target`.
        models: of two domains, by name; may be empty, for the rows that need none.

    Raises:
        ValueError: flags that have no say, models of other shapes, or as the loaders and `evaluate_translations` do.
    """
    for flag in _MUTE:
        if getattr(arguments, flag) not in (None, False):
            raise ValueError(f"--{flag} must be left out with --target. Received: --{flag}")
    methods = {name: translation_method(method.model, arguments.steps) for name, method in models.items()}
    judges = [load_judge(name) for name in arguments.judge]
    tasks = _tasks(arguments, models)
    report = evaluate_translations(
        tasks,
        methods,
        judges,
        split=arguments.split or "test",
        draws=1 if arguments.draws is None else arguments.draws,
        seed=arguments.seed or 0,
    )
    report["models"] = {name: method.card for name, method in models.items()}
    shown = translate_pairs(tasks, methods, report["split"], columns=min(COLUMNS, tasks.shots, tasks.queries))
    text, folder = translations_markdown(report), Path(arguments.out)
    folder.mkdir(parents=True, exist_ok=True)
    storage.write_json(folder / FILES[0], report)
    (folder / FILES[1]).write_text(text, encoding="utf-8")
    save_png(folder / FILES[2], grid(shown))
    print(text)
    print("written: " + ", ".join(str(folder / name) for name in FILES))


def _tasks(arguments: argparse.Namespace, models: dict[str, Method]) -> DomainTasks:
    """The pairs, with as many query images as the smallest class leaves, at most 50."""
    shots = _SHOTS if arguments.shots is None else arguments.shots
    shapes = {name: method.model.game.example_shape for name, method in models.items()}
    shape = next((each["source"] for each in shapes.values()), None)
    seed = arguments.seed or 0
    # Of one query image, for what there is must first be known.
    few = sources.open_pairs(argparse.Namespace(**{**vars(arguments), "shots": shots, "queries": 1}), seed, shape)
    assert isinstance(few, DomainTasks)  # there is a target
    rows = np.concatenate(list(few.pairs.values()))
    sizes = [side.class_sizes[rows[:, i]].min() for i, side in enumerate((few.source, few.target))]
    queries = max(2, min(_QUERIES, int(min(sizes)) - shots))
    tasks = DomainTasks(few.source, few.target, few.pairs, shots, queries, seed)
    for name, each in shapes.items():
        if each != tasks.example_shape:
            raise ValueError(f"--model {name} must be of images of {tasks.example_shape}. Received: {each}")
    return tasks
