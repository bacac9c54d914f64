"""`fused`: the same rule as one loop of XLA, in its moves, its derivatives and exported."""

import numpy as np
import pytest
import tensorflow as tf

from meta_gan.meta import Unrolled
from meta_gan.meta_learners import AttentionMetaLearner, RecurrentMetaLearner
from tests.meta_learners.helpers import ready, shake, trajectory
from tests.meta_learners.test_residual import KIND, KINDS, gan_pieces
from tests.toys import flat_close, one, random_episodes


@KIND
@pytest.mark.parametrize("turned", [False, True])
def test_a_fused_rule_moves_as_the_other(kind, turned):
    """Tensors of 1 to 24 parameters, two players, readouts that are not 0."""
    rules = [
        shake(ready(KINDS[kind](0.05, dtype="float64", turned=turned, fused=fused)), 0.3) for fused in (True, False)
    ]
    own, other = (trajectory(rule, 3)[-1] for rule in rules)
    for player in own:
        flat_close(own[player], other[player], rtol=1e-9, atol=1e-12)


@KIND
def test_its_meta_gradient_is_the_same(kind):
    """Through two steps, for the rule's weights and both nets' initial weights."""
    episode, found = one(random_episodes(dtype="float64")), []
    for fused in (True, False):
        pieces = gan_pieces(kind, fused=fused)
        found.append(tf.function(lambda p=pieces: Unrolled(2).task(*p, episode, 2), autograph=False)())
    for part in ("weights", "meta_learner"):
        own, other = (tf.nest.flatten(getattr(estimate, part)) for estimate in found)
        assert max(np.abs(t).max() for t in own) > 1e-4
        flat_close(own, other, rtol=1e-6, atol=1e-9)


def operations(rule):
    """The kinds of operations that one move becomes, those of called functions left out."""
    leaves = {"a": [tf.ones([3])], "b": [tf.ones([2, 2])]}
    signals = {player: tf.zeros([2]) for player in leaves}
    ready(rule, {p: [w.numpy() for w in ws] for p, ws in leaves.items()})

    @tf.function(autograph=False)
    def move():
        return rule.update(rule.begin(leaves), "a", leaves, leaves["a"], signals, (0, 0))

    return [(op.type, op) for op in move.get_concrete_function().graph.get_operations()]


@pytest.mark.parametrize("kind", [RecurrentMetaLearner, AttentionMetaLearner])
def test_one_call_of_a_compiled_function_replaces_the_network_of_a_parameter(kind):
    found = operations(kind(0.1, fused=True))
    calls = [op for name, op in found if name in ("PartitionedCall", "StatefulPartitionedCall")]
    assert [call.get_attr("_XlaMustCompile") for call in calls] == [True]
    plain = [name for name, _ in operations(kind(0.1))]
    assert "BatchMatMulV2" in plain and not {"PartitionedCall", "StatefulPartitionedCall"} & set(plain)
