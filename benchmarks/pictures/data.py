"""The sources that the models of many kinds of pictures are trained on, from the archives of a folder.

Only what may be redistributed in a trained model is used: Omniglot (MIT), the rendered `glyphs`, icons and fonts by
their licences, and the emoji sets under MIT, Apache-2.0 or CC BY 4.0. Every archive is written with its split by class.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from meta_gan import storage

LICENCES = ("MIT", "Apache-2.0", "CC-BY-4.0")
"""The licences of the emoji sets that may be in a trained model that is given away."""
_TRAIN, _TEST = 0, 2


def fonts(data: Path) -> dict[str, np.ndarray]:
    """Return one class a font, of its 62 characters; fonts that are held out are test classes."""
    with np.load(data / "fonts32.npz") as archive:
        images, names, split = archive["images"], archive["fonts"], archive["font_split"]
    labels = np.repeat(np.arange(len(names), dtype=np.int32), images.shape[1])
    classes = np.where(split == 0, _TRAIN, _TEST).astype(np.int8)
    return _archive(images.reshape(-1, *images.shape[2:]), labels, names, classes)


def characters(data: Path) -> dict[str, np.ndarray]:
    """Return one class a character, in the training fonts; characters keep their own split."""
    with np.load(data / "fonts32.npz") as archive:
        images, names, split = archive["images"][archive["font_split"] == 0], archive["chars"], archive["char_split"]
    labels = np.tile(np.arange(len(names), dtype=np.int32), len(images))
    return _archive(images.reshape(-1, *images.shape[2:]), labels, names, split)


def emoji(data: Path) -> dict[str, np.ndarray]:
    """Return one class an emoji, of the sets whose licences are among `LICENCES`."""
    with np.load(data / "emoji9_64.npz") as archive:
        kept = np.isin(archive["vendor_licences"], LICENCES)[archive["vendor"]]
        images, labels = archive["images"][kept], archive["labels"][kept]
        names, split = archive["class_names"], archive["class_split"]
    return _archive(images, labels, names, split)


def _archive(images: np.ndarray, labels: np.ndarray, names: np.ndarray, split: np.ndarray) -> dict[str, np.ndarray]:
    return {"images": images, "labels": labels.astype(np.int32), "class_names": names, "class_split": split}


MADE: dict[str, Callable[[Path], dict[str, np.ndarray]]] = {"fonts": fonts, "characters": characters, "emoji": emoji}


def prepare(data: Path, out: Path) -> dict[str, str]:
    """Write the archives of `MADE`, and return the source of every name.

    Args:
        data: folder of `omniglot28.npz`, `icons32.npz`, `fonts32.npz` and `emoji9_64.npz`.
        out: folder of the archives; those that it has stay.

    Returns:
        By name what `--data` takes.
    """
    out.mkdir(parents=True, exist_ok=True)
    sources = {"omniglot": str(data / "omniglot28.npz"), "icons": str(data / "icons32.npz"), "glyphs": "glyphs"}
    for name, make in MADE.items():
        path = out / f"{name}.npz"
        if not path.is_file():
            storage.check_free(path)
            np.savez(path, **make(data))  # type: ignore[arg-type]  # names are given as keywords
        sources[name] = str(path)
    return sources
