"""`open_source`: tasks from one string, as a command line gives it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from meta_gan.hints import missing_hint
from meta_gan.tasks.episodes import Tasks
from meta_gan.tasks.errors import DataError, shown
from meta_gan.tasks.files import FILE, NOTHING, advice_of, check_name, check_policy, files_in, folders_in, kind_of
from meta_gan.tasks.media import pictures, sounds, texts
from meta_gan.tasks.readers.archives import from_npz
from meta_gan.tasks.readers.folders import from_folder, from_sound_folder, from_text_folder
from meta_gan.tasks.readers.glyph_set import glyphs
from meta_gan.tasks.readers.tfds_sets import from_tfds, is_known

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
    on_bad_file: str = "error",
    small_classes: str = "error",
) -> Tasks:
    """Make tasks from a string: `glyphs`, `tfds:NAME`, the path of a `.npz` file, or that of a folder.

    Args:
        spec: the string.
        shots, queries, seed: see `Tasks`.
        image_shape: (height, width, channels), or None for the source's own.
        archives: for `tfds:NAME` only, the folder of its downloaded archives.
        rate: for sounds of a folder or of TFDS, samples a second; None for their own.
        length: for a folder of sounds or texts, and sounds of TFDS: samples or characters; None for the data's own.
        on_bad_file: "error", or "skip" to go on without the files of a folder that cannot be read.
        small_classes: "error", or "skip" to go on without the classes that have fewer than `shots + queries` examples.
            What was skipped is named in `tasks.describe()` and in the card.

    Returns:
        `Tasks`.

    Raises:
        FileNotFoundError: `spec` is a path at which there is nothing.
        DataError: it is none of these, or as the loader raises.

    Example:
        `open_source("glyphs", image_shape=(28, 28, 1), shots=5, queries=7)`
    """
    check_name(spec, "SOURCE")
    check_policy(on_bad_file, "on_bad_file")
    episode: dict[str, Any] = {"shots": shots, "queries": queries, "seed": seed, "small_classes": small_classes}
    if spec.startswith("tfds:"):
        given: dict[str, Any] = {"image_shape": image_shape, "rate": rate, "length": length}
        return from_tfds(spec.removeprefix("tfds:"), archives=archives, **given, **episode)
    if archives is not None:
        raise DataError(f"'archives' must be None except for 'tfds:NAME'. Received: {archives} with {spec!r}")
    if spec == "glyphs":
        check_policy(small_classes, "small_classes")  # Every character is in all faces.
        _check_options(spec, "images", image_shape, rate, length)
        return glyphs((28, 28, 1) if image_shape is None else image_shape, shots=shots, queries=queries, seed=seed)
    path = Path(spec)
    if kind_of(path) == "a folder":
        return _open_folder(path, image_shape, rate, length, on_bad_file=on_bad_file, **episode)
    _check_options(spec, "images", image_shape, rate, length)
    if path.suffix.lower() == ".npz":
        return from_npz(path, image_shape=image_shape, **episode)
    raise _refusal(path, spec)


def _refusal(path: Path, spec: str) -> Exception:
    """Return the error of a string that is no source, with what may have been meant."""
    what = kind_of(path)
    if what in (NOTHING, "a broken link"):
        hint = missing_hint(path, ("glyphs",)) if what == NOTHING else ""
        if not hint and is_known(spec):
            hint = f". Did you mean 'tfds:{spec}'?"
        return FileNotFoundError(f"SOURCE must be {FORMS}. Received: '{shown(spec)}', at which there is {what}{hint}")
    return DataError(
        f"SOURCE must be {FORMS}. Received: {'the file' if what == FILE else what} {spec}{advice_of(path)}"
    )


def _open_folder(
    path: Path, image_shape: Sequence[int] | None, rate: int | None, length: int | None, **options: Any
) -> Tasks:
    kind = _kind_of(path)
    _check_options(str(path), kind, image_shape, rate, length)
    if kind == "sounds":
        return from_sound_folder(path, rate, length, **options)
    if kind == "texts":
        return from_text_folder(path, length=length, **options)
    return from_folder(path, image_shape, **options)


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
    folders = folders_in(path)
    for folder in folders:
        if files_in(folder, sounds.SUFFIXES):
            return "sounds"
        if files_in(folder, pictures.suffixes()):
            return "images"
    # Text files beside class folders are ignored, as `from_folder` does.
    return "texts" if not folders and files_in(path, (texts.SUFFIX,)) else "images"
