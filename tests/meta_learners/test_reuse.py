"""One meta-learner, several models: it works on another network, or is rejected with a clear message."""

import numpy as np
import pytest

import meta_gan as mg
from meta_gan.losses import NonSaturating
from meta_gan.meta import Unrolled
from meta_gan.meta_learners import (
    ALFA,
    Adam,
    AttentionMetaLearner,
    CoordinatewiseLSTM,
    LearnedAdam,
    MetaCurvature,
    MetaSGD,
    PerStepRates,
    RecurrentMetaLearner,
)
from tests.meta_learners.helpers import shake
from tests.toys import flat_close, random_episodes, tiny_dcgan, tiny_gan, weekly

TRANSFERABLE = {
    "recurrent": lambda: RecurrentMetaLearner(0.05, hidden=4, epsilon=1e-3),
    "attention": lambda: AttentionMetaLearner(0.05, hidden=4, heads=2, epsilon=1e-3),
    "coordinatewise LSTM": lambda: CoordinatewiseLSTM(1.0, hidden=3),
}
BOUND = {
    "Meta-SGD": lambda: MetaSGD(0.05),
    "rates by step": lambda: PerStepRates(0.05, 2),
    "learned Adam": lambda: LearnedAdam(0.05),
    "ALFA": lambda: ALFA(0.05, hidden=3),
    "Meta-Curvature": lambda: MetaCurvature(0.05, largest=8),
}


def model(game, meta_learner):
    return mg.MetaModel(game, mg.Algorithm("learned", meta_learner, Unrolled(2), 3))


def trained(meta_learner):
    """A model of points whose meta-learner has been trained for an outer step."""
    made = model(tiny_gan(loss=NonSaturating()), meta_learner)
    shake(made.meta_learner, 0.1)
    made.compile(optimizer="adam", clip=1.0)
    made.meta_step(random_episodes())
    return made


@pytest.mark.slow
@pytest.mark.parametrize("name", TRANSFERABLE)
def test_it_can_be_used_with_another_network(name, tmp_path):
    """Trained on points, it adapts a convolutional GAN of images, with its own weights as they were; and is saved with
    it, and served."""
    meta_learner = trained(TRANSFERABLE[name]()).meta_learner
    before = [v.numpy() for v in meta_learner.variables]
    other = model(tiny_dcgan(loss=NonSaturating()), meta_learner)
    support = np.random.default_rng(0).uniform(-1, 1, (3, *other.game.example_shape)).astype(np.float32)
    images = other.adapt(support, steps=3).sample(4)
    flat_close([v.numpy() for v in meta_learner.variables], before)
    plain = model(tiny_dcgan(loss=NonSaturating()), TRANSFERABLE[name]()).adapt(support, steps=3).sample(4)
    assert np.isfinite(images).all() and np.abs(images - plain).max() > 1e-4
    other.save(tmp_path / "model")
    np.testing.assert_allclose(mg.load(tmp_path / "model").adapt(support, steps=3).sample(4), images, atol=1e-6)


@pytest.mark.parametrize("name", ["rates by step", *weekly("ALFA", "Meta-SGD", "learned Adam", "Meta-Curvature")])
def test_numbers_per_tensor_cannot_be_used_with_another_network(name):
    meta_learner = trained(BOUND[name]()).meta_learner
    again = model(tiny_gan(loss=NonSaturating()), meta_learner)
    assert again.meta_learner is meta_learner
    with pytest.raises(ValueError, match=r"requires tensors of the shapes that it was made for, .+ Received: .+"):
        model(tiny_gan(loss=NonSaturating(), width=4), meta_learner)


@pytest.mark.parametrize("make", [Adam, RecurrentMetaLearner, CoordinatewiseLSTM])
def test_rates_by_player_fit_games_of_those_players(make):
    meta_learner = make({"generator": 0.1, "discriminator": 0.1})
    model(tiny_gan(loss=NonSaturating()), meta_learner)
    infos = mg.meta.masks.infos(tiny_gan(), mg.meta.masks.select(tiny_gan(), ""))
    with pytest.raises(ValueError, match="a rate is required for every player"):
        meta_learner.prepare({"other": infos["generator"]}, {"other": 2})
