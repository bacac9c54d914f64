"""Folders that are written atomically, and the format of a saved model.

A folder is written beside its final place and then renamed, so that an interrupted save leaves nothing like a model.
Weights are an `.npz` without pickles. Their sha256 is in `config.json` with that of its other entries, so that damage
is found when loading. Folders of format 1, written by version 0.1, have no checksum of the configuration.

`metadata.json` has the name and the entries that it has in KerasHub's presets, and the header of the card the fields of
`huggingface_hub.ModelCardData`. Loading reads neither of these two files; earlier folders have no `metadata.json`.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from meta_gan import atomic, reading
from meta_gan.atomic import write_json
from meta_gan.errors import DamagedFileError
from meta_gan.renames import current_names
from meta_gan.version import VERSION

FORMAT = 2
CHECKSUM = "config_sha256"
CONFIG, WEIGHTS, CARD, METADATA = "config.json", "weights.npz", "README.md", "metadata.json"
FILES = {CONFIG, WEIGHTS, CARD, METADATA}
CARD_DATA = "card_data"
CARD_FIELDS = ("license", "license_name", "license_link", "datasets", "metrics", "language", "base_model", "tags")
"""The fields of a card's header that the user gives, by their names in `huggingface_hub.ModelCardData`."""
KINDS = {
    "meta_model": "a meta-model, as `meta-gan train` and MetaModel.save write",
    "adapted_model": "an adapted model, as `meta-gan adapt` and AdaptedModel.save write",
}
"""What messages call the kinds of saved models."""
_SWAPS = 20  # readings of a model that is being replaced, each at another moment


@contextmanager
def new_folder(path: str | os.PathLike[str], overwrite: bool = False, kind: str | None = None) -> Iterator[Path]:
    """Yield a temporary folder that is renamed to `path` when the block ends without an error.

    Args:
        path: the final place, which must not exist (or be an empty folder) unless `overwrite`.
        overwrite: whether to replace a saved model; see `check_free`.
        kind: the kind of model that may be replaced; None for any.

    Raises:
        ValueError: the place is taken, or cannot be written.
        OSError: the disk is full, or failed; nothing was kept.
    """
    check_free(path, overwrite, kind)
    with atomic.new_folder(path, overwrite) as work:
        yield work


def check_free(path: str | os.PathLike[str], overwrite: bool = False, kind: str | None = None) -> None:
    """Raise a ValueError if `path` is taken: it exists, and is neither an empty folder nor, with `overwrite`, a model.

    A folder is a saved model if it holds the configuration of one, of that `kind`, and nothing that `write_into` does
    not write.
    """
    final = Path(path)
    try:
        str(final).encode()
    except UnicodeEncodeError as error:
        # TensorFlow and Keras write to no other names, and would find out at the end.
        raise ValueError(f"the output {str(final)!r} must be a name in UTF-8. Received: other bytes") from error
    if not os.path.lexists(final) or (final.is_dir() and not any(final.iterdir())):
        # An empty folder is replaced, in the folder above.
        atomic.check_writable(final.absolute().parent if os.path.lexists(final) else final)
        return
    if not overwrite:
        held = "a folder that is not empty" if final.is_dir() else "a file"
        raise ValueError(
            f"the output {str(final)!r} must not exist yet; choose another, or delete it. Received: {held}"
        )
    required = f"'overwrite' replaces a saved model only, and {str(final)!r} must be one"
    if other := other_content(final, FILES):
        raise ValueError(f"{required}. Received: {other}")
    try:
        found = read_config(final)["kind"]
    except ValueError as error:
        raise ValueError(f"{required}. Received: {error}") from error
    if kind is not None and found != kind:
        raise ValueError(f"{required}, a {kind}. Received: a {found}")


def other_content(path: Path, names: Collection[str]) -> str | None:
    """Return what a path holds other than files and folders of the given names, or None if nothing."""
    if not path.is_dir():
        return "a file" if os.path.lexists(path) else None
    others = sorted(entry.name for entry in path.iterdir() if entry.name not in names)
    return f"a folder with {others[0]!r} in it" if others else None


def write_model(
    path: str | os.PathLike[str],
    config: dict[str, Any],
    arrays: dict[str, np.ndarray],
    overwrite: bool = False,
    card: str | None = None,
) -> None:
    """Write a model as a new folder; see `write_into`.

    Args:
        path: the folder to make.
        config: JSON values.
        arrays: the weights by name.
        overwrite: whether to replace an existing folder.
        card: the model card in Markdown; by default that of `describe`.
    """
    with new_folder(path, overwrite, config["kind"]) as folder:
        write_into(folder, config, arrays, card)


