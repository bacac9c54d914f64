"""The attention meta-learner: its attention by hand and switched off, its memory, the task embedding."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from meta_gan.losses import NonSaturating
from meta_gan.meta import Unrolled
from meta_gan.meta_learners import AttentionMetaLearner, features
from tests.games.nets import support_gan
from tests.meta_learners.helpers import SEED, START, ready, shake, slopes
from tests.toys import one, random_episodes


def made(shaken=0.0, **options):
    meta_learner = ready(AttentionMetaLearner(0.05, hidden=8, heads=2, blocks=2, dtype="float64", **options))
    return shake(meta_learner, shaken) if shaken else meta_learner


def test_without_attention_there_are_no_queries_and_keys_and_equal_weights():
    names = [{v.path.split("/")[-2] for v in made(attention=a).trainable_variables} for a in (True, False)]
    blocks = [{name for name in found if name.startswith("block_")} for found in names]
    assert blocks[0] - blocks[1] == {f"block_{i}_{part}" for i in (0, 1) for part in ("query", "key")}
    meta_learner = made(shaken=0.3, attention=False)
    x = tf.constant(np.random.default_rng(0).normal(size=(3, 8)))
    gathered, weights = meta_learner._mix(meta_learner.layers_of_blocks[0], x)
    np.testing.assert_allclose(weights, np.full((2, 3, 3), 1 / 3))
    value = meta_learner.layers_of_blocks[0]["value"](x).numpy()
    np.testing.assert_allclose(gathered, np.tile(value.mean(0), (3, 1)), rtol=1e-9)


def test_attention_by_hand():
    """One head at a time, from the queries, keys and values of a block."""
    meta_learner = made(shaken=0.3)
    block, x = meta_learner.layers_of_blocks[1], tf.constant(np.random.default_rng(0).normal(size=(3, 8)))
    gathered, weights = meta_learner._mix(block, x)
    q, k, v = (block[part](x).numpy() for part in ("query", "key", "value"))
    for head in range(2):
        cut = slice(4 * head, 4 * head + 4)
        scores = np.exp(q[:, cut] @ k[:, cut].T / 2)
        share = scores / scores.sum(1, keepdims=True)
        np.testing.assert_allclose(weights[head], share, rtol=1e-9)
        np.testing.assert_allclose(gathered[:, cut], share @ v[:, cut], rtol=1e-9)


def test_embeddings_and_their_average_do_not_grow():
    """After 40 moves of a meta-learner with large weights, embeddings still have mean 0 and variance 1."""
    meta_learner = made(shaken=3.0)
    params = {p: [tf.constant(w) for w in ws] for p, ws in START.items()}
    state, signals = meta_learner.begin(params), {p: tf.constant([9.0, -7.0]) for p in params}
    seen, game, _ = meta_learner._inputs(state, "a", params, slopes(params["a"]), signals)
    for _ in range(40):
        own, memory = meta_learner._embed("a", state["memory"], features.of_tensors(*seen), game)
        state["memory"]["a"] = memory
    np.testing.assert_allclose(tf.reduce_mean(own, axis=1), [0, 0], atol=1e-9)
    np.testing.assert_allclose(tf.math.reduce_std(own, axis=1), [1, 1], rtol=1e-5)
    assert np.abs(memory["average"]).max() <= np.sqrt(meta_learner.hidden)


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
def test_bad_arguments_are_rejected(options, message):
    with pytest.raises(ValueError, match=message):
        AttentionMetaLearner(**options)


def first_move(embedding_dim, task_embedding):
    """A meta-learner that receives a task embedding, its first update of `a`, and the arguments of that update."""
    meta_learner = made(shaken=0.3, embedding_dim=embedding_dim)
    params = {p: [tf.constant(w) for w in ws] for p, ws in START.items()}
    signals = {p: tf.constant([0.7, -0.2, *task_embedding]) for p in params}
    state = meta_learner.begin(params)
    _, deltas = meta_learner.update(state, "a", params, slopes(params["a"]), signals, SEED)
    arguments = (state, "a", params, slopes(params["a"]), signals)
    return meta_learner, np.concatenate([d.numpy().ravel() for d in deltas]), arguments


def test_the_task_embedding_is_a_token():
    """It changes the update and adds one token."""
    meta_learner, first, arguments = first_move(2, (0.5, -1.0))
    _, other, _ = first_move(2, (0.5, 3.0))
    assert np.abs(first - other).max() > 1e-6
    count = sum(len(ws) for ws in START.values()) + 2
    assert meta_learner.attended(*arguments).shape == (2, 2, count, count)
    assert made().attended(*first_move(0, ())[2]).shape == (2, 2, count - 1, count - 1)


def test_the_task_embedding_is_separated_from_the_signals():
    """The features of the game equal those without a task embedding: its numbers are not taken for logits."""
    meta_learner, _, arguments = first_move(2, (0.5, -3.0))
    game = meta_learner._inputs(*arguments)[1]
    plain = made(shaken=0.3)
    expected = plain._inputs(*arguments[:4], {p: s[:2] for p, s in arguments[4].items()})[1]
    np.testing.assert_allclose(game[: len(expected)], expected)
    np.testing.assert_array_equal(game[len(expected) :], [0.5, -3.0])


def test_the_inner_loop_passes_the_task_embedding():
    """The meta-gradient reaches the layer that reads the task embedding."""
    game = support_gan(embedding_dim=3, loss=NonSaturating())
    meta_learner = AttentionMetaLearner(0.05, hidden=4, heads=1, embedding_dim=3)
    model = mg.MetaModel(game, mg.Algorithm("conditioned", meta_learner, Unrolled(2), 2))
    shake(model.meta_learner, 0.2)
    estimate = Unrolled(2).task(model.loop, model.meta_weights(), one(random_episodes()), 2)
    names = [v.path for v in model.meta_learner.trainable_variables]
    reading = [g for name, g in zip(names, estimate.meta_learner, strict=True) if "of_task_embedding" in name]
    assert reading and max(np.abs(g).max() for g in reading) > 0
    assert model.adapt(random_episodes().support[0].numpy()).sample(3).shape == (3, 2)


@pytest.mark.parametrize("size", [0, 2])
def test_a_game_without_a_task_embedding_of_that_size_is_rejected(size):
    game = support_gan(embedding_dim=size, loss=NonSaturating())
    model = mg.MetaModel(game, mg.Algorithm("conditioned", AttentionMetaLearner(0.05, embedding_dim=3), Unrolled(2), 1))
    with pytest.raises(ValueError, match="'embedding_dim' 3"):
        model.adapt(random_episodes().support[0].numpy())


def test_embedding_dim_survives_serialisation():
    meta_learner = AttentionMetaLearner(0.1, embedding_dim=5)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(meta_learner))
    assert again.embedding_dim == 5 and again.get_config() == meta_learner.get_config()
