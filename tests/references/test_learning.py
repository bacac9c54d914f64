"""Each algorithm, after a little meta-training, beats no adaptation on a ring of Gaussians.

And it beats the same adaptation from the weights that it started with: else training would have done nothing.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from meta_gan import networks
from meta_gan.games import GAN
from meta_gan.losses import R1, Hinge
from meta_gan.meta_learners import Adam
from tests.toys import ring_episodes

UNSEEN = ring_episodes(24, seed=10_000)
RULE = {"discriminator": 0.02, "generator": 0.01}
ALGORITHMS = {
    "MAML": lambda: mg.Algorithm("MAML", Adam(RULE), mg.Unrolled(2), 10),
    "FOMAML": lambda: mg.Algorithm("FOMAML", Adam(RULE), mg.Unrolled(1), 10),
    "Reptile": lambda: mg.Algorithm("Reptile", Adam(RULE), mg.Displacement(), 10),
}


def ring_model(algorithm):
    pair = networks.mlp((2,), 2, width=24, depth=2, output="linear", activation="leaky_relu", seed=3)
    model = mg.MetaModel(GAN(*pair, loss=Hinge(), penalty=R1(0.1)), algorithm)
    model.compile(optimizer=keras.optimizers.Adam(3e-3, beta_1=0.5), clip=10.0)
    return model


def distances(model):
    """Energy distance of samples to unseen tasks' query points, before and after ten steps, means of 24 tasks."""
    metrics = tf.function(model.assess, autograph=False)(UNSEEN)
    return float(metrics["distance/before"]), float(metrics["distance/after"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["FOMAML", "MAML", "Reptile"])
def test_adaptation_after_meta_training_beats_none_and_the_start(name):
    model = ring_model(ALGORITHMS[name]())
    _, untrained = distances(model)
    step = tf.function(model.meta_step, autograph=False)
    for i in range(150):
        step(ring_episodes(8, seed=i))
    before, after = distances(model)
    assert np.isfinite(after)
    assert after < 0.5 * before
    assert after < untrained
