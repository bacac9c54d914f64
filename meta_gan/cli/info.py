"""`meta-gan info`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from meta_gan import hub, loading, serving, storage
from meta_gan.cli import arguments as flags
from meta_gan.cli import console, outputs
from meta_gan.tasks.episodes import by_domain

ADAPTED = "adapted_model"
EXAMPLE = "meta-gan info --model runs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    main = parser.add_argument_group("main arguments")
    main.add_argument(
        "--model", required=True, metavar="DIR", help=f"{flags.MODEL_HELP}, or the folder of a served version"
    )


def run(arguments: argparse.Namespace) -> None:
    """Describe a model."""
    if (Path(arguments.model) / "saved_model.pb").is_file():
        console.result(_exported(arguments.model))
        return
    place = loading.pinned(arguments.model)
    folder = loading.resolve(place)
    config = storage.read_config(folder)
    adapted = config["kind"] == ADAPTED
    model: Any = loading.load_adapted(folder) if adapted else loading.load(folder)
    console.result(f"model: {place if hub.is_address(place) else folder}")
    if adapted:
        _describe_adapted(model)
    else:
        _describe_meta_model(model, config)
    console.result(f"weights sha256: {config['weights_sha256']}")


def _describe_meta_model(model: Any, config: dict[str, Any]) -> None:
    console.result(f"algorithm: {model.algorithm.name}, {model.algorithm.inner_steps} inner steps")
    _describe_game(model.game, model.data_card)
    splits = model.data_card.get("splits") or {}
    counts = ", ".join(f"{len(names)} {split}" for split, names in splits.items())
    console.result(f"data: {model.data_card.get('name')}; classes: {counts}")
    console.result(f"training: {config.get('training', {})}")


def _describe_adapted(adapted: Any) -> None:
    """Describe a model of one class; it has no further training."""
    if adapted.support is None:
        shown = "not stored"
    else:
        sets = by_domain(adapted.support)
        shown = ", ".join(f"{len(each)} {name}".rstrip() for name, each in sets.items()) + " examples"
    console.result(f"adapted to: {shown}")
    _describe_game(adapted.adaptation.game, adapted.data_card)


def _describe_game(game: Any, card: dict[str, Any]) -> None:
    console.result(f"example shape: {game.example_shape}, {outputs.described(card)}")
    for name, net in game.nets.items():
        console.result(f"{name}: {type(net).__name__}, {net.count_params():,} values")


def _exported(path: str) -> str:
    """Describe an exported model without running it."""
    found = serving.inspect(path)
    limits = ", ".join(f"{name} {most}" for name, most in found.about.get("limits", {}).items())
    lines = [f"SavedModel: {path}", f"limits of a request: {limits or 'not recorded'}"]
    for name, sides in found.signatures.items():
        given, made = (
            ", ".join(f"{key} {each['dtype']}{each['shape']}".replace("None", "n") for key, each in sides[side].items())
            for side in ("inputs", "outputs")
        )
        lines.append(f"{name}({given}) -> {made}")
    lines.append(f"operations: {len(found.operations)}; not allowed: {', '.join(found.refused) or 'none'}")
    return "\n".join(lines)
