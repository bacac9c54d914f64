"""What each sub-command does, given its parsed arguments."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from meta_gan import loading, presets, serving, storage
from meta_gan.checks import check_integer
from meta_gan.cli import outputs, sources
from meta_gan.export import Limits
from meta_gan.tasks.episodes import by_domain, join_domains
from trainers import MetaTrainer, TrainConfig, run_folder
from trainers.copy_limit import CopyLimit


def train(arguments: argparse.Namespace) -> None:
    """`meta-gan train`."""
    recipe, config = _settings(arguments)
    sources.folder_or_nothing(arguments.out)
    tasks = sources.open_pairs(arguments, seed=arguments.seed)
    description = {"recipe": dataclasses.asdict(recipe), "source": arguments.data}
    if arguments.target is not None:
        description["target"] = arguments.target
    if arguments.start is not None:
        description["start"] = arguments.start
    resolved = {**description, "train": dataclasses.asdict(config), "out": arguments.out}
    print(json.dumps(resolved, indent=2), flush=True)
    print(tasks.describe(), flush=True)
    # What only the first step would notice is asked for now, before anything is written.
    config.episodes(tasks)
    model = presets.build(recipe, tasks.example_shape, tasks.card.get("rate"))
    CopyLimit.of_run(config, model.game, tasks)
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
    trainer = MetaTrainer(model, tasks, folder, config, description)
    saved = trainer.run()
    if trainer.copy_limit.exceeded:
        steps = storage.read_config(saved)["training"]["steps"]
        ended = int(trainer.step.numpy())
        print(f"stopped after step {ended}: too many copies; the saved model is that of step {steps}")
    if config.copy_limit and not trainer.copy_limit.ever_kept:
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


def adapt(arguments: argparse.Namespace) -> None:
    """`meta-gan adapt`."""
    storage.check_free(arguments.out)
    check_integer(arguments.sample, "--sample", 1)
    check_integer(arguments.seed, "--seed", 0)
    if arguments.steps is not None:
        check_integer(arguments.steps, "--steps", 0)
    model = loading.load(arguments.model)
    domains = by_domain(model.game.example_shape)
    paths = [path for path in (arguments.support, arguments.target_support) if path is not None]
    if len(paths) != len(domains):
        raise ValueError(
            "--target_support must be given for a model of two domains, and for no other. Received: "
            f"{arguments.target_support!r} for the endpoints {sorted(model.game.endpoints)}"
        )
    sets = {
        name: outputs.read(path, model.game, model.data_card, name, arguments.invert)
        for name, path in zip(domains, paths, strict=True)
    }
    adapted = model.adapt(join_domains(sets), steps=arguments.steps, seed=arguments.seed)
    translates = "translate" in model.game.endpoints
    made = adapted.translate(sets["source"]) if translates else adapted.sample(arguments.sample, seed=arguments.seed)
    with storage.new_folder(arguments.out) as folder:
        adapted.write_into(folder)
        beside = outputs.write(folder, model.data_card, made, list(sets.values()))
    print(f"adapted model, {len(made)} {'translations' if translates else 'samples'} and {beside}: {arguments.out}")


def sample(arguments: argparse.Namespace) -> None:
    """`meta-gan sample`."""
    storage.check_free(arguments.out)
    check_integer(arguments.seed, "--seed", 0)
    if (arguments.count is None) == (arguments.inputs is None):
        raise ValueError(
            "one of --count, of samples, and --inputs, to translate, must be given. Received: "
            f"--count {arguments.count}, --inputs {arguments.inputs}"
        )
    if arguments.count is not None:
        check_integer(arguments.count, "--count", 1)
    adapted = loading.load_adapted(arguments.model)
    if arguments.inputs is None:
        made, inputs = adapted.sample(arguments.count, seed=arguments.seed), []
    else:
        game = adapted.adaptation.game
        inputs = [outputs.read(arguments.inputs, game, adapted.data_card, "source", "auto")]
        made = adapted.translate(inputs[0])
    with storage.new_folder(arguments.out) as folder:
        beside = outputs.write(folder, adapted.data_card, made, inputs)
    print(f"{len(made)} {'translations' if inputs else 'samples'} and {beside}: {arguments.out}")


def export(arguments: argparse.Namespace) -> None:
    """`meta-gan export`."""
    out = sources.folder_or_nothing(arguments.out)
    limits = _limits(arguments.limits)
    if arguments.warm_up is not None and importlib.util.find_spec("tensorflow_serving") is None:
        raise ValueError("--warm_up needs the extra `serving`, `pip install 'meta-gan[serving]'`. Received: none of it")
    model = loading.load(arguments.model)
    versions = [int(p.name) for p in out.iterdir() if p.name.isdigit()] if out.is_dir() else []
    path = out / str(max(versions, default=0) + 1)
    # A server may be watching: the version appears when it is whole.
    with storage.new_folder(path) as folder:
        model.export(folder, limits)
        if arguments.warm_up is not None:
            serving.write_warm_up(folder, arguments.warm_up)
    print(f"exported: {path}")


def _limits(items: Sequence[str]) -> Limits:
    """The limits of a served model out of `KEY=N`."""
    names, given = [field.name for field in dataclasses.fields(Limits)], {}
    for item in items:
        key, equals, text = item.partition("=")
        if not equals or key not in names or not re.fullmatch(r"\d{1,9}", text):
            raise ValueError(f"--limits must be KEY=N with a key of {names}. Received: {item!r}")
        given[key] = int(text)
    return Limits(**given)


def info(arguments: argparse.Namespace) -> None:
    """`meta-gan info`."""
    if (Path(arguments.model) / "saved_model.pb").is_file():
        print(_inspected(arguments.model))
        return
    folder = loading.resolve(arguments.model)
    config = storage.read_config(folder)
    model = loading.load(folder)
    splits = model.data_card.get("splits") or {}
    print(f"model: {folder}")
    print(f"algorithm: {model.algorithm.name}, {model.algorithm.inner_steps} inner steps")
    print(f"example shape: {model.game.example_shape}, {outputs.described(model.data_card)}")
    for name, net in model.game.nets.items():
        print(f"{name}: {type(net).__name__}, {net.count_params():,} values")
    counts = ", ".join(f"{len(names)} {split}" for split, names in splits.items())
    print(f"data: {model.data_card.get('name')}; classes: {counts}")
    print(f"training: {config.get('training', {})}")
    print(f"weights sha256: {config['weights_sha256']}")


def _inspected(path: str) -> str:
    """What an exported folder says of itself, and what is found in it."""
    found = serving.inspect(path)
    limits = ", ".join(f"{name} {most}" for name, most in found.about.get("limits", {}).items())
    lines = [f"SavedModel: {path}", f"limits of a request: {limits or 'none that it tells of'}"]
    for name, sides in found.signatures.items():
        given, made = (
            ", ".join(f"{key} {each['dtype']}{each['shape']}".replace("None", "n") for key, each in sides[side].items())
            for side in ("inputs", "outputs")
        )
        lines.append(f"{name}({given}) -> {made}")
    lines.append(f"operations: {len(found.operations)}; of no list of ours: {', '.join(found.refused) or 'none'}")
    return "\n".join(lines)


def data(arguments: argparse.Namespace) -> None:
    """`meta-gan data`."""
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", Path(arguments.data).name)
    if arguments.out and Path(arguments.out).exists():
        raise ValueError(f"--out must not exist yet. Received: {arguments.out!r}")
    tasks = sources.open_tasks(arguments)
    out = Path(arguments.out or f"contact_sheet-{stem}{tasks.source.medium.sheet_suffix}")
    print(tasks.source.describe())
    outputs.sheet(tasks.source, out)
    print(f"contact sheet: {out}")
