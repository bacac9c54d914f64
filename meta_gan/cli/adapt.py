"""`meta-gan adapt`."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from meta_gan import loading, storage
from meta_gan.checks import check_integer, check_memory
from meta_gan.cli import arguments as flags
from meta_gan.cli import console, outputs
from meta_gan.early_stopping import AUTO, NUMBERS, check_steps
from meta_gan.tasks.episodes import by_domain, join_domains

FEW = 5
"""The number of support examples that presets and shipped models are trained with."""
STEPS_HELP = "inner steps, >= 0; auto for the number that fits held-out images best (default: the model's own)"
EXAMPLE = "meta-gan adapt --model runs --support my_five_images/ --out glyph --sample 64"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    main = parser.add_argument_group("main arguments")
    main.add_argument("--model", required=True, metavar="DIR", help=flags.MODEL_HELP)
    main.add_argument(
        "--support",
        required=True,
        metavar="PATH",
        help="a folder or .npz of images or sounds, or a text file: examples of one class",
    )
    main.add_argument("--out", required=True, metavar="DIR", help="folder to create; must not exist")
    other = parser.add_argument_group("other arguments")
    other.add_argument("--inner-steps", type=_steps, metavar="N", help=STEPS_HELP)
    other.add_argument("--sample", type=int, default=64, metavar="N", help="samples, >= 1 (default: 64)")
    target = "images of the target domain, of a model of two domains (default: none)"
    other.add_argument("--target-support", metavar="FOLDER_OR_NPZ", help=target)
    other.add_argument("--seed", type=int, default=0, metavar="S", help=flags.SEED_HELP)
    flags.add_sampling(other)
    flags.add_policy(other)
    flags.add_invert(other)


def _steps(text: str) -> int | str:
    try:
        return int(text)
    except ValueError:
        return text  # `check_steps` refuses what is not "auto"


def _over_steps(model: Any, support: Any, steps: int, seed: int) -> list[np.ndarray]:
    """Return eight samples, of the same latents, after each of several numbers of inner steps up to `steps`."""
    numbers = [number for number in NUMBERS if number < steps]
    return [model.adapt(support, steps=number, seed=seed).sample(8, seed=seed) for number in (*numbers, steps)]


def run(arguments: argparse.Namespace) -> None:
    """Adapt a model and sample from it."""
    storage.check_free(arguments.out)
    check_integer(arguments.sample, "--sample", 1)
    check_integer(arguments.seed, "--seed", 0)
    check_steps(arguments.inner_steps, 0, "--inner-steps")
    with console.phase("loading the model"):
        model = loading.load(arguments.model, sampling=flags.sampling(arguments.sampling))
    check_memory(arguments.sample, model.game.output_shape, "--sample")
    domains = by_domain(model.game.example_shape)
    paths = [path for path in (arguments.support, arguments.target_support) if path is not None]
    if len(paths) != len(domains):
        raise ValueError(
            "--target-support must be given for a model of two domains, and for no other. Received: "
            f"{arguments.target_support!r} for the endpoints {sorted(model.game.endpoints)}"
        )
    sets = {
        name: outputs.read(path, model.game, model.data_card, name, arguments.invert, arguments.on_bad_file)
        for name, path in zip(domains, paths, strict=True)
    }
    with console.phase("adapting"):
        adapted = model.adapt(join_domains(sets), steps=arguments.inner_steps, seed=arguments.seed)
    if (fewest := min(map(len, sets.values()))) < FEW:
        few = f"{fewest} support example{'s' * (fewest > 1)}"
        console.say(f"{few}: samples are usually closer to the class with {FEW}")
    translates, count, seed = "translate" in model.game.endpoints, arguments.sample, arguments.seed
    with console.phase("translating" if translates else "sampling"):
        made = adapted.translate(sets["source"]) if translates else adapted.sample(count, seed=seed)
    history = adapted.history
    assert history is not None
    if arguments.inner_steps == AUTO:
        tried = ", ".join(f"{number}: {distance:.3g}" for number, distance in history.held_out.items())
        console.say(f"{history.steps} inner steps; distance to held-out examples after N steps: {tried}")
    with storage.new_folder(arguments.out) as folder:
        adapted.write_into(folder)
        beside = outputs.write(folder, model.data_card, made, list(sets.values()))
        about = ""
        if history.steps or history.held_out:
            storage.write_json(folder / "history.json", history.as_dict())
            about = "history.json"
        if history.steps and not translates:
            with console.phase("sampling after fewer steps"):
                rows = _over_steps(model, join_domains(sets), history.steps, seed)
            about += f", {outputs.preview(folder / 'steps', model.data_card, rows)}"
    kind, inner = "translations" if translates else "samples", f" (inner steps: {about})" if about else ""
    console.result(f"adapted model, {len(made)} {kind} and {beside}{inner}: {arguments.out}")
