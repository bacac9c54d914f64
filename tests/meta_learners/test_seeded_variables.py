"""The seed of a learned meta-learner decides every variable that is saved."""

import numpy as np
import pytest

import meta_gan as mg
from meta_gan.meta_learners import AttentionMetaLearner, CoordinatewiseLSTM, RecurrentMetaLearner
from tests.toys import tiny_gan


@pytest.mark.parametrize("make", [RecurrentMetaLearner, AttentionMetaLearner, CoordinatewiseLSTM])
def test_two_of_one_seed_have_equal_variables(make):
    """Also the state of a cell's own generator of seeds, which is saved with the weights."""
    learners = [make(seed=3) for _ in range(2)]
    for learner in learners:
        mg.MetaModel(tiny_gan(), mg.Algorithm("learned", learner, mg.Unrolled(order=2), 2))
    first, second = (learner.variables for learner in learners)
    assert len(first) > 3
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
