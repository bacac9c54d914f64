"""Reading and writing of examples, by the medium that a model's data card names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from meta_gan import atomic
from meta_gan.cli import console
from meta_gan.judges.spectrograms import preview_drawing
from meta_gan.report.rendering import style_sheet
from meta_gan.tasks import Source
from meta_gan.tasks.episodes import by_domain
from meta_gan.tasks.media import of_card


def read(
    path: str, game: Any, card: dict[str, Any], domain: str, invert: str, on_bad_file: str | None = None
) -> np.ndarray:
    """Read the examples at a path in the form that a game, or one of its domains, takes; print any note on them.

    Raises:
        FileNotFoundError: `path` does not exist.
        ValueError: the examples cannot be read; the message names the file.
    """
    own = {**card, "polarity": by_domain(card.get("polarity")).get(domain)}
    shape, policy = by_domain(game.example_shape)[domain], on_bad_file or "error"
    examples, note = of_card(card).read_support(path, shape, own, invert, policy)
    if note:
        console.say(note)
    return examples


def write(folder: Path, card: dict[str, Any], samples: np.ndarray, given: Sequence[np.ndarray]) -> str:
    """Write samples and the given sets; return a description of the other files written."""
    medium = of_card(card)
    return medium.write_samples(folder, samples, given, preview_drawing(medium), style_sheet())


def preview(path: Path, card: dict[str, Any], rows: Sequence[np.ndarray]) -> str:
    """Write rows of examples as one picture or text, under a name without a suffix; return the file's name."""
    return of_card(card).preview(path, rows).name


def described(card: dict[str, Any]) -> str:
    """Return a description of a model's medium from its data card."""
    return of_card(card).describe_card(card)


def sheet(source: Source, path: Path) -> None:
    """Write a contact sheet of a source: pictures, spectrograms, or lines of text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic.new_files(path.parent) as work:
        source.medium.sheet(source, work / path.name, preview_drawing(source.medium))
