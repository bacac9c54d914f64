"""`meta-gan augment`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from meta_gan import storage
from meta_gan.augmenting import Augmenter
from meta_gan.augmenting.augmenter import METHODS, MINUTES
from meta_gan.augmenting.models import open_model
from meta_gan.augmenting.pictures import LEAST
from meta_gan.checks import check_integer, check_number
from meta_gan.cli import arguments as flags
from meta_gan.cli import console
from meta_gan.cli.progress import Progress
from meta_gan.loading import AUTO
from meta_gan.protocol.recommendation import GENERATED, PLAIN
from meta_gan.tasks import DataError, Tasks, from_folder
from meta_gan.tasks.files import POLICIES, read_each
from meta_gan.tasks.media import pictures
from meta_gan.tasks.pictures import save_png
from meta_gan.tasks.readers.folders import LARGEST, class_files

EXAMPLE = "meta-gan augment --data my_classes/ --per-class 50 --out more"
MOST_COMPARED = 100
"""Pictures of a class that the comparison adds; more would only make it slower."""
RECOMMENDED = "recommended"
ALONE = (*PLAIN, GENERATED)
"""The methods that need nothing of the comparison."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    main = parser.add_argument_group("main arguments")
    main.add_argument("--data", required=True, metavar="FOLDER", help="a folder with a folder of pictures per class")
    new = "new pictures of every class, >= 1; the comparison adds as many, 100 at most"
    main.add_argument("--per-class", required=True, type=int, metavar="N", help=new)
    out = "folder to create, for pictures/CLASS/*.png and the report; must not exist"
    main.add_argument("--out", required=True, metavar="DIR", help=out)
    other = parser.add_argument_group("other arguments")
    model = f"{flags.MODEL_HELP} (default: {AUTO}, the shipped model for such pictures)"
    other.add_argument("--model", default=AUTO, metavar="NAME", help=model)
    minutes = f"of fine-tuning in all, >= 0; 0 for none (default: {MINUTES:g})"
    other.add_argument("--minutes", type=float, metavar="M", help=minutes)
    steps = (
        "steps of every fine-tuning instead of --minutes, >= 0; the same seed then gives the same bits (default: by "
    )
    other.add_argument("--steps", type=int, metavar="N", help=f"{steps}--minutes)")
    method = "write the pictures of this method whatever the comparison recommends (default: recommended)"
    other.add_argument("--method", default=RECOMMENDED, choices=(RECOMMENDED, *METHODS), help=method)
    alone = "do not compare the methods, which takes minutes; needs --method"
    other.add_argument("--no-comparison", action="store_true", help=alone)
    other.add_argument("--seed", type=int, default=0, metavar="S", help=flags.SEED_HELP)
    flags.add_policy(other)
    small = f"skip the classes of fewer than {LEAST} pictures, and name them (default: error)"
    other.add_argument("--small-classes", choices=POLICIES, help=small)


def run(arguments: argparse.Namespace) -> None:
    """Compare augmentations of a folder, and write the pictures of the recommended one."""
    storage.check_free(arguments.out)
    count = check_integer(arguments.per_class, "--per-class", 1)
    seed = check_integer(arguments.seed, "--seed", 0)
    flags.refuse_both_lengths(arguments)
    if arguments.minutes is not None:
        check_number(arguments.minutes, "--minutes", least=0)
    if arguments.steps is not None:
        check_integer(arguments.steps, "--steps", 0)
    if arguments.no_comparison and arguments.method not in ALONE:
        raise ValueError(
            f"--no-comparison needs --method {', '.join(ALONE[:-1])} or {ALONE[-1]}. Received: '{arguments.method}'"
        )
    tasks = _read(arguments)
    source = tasks.source
    # A plain method that is compared with nothing has no use of the model.
    unused = arguments.no_comparison and arguments.method in PLAIN and arguments.steps is None
    augmenter = Augmenter(
        arguments.model,
        minutes=0 if unused else arguments.minutes,
        steps=arguments.steps,
        seed=seed,
        compare=not arguments.no_comparison,
        method=None if arguments.method == RECOMMENDED else arguments.method,
        per_class=min(count, MOST_COMPARED),
    )
    console.say(f"{arguments.data}: {len(source.images)} pictures of {len(source.class_names)} classes")
    for line in source.skipped:
        console.say(f"skipped: {line}")
    augmenter.fit(source.images, np.array(source.class_names)[source.labels], Progress())
    if augmenter.fitted_.inverted:
        console.say(f"the pictures are {source.polarity}, unlike the model's data: inverted for it, and back")
    with storage.new_folder(arguments.out) as folder:
        written = _write(augmenter, folder, count)
        augmenter.write_report(folder, arguments.data)
    for line in augmenter.report()["lines"]:
        console.say(line)
    if written:
        console.result(f"{written} pictures, by {augmenter.chosen_method}, in {Path(arguments.out) / 'pictures'}")
    console.result(f"report: {Path(arguments.out) / 'report.html'}")


def _write(augmenter: Augmenter, folder: Path, count: int) -> int:
    """Write new pictures of every class, and return their number; none if none of the methods helps."""
    method = augmenter.chosen_method
    if method is None:
        return 0
    digits = max(5, len(str(count)))
    for label in augmenter.classes_:
        for index, picture in enumerate(augmenter.sample(label, count, method)):
            save_png(folder / "pictures" / str(label) / f"{index:0{digits}d}.png", picture)
    return count * len(augmenter.classes_)


def _read(arguments: argparse.Namespace) -> Tasks:
    """Read the folder: at the size of its pictures if all have one of at most 128 pixels, else at the model's."""
    path, small = Path(arguments.data), arguments.small_classes or "error"
    bad = arguments.on_bad_file or "error"
    found = class_files(path, "image", pictures.suffixes(), small)
    sizes = np.bincount(found.labels, minlength=len(found.names))
    if small == "error" and (sizes < LEAST).any():
        place = int(np.argmin(sizes))
        raise DataError(
            f"{path}: every class must have {LEAST} or more pictures, of which some are held out; add some, or pass "
            f"--small-classes skip. Received: {sizes[place]} of class '{found.names[place]}' "
            f"({(sizes < LEAST).sum()} of {len(sizes)} classes have too few)"
        )
    if (sizes >= LEAST).sum() < 2:
        raise DataError(
            f"{path}: must hold folders of {LEAST} or more pictures for two or more classes. Received: "
            f"{(sizes >= LEAST).sum()} such of {len(sizes)} folders"
        )
    options: dict[str, Any] = {"shots": LEAST - 1, "queries": 1, "on_bad_file": bad, "small_classes": small}
    tasks = from_folder(path, **options)
    own = {size for _, size in read_each(found.files, pictures.read_size, bad, [])}
    if len(own) == 1 and max(next(iter(own))) <= LARGEST:
        return tasks
    shape = tasks.example_shape
    model, _ = open_model(arguments.model, shape)
    return from_folder(path, (*model.game.example_shape[:2], shape[-1]), **options)
