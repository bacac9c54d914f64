"""What is the attention rule's own: its attention, by hand and switched off."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from meta_gan.losses import NonSaturating
from meta_gan.meta import Unrolled
from meta_gan.meta_learners import AttentionMetaLearner, features
from tests.games.nets import told_gan
from tests.meta_learners.helpers import SEED, START, ready, shake, slopes
from tests.toys import one, random_episodes


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


def test_thoughts_and_memory_do_not_grow():
    """After 40 moves of a rule whose blocks add much, tokens are still of mean 0 and size 1, and memory within it."""
    rule = made(shaken=3.0)
    params = {p: [tf.constant(w) for w in ws] for p, ws in START.items()}
    state, signals = rule.begin(params), {p: tf.constant([9.0, -7.0]) for p in params}
    seen, game, _ = rule._look(state, "a", params, slopes(params["a"]), signals)
    for _ in range(40):
        own, thought = rule._think("a", state["thoughts"], features.of_tensors(*seen), game)
        state["thoughts"]["a"] = thought
    np.testing.assert_allclose(tf.reduce_mean(own, axis=1), [0, 0], atol=1e-9)
    np.testing.assert_allclose(tf.math.reduce_std(own, axis=1), [1, 1], rtol=1e-5)
    assert np.abs(thought["memory"]).max() <= np.sqrt(rule.hidden)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": 0}, "heads"),
        ({"blocks": 0}, "blocks"),
        ({"hidden": 10, "heads": 4}, "'hidden' must be a multiple of 'heads'"),
        ({"attention": 1}, "'attention' must be True or False"),
        ({"embedding_dim": -1}, "embedding_dim"),
    ],
)
def test_bad_attention_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        AttentionMetaLearner(**options)


def coded(embedding_dim, code):
    """A rule that is told a code of that size, the first move of `a`, and what it was given."""
    rule = made(shaken=0.3, embedding_dim=embedding_dim)
    params = {p: [tf.constant(w) for w in ws] for p, ws in START.items()}
    signals = {p: tf.constant([0.7, -0.2, *code]) for p in params}
    state = rule.begin(params)
    _, deltas = rule.update(state, "a", params, slopes(params["a"]), signals, SEED)
    return rule, np.concatenate([d.numpy().ravel() for d in deltas]), (state, "a", params, slopes(params["a"]), signals)


def test_the_code_is_a_token():
    """It moves what is emitted; there is one token more; and no other player's signals take its place."""
    rule, first, told = coded(2, (0.5, -1.0))
    _, other, _ = coded(2, (0.5, 3.0))
    assert np.abs(first - other).max() > 1e-6
    count = sum(len(ws) for ws in START.values()) + 2
    assert rule.attended(*told).shape == (2, 2, count, count)
    assert made().attended(*coded(0, ())[2]).shape == (2, 2, count - 1, count - 1)


def test_the_code_is_kept_from_the_games_signals():
    """What is known of the game is what a rule without the code knows: its numbers are not taken for logits."""
    rule, _, told = coded(2, (0.5, -3.0))
    game = rule._look(*told)[1]
    plain = made(shaken=0.3)
    expected = plain._look(*told[:4], {p: s[:2] for p, s in told[4].items()})[1]
    np.testing.assert_allclose(game[: len(expected)], expected)
    np.testing.assert_array_equal(game[len(expected) :], [0.5, -3.0])


def test_a_code_by_way_of_the_inner_loop():
    """Two tasks of one model whose codes differ; the meta-gradient reaches what reads the code, and the encoder."""
    game = told_gan(code=3, loss=NonSaturating())
    rule = AttentionMetaLearner(0.05, hidden=4, heads=1, embedding_dim=3)
    model = mg.MetaModel(game, mg.Algorithm("coded", rule, Unrolled(2), 2))
    shake(model.meta_learner, 0.2)
    pieces = (game, model.meta_learner, model.mask, model.meta_weights())
    estimate = Unrolled(2).task(*pieces, one(random_episodes()), 2)
    names = [v.path for v in model.meta_learner.trainable_variables]
    reading = [g for name, g in zip(names, estimate.meta_learner, strict=True) if "of_task_embedding" in name]
    assert reading and max(np.abs(g).max() for g in reading) > 0
    assert model.adapt(random_episodes().support[0].numpy()).sample(3).shape == (3, 2)


@pytest.mark.parametrize("task_embedding", [0, 2])
def test_a_game_without_such_a_code_is_refused(code):
    game = told_gan(code=code, loss=NonSaturating())
    model = mg.MetaModel(game, mg.Algorithm("coded", AttentionMetaLearner(0.05, embedding_dim=3), Unrolled(2), 1))
    with pytest.raises(
        ValueError, match="a rule with 'embedding_dim' 3 needs a game with an encoder of codes of that size"
    ):
        model.adapt(random_episodes().support[0].numpy())


def test_the_code_survives_serialisation():
    rule = AttentionMetaLearner(0.1, embedding_dim=5)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(rule))
    assert again.embedding_dim == 5 and again.get_config() == rule.get_config()
