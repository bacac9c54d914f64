"""The flags of every sub-command, and what each says of itself."""

from __future__ import annotations

import argparse
import dataclasses

from meta_gan import presets
from meta_gan.cli import commands, measure
from meta_gan.export import Limits
from meta_gan.features import NETWORKS, PURPOSES
from meta_gan.judges import METHODS, JudgeRecipe

SOURCE_HELP = "glyphs | tfds:NAME | FILE.npz | FOLDER of class folders of images or sounds, or of text files"
MODEL_HELP = "saved model, run folder or shipped name"
SEED_HELP = "0 to 2^31 - 1; the same seed gives the same result (default: 0)"


def _command(commands_: argparse._SubParsersAction, name: str, what: str, example: str) -> argparse.ArgumentParser:
    return commands_.add_parser(
        name,
        help=what,
        description=what,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _source_arguments(group: argparse._ArgumentGroup, shape: str = "the source's own") -> None:
    group.add_argument("--archives", metavar="DIR", help="folder of original downloads, for tfds:NAME")
    group.add_argument("--image_shape", metavar="HxWxC", help=f"such as 28x28x1 (default: {shape})")
    group.add_argument("--rate", type=int, metavar="HZ", help="of sounds, samples a second, >= 1 (default: their own)")
    length = "samples of a sound, characters of a text, >= 1 (default: the data's own)"
    group.add_argument("--length", type=int, metavar="N", help=length)
    group.add_argument(
        "--protocol",
        metavar="TASK",
        help="split the classes as few-shot-28 does: A (Omniglot), B/0 to B/9 (MNIST), C/0 to C/4 (Fashion-MNIST), D "
        "(every MNIST digit a test class) (default: the source's own split)",
    )


def _pair_arguments(parser: argparse.ArgumentParser, title: str) -> None:
    pairs = parser.add_argument_group(title)
    pairs.add_argument("--target", metavar="SOURCE", help="translated to, --data from (default: one domain)")
    pairs.add_argument("--pair", choices=("all", "name"), help="classes with all, or those of one name (default: all)")
    pairs.add_argument("--both_ways", action="store_true", help="each pair is a task the other way round, too")


def _train(commands_: argparse._SubParsersAction) -> None:
    parser = _command(
        commands_,
        "train",
        "Meta-train a preset on a source of classes, in a new numbered run folder.",
        "meta-gan train --data glyphs --out runs --steps 2000 --set width=16 symmetries=true log_every=50",
    )
    main_ = parser.add_argument_group("main arguments")
    names = " | ".join(sorted(presets.PRESETS))
    main_.add_argument("--preset", default="fusion", metavar="NAME", help=f"{names} (default: fusion)")
    main_.add_argument("--data", required=True, metavar="SOURCE", help=SOURCE_HELP)
    main_.add_argument("--out", required=True, metavar="DIR", help="folder that numbered runs go into")
    _pair_arguments(parser, "two domains (the presets translation and cyclegan)")
    length = parser.add_argument_group("length and episodes")
    length.add_argument("--steps", type=int, metavar="N", help="outer steps, >= 1 (default: 1000)")
    length.add_argument("--shots", type=int, default=5, metavar="K", help="support images, >= 1 (default: 5)")
    length.add_argument("--queries", type=int, default=7, metavar="Q", help="query images, >= 1 (default: 7)")
    length.add_argument("--seed", type=int, default=0, metavar="S", help=SEED_HELP)
    other = parser.add_argument_group("other arguments")
    _source_arguments(other)
    other.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="fields of the recipe or run; --dry_run prints them all",
    )
    start = "train on from the nets of this model, of the same recipe but for its algorithm (default: none)"
    other.add_argument("--start", metavar="DIR", help=start)
    other.add_argument("--resume", action="store_true", help="with the same command: go on with the newest run in DIR")
    other.add_argument("--dry_run", action="store_true", help="check all and print the config; write nothing")
    parser.set_defaults(run=commands.train)


