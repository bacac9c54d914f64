"""What `meta-gan evaluate` and `meta-gan judge` do, given their parsed arguments."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

from meta_gan import loading, storage
from meta_gan.cli import pairs, sources
from meta_gan.judges import Judge, JudgeRecipe, load_judge, shipped_judges, train_judge
from meta_gan.judges.spectrograms import spectrogram_source
from meta_gan.protocol import Evaluation, Method, Settings
from meta_gan.report import markdown
from meta_gan.report import page as html
from meta_gan.tasks import Source
from meta_gan.tasks.media import Pictures, Sounds, Texts

REPORTS = ("report.json", "report.md", "report.html")


def evaluate(arguments: argparse.Namespace) -> None:
    """`meta-gan evaluate`."""
    settings = _settings(arguments)
    sources.folder_or_nothing(arguments.out)
    models = _models(arguments.model)
    if arguments.target is not None:
        pairs.evaluate(arguments, models)
        return
    sources.refuse_pair_flags(arguments)
    shapes = (method.model.game.example_shape for method in models.values())
    shape = next((shape for shape in shapes if len(shape) == 3), None)
    # Two images a class will do here: only the evaluated classes must have enough, and they are asked themselves.
    tasks = sources.open_tasks(arguments, shots=1, queries=1, shape=shape)
    if tasks.source.medium.kind != Pictures.kind:
        raise ValueError(
            f"--data of an evaluation must be pictures; `benchmarks.modalities` measures sounds and texts. "
            f"Received: {tasks.name}, of {tasks.source.medium.kind}"
        )
    judges = [load_judge(name) for name in arguments.judge] or default_judges(tasks.source)
    evaluation = Evaluation(tasks.source, list(models.values()), judges, settings, arguments.out)
    for note in evaluation.description["notes"]:
        print(f"note: {note}", flush=True)
    report = evaluation.run(_Progress())
    folder = Path(arguments.out)
    text = markdown(report)
    storage.write_json(folder / REPORTS[0], report)
    (folder / REPORTS[1]).write_text(text, encoding="utf-8")
    (folder / REPORTS[2]).write_text(html(report, evaluation.galleries()), encoding="utf-8")
    print(text)
    print("written: " + ", ".join(str(folder / name) for name in REPORTS))


def _settings(arguments: argparse.Namespace) -> Settings:
    given = {name: getattr(arguments, name) for name in ("split", "shots", "steps", "classes", "draws", "seed")}
    given = {name: value for name, value in given.items() if value is not None}
    if arguments.scratch_steps is not None:
        given["scratch_steps"] = arguments.scratch_steps
    if not arguments.quick:
        return Settings(**given)
    if given.get("draws", 1) > 1 or given.get("classes", 1) > Settings().make_quick().classes:
        raise ValueError("--quick is one draw of at most 100 classes. Received: --draws or --classes above that")
    return dataclasses.replace(Settings(**given).make_quick(), scratch_steps=arguments.scratch_steps or 0)


def _models(given: list[str]) -> dict[str, Method]:
    """`DIR` or `NAME=DIR`, each loaded; one DIR alone is `model`, several are named after their algorithms."""
    found: dict[str, Method] = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not equals or Path(text).exists():
            name, path = "", text
        folder = loading.resolve(path)
        model, config = loading.load(folder), storage.read_config(folder)
        name = name or ("model" if len(given) == 1 else model.algorithm.name)
        if name in found:
            raise ValueError(f"--model needs a name for each, as NAME=DIR. Received: two models named {name!r}")
        card = {"weights_sha256": config["weights_sha256"], "training": config.get("training") or {}}
        found[name] = Method(name, model, card)
    return found


def default_judges(source: Source) -> list[Judge]:
    """The shipped judges that were trained on this data's training classes, and on no other class of it.

    Raises:
        ValueError: there are none.
    """
    train = {source.class_names[index] for index in source.split_classes("train")}
    found = []
    for judge in (load_judge(name) for name in shipped_judges()):
        seen = set((judge.card.get("data") or {}).get("classes") or ())
        fits = judge.example_shape == source.example_shape
        if fits and seen and seen <= train:
            found.append(judge)
    if not found:
        raise ValueError(
            f"--judge must be given for data that no shipped judge was trained for; train two with different --method "
            f"and --seed by `meta-gan judge --data SOURCE --out DIR`. Received: no --judge, {source.name} of "
            f"{source.example_shape}, shipped: {shipped_judges()}"
        )
    return found


def judge(arguments: argparse.Namespace) -> None:
    """`meta-gan judge`."""
    storage.check_free(arguments.out)
    fields = [field.name for field in dataclasses.fields(JudgeRecipe)]
    given = {name: getattr(arguments, name) for name in fields if getattr(arguments, name, None) is not None}
    JudgeRecipe(**given)  # A bad value is refused before the data is read.
    tasks = sources.open_tasks(arguments, shots=1, queries=1)
    recipe = JudgeRecipe(**{"ways": min(JudgeRecipe().ways, max(2, len(tasks.splits["train"]))), **given})
    print(f"recipe: {dataclasses.asdict(recipe)}", flush=True)
    print(tasks.source.describe(), flush=True)
    source = _seen(tasks.source)
    progress = _Progress()
    made = train_judge(source, recipe, on_progress=lambda step, *_: progress("training", step, recipe.steps))
    made.save(arguments.out)
    validation = made.card.get("validation")
    if validation:
        print(
            f"validation classes: {validation['accuracy']:.3f} accuracy, {validation['ways']}-way "
            f"{validation['shots']}-shot"
        )
    print(f"judge: {arguments.out}, {made.dim} features, sha256 {made.sha256}")


def _seen(source: Source) -> Source:
    """The pictures that a judge looks at: of sounds their spectrograms."""
    if isinstance(source.medium, Texts):
        raise ValueError(
            "--data of a judge must be pictures or sounds; texts are scored by their n-grams "
            f"(`meta_gan.metrics`). Received: {source.name}, of texts"
        )
    return spectrogram_source(source) if isinstance(source.medium, Sounds) else source


class _Progress:
    """One line that is written over on a terminal; elsewhere a line for every tenth of a stage."""

    def __init__(self) -> None:
        self.stage, self.tenth = "", -1

    def __call__(self, stage: str, done: int, total: int) -> None:
        """See the class."""
        if sys.stderr.isatty():
            print(f"\r{stage}: {done} of {total} ", end="\n" if done == total else "", file=sys.stderr, flush=True)
            return
        tenth = 10 * done // total
        if (stage, tenth) != (self.stage, self.tenth):
            self.stage, self.tenth = stage, tenth
            print(f"{stage}: {done} of {total}", file=sys.stderr, flush=True)
