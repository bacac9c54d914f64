"""Attention maps: the right tokens, a map for every move, and an unchanged adaptation."""

import numpy as np
import pytest

import meta_gan as mg
from meta_gan.losses import NonSaturating
from meta_gan.meta import Algorithm, Unrolled
from meta_gan.meta.attention_maps import attention_maps
from meta_gan.meta_learners import AttentionMetaLearner, RecurrentMetaLearner
from tests.meta_learners.helpers import shake
from tests.toys import random_episodes, tiny_gan

SUPPORT = random_episodes().support.numpy()[0]


def model(meta_learner=None, **options):
    meta_learner = meta_learner or AttentionMetaLearner(0.01, hidden=4, heads=2, blocks=2, **options)
    made = mg.MetaModel(tiny_gan(loss=NonSaturating()), Algorithm("learned", meta_learner, Unrolled(2), 3))
    shake(made.meta_learner, 0.3)
    return made


def test_a_map_for_every_move():
    """Own tensors first, then those of the other player, then the game; shares that sum to 1."""
    made = model()
    maps = attention_maps(made, SUPPORT, steps=3)
    assert [(m.step, m.player) for m in maps] == [
        (step, player) for step in range(3) for player in ("discriminator", "generator")
    ]
    nets = made.game.nets
    mask = made.loop.mask
    own = {p: [f"{n}/{nets[n].trainable_variables[i].path}" for n, i in places] for p, places in mask.items()}
    for found in maps:
        other = "generator" if found.player == "discriminator" else "discriminator"
        assert found.tokens == (*own[found.player], *own[other], "game")
        assert found.weights.shape == (2, 2, len(found.tokens), len(found.tokens))
        np.testing.assert_allclose(found.weights.sum(-1), 1, rtol=1e-5)
    assert np.abs(maps[0].weights - maps[2].weights).max() > 1e-4


def test_watching_changes_nothing():
    """The first two of four steps are those of two; another seed draws another game."""
    made = model()
    whole, again = attention_maps(made, SUPPORT, steps=4), attention_maps(made, SUPPORT, steps=2)
    for a, b in zip(whole, again, strict=False):
        np.testing.assert_array_equal(a.weights, b.weights)
    other = attention_maps(made, SUPPORT, steps=2, seed=1)
    assert np.abs(other[2].weights - again[2].weights).max() > 1e-5


def test_players_apart_do_not_see_one_another():
    found = attention_maps(model(coupled=False), SUPPORT, steps=1)
    assert all(path.startswith(m.player) or path == "game" for m in found for path in m.tokens)


def test_equal_shares_without_attention():
    for found in attention_maps(model(attention=False), SUPPORT, steps=1):
        np.testing.assert_allclose(found.weights, 1 / len(found.tokens), rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "'steps' must be an integer >= "),
        ({"support": SUPPORT * 9}, r"'support' must lie in \[-1, 1\]"),
        (
            {"model": RecurrentMetaLearner(0.01, hidden=3)},
            "must have a meta-learner with attention. Received: Recurrent",
        ),
    ],
)
def test_bad_arguments_are_refused(change, message):
    made = model(change.pop("model", None))
    with pytest.raises(ValueError, match=message):
        attention_maps(made, **{"support": SUPPORT, **change})
