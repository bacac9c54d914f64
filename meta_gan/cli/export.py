"""`meta-gan export`."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import re
from collections.abc import Sequence

from meta_gan import loading, serving, storage
from meta_gan.cli import arguments as flags
from meta_gan.cli import console
from meta_gan.export import Limits

EXAMPLE = "meta-gan export --model runs --out served/glyphs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    main = parser.add_argument_group("main arguments")
    main.add_argument("--model", required=True, metavar="DIR", help=flags.MODEL_HELP)
    main.add_argument("--out", required=True, metavar="DIR", help="the served model's folder of versions")
    other = parser.add_argument_group("other arguments")
    limits = ", ".join(f"{name}={most}" for name, most in dataclasses.asdict(Limits()).items())
    other.add_argument(
        "--limits",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=N",
        help=f"the largest request that is served (default: {limits})",
    )
    flags.add_sampling(other)
    warm = "write warm-up requests for the model served as NAME; needs the extra `serving` (default: none)"
    other.add_argument("--warm-up", metavar="NAME", help=warm)


def run(arguments: argparse.Namespace) -> None:
    """Export the next version of a served model."""
    out = flags.check_folder(arguments.out)
    limits = _limits(arguments.limits)
    if arguments.warm_up is not None and importlib.util.find_spec("tensorflow_serving") is None:
        raise ValueError("--warm-up needs the extra `serving`, `pip install 'meta-gan[serving]'`. Received: none of it")
    model = loading.load(arguments.model, sampling=flags.sampling(arguments.sampling))
    versions = [int(p.name) for p in out.iterdir() if p.name.isdigit()] if out.is_dir() else []
    path = out / str(max(versions, default=0) + 1)
    # A server may be watching the folder: the version appears only when it is complete.
    with storage.new_folder(path) as folder:
        model.export(folder, limits)
        if arguments.warm_up is not None:
            serving.write_warm_up(folder, arguments.warm_up)
    console.result(f"exported: {path}")


def _limits(items: Sequence[str]) -> Limits:
    """Parse `KEY=N` items."""
    names, given = [field.name for field in dataclasses.fields(Limits)], {}
    for item in items:
        key, equals, text = item.partition("=")
        if not equals or key not in names or not re.fullmatch(r"\d{1,9}", text):
            raise ValueError(f"--limits must be KEY=N with a key of {names}. Received: {item!r}")
        given[key] = int(text)
    return Limits(**given)
