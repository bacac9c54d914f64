"""Small good files of every kind that the package reads, and their readers."""

from __future__ import annotations

import io
import json
import shutil
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SHAPE = (8, 8, 1)
RATE, LENGTH = 8000, 512
CARDS = {
    "pictures": ({"medium": "pictures", "polarity": "light-on-dark"}, SHAPE),
    "sounds": ({"medium": "sounds", "rate": RATE}, (LENGTH,)),
}
SHARES = {"png": 14, "jpg": 10, "gif": 8, "webp": 8, "bmp": 6, "tiff": 4, "support.npz": 8, "data.npz": 10}
SHARES |= {"wav": 8, "flac": 6, "txt": 6, "adapted": 6, "keras": 3, "config": 2, "run.json": 1}
"""Of a hundred mutants, how many are of each kind."""


def write(folder: Path) -> None:
    """Write the seeds of all kinds into a new folder; a kind is a file `seed.KIND` or, for a model, a folder."""
    import soundfile
    from PIL import Image

    import meta_gan
    from meta_gan import presets
    from meta_gan.serving import save_weights

    folder.mkdir(parents=True)
    draw = np.random.default_rng(1)
    levels = draw.integers(0, 256, (24, 36, 3)).astype(np.uint8)
    levels[5:18, 10:30] = (200, 30, 40)
    image = Image.fromarray(levels)
    for ending in ("png", "jpg", "gif", "webp", "bmp", "tiff"):
        image.save(folder / f"seed.{ending}")
    few = draw.integers(0, 256, (5, *SHAPE)).astype(np.uint8)
    np.savez(folder / "seed.support.npz", images=few)
    images = draw.integers(0, 256, (48, *SHAPE)).astype(np.uint8)
    np.savez_compressed(
        folder / "seed.data.npz", images=images, labels=np.repeat(range(4), 12), class_split=np.array([0, 0, 1, 2])
    )
    sound = (np.sin(np.arange(2000) / 9) * 0.5).astype(np.float32)
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((sound * 32767).astype("<i2").tobytes())
    (folder / "seed.wav").write_bytes(written.getvalue())
    soundfile.write(folder / "seed.flac", sound, RATE)
    (folder / "seed.txt").write_text("anna\nbéla\nδέλτα\n名前\n" * 10, encoding="utf-8")
    model = presets.build(presets.get("fomaml", network="mlp", width=4, latent_dim=4, inner_steps=1), SHAPE)
    model.save(folder / "seed.config")
    adapted = meta_gan.load(folder / "seed.config").adapt(few, steps=1)
    save_weights(adapted, folder / "seed.adapted")
    adapted.generator.save(folder / "seed.keras")
    run = {"recipe": presets.get("fomaml").to_config(), "source": "glyphs", "episodes": {"shots": 2}}
    (folder / "seed.run.json").write_text(json.dumps(run), encoding="utf-8")


def place(kind: str, seeds: Path, folder: Path, content: bytes) -> Path:
    """Write a mutant where its reader takes it, and return the path to read; of a model folder, the folder."""
    if kind != "config":
        path = folder / f"mutant.{kind}"
        path.write_bytes(content)
        return path
    path = folder / "mutant"
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(seeds / "seed.config", path)
    (path / "config.json").write_bytes(content)
    return path


def content(kind: str, seeds: Path) -> bytes:
    """Return the bytes of a seed."""
    path = seeds / f"seed.{kind}"
    return (path / "config.json" if path.is_dir() else path).read_bytes()


def readers(seeds: Path) -> dict[str, Callable[[Path], Any]]:
    """Return the reader of each kind, by the package's public functions."""
    import argparse

    import meta_gan
    from meta_gan import serving, tasks
    from meta_gan.cli import settings
    from meta_gan.tasks.media import of_card

    model = meta_gan.load(seeds / "seed.config")

    def support(medium: str) -> Callable[[Path], Any]:
        card, shape = CARDS[medium]
        return lambda path: of_card(card).read_support(path, shape, card)

    def config(path: Path) -> Any:
        empty = dict.fromkeys(("preset", "data", "steps", "shots", "queries", "seed", "start"))
        return settings.resolve(argparse.Namespace(**empty, config=str(path), set=[], both_ways=False))

    alphabet = "".join(sorted(set("annabélaδέλτα名前")))
    letters = {"medium": "texts", "alphabet": alphabet}
    found = dict.fromkeys(("png", "jpg", "gif", "webp", "bmp", "tiff", "support.npz"), support("pictures"))
    found |= dict.fromkeys(("wav", "flac"), support("sounds"))
    return {
        **found,
        "data.npz": lambda path: tasks.open_source(str(path), shots=2, queries=2),
        "txt": lambda path: of_card(letters).read_support(path, (8, len(alphabet)), letters),
        "adapted": lambda path: serving.load_weights(model, path),
        "keras": lambda path: serving.load_generator(path),
        "config": lambda path: meta_gan.load(path),
        "run.json": config,
    }
