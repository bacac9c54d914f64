"""`fusion`: the generator and the discriminator as a pair, with a task encoder."""

import math

import numpy as np
import pytest
import tensorflow as tf

from meta_gan.layers import check_differentiable
from meta_gan.networks import FusionDiscriminator, FusionGenerator, TaskEncoder, fusion
from tests.networks.test_fusion_discriminator import given, uniform


@pytest.mark.parametrize("normalization", ["meta", "none"])
@pytest.mark.parametrize("embedding_dim", [0, 3])
def test_fusion_makes_a_matching_pair(normalization, embedding_dim):
    pair = fusion((8, 8, 1), 4, 1, embedding_dim, normalization, detail=3, seed=5, temperature=1.2)
    assert [type(network) for network in pair] == [FusionGenerator, FusionDiscriminator]
    one, two = pair
    assert (one.width, one.latent_dim, one.detail, two.width) == (1, 4, 3, 1)
    assert (
        one.example_shape == two.example_shape == (8, 8, 1) and one.embedding_dim == two.embedding_dim == embedding_dim
    )
    assert one.normalization == normalization and two.normalization == (normalization if embedding_dim else "none")
    assert one.seed == two.seed == 5 and one.temperature == 1.2
    conditioning = given(3, embedding_dim, (8, 8, 1))
    assert two(one(uniform(6, 4), conditioning=conditioning), conditioning=conditioning).shape == (6, 1)
    for network in pair:
        assert check_differentiable(network) is None


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan, True, "hot"])
def test_bad_temperatures_are_rejected(value):
    with pytest.raises(ValueError, match="'temperature' must be a finite number > 0"):
        fusion((8, 8, 1), 4, 1, temperature=value)


def test_one_seed_does_not_make_related_kernels():
    weights = [v for network in fusion((8, 8, 1), 4, 1, 3) for v in network.weights]
    kernels = [v.numpy().ravel()[:6] for v in weights if v.path.endswith("/kernel") and np.size(v) > 5]
    starts = np.stack([kernel / np.linalg.norm(kernel) for kernel in kernels])
    overlap = np.abs(starts @ starts.T - np.eye(len(starts)))
    assert overlap.max() < 0.999


def test_a_loss_of_the_pair_reaches_the_encoder_that_made_the_task_embedding():
    encoder = TaskEncoder((8, 8, 1), 3, 1)
    one, two = fusion((8, 8, 1), 4, 1, 3)
    support, z = uniform(3, 8, 8, 1), uniform(5, 4)
    with tf.GradientTape() as tape:
        conditioning = {"support": support, "task_embedding": encoder(support)}
        loss = tf.reduce_mean(two(one(z, conditioning=conditioning), conditioning=conditioning))
    gradients = tape.gradient(loss, encoder.trainable_variables)
    assert all(g is not None and np.all(np.isfinite(g)) and np.any(g) for g in gradients)