def _adapt(commands_: argparse._SubParsersAction) -> None:
    parser = _command(
        commands_,
        "adapt",
        "Adapt a model to a few images of a class that it never saw, and sample from it.",
        "meta-gan adapt --model runs --support my_five_images/ --out glyph --sample 64",
    )
    main_ = parser.add_argument_group("main arguments")
    main_.add_argument("--model", required=True, metavar="DIR", help=MODEL_HELP)
    main_.add_argument(
        "--support",
        required=True,
        metavar="PATH",
        help="a folder or .npz of images or sounds, or a text file: one class",
    )
    main_.add_argument("--out", required=True, metavar="DIR", help="folder to make; must not exist")
    other = parser.add_argument_group("other arguments")
    other.add_argument("--steps", type=int, metavar="N", help="inner steps, >= 0 (default: the model's own)")
    other.add_argument("--sample", type=int, default=64, metavar="N", help="samples, >= 1 (default: 64)")
    target = "images of the target, of a model of two domains, that --support is translated to (default: none)"
    other.add_argument("--target_support", "--target-support", metavar="FOLDER_OR_NPZ", help=target)
    other.add_argument("--seed", type=int, default=0, metavar="S", help=SEED_HELP)
    other.add_argument(
        "--invert",
        choices=("auto", "yes", "no"),
        default="auto",
        help="swap black and white; auto compares with the model's polarity (default: auto)",
    )
    parser.set_defaults(run=commands.adapt)


def _sample(commands_: argparse._SubParsersAction) -> None:
    parser = _command(
        commands_,
        "sample",
        "Sample from an adapted model, or translate by it.",
        "meta-gan sample --model glyph --count 100 --out more --seed 1",
    )
    main_ = parser.add_argument_group("main arguments")
    main_.add_argument("--model", required=True, metavar="ADAPTED_DIR", help="what `meta-gan adapt` made")
    main_.add_argument("--count", type=int, metavar="N", help="samples, >= 1 (default: none, with --inputs)")
    main_.add_argument("--inputs", metavar="FOLDER_OR_NPZ", help="images to translate (default: none, with --count)")
    main_.add_argument("--out", required=True, metavar="DIR", help="folder to make; must not exist")
    other = parser.add_argument_group("other arguments")
    other.add_argument("--seed", type=int, default=0, metavar="S", help=SEED_HELP)
    parser.set_defaults(run=commands.sample)


def _evaluate(commands_: argparse._SubParsersAction) -> None:
    parser = _command(
        commands_,
        "evaluate",
        "Measure models beside real images, copies and plain augmentations, under few-shot-28; without --model, the "
        "latter alone.",
        "meta-gan evaluate --model reptile=runs/a fomaml=runs/b --data omniglot28.npz --quick --out report",
    )
    main_ = parser.add_argument_group("main arguments")
    main_.add_argument("--data", required=True, metavar="SOURCE", help=SOURCE_HELP)
    main_.add_argument("--out", required=True, metavar="DIR", help="report and images; gone on with if cut off")
    main_.add_argument(
        "--model", nargs="+", action="extend", default=[], metavar="[NAME=]DIR", help=f"each a {MODEL_HELP}"
    )
    main_.add_argument(
        "--judge",
        nargs="+",
        action="extend",
        default=[],
        metavar="DIR",
        help="what `meta-gan judge` made, a .keras file, or a shipped name (default: those shipped for this data; none "
        "with --target)",
    )
    _pair_arguments(parser, "two domains: models that translate, scored by energy distance, labels kept, and cycles")
    size = parser.add_argument_group("size")
    size.add_argument("--split", choices=("train", "validation", "test"), help="of the classes (default: test)")
    size.add_argument("--shots", type=int, metavar="K", help="support images, >= 1 (default: 5)")
    size.add_argument(
        "--steps",
        type=int,
        metavar="N",
        help="inner steps of a model's row, >= 0 (default: 20; the model's own with --target)",
    )
    size.add_argument("--classes", type=int, metavar="N", help="the protocol's first N classes, >= 1 (default: all)")
    size.add_argument("--draws", type=int, metavar="N", help="draws of the support, >= 1 (default: 1)")
    size.add_argument("--quick", action="store_true", help="one draw of 100 classes, few classifiers; marked as quick")
    size.add_argument("--seed", type=int, metavar="S", help=SEED_HELP)
    other = parser.add_argument_group("other arguments")
    other.add_argument(
        "--scratch_steps",
        type=int,
        metavar="N",
        help="steps of the row from scratch on up to 100 classes, >= 0; 0 for no row (default: 500, or 0 if quick)",
    )
    _source_arguments(other, "the first model's, or the source's own")
    parser.set_defaults(run=measure.evaluate)


