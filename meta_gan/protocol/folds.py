"""Folds of labelled pictures for a cross-validation, which keep pictures together that are alike."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from meta_gan.checks import check_integer

LEAST_FOLDS = 3
"""With fewer, a class of three pictures could have a single one left to train on."""
ALIKE = 0.5
"""Pictures of a class are alike if their distance is below this share of the median distance of its pairs."""
_COMPARED_SIDE = 16


class Fold(NamedTuple):
    """The pictures of one fold.

    Attributes:
        number: of the fold, from 0.
        train: int64[n], the indices of the pictures to train on, sorted.
        test: int64[m], the indices of the pictures that are held out, sorted.
    """

    number: int
    train: np.ndarray
    test: np.ndarray


def alike(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Group pictures of a class that are nearly the same, such as frames of one film or photographs of one object.

    If such pictures were on both sides of a fold, a classifier would seem better than it is on new objects. Groups are
    the clusters of complete linkage, of the Euclidean distances between pictures of at most about 16 pixels a side,
    with no two pictures farther apart than `ALIKE` times the median distance of two pictures of the class.

    Args:
        images: uint8[n, height, width, channels].
        labels: int[n], the class of every picture.

    Returns:
        int64[n], the group of every picture; no group has pictures of two classes.

    Example:
        >>> images = np.array([0, 4, 200, 100], np.uint8).reshape(4, 1, 1, 1)
        >>> alike(images, np.zeros(4, int)).tolist()
        [0, 0, 1, 2]
    """
    # Imported here, because every command would wait a third of a second for it.
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import pdist

    block = max(1, max(images.shape[1:3]) // _COMPARED_SIDE)
    height, width = (max(1, side // block) for side in images.shape[1:3])
    blocks = images[:, : height * block, : width * block].astype(np.float64)
    if block > 1:
        blocks = blocks.reshape(len(images), height, block, width, block, -1).mean(axis=(2, 4))
    rows, groups, count = blocks.reshape(len(images), -1), np.empty(len(images), np.int64), 0
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        found = np.zeros(len(own), np.int64)
        if len(own) > 1:
            distances = pdist(rows[own])
            clusters = fcluster(linkage(distances, "complete"), ALIKE * np.median(distances), "distance")
            # Numbered in the order of the pictures.
            _, first, found = np.unique(clusters, return_index=True, return_inverse=True)
            found = np.argsort(np.argsort(first))[found]
        groups[own] = count + found
        count += int(found.max()) + 1
    return groups


def stratified_folds(labels: np.ndarray, folds: int, seed: int = 0, groups: np.ndarray | None = None) -> list[Fold]:
    """Deal the pictures of every class to folds, and keep groups of pictures in one fold.

    The groups of a class are shuffled and dealt, the largest first, each to the fold that has the fewest pictures of
    the class, and of such folds to the one that has the fewest of all classes. A group of more than half of its class
    is halved. Without groups, the sizes of the folds differ by at most one, within a class and in total. If a class has
    fewer pictures than there are folds, some folds have none of it to test.

    Args:
        labels: int[n], the class of every picture.
        folds: number of folds, >= 3.
        seed: in the int32 range.
        groups: int[n], the group of every picture; None if each picture is a group of its own.

    Returns:
        The folds. With three or more pictures of each class, each is left with half of them or more, and with two or
        more, to train on.

    Raises:
        ValueError: `folds` is below 3 or above the number of pictures.

    Example:
        >>> labels, groups = np.array([0, 0, 0, 0]), np.array([0, 1, 1, 2])
        >>> sorted(fold.test.tolist() for fold in stratified_folds(labels, 3, groups=groups))
        [[0], [1, 2], [3]]
    """
    labels = np.asarray(labels)
    check_integer(folds, "folds", LEAST_FOLDS, len(labels))
    draws = np.random.default_rng(check_integer(seed, "seed") % 2**32)
    groups = np.arange(len(labels)) if groups is None else np.asarray(groups)
    dealt, total = np.empty(len(labels), np.int64), np.zeros(folds, np.int64)
    for label in np.unique(labels):
        held_out = np.zeros(folds, np.int64)
        for part in _parts(np.flatnonzero(labels == label), groups, draws):
            fold = min(range(folds), key=lambda place: (held_out[place], total[place]))
            dealt[part], held_out[fold], total[fold] = fold, held_out[fold] + len(part), total[fold] + len(part)
    return [Fold(i, np.flatnonzero(dealt != i), np.flatnonzero(dealt == i)) for i in range(folds)]


def _parts(own: np.ndarray, groups: np.ndarray, draws: np.random.Generator) -> list[np.ndarray]:
    """Return the pictures of a class by group in random order, the largest first, none above half of the class."""
    shuffled, half = draws.permutation(own), max(1, len(own) // 2)
    kinds = dict.fromkeys(groups[shuffled].tolist())
    together = [shuffled[groups[shuffled] == kind] for kind in kinds]
    return sorted((part[i : i + half] for part in together for i in range(0, len(part), half)), key=len, reverse=True)