def write_into(
    folder: str | os.PathLike[str],
    config: dict[str, Any],
    arrays: dict[str, np.ndarray],
    card: str | None = None,
) -> None:
    """Write `weights.npz`, a card, `metadata.json`, and `config.json` with the format and the checksums.

    Two saves of the same model differ in nothing but the date in `metadata.json`.

    Raises:
        ValueError: the entry `card_data` has other fields than those of `CARD_FIELDS`, or other values than strings.
    """
    root = Path(folder)
    _check_card_data(config.get(CARD_DATA) or {})
    named: Any = arrays
    np.savez(root / WEIGHTS, **named)
    digest = hashlib.sha256((root / WEIGHTS).read_bytes()).hexdigest()
    config = json.loads(json.dumps({**config, "format": FORMAT, "weights_sha256": digest}))
    config[CHECKSUM] = _digest(config)
    (root / CARD).write_text(describe(config, arrays) if card is None else card, encoding="utf-8")
    metadata = {
        "keras_version": version("keras"),
        "meta_gan_version": VERSION,
        "parameter_count": sum(int(array.size) for array in arrays.values()),
        "date_saved": datetime.now(UTC).strftime("%Y-%m-%d@%H:%M:%S"),
    }
    write_json(root / METADATA, metadata)
    write_json(root / CONFIG, config)


def _check_card_data(given: Any) -> None:
    if not isinstance(given, Mapping) or set(given) - set(CARD_FIELDS):
        received = sorted(set(given) - set(CARD_FIELDS)) if isinstance(given, Mapping) else given
        raise ValueError(f"{CARD_DATA!r} must be a dict with the keys {', '.join(CARD_FIELDS)}. Received: {received!r}")
    for name, value in given.items():
        if not all(isinstance(each, str) for each in (value if isinstance(value, list) else [value])):
            raise ValueError(f"{name!r} in {CARD_DATA!r} must be a string or a list of strings. Received: {value!r}")


def _digest(config: dict[str, Any]) -> str:
    return reading.canonical_digest({key: value for key, value in config.items() if key != CHECKSUM})


def _content(path: str | os.PathLike[str], name: str, most: int) -> bytes:
    if not os.path.lexists(Path(path) / name):
        raise DamagedFileError(
            f"a model folder must hold {name}; copy or save it whole. Received: {str(path)!r} without it"
        )
    return reading.read_bytes(Path(path) / name, most)


