"""Sources from arrays with special layouts: emoji by vendor, fonts, handwriting by drawer, and names.

`meta_gan.tasks` reads `.npz` files of images, labels and class splits by itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from meta_gan.tasks import DataError, DomainTasks, Source, pair_domains

UNSEEN = "unseen"


class Names(NamedTuple):
    """Names as arrays.

    Attributes:
        letters: uint8[n, longest], ASCII codes, 0 after the end.
        labels: int32[n], the nationality.
        class_names: of the nationalities.
        class_split: int8[classes]: 0 train, 1 validation, 2 test.
    """

    letters: np.ndarray
    labels: np.ndarray
    class_names: list[str]
    class_split: np.ndarray


def _arrays(path: str | Path, wanted: tuple[str, ...]) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        if missing := [name for name in wanted if name not in file]:
            raise DataError(f"{path}: needs the arrays {list(wanted)}. Received: none of {missing}")
        return {name: file[name] for name in wanted}


def emoji(path: str | Path) -> Source:
    """Read `emoji_domains32.npz`, with two classes for each vendor: its pictures of the training names, in the split
    train, and those of all other names, "VENDOR unseen", in the split test. A name is a group, so that `paired` tasks
    know the true translation.

    Raises:
        DataError: arrays are missing.
    """
    arrays = _arrays(path, ("images", "present", "domains", "split"))
    labels, groups, images = [], [], []
    for vendor, (pictures, there) in enumerate(zip(arrays["images"], arrays["present"], strict=True)):
        for unseen in (0, 1):
            chosen = np.flatnonzero(there & ((arrays["split"] > 0) == bool(unseen)))
            images.append(pictures[chosen])
            groups.append(chosen)
            labels.append(np.full(len(chosen), 2 * vendor + unseen))
    names = [f"{vendor}{end}" for vendor in arrays["domains"] for end in ("", f" {UNSEEN}")]
    split = np.tile(np.array([0, 2], np.int8), len(arrays["domains"]))
    return Source(*_together(images, labels), names, split, np.concatenate(groups).astype(np.int32), name="emoji")


def emoji_pairs(source: Source, unseen: tuple[str, str], shots: int, queries: int, seed: int = 0) -> DomainTasks:
    """Pair vendors. Training pairs lead from the first vendor of `unseen` to the third vendor, and from that to the
    second vendor; the test pair is `unseen` itself, on the names without training pictures.

    Args:
        source: of `emoji`, of three vendors.
        unseen: (source, target), two vendors.
        shots: unpaired support images of each vendor.
        queries: paired query images of each vendor.
        seed: the key of every draw.

    Raises:
        DataError: `unseen` is not two of three vendors, or as `DomainTasks`.
    """
    index = {name: number for number, name in enumerate(source.class_names)}
    vendors = [name for name in source.class_names if not name.endswith(UNSEEN)]
    if len(vendors) != 3 or len(set(unseen)) != 2 or not set(unseen) <= set(vendors):
        raise DataError(f"'unseen' must be two of three vendors. Received: {unseen} of {vendors}")
    (other,) = set(vendors) - set(unseen)
    first, second = unseen
    ways = {"train": [(first, other), (other, second)], "test": [(f"{first} {UNSEEN}", f"{second} {UNSEEN}")]}
    pairs = {split: [(index[a], index[b]) for a, b in named] for split, named in ways.items()}
    return DomainTasks(source, source, pairs, shots, queries, seed, paired=True)


def fonts(path: str | Path) -> Source:
    """Read `fonts32.npz`: a font is a class and a character a group.

    The split is that of the file, but the last tenth of its training fonts is for validation.

    Raises:
        DataError: arrays are missing.
    """
    arrays = _arrays(path, ("images", "fonts", "font_split"))
    count, characters = arrays["images"].shape[:2]
    split = np.where(arrays["font_split"] > 0, 2, 0).astype(np.int8)
    training = np.flatnonzero(split == 0)
    split[training[-max(1, len(training) // 10) :]] = 1
    images = arrays["images"].reshape(-1, *arrays["images"].shape[2:])
    labels, groups = np.divmod(np.arange(len(images)), characters)
    names = [str(name) for name in arrays["fonts"]]
    if len(names) != count:
        raise DataError(f"{path}: needs a name for each of {count} fonts. Received: {len(names)}")
    return Source(*_together([images], [labels]), names, split, groups.astype(np.int32), name="fonts")


def font_pairs(source: Source, shots: int, queries: int, seed: int = 0) -> DomainTasks:
    """Pair all fonts of a split with each other, with characters paired; see `pair_domains`."""
    return pair_domains(source, shots, queries, seed, paired=True)


def writers(path: str | Path) -> Source:
    """Read the drawers of `omniglot28.npz`: a drawer in an alphabet is a class, and a character is a group.

    The name of a class is "ALPHABET × NUMBER"; an alphabet has the split of its characters.

    Raises:
        DataError: arrays are missing, or characters of one alphabet are in different splits.
    """
    arrays = _arrays(path, ("images", "labels", "drawer", "class_names", "class_split"))
    alphabets = np.array([str(name).rsplit("/", 1)[0] for name in arrays["class_names"]])[arrays["labels"]]
    names, labels = np.unique(
        np.array([f"{a} × {d:02d}" for a, d in zip(alphabets, arrays["drawer"], strict=True)]), return_inverse=True
    )
    split = np.full(len(names), -1, np.int8)
    for label, value in zip(labels, arrays["class_split"][arrays["labels"]], strict=True):
        if split[label] not in (-1, value):
            raise DataError(f"{path}: characters of one alphabet must be in one split. Received: {names[label]!r}")
        split[label] = value
    groups = arrays["labels"].astype(np.int32)
    return Source(*_together([arrays["images"]], [labels]), names.tolist(), split, groups, name="writers")


def writer_pairs(source: Source, shots: int, queries: int, seed: int = 0, most: int = 20) -> DomainTasks:
    """Pair the drawers of one alphabet, in both directions, with characters paired.

    Args:
        source: of `writers`.
        shots: unpaired support images of each drawer.
        queries: paired query images of each drawer.
        seed: the key of every draw.
        most: pairs of one alphabet, >= 1, the first in a random order.

    Raises:
        DataError: as `DomainTasks`.
    """
    draw, pairs = np.random.default_rng(seed), {"train": [], "validation": [], "test": []}
    alphabets = np.array([name.rsplit(" × ", 1)[0] for name in source.class_names])
    enough = source.class_sizes >= shots + queries
    for alphabet in np.unique(alphabets):
        hands = np.flatnonzero((alphabets == alphabet) & enough)
        every = [(a, b) for a in hands.tolist() for b in hands.tolist() if a != b]
        chosen = [every[i] for i in draw.permutation(len(every))[:most]]
        pairs[tuple(pairs)[source.class_split[hands[0]]] if len(hands) else "train"] += chosen
    return DomainTasks(source, source, pairs, shots, queries, seed, paired=True)


def names(path: str | Path) -> Names:
    """Read `names18.npz`.

    Raises:
        DataError: arrays are missing, or names that are not ASCII.
    """
    arrays = _arrays(path, ("names", "labels", "class_names", "class_split"))
    encoded = [str(name).encode("ascii", "replace") for name in arrays["names"]]
    letters = np.zeros((len(encoded), max(map(len, encoded))), np.uint8)
    for row, name in zip(letters, encoded, strict=True):
        row[: len(name)] = np.frombuffer(name, np.uint8)
    if bad := [str(n) for n, e in zip(arrays["names"], encoded, strict=True) if e.decode("ascii") != str(n)]:
        raise DataError(f"{path}: names must be ASCII. Received: {bad[:3]}")
    class_names = [str(name) for name in arrays["class_names"]]
    return Names(letters, arrays["labels"].astype(np.int32), class_names, arrays["class_split"].astype(np.int8))


def _together(images: list[np.ndarray], labels: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Concatenate images to uint8[n, height, width, channels], and their labels."""
    whole = np.concatenate(images)
    return whole if whole.ndim == 4 else whole[..., None], np.concatenate(labels).astype(np.int32)
