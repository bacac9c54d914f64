"""`meta-gan sample`."""

from __future__ import annotations

import argparse

from meta_gan import loading, storage
from meta_gan.checks import check_integer, check_memory
from meta_gan.cli import arguments as flags
from meta_gan.cli import console, outputs
from meta_gan.tasks.episodes import by_domain

EXAMPLE = "meta-gan sample --model glyph --count 100 --out more --seed 1"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    main = parser.add_argument_group("main arguments")
    model = "a folder that `meta-gan adapt` wrote, or hf://USER/NAME[@REVISION]"
    main.add_argument("--model", required=True, metavar="ADAPTED_DIR", help=model)
    main.add_argument("--count", type=int, metavar="N", help="samples, >= 1 (default: none, with --inputs)")
    main.add_argument("--inputs", metavar="FOLDER_OR_NPZ", help="images to translate (default: none, with --count)")
    main.add_argument("--out", required=True, metavar="DIR", help="folder to create; must not exist")
    other = parser.add_argument_group("other arguments")
    flags.add_sampling(other)
    other.add_argument("--seed", type=int, default=0, metavar="S", help=flags.SEED_HELP)


def run(arguments: argparse.Namespace) -> None:
    """Sample from an adapted model, or translate images with it."""
    storage.check_free(arguments.out)
    check_integer(arguments.seed, "--seed", 0)
    if (arguments.count is None) == (arguments.inputs is None):
        raise ValueError(
            "one of --count, of samples, and --inputs, to translate, must be given. Received: "
            f"--count {arguments.count}, --inputs {arguments.inputs}"
        )
    if arguments.count is not None:
        check_integer(arguments.count, "--count", 1)
    adapted = loading.load_adapted(arguments.model, sampling=flags.sampling(arguments.sampling))
    if arguments.inputs is None:
        check_memory(arguments.count, adapted.adaptation.game.output_shape, "--count")
        made, inputs = adapted.sample(arguments.count, seed=arguments.seed), []
    else:
        game = adapted.adaptation.game
        domain = next(iter(by_domain(game.example_shape)))
        inputs = [outputs.read(arguments.inputs, game, adapted.data_card, domain, "auto")]
        made = adapted.translate(inputs[0])
    with storage.new_folder(arguments.out) as folder:
        beside = outputs.write(folder, adapted.data_card, made, inputs)
    console.result(f"{len(made)} {'translations' if inputs else 'samples'} and {beside}: {arguments.out}")
