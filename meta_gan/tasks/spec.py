"""`open_source`: one string that names any data this package can read, as a command line gives it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from meta_gan.tasks.archives import from_npz
from meta_gan.tasks.episodes import Tasks
from meta_gan.tasks.errors import DataError
from meta_gan.tasks.folders import from_folder
from meta_gan.tasks.glyph_set import glyphs
from meta_gan.tasks.photos import image_files
from meta_gan.tasks.sound_files import sound_files
from meta_gan.tasks.sounds import from_sound_folder
from meta_gan.tasks.texts import from_text_folder, text_files
from meta_gan.tasks.tfds_sets import from_tfds

FORMS = "`glyphs`, `tfds:NAME`, a .npz file, a folder of class folders of images or sounds, or a folder of text files"


def open_source(
    spec: str,
    *,
    shots: int = 5,
    queries: int = 7,
    seed: int = 0,
    image_shape: Any = None,
    archives: str | Path | None = None,
    rate: int | None = None,
    length: int | None = None,
) -> Tasks:
    """Make tasks from a string: `glyphs`, `tfds:NAME`, the path of a `.npz` file, or that of a folder.

    Args:
        spec: the string.
        shots: support images of a task.
        queries: query images of a task.
        seed: the key of every draw.
        image_shape: (height, width, channels), or None for the source's own.
        archives: for `tfds:NAME` only, the folder of its downloaded archives.
        rate: for sounds of a folder or of TFDS, samples a second; None for their own.
        length: for a folder of sounds or texts, and sounds of TFDS: samples or characters; None for the data's own.

    Returns:
        `Tasks`.

    Raises:
        FileNotFoundError: if `spec` is a path at which there is nothing.
        DataError: if it is none of these, or as the loader raises.

    Example:
        `open_source("glyphs", image_shape=(28, 28, 1), shots=5, queries=7)`
    """
    episode: dict[str, Any] = {"shots": shots, "queries": queries, "seed": seed}
    if spec.startswith("tfds:"):
        given: dict[str, Any] = {"image_shape": image_shape, "rate": rate, "length": length}
        return from_tfds(spec.removeprefix("tfds:"), archives=archives, **given, **episode)
    if archives is not None:
        raise DataError(f"`archives` must be None except for `tfds:NAME`. Received: {archives} with {spec!r}")
    if spec == "glyphs":
        _require_own(spec, rate, length)
        return glyphs((28, 28, 1) if image_shape is None else image_shape, **episode)
    path = Path(spec)
    sounds = path.is_dir() and _holds_sounds(path)
    # Files beside class folders are passed over, as `from_folder` does.
    if sounds or (path.is_dir() and text_files(path) and not any(entry.is_dir() for entry in path.iterdir())):
        return _sequences(path, sounds, image_shape, rate, length, episode)
    _require_own(spec, rate, length)
    if path.suffix.lower() == ".npz":
        return from_npz(path, image_shape=image_shape, **episode)
    if path.is_dir():
        return from_folder(path, image_shape, **episode)
    if path.exists():
        raise DataError(f"SOURCE must be {FORMS}. Received: the file {spec}")
    raise FileNotFoundError(f"SOURCE must be {FORMS}. Received: {spec!r}, at which there is nothing")


def _require_own(spec: str, rate: int | None, length: int | None) -> None:
    """Refuse a rate and a length for what they do not change."""
    if rate is not None or length is not None:
        raise DataError(
            "`rate` and `length` are for folders of sounds or texts, and sounds of TFDS. "
            f"Received: rate={rate}, length={length} with {spec!r}"
        )


def _sequences(
    path: Path, sounds: bool, image_shape: Any, rate: int | None, length: int | None, episode: dict[str, Any]
) -> Tasks:
    """Make tasks from a folder of sounds, or of text files."""
    if image_shape is not None or (rate is not None and not sounds):
        raise DataError(
            f"{path}: `image_shape` is for images and `rate` for sounds. "
            f"Received: image_shape={image_shape}, rate={rate}"
        )
    if sounds:
        return from_sound_folder(path, rate, length, **episode)
    return from_text_folder(path, length=length, **episode)


def _holds_sounds(path: Path) -> bool:
    """Whether a folder's class folders are of sounds: the first that holds a sound or an image decides."""
    for folder in sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith(".")):
        if sound_files(folder):
            return True
        if image_files(folder):
            return False
    return False
