"""Rows for the previews of a run: real examples, and samples for a few tasks during training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from meta_gan.errors import DivergenceError
from meta_gan.model import MetaModel
from meta_gan.types import Episode


def real_rows(episodes: Episode) -> list[np.ndarray]:
    """Return a row of real examples for each task: support and query, of each domain in turn.

    Args:
        episodes: a meta-batch.

    Returns:
        float32[n, *example] for each task; an example of zeros separates two domains.
    """
    both = tf.nest.map_structure(lambda *sets: np.concatenate(sets, axis=1), episodes.support, episodes.query)
    return [_joined([examples[task] for examples in tf.nest.flatten(both)]) for task in range(len(episodes.task_id))]


def sample_rows(model: MetaModel, episodes: Episode, steps: Sequence[int]) -> list[np.ndarray]:
    """Return a row for each task: the support sets, then samples after each number of inner steps.

    A model that translates shows translations of the first domain's support set instead.

    Args:
        model: the model in its current state.
        episodes: a meta-batch.
        steps: numbers of inner steps, each >= 0.

    Returns:
        float32[n, *example] for each task; an example of zeros separates two sets.
    """
    rows = []
    for task in range(len(episodes.task_id)):
        support = tf.nest.map_structure(lambda examples, i=task: np.asarray(examples[i]), episodes.support)
        parts = tf.nest.flatten(support)
        first = parts[0]
        for count in steps:
            translates = "translate" in model.game.endpoints
            try:
                adapted = model.adapt(support, steps=count, seed=0)
                made = adapted.translate(first) if translates else adapted.sample(len(first), seed=0)
            except DivergenceError:
                # A class on which adaptation diverged is drawn in grey; the metrics record the divergence.
                made = np.zeros_like(parts[-1])
            parts.append(made)
        rows.append(_joined(parts))
    return rows


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Concatenate the parts, with an example of zeros between two."""
    gap = np.zeros_like(parts[0][:1])
    return np.concatenate([examples for part in parts for examples in (gap, part)][1:])
