"""`open_source`: tasks from one string, as a command line gives it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from meta_gan.tasks.episodes import Tasks
from meta_gan.tasks.errors import DataError
from meta_gan.tasks.files import files_in
from meta_gan.tasks.media import pictures, sounds, texts
from meta_gan.tasks.readers.archives import from_npz
from meta_gan.tasks.readers.folders import from_folder, from_sound_folder, from_text_folder
from meta_gan.tasks.readers.glyph_set import glyphs
from meta_gan.tasks.readers.tfds_sets import from_tfds

FORMS = "'glyphs', 'tfds:NAME', a .npz file, a folder of class folders of images or sounds, or a folder of text files"


def open_source(
    spec: str,
    *,
    shots: int = 5,
    queries: int = 7,
    seed: int = 0,
    image_shape: Sequence[int] | None = None,
    archives: str | Path | None = None,
    rate: int | None = None,
    length: int | None = None,
) -> Tasks:
    """Make tasks from a string: `glyphs`, `tfds:NAME`, the path of a `.npz` file, or that of a folder.

    Args:
        spec: the string.
        shots, queries, seed: see `Tasks`.
        image_shape: (height, width, channels), or None for the source's own.
        archives: for `tfds:NAME` only, the folder of its downloaded archives.
        rate: for sounds of a folder or of TFDS, samples a second; None for their own.
        length: for a folder of sounds or texts, and sounds of TFDS: samples or characters; None for the data's own.

    Returns:
        `Tasks`.

    Raises:
        FileNotFoundError: `spec` is a path at which there is nothing.
        DataError: it is none of these, or as the loader raises.

    Example:
        `open_source("glyphs", image_shape=(28, 28, 1), shots=5, queries=7)`
    """
    episode: dict[str, Any] = {"shots": shots, "queries": queries, "seed": seed}
    if spec.startswith("tfds:"):
        given: dict[str, Any] = {"image_shape": image_shape, "rate": rate, "length": length}
        return from_tfds(spec.removeprefix("tfds:"), archives=archives, **given, **episode)
    if archives is not None:
        raise DataError(f"'archives' must be None except for 'tfds:NAME'. Received: {archives} with {spec!r}")
    path = Path(spec)
    kind = "images" if spec == "glyphs" or not path.is_dir() else _kind_of(path)
    _check_options(spec, kind, image_shape, rate, length)
    if spec == "glyphs":
        return glyphs((28, 28, 1) if image_shape is None else image_shape, **episode)
    if kind == "sounds":
        return from_sound_folder(path, rate, length, **episode)
    if kind == "texts":
        return from_text_folder(path, length=length, **episode)
    if path.suffix.lower() == ".npz":
        return from_npz(path, image_shape=image_shape, **episode)
    if path.is_dir():
        return from_folder(path, image_shape, **episode)
    if path.exists():
        raise DataError(f"SOURCE must be {FORMS}. Received: the file {spec}")
    raise FileNotFoundError(f"SOURCE must be {FORMS}. Received: {spec!r}, at which there is nothing")


def _check_options(
    spec: str, kind: str, image_shape: Sequence[int] | None, rate: int | None, length: int | None
) -> None:
    """Raise a ValueError for options that a source of this kind does not have."""
    if kind == "images" and (rate is not None or length is not None):
        required = "'rate' and 'length' are for folders of sounds or texts, and sounds of TFDS"
        raise DataError(f"{required}. Received: rate={rate}, length={length} with {spec!r}")
    if kind != "images" and (image_shape is not None or (rate is not None and kind != "sounds")):
        required = "'image_shape' is for images and 'rate' for sounds"
        raise DataError(f"{spec}: {required}. Received: image_shape={image_shape}, rate={rate}")


def _kind_of(path: Path) -> str:
    """Return "images", "sounds" or "texts": the first class folder that holds a sound or an image decides."""
    folders = sorted(entry for entry in path.iterdir() if entry.is_dir())
    for folder in (folder for folder in folders if not folder.name.startswith(".")):
        if files_in(folder, sounds.SUFFIXES):
            return "sounds"
        if files_in(folder, pictures.SUFFIXES):
            return "images"
    # Text files beside class folders are ignored, as `from_folder` does.
    return "texts" if not folders and files_in(path, (texts.SUFFIX,)) else "images"
