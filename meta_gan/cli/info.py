"""`meta-gan info`."""

from __future__ import annotations

import argparse
from pathlib import Path

from meta_gan import hub, loading, serving, storage
from meta_gan.cli import arguments as flags
from meta_gan.cli import console, outputs

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
    model = loading.load(folder)
    splits = model.data_card.get("splits") or {}
    console.result(f"model: {place if hub.is_address(place) else folder}")
    console.result(f"algorithm: {model.algorithm.name}, {model.algorithm.inner_steps} inner steps")
    console.result(f"example shape: {model.game.example_shape}, {outputs.described(model.data_card)}")
    for name, net in model.game.nets.items():
        console.result(f"{name}: {type(net).__name__}, {net.count_params():,} values")
    counts = ", ".join(f"{len(names)} {split}" for split, names in splits.items())
    console.result(f"data: {model.data_card.get('name')}; classes: {counts}")
    console.result(f"training: {config.get('training', {})}")
    console.result(f"weights sha256: {config['weights_sha256']}")


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
