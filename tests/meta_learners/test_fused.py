"""`fused` meta-learners: equal updates, derivatives and exports."""

import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from meta_gan.meta import Unrolled
from meta_gan.meta_learners import AttentionMetaLearner, RecurrentMetaLearner
from tests.meta_learners.helpers import START, ready, shake
from tests.meta_learners.test_residual import KIND, KINDS, gan_pieces
from tests.toys import flat_close, one, random_episodes, tiny_gan, weekly


def moved(meta_learner, params):
    """Both players' first moves, in a graph."""
    gradients = {player: [w**3 + 1.0 for w in ws] for player, ws in params.items()}
    signals = {player: tf.zeros([2]) for player in params}

    @tf.function(autograph=False)
    def moves():
        state, found = meta_learner.begin(params), {}
        for player in params:
            state, found[player] = meta_learner.update(state, player, params, gradients[player], signals, (0, 0))
        return found

    return moves()


@KIND
@pytest.mark.parametrize("turned", [True, *weekly(False)])
def test_fused_updates_equal_the_others(kind, turned):
    """Tensors of 1 to 24 parameters, two players, readouts that are not 0."""
    params = {player: [tf.constant(w) for w in ws] for player, ws in START.items()}
    own, other = (
        moved(shake(ready(KINDS[kind](0.05, dtype="float64", turned=turned, fused=fused)), 0.3), params)
        for fused in (True, False)
    )
    adam = moved(ready(KINDS[kind](0.05, dtype="float64")), params)
    for player in own:
        flat_close(own[player], other[player], rtol=1e-9, atol=1e-12)
        assert max(np.abs(a - b).max() for a, b in zip(own[player], adam[player], strict=True)) > 1e-3


@pytest.mark.slow
def test_a_trained_meta_learner_can_be_fused_before_it_adapts_and_is_exported(tmp_path):
    model = mg.MetaModel(tiny_gan(), mg.Algorithm("RNN", RecurrentMetaLearner(0.05, hidden=4), Unrolled(2), 3))
    shake(model.meta_learner, 0.2)
    support = random_episodes().support[0].numpy()
    model.save(tmp_path / "plain")
    plain = model.adapt(support, seed=1).sample(4, seed=2)
    again = mg.load(tmp_path / "plain")
    again.meta_learner.fused = True
    np.testing.assert_allclose(again.adapt(support, seed=1).sample(4, seed=2), plain, atol=1e-5)
    assert model.meta_learner.get_config()["fused"] is False and again.meta_learner.get_config()["fused"] is True
    again.export(tmp_path / "served")
    call = tf.saved_model.load(str(tmp_path / "served")).signatures["adapt_and_sample"]
    inputs = {"support": support, "steps": 3, "num": 4, "seed": 1}
    served = call(**{name: tf.constant(value) for name, value in inputs.items()})["samples"]
    np.testing.assert_allclose(served, again.adapt(support, seed=1).sample(4, seed=1), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["recurrent", "attention"])
def test_fused_meta_gradients_equal_the_others(kind):
    """Through two steps, for the meta-learner's weights and both nets' initial weights."""
    episode, found = one(random_episodes(dtype="float64")), []
    for fused in (True, False):
        pieces = gan_pieces(kind, fused=fused)
        found.append(tf.function(lambda p=pieces: Unrolled(2).task(*p, episode, 2), autograph=False)())
    for part in ("weights", "meta_learner"):
        own, other = (tf.nest.flatten(getattr(estimate, part)) for estimate in found)
        assert max(np.abs(t).max() for t in own) > 1e-4
        flat_close(own, other, rtol=1e-6, atol=1e-9)


def operations(meta_learner):
    """The operations of one move, without those of called functions."""
    params = {"a": [tf.ones([3])], "b": [tf.ones([2, 2])]}
    signals = {player: tf.zeros([2]) for player in params}
    ready(meta_learner, {p: [w.numpy() for w in ws] for p, ws in params.items()})

    @tf.function(autograph=False)
    def move():
        return meta_learner.update(meta_learner.begin(params), "a", params, params["a"], signals, (0, 0))

    return [(op.type, op) for op in move.get_concrete_function().graph.get_operations()]


@pytest.mark.parametrize("kind", [RecurrentMetaLearner, AttentionMetaLearner])
def test_one_call_of_a_compiled_function_replaces_the_network_of_a_parameter(kind):
    found = operations(kind(0.1, fused=True))
    calls = [op for name, op in found if name in ("PartitionedCall", "StatefulPartitionedCall")]
    assert [call.get_attr("_XlaMustCompile") for call in calls] == [True]
    plain = [name for name, _ in operations(kind(0.1))]
    assert "BatchMatMulV2" in plain and not {"PartitionedCall", "StatefulPartitionedCall"} & set(plain)