def _judge(commands_: argparse._SubParsersAction) -> None:
    parser = _command(
        commands_,
        "judge",
        "Train a judge, a small feature network, on the meta-training classes of a source.",
        "meta-gan judge --data my_classes/ --out judges/mine --method prototypical --network conv4 --seed 1",
    )
    main_ = parser.add_argument_group("main arguments")
    main_.add_argument("--data", required=True, metavar="SOURCE", help=SOURCE_HELP)
    main_.add_argument("--out", required=True, metavar="DIR", help="folder to make; must not exist")
    recipe, default = parser.add_argument_group("recipe"), JudgeRecipe()
    recipe.add_argument("--method", choices=METHODS, help=f"(default: {default.method})")
    recipe.add_argument("--network", choices=tuple(sorted(NETWORKS)), help=f"(default: {default.network})")
    recipe.add_argument("--width", type=int, metavar="N", help=f"channels, >= 1 (default: {default.width})")
    warp = f"warp the training images (default: {'yes' if default.augmentation else 'no'})"
    recipe.add_argument("--augmentation", action=argparse.BooleanOptionalAction, help=warp)
    recipe.add_argument("--steps", type=int, metavar="N", help=f"optimizer steps, >= 1 (default: {default.steps})")
    episodes = "prototypical: classes of an episode, >= 2 (default: 20, or all where there are fewer)"
    recipe.add_argument("--ways", type=int, metavar="N", help=episodes)
    recipe.add_argument("--shots", type=int, metavar="K", help=f"of an episode, >= 1 (default: {default.shots})")
    recipe.add_argument("--queries", type=int, metavar="Q", help=f"of an episode, >= 1 (default: {default.queries})")
    recipe.add_argument("--seed", type=int, metavar="S", help=SEED_HELP)
    purpose = "judge, or objective: for a recipe's `features`, and then never a judge (default: judge)"
    recipe.add_argument("--purpose", choices=PURPOSES, help=purpose)
    other = parser.add_argument_group("other arguments")
    _source_arguments(other)
    parser.set_defaults(run=measure.judge)


def _export(commands_: argparse._SubParsersAction) -> None:
    parser = _command(
        commands_,
        "export",
        "Export a SavedModel for TF Serving, in which adaptation itself runs, as the next DIR/<version>/.",
        "meta-gan export --model runs --out served/glyphs",
    )
    main_ = parser.add_argument_group("main arguments")
    main_.add_argument("--model", required=True, metavar="DIR", help=MODEL_HELP)
    main_.add_argument("--out", required=True, metavar="DIR", help="the served model's folder of versions")
    other = parser.add_argument_group("other arguments")
    limits = ", ".join(f"{name}={most}" for name, most in dataclasses.asdict(Limits()).items())
    other.add_argument(
        "--limits",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=N",
        help=f"the greatest request that is served (default: {limits})",
    )
    warm = "write warm-up requests for the model served as NAME; needs the extra `serving` (default: none)"
    other.add_argument("--warm_up", metavar="NAME", help=warm)
    parser.set_defaults(run=commands.export)


def _info(commands_: argparse._SubParsersAction) -> None:
    what = "Say what a saved model is, or an exported one, of which nothing is run."
    parser = _command(commands_, "info", what, "meta-gan info --model runs")
    main_ = parser.add_argument_group("main arguments")
    main_.add_argument("--model", required=True, metavar="DIR", help=f"{MODEL_HELP}, or a served version's folder")
    parser.set_defaults(run=commands.info)


def _data(commands_: argparse._SubParsersAction) -> None:
    parser = _command(
        commands_,
        "data",
        "Say what a source holds (classes, sizes, splits) and draw a contact sheet.",
        "meta-gan data --data my_classes/ --out sheet.png",
    )
    main_ = parser.add_argument_group("main arguments")
    main_.add_argument("--data", required=True, metavar="SOURCE", help=SOURCE_HELP)
    other = parser.add_argument_group("other arguments")
    other.add_argument("--out", metavar="PNG", help="the sheet (default: contact_sheet-SOURCE.png, replaced)")
    other.add_argument("--shots", type=int, default=5, metavar="K", help="support images, >= 1 (default: 5)")
    other.add_argument("--queries", type=int, default=7, metavar="Q", help="query images, >= 1 (default: 7)")
    _source_arguments(other)
    parser.set_defaults(run=commands.data)


COMMANDS = (_train, _adapt, _sample, _evaluate, _judge, _export, _info, _data)
"""Functions that add a sub-command each, in the order in which help lists them."""
