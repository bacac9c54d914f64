"""One exported model for the tests of serving, and what Python makes of the same requests."""

import keras
import numpy as np
import pytest

import meta_gan as mg
from meta_gan import serving
from meta_gan.losses import NonSaturating
from tests.toys import random_episodes, tiny_dcgan

LIMITS = mg.Limits(shots=6, steps=5, num=9, tasks=3)


def support(k, seed=0):
    """k images float32[k, 8, 8, 1] in [-1, 1]."""
    return np.clip(random_episodes(shots=k, shape=(8, 8, 1), seed=seed).support[0].numpy(), -1, 1)


@pytest.fixture(scope="session")
def model():
    """A DCGAN of 8x8 images, trained for a step, so that its averages differ from its weights."""
    made = mg.MetaModel(tiny_dcgan(loss=NonSaturating()), mg.FOMAML(2, 0.05), averaging=0.5)
    made.compile(optimizer=keras.optimizers.SGD(0.05))
    made.meta_step(random_episodes(shape=(8, 8, 1)))
    return made


@pytest.fixture(scope="session")
def folder(model, tmp_path_factory):
    """Its export."""
    place = tmp_path_factory.mktemp("exported") / "served" / "1"
    model.export(place, LIMITS)
    return place


@pytest.fixture(scope="session")
def served(folder):
    """Its export, loaded."""
    return serving.load(folder)


@pytest.fixture(scope="session")
def adapted(model):
    """An adapted model."""
    return model.adapt(support(3), steps=2, seed=5)
