"""What is the attention rule's own: its attention, by hand and switched off."""

import numpy as np
import pytest
import tensorflow as tf

from meta_gan.meta_learners import AttentionMetaLearner
from tests.meta_learners.helpers import ready, shake


def made(shaken=0.0, **options):
    rule = ready(AttentionMetaLearner(0.05, hidden=8, heads=2, blocks=2, dtype="float64", **options))
    return shake(rule, shaken) if shaken else rule


def test_attention_is_what_attention_switches():
    """Its queries and keys are the difference, and without them all tokens count alike."""
    names = [{v.path.split("/")[-2] for v in made(attention=a).trainable_variables} for a in (True, False)]
    blocks = [{name for name in found if name.startswith("block_")} for found in names]
    assert blocks[0] - blocks[1] == {f"block_{i}_{part}" for i in (0, 1) for part in ("query", "key")}
    rule = made(shaken=0.3, attention=False)
    x = tf.constant(np.random.default_rng(0).normal(size=(3, 8)))
    gathered, weights = rule._mix(rule.layers_of_blocks[0], x)
    np.testing.assert_allclose(weights, np.full((2, 3, 3), 1 / 3))
    value = rule.layers_of_blocks[0]["value"](x).numpy()
    np.testing.assert_allclose(gathered, np.tile(value.mean(0), (3, 1)), rtol=1e-9)


def test_attention_by_hand():
    """One head at a time, from the queries, keys and values of a block."""
    rule = made(shaken=0.3)
    block, x = rule.layers_of_blocks[1], tf.constant(np.random.default_rng(0).normal(size=(3, 8)))
    gathered, weights = rule._mix(block, x)
    q, k, v = (block[part](x).numpy() for part in ("query", "key", "value"))
    for head in range(2):
        cut = slice(4 * head, 4 * head + 4)
        scores = np.exp(q[:, cut] @ k[:, cut].T / 2)
        share = scores / scores.sum(1, keepdims=True)
        np.testing.assert_allclose(weights[head], share, rtol=1e-9)
        np.testing.assert_allclose(gathered[:, cut], share @ v[:, cut], rtol=1e-9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": 0}, "heads"),
        ({"blocks": 0}, "blocks"),
        ({"hidden": 10, "heads": 4}, "'hidden' must be a multiple of 'heads'"),
        ({"attention": 1}, "'attention' must be True or False"),
    ],
)
def test_bad_attention_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        AttentionMetaLearner(**options)
