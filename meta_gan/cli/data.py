"""`meta-gan data`."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

from meta_gan import atomic
from meta_gan.cli import arguments as flags
from meta_gan.cli import console, outputs, sources

EXAMPLE = "meta-gan data --data my_classes/ --out sheet.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    main = parser.add_argument_group("main arguments")
    main.add_argument("--data", required=True, metavar="SOURCE", help=flags.SOURCE_HELP)
    other = parser.add_argument_group("other arguments")
    other.add_argument("--out", metavar="FILE", help="the contact sheet (default: contact_sheet-SOURCE.png, replaced)")
    other.add_argument("--shots", type=int, default=5, metavar="K", help="support examples, >= 1 (default: 5)")
    other.add_argument("--queries", type=int, default=7, metavar="Q", help="query examples, >= 1 (default: 7)")
    flags.add_source(other)


def run(arguments: argparse.Namespace) -> None:
    """Describe a source and draw its contact sheet."""
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", Path(arguments.data).name)
    if arguments.out and Path(arguments.out).exists():
        raise ValueError(f"--out must not exist yet; choose another, or delete it. Received: {arguments.out!r}")
    atomic.check_writable(arguments.out or os.curdir)
    tasks = sources.open_tasks(arguments)
    out = Path(arguments.out or f"contact_sheet-{stem}{tasks.source.medium.sheet_suffix}")
    console.say(tasks.source.describe())
    outputs.sheet(tasks.source, out)
    console.result(f"contact sheet: {out}")
