"""What `adapt` and `sample` read and write, by what a model's examples are: pictures, sounds or texts."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from meta_gan.judges.spectrograms import make_spectrograms, spectrogram_source, upright
from meta_gan.report.style import STYLE
from meta_gan.tasks import Source, load_support
from meta_gan.tasks.media import Medium, Sounds, Texts, of_card
from meta_gan.tasks.pictures import contact_sheet, grid, save_png
from meta_gan.tasks.pixels import to_float
from meta_gan.tasks.sound_files import load_support_sounds, write_wav
from meta_gan.tasks.texts import read_lines

GRID_COLUMNS = 10


def read(path: str, game: Any, card: dict[str, Any], domain: str, invert: str) -> np.ndarray:
    """The examples at a path in the form that a game takes, or one of its domains.

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: what is there cannot be read; the message names it.
    """
    shape, medium = game.example_shape, of_card(card)
    if not isinstance(medium, (Sounds, Texts)):
        polarity = card.get("polarity")
        if isinstance(shape, Mapping):
            shape, polarity = shape[domain], (polarity or {}).get(domain)
        images, message, _ = load_support(path, shape, invert=invert, polarity=polarity)
        if message:
            print(message)
        return images
    if invert != "auto":
        raise ValueError(f"--invert is for models of pictures. Received: {invert!r} for one of {medium.kind}")
    if isinstance(medium, Sounds):
        return load_support_sounds(path, medium.rate, shape[0])
    if not Path(path).is_file():
        raise FileNotFoundError(f"A support set of texts must be a file of one text a line. Received: {path}")
    return medium.seen(medium.encode(read_lines(path), shape[0], path)).numpy()


def write(folder: Path, card: dict[str, Any], samples: np.ndarray, given: Sequence[np.ndarray]) -> str:
    """Writes what was made, with what was given beside it.

    Pictures: `samples/NNNN.png`, and `grid.png`, a row of each set that was given, then the samples. Sounds:
    `samples/NNNN.wav`, `grid.png` of their spectrograms (time to the right, low bands at the bottom), and
    `report.html`, which plays them. Texts: `samples.txt`, one a line, and `report.html`.

    Returns:
        What was written beside the samples, in words.
    """
    medium = of_card(card)
    if isinstance(medium, Texts):
        texts = medium.decode(samples)
        (folder / "samples.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
        _page(folder, medium, [[html.escape(text) for text in medium.decode(each)] for each in given], texts)
        return "report.html"
    (folder / "samples").mkdir()
    for index, example in enumerate(samples):
        if isinstance(medium, Sounds):
            write_wav(folder / "samples" / f"{index:04d}.wav", example, medium.rate)
        else:
            save_png(folder / "samples" / f"{index:04d}.png", example)
    sheets = [_pictures(medium, examples) for examples in (*given, samples)]
    rows = [sheets[-1][i : i + GRID_COLUMNS] for i in range(0, len(samples), GRID_COLUMNS)]
    save_png(folder / "grid.png", grid([*(images[:GRID_COLUMNS] for images in sheets[:-1]), *rows]))
    if not isinstance(medium, Sounds):
        return "grid.png"
    _play(folder, medium, given, len(samples))
    return "grid.png and report.html"


def described(card: dict[str, Any]) -> str:
    """What a model's data card says of its medium, in words."""
    medium = of_card(card)
    if isinstance(medium, Sounds):
        return f"sounds at {medium.rate} Hz"
    return f"texts of {medium.alphabet!r}" if isinstance(medium, Texts) else f"polarity {card.get('polarity')}"


def sheet(source: Source, path: Path) -> None:
    """Writes a contact sheet of a source: a PNG, of sounds of their spectrograms; of texts a line for each class."""
    medium = source.medium
    if not isinstance(medium, Texts):
        contact_sheet(spectrogram_source(source, True) if isinstance(medium, Sounds) else source, path)
        return
    lines = []
    for index, name in enumerate(source.class_names):
        texts = medium.decode(source.images[np.flatnonzero(source.labels == index)[:GRID_COLUMNS]])
        lines.append(f"{name}: {', '.join(texts)}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _pictures(medium: Medium, examples: np.ndarray) -> np.ndarray:
    return to_float(upright(make_spectrograms(examples, medium.rate))) if isinstance(medium, Sounds) else examples


def _play(folder: Path, medium: Sounds, given: Sequence[np.ndarray], count: int) -> None:
    """The page that plays support and samples, from files beside it."""
    players = []
    for number, examples in enumerate(given):
        (folder / "support").mkdir(exist_ok=True)
        for index, example in enumerate(examples):
            write_wav(folder / "support" / f"{number}_{index:04d}.wav", example, medium.rate)
        players.append([_player(f"support/{number}_{i:04d}.wav") for i in range(len(examples))])
    _page(folder, medium, players, [_player(f"samples/{i:04d}.wav") for i in range(count)], plain=False)


def _player(source: str) -> str:
    return f'<audio controls preload="none" src="{source}"></audio>'


def _page(folder: Path, medium: Medium, given: Sequence[list[str]], made: list[str], plain: bool = True) -> None:
    """`report.html`: what was given, then what was made, as lists."""
    made = [html.escape(item) for item in made] if plain else made
    parts = [f"<h2>Support, {len(items)} {medium.kind}</h2>{_list(items)}" for items in given]
    parts.append(f"<h2>Samples, {len(made)} {medium.kind}</h2>{_list(made)}")
    head = f'<meta charset="utf-8"><title>{medium.kind}</title><style>{STYLE}</style>'
    page = f"<!doctype html><html lang=en><head>{head}</head><body><h1>Generated {medium.kind}</h1>{''.join(parts)}"
    (folder / "report.html").write_text(f"{page}</body></html>\n", encoding="utf-8")


def _list(items: list[str]) -> str:
    return "<ol>" + "".join(f"<li>{item}</li>" for item in items) + "</ol>"