def read_config(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a saved folder's `config.json`.

    Raises:
        DamagedFileError: it is absent, is no JSON, has a newer format, or was changed.
    """
    file = Path(path) / CONFIG
    config = reading.parse_json(_content(path, CONFIG, reading.LARGEST_CONFIG), file)
    if not isinstance(config, dict) or not isinstance(config.get("kind"), str):
        raise DamagedFileError(f"{str(file)!r} must be the configuration of a saved model. Received: another JSON")
    number = config.get("format", 1)
    if type(number) is not int or not 1 <= number <= FORMAT:
        raise DamagedFileError(f"{str(file)!r} must be of format <= {FORMAT}. Received: {number!r}")
    if (number > 1 or CHECKSUM in config) and config.get(CHECKSUM) != (digest := _digest(config)):
        raise DamagedFileError(
            f"{str(file)!r} must have the sha256 in its entry {CHECKSUM!r}, {config.get(CHECKSUM)}; it was damaged or "
            f"edited. Received: {digest}"
        )
    return current_names(config)


def read_model(path: str | os.PathLike[str], kind: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read and verify what `write_model` wrote.

    Raises:
        ValueError: another kind of folder.
        DamagedFileError: a file is absent or damaged.
    """
    for _ in range(_SWAPS):
        before = _identity(path)
        try:
            return _read_model(path, kind)
        except ValueError:
            # A run that saves its model swaps the folder, perhaps between the reading of two files.
            if _identity(path) == before:
                raise
    return _read_model(path, kind)


def _identity(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _read_model(path: str | os.PathLike[str], kind: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    config = read_config(path)
    if config["kind"] != kind:
        wanted, found = (KINDS.get(each, f"a {each}") for each in (kind, config["kind"]))
        raise ValueError(f"{str(path)!r} must hold {wanted}. Received: {found}")
    file = Path(path) / WEIGHTS
    # Read once: a second reading by its name could be of another file.
    content = _content(path, WEIGHTS, reading.LARGEST_WEIGHTS)
    digest = hashlib.sha256(content).hexdigest()
    if digest != config.get("weights_sha256"):
        raise DamagedFileError(
            f"{str(file)!r} must have the sha256 in {CONFIG}, {config.get('weights_sha256')}. Received: {digest}"
        )
    return config, reading.read_arrays(file, content)


@contextmanager
def rebuilding(path: str | os.PathLike[str], config: dict[str, Any], arrays: dict[str, np.ndarray]) -> Iterator[None]:
    """Run a block that builds a model from `read_model`'s result, whose sizes are checked first.

    Raises:
        DamagedFileError: the networks do not fit the weights, or the block raised anything but a `DivergenceError`.
    """
    file = Path(path) / CONFIG
    reading.check_sizes([config.get("game"), config.get("algorithm")], file, (a.shape for a in arrays.values()))
    with reading.undamaged(file, "the configuration of a whole model, of classes that exist here"):
        yield


def check_arrays(path: Any, arrays: dict[str, np.ndarray], shapes: list[tuple[int, ...]]) -> None:
    """Raise a ValueError unless the arrays, in the order of their names, have the expected shapes."""
    stored = [arrays[name].shape for name in sorted(arrays)]
    if stored != shapes:
        same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(stored, shapes, strict=False))
        first = len(list(same))
        raise ValueError(
            f"the weights of {str(path)!r} must have shapes of the model, {shapes[first : first + 1]} at position "
            f"{first} of {len(shapes)}. Received: {stored[first : first + 1]}, of {len(stored)} arrays"
        )


def examples(shape: Any, data: dict[str, Any]) -> str:
    """Describe a model's examples by shape, and by polarity (pictures), rate (sounds) or alphabet (texts)."""
    medium = data.get("medium", "pictures")
    known = {"sounds": f"{data.get('rate')} samples a second", "texts": f"of {data.get('alphabet')!r}"}
    return f"{medium} {shape}, {known.get(medium, 'polarity ' + str(data.get('polarity', 'not recorded')))}"


def describe(config: dict[str, Any], arrays: dict[str, np.ndarray]) -> str:
    """Return a model card in Markdown: a header in YAML, the model, its training data, and its use."""
    data, training = config.get("data") or {}, config.get("training") or {}
    splits = data.get("splits") or {}
    algorithm = config["algorithm"]["config"]
    translates = "translate" in config.get("endpoints", ())
    use = "translate(images)" if translates else "sample(count, seed=...)"
    support = "{'source': ..., 'target': ...}" if translates else "images"
    lines = [
        *_header(config),
        "# A model of meta_gan",
        "",
        f"- Algorithm: {algorithm['name']}, {algorithm['inner_steps']} inner steps of its own.",
        f"- Examples: {examples(config['example_shape'], data)}.",
        f"- Stored values: {sum(int(a.size) for a in arrays.values()):,}.",
        f"- Data: {data.get('name', 'not recorded')}; classes "
        + (", ".join(f"{len(names)} {split}" for split, names in splits.items()) or "not recorded")
        + ".",
        *[f"- {key}: {value}" for key, value in {**training, **(config.get("about") or {})}.items()],
        "",
        f"Load it with `meta_gan.load(FOLDER)`, then `.adapt({support}, steps=..., seed=...).{use}`."
        if config["kind"] == "meta_model"
        else f"Load it with `meta_gan.load_adapted(FOLDER)`, then `.{use}`.",
        "",
    ]
    return "\n".join(lines)


def _header(config: dict[str, Any]) -> list[str]:
    """Return the lines of a card's header, which the Hugging Face hub reads: YAML, whose values are written as JSON."""
    given = dict(config.get(CARD_DATA) or {})
    own = given.pop("tags", [])
    fields: dict[str, Any] = {"library_name": "meta-gan"}
    shapes = config["example_shape"]
    shapes = list(shapes.values()) if isinstance(shapes, Mapping) else [shapes]
    medium = (config.get("data") or {}).get("medium", "pictures")
    # The hub has no tag for generating after a few examples. Once adapted, a model of pictures draws from noise alone.
    if medium == "pictures" and all(len(shape) == 3 for shape in shapes):
        translates = "translate" in config.get("endpoints", ())
        fields["pipeline_tag"] = "image-to-image" if translates else "unconditional-image-generation"
    fields |= {"tags": ["few-shot", "meta-learning", *([own] if isinstance(own, str) else own)], **given}
    return ["---", *[f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in fields.items()], "---", ""]
