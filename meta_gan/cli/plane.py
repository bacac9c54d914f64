"""`meta-gan evaluate --plane`, and the models that `meta-gan evaluate` is given."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from meta_gan import loading, storage
from meta_gan.cli import arguments as flags
from meta_gan.cli import console, sources
from meta_gan.cli.progress import Progress
from meta_gan.features import shipped_names
from meta_gan.judges import Judge, load_judge
from meta_gan.protocol.plane import Curve, Plane, PlaneSettings
from meta_gan.protocol.settings import QUICK_CLASSES
from meta_gan.report import PlaneReport, save_plane
from meta_gan.tasks import Source
from meta_gan.tasks.media import Pictures
from meta_gan.tasks.pictures import grid, save_png
from meta_gan.tasks.pixels import to_float

VARIED = ("guidance=1,2,3,4.5", "one_shot_temperature=1,1.5,2", "temperature=1,1.5,2")
# Flags that do not apply to the plane.
OTHERS = ("target", "pair", "both_ways", "inner_steps", "scratch_steps")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the plane."""
    group = parser.add_argument_group("one-shot generation")
    text = "measure diversity and recognisability of samples from one image, as a curve of each model"
    group.add_argument("--plane", action="store_true", help=text)
    group.add_argument(
        "--vary",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=V,...",
        help=f"the values of a curve's setting; of several, the first that a model has (default: {' '.join(VARIED)})",
    )


def evaluate_plane(arguments: argparse.Namespace) -> None:
    """Measure the plane, and write report.json, report.md, plane.png and samples-MODEL.png."""
    settings = _settings(arguments)
    varied = _varied(arguments.vary or VARIED)
    models = open_models(arguments.model)
    if arguments.vary:
        _check_used(varied, models)
    curves = [_curve(name, folder, model, varied) for name, (folder, model) in models.items()]
    shapes = (model.game.example_shape for _, model in models.values())
    shape = next((shape for shape in shapes if len(shape) == 3), None)
    source = sources.open_tasks(arguments, shots=1, queries=1, shape=shape).source
    if source.medium.kind != Pictures.kind:
        raise ValueError(f"--data of --plane must be pictures. Received: {source.name}, of {source.medium.kind}")
    plane = Plane(source, curves, *_judges(arguments.judge, source), settings, arguments.out)
    report = PlaneReport.from_dict(plane.run(Progress()))
    folder = Path(arguments.out)
    written = [*report.write(folder), folder / "plane.png"]
    save_plane(written[-1], report)
    gallery = plane.gallery()
    for name in report.models:
        written.append(folder / f"samples-{name}.png")
        save_png(written[-1], grid([to_float(row) for shown in gallery[name].values() for row in shown]))
    console.say(report.to_markdown())
    console.result("written: " + ", ".join(map(str, written)))


def _settings(arguments: argparse.Namespace) -> PlaneSettings:
    """Check the flags, and return the settings."""
    if not arguments.plane:
        raise ValueError(f"--vary must be given with --plane. Received: --vary {' '.join(arguments.vary)}")
    flags.refuse(arguments, OTHERS, "--plane")
    if arguments.shots not in (None, 1):
        raise ValueError(f"--shots must be 1 with --plane. Received: {arguments.shots}")
    if arguments.workers > 1:
        raise ValueError(f"--workers must be 1 with --plane. Received: {arguments.workers}")
    given = {name: getattr(arguments, name) for name in ("split", "classes", "draws", "seed")}
    given = {name: value for name, value in given.items() if value is not None}
    if arguments.quick:
        given |= {"classes": min(given.get("classes", QUICK_CLASSES), QUICK_CLASSES), "quick": True}
    return PlaneSettings(**given)


def open_models(given: Sequence[str]) -> dict[str, tuple[Path, Any]]:
    """Load the `MetaModel` of each `DIR` or `NAME=DIR`; without a name it is called `model`, or several by algorithm.

    Raises:
        ValueError: there is no model, its files are damaged, or two have one name.
    """
    found: dict[str, tuple[Path, Any]] = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not equals or Path(text).exists():
            name, path = "", text
        folder = loading.resolve(path)
        model = loading.load(folder)
        name = name or ("model" if len(given) == 1 else model.algorithm.name)
        if name in found:
            raise ValueError(f"--model needs a name for each, as NAME=DIR. Received: two models named {name!r}")
        found[name] = folder, model
    return found


def card_of(folder: Path) -> dict[str, Any]:
    """Return what a report says of a saved model."""
    config = storage.read_config(folder)
    return {"weights_sha256": config["weights_sha256"], "training": config.get("training") or {}}


def _varied(items: Sequence[str]) -> dict[str, list[str]]:
    """Parse the `KEY=V,...` of `--vary` as `{key: ["KEY=V", ...]}`."""
    found = {}
    for item in items:
        key, _, values = item.partition("=")
        if not key or not all(values.split(",")) or key in found:
            raise ValueError(f"--vary must be KEY=V,..., each key once. Received: {' '.join(items)!r}")
        found[key] = [f"{key}={value}" for value in values.split(",")]
    return found


def _known(model: Any) -> tuple[str, ...]:
    """Return the names of a model's settings of sampling."""
    net = model.game.nets[model.game.primary]
    names = tuple(getattr(getattr(net, "network", net), "sampling", ()))
    # Guidance needs velocities without the support set, which a flow that never left it out has not learned.
    trained = getattr(model.game, "unconditional", 1.0) > 0
    return names if trained else tuple(name for name in names if name != "guidance")


def _check_used(varied: dict[str, list[str]], models: dict[str, tuple[Path, Any]]) -> None:
    known = sorted({name for _, model in models.values() for name in _known(model)})
    if unknown := [key for key in varied if key not in known]:
        raise ValueError(f"--vary must name settings of the models, of {known}. Received: {unknown[0]!r}")


def _curve(name: str, folder: Path, model: Any, varied: dict[str, list[str]]) -> Curve:
    """Return the model at the values of the first varied setting that it has, or as it is."""
    key = next((key for key in varied if key in _known(model)), None)
    if key is None:
        return Curve(name, {"": model}, card_of(folder))
    points = {setting: loading.load(folder, sampling=flags.sampling([setting])) for setting in varied[key]}
    return Curve(name, points, card_of(folder))


def fitting_judges(names: Sequence[str], source: Source) -> list[Judge]:
    """Return those of the named judges that were trained on training classes of a source alone, and take its images."""
    train = {source.class_names[index] for index in source.split_classes("train")}
    found = []
    for judge in map(load_judge, names):
        seen = set((judge.card.get("data") or {}).get("classes") or ())
        if judge.example_shape == source.example_shape and seen and seen <= train:
            found.append(judge)
    return found


def _judges(given: Sequence[str], source: Source) -> tuple[Judge, Judge]:
    """Return the judge of diversity and that of recognisability: those given, or the shipped ones for this data."""
    if given:
        if len(given) != 2:
            raise ValueError(f"--judge with --plane must be two: of diversity, of recognition. Received: {len(given)}")
        return load_judge(given[0]), load_judge(given[1])
    found = {judge.card["recipe"]["method"]: judge for judge in fitting_judges(shipped_names("plane"), source)}
    if not {"contrastive", "prototypical"} <= set(found):
        raise ValueError(
            "--judge must be given for data that no shipped judges of the plane were trained for; train one with "
            "--method contrastive and one with --shots 1, both with --purpose plane, by `meta-gan judge --data SOURCE "
            f"--out DIR`. Received: no --judge, {source.name} of {source.example_shape}"
        )
    return found["contrastive"], found["prototypical"]
