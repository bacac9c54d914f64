"""It learns: a GAN of 2-D points is meta-trained for seconds to make any blob of a ring from five points of it."""

import functools

import keras
import pytest
import tensorflow as tf

import meta_gan as mg
from meta_gan import networks
from meta_gan.losses import R1, NonSaturating
from tests.toys import ring_episodes, weekly

STEPS, RATE, OUTER_STEPS = 10, 0.1, 100
ALGORITHMS = {"MAML": mg.MAML, "FOMAML": mg.FOMAML, "Reptile": mg.Reptile, "Pretraining": mg.Pretraining}
UNSEEN = ring_episodes(24, seed=999)


@functools.cache
def distances(name):
    """Energy distance of samples to the query of unseen tasks, before and after adaptation: at the start, then
    after meta-training."""
    pair = networks.mlp((2,), latent_dim=2, width=16, depth=1)
    game = mg.games.GAN(*pair, loss=NonSaturating(), penalty=R1(0.1))
    model = mg.MetaModel(game, ALGORITHMS[name](STEPS, RATE))
    model.compile(optimizer=keras.optimizers.Adam(0.01))
    step, assess = (tf.function(f, autograph=False) for f in (model.meta_step, model.assess))
    results = [assess(UNSEEN)]
    for seed in range(OUTER_STEPS):
        step(ring_episodes(4, seed))
    results.append(assess(UNSEEN))
    return [float(r[f"distance/{when}"]) for r in results for when in ("before", "after")]


@pytest.mark.parametrize("name", ["FOMAML", *weekly("Reptile", "MAML")])
def test_meta_training_makes_adaptation_work(name):
    """Half the distance is a wide margin: the numbers are about 1 without adaptation, .4 adapted from random
    weights, and .1 after meta-training."""
    _, untrained, before, after = distances(name)
    assert after < before / 2, "adaptation must beat no adaptation"
    assert after < untrained / 2, "meta-training must beat adaptation from random weights"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MAML", "FOMAML", "Reptile"])
def test_meta_learning_beats_joint_training(name):
    """The baseline: the same nets, data, number of steps and inner steps, trained on all classes together."""
    assert distances(name)[3] < distances("Pretraining")[3] / 2
