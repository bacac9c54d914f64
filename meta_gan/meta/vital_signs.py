"""Signs of two common failures of a game after adaptation: samples that are all alike, and a dead discriminator."""

from __future__ import annotations

import tensorflow as tf

from meta_gan import functional
from meta_gan.games.base import DIVERSITY, SPREAD, Game
from meta_gan.types import Episode, Snapshot, Tensor

_DISCRIMINATOR, _GENERATOR = "discriminator", "generator"


def spread(examples: Tensor) -> Tensor:
    """Return how far examples lie apart: the root of their variance, summed over their elements.

    Args:
        examples: float[n, ...].

    Returns:
        float32[], >= 0.

    Example:
        >>> float(spread(tf.constant([[1.0, 0.0], [-1.0, 0.0]])))
        1.0
    """
    flat = tf.cast(tf.reshape(examples, [tf.shape(examples)[0], -1]), tf.float32)
    return tf.sqrt(tf.reduce_sum(tf.reduce_mean(tf.square(flat - tf.reduce_mean(flat, axis=0)), axis=0)))


def vital_signs(game: Game, snapshot: Snapshot, episode: Episode, seed: Tensor) -> dict[str, Tensor]:
    """Measure an adapted game on one task.

    Args:
        game: the game.
        snapshot: the adapted values of all nets.
        episode: the task.
        seed: int32[2], the key of the samples.

    Returns:
        float32[] each: of a game of one domain that draws samples, `diversity`, the `spread` of as many samples as
        there are query examples, over that of the query examples; of one with a discriminator, `discriminator_spread`,
        that of its logits for these samples and query examples together, over the mean size of a logit (at least 1).
        What a game does not have is absent.
    """
    found: dict[str, Tensor] = {}
    if not game.has_copy_rate or not isinstance(game.example_shape, tuple):
        return found
    made = game.probe(next(p for p, nets in game.players.items() if _GENERATOR in nets), snapshot, episode, seed)
    query = tf.convert_to_tensor(episode.query)
    if made.shape.rank != query.shape.rank or made.shape[1:] != query.shape[1:]:  # such as texts, which are choices
        return found
    query = tf.cast(query, made.dtype)
    found[DIVERSITY] = tf.math.divide_no_nan(spread(made), spread(query))
    if _DISCRIMINATOR in game.players:
        both = episode._replace(query=tf.concat([query, made], axis=0))
        logits = game.probe(_DISCRIMINATOR, snapshot, both, functional.fold(seed, 1))
        found[SPREAD] = spread(logits) / tf.maximum(tf.reduce_mean(tf.abs(tf.cast(logits, tf.float32))), 1.0)
    return found
