"""The part of large data on which augmentations are compared."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

MOST_CLASSES, MOST_PICTURES = 100, 100
"""Classes of a comparison, and pictures of each."""


class Subset(NamedTuple):
    """Classes and pictures of a comparison.

    Attributes:
        classes: int64[k], the indices of the classes, sorted.
        pictures: int64[m], the indices of the pictures, sorted.
        labels: int32[m], the position of each picture's class in `classes`.
    """

    classes: np.ndarray
    pictures: np.ndarray
    labels: np.ndarray


def compared(indices: np.ndarray, seed: int) -> Subset:
    """Draw at most `MOST_CLASSES` classes and `MOST_PICTURES` pictures of each.

    Args:
        indices: int[n] in 0..classes-1, the class of each picture.
        seed: of the draws, in the int32 range.

    Returns:
        A `Subset`; of smaller data all of it.

    Example:
        >>> compared(np.array([1, 0, 1]), seed=0).labels.tolist()
        [1, 0, 1]
    """
    draws = np.random.default_rng([seed % 2**32, 1])
    classes = np.unique(indices)
    if len(classes) > MOST_CLASSES:
        classes = np.sort(draws.choice(classes, MOST_CLASSES, replace=False))
    chosen = []
    for index in classes:
        members = np.flatnonzero(indices == index)
        small = len(members) <= MOST_PICTURES
        chosen.append(members if small else draws.choice(members, MOST_PICTURES, replace=False))
    pictures = np.sort(np.concatenate(chosen))
    return Subset(classes, pictures, np.searchsorted(classes, indices[pictures]).astype(np.int32))
