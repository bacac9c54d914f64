"""`build`: every field of a recipe reaches the model."""

import keras
import numpy as np
import pytest

from meta_gan import losses, meta_learners, networks, presets
from meta_gan.games import VAE, Terms
from meta_gan.meta import Consistent, Displacement, JointTraining, SplitOpponents, Unrolled
from meta_gan.presets.algorithms import HAND_DESIGNED, LEARNED
from meta_gan.presets.games import LOSSES
from meta_gan.presets.recipe import _LOWEST_RATE
from tests.presets.helpers import SHAPE, WITHOUT_FEATURES, WITHOUT_NETWORK, build, copies
from tests.toys import random_episodes


@pytest.mark.parametrize("mask", ["(", "no such weight"])
def test_a_mask_that_chooses_nothing_is_refused(mask):
    with pytest.raises(ValueError, match=r"'mask' must .*Received: "):
        build(mask=mask)


def test_the_mask_chooses_what_adapts():
    model = build(mask="^generator/.*bias")
    assert model.loop.mask["discriminator"] == ()
    assert len(model.loop.mask["generator"]) == 3, "two hidden layers and the image"


def test_rates_reach_the_meta_learner_and_the_outer_optimizers():
    model = build(inner_rate=0.25, discriminator_inner_rate=0.5, outer_rate=0.125)
    assert model.meta_learner.rates.value == {"generator": 0.25, "discriminator": 0.5}
    assert set(model.optimizers) == {"generator", "discriminator"}
    for optimizer in model.optimizers.values():
        assert type(optimizer) is keras.optimizers.Adam and float(optimizer.learning_rate) == 0.125


@pytest.mark.parametrize(("first", "second"), [(0.0, 0.9), (0.75, 0.99), (0.5, 0.0)])
def test_the_decays_of_the_outer_adam(first, second):
    for optimizer in build(outer_first_decay=first, outer_second_decay=second).optimizers.values():
        assert (optimizer.beta_1, optimizer.beta_2) == (first, second)
        # What a recipe does not name must not be there.
        assert (optimizer.epsilon, optimizer.amsgrad, optimizer.weight_decay) == (1e-7, False, None)
        assert optimizer.clipnorm is None and optimizer.use_ema is False


def test_the_outer_rate_falls_to_a_fiftieth_along_a_cosine():
    model = build(outer_rate=0.5, decay_steps=8)
    assert len({id(optimizer) for optimizer in model.optimizers.values()}) == 2
    for optimizer in model.optimizers.values():
        for step in (0, 2, 4, 8, 9, 1000):
            optimizer.iterations.assign(step)
            share = (1 + np.cos(np.pi * min(step, 8) / 8)) / 2
            wanted = 0.5 * (_LOWEST_RATE + (1 - _LOWEST_RATE) * share)
            np.testing.assert_allclose(float(optimizer.learning_rate), wanted, rtol=1e-5)
    assert _LOWEST_RATE == 1 / 50


def test_a_decaying_rate_counts_outer_steps():
    """By the optimizer's own count, which a checkpoint holds: a resumed run goes on along the cosine."""
    model = build(outer_rate=0.5, decay_steps=4)
    model.meta_step(random_episodes(shape=SHAPE))
    for optimizer in model.optimizers.values():
        assert int(optimizer.iterations) == 1
        wanted = 0.5 * (_LOWEST_RATE + (1 - _LOWEST_RATE) * (1 + np.cos(np.pi / 4)) / 2)
        np.testing.assert_allclose(float(optimizer.learning_rate), wanted, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("descent", meta_learners.GradientDescent), ("momentum", meta_learners.Momentum), ("adam", meta_learners.Adam)],
)
def test_the_meta_learner(name, kind):
    model = build(meta_learner=name)
    assert type(model.meta_learner) is kind and set(model.optimizers) == {"generator", "discriminator"}
    assert not model._skip_nonfinite, "with a hand-designed meta-learner a gradient that is not finite is an error"


KINDS = {
    "meta_sgd": meta_learners.MetaSGD,
    "learned_adam": meta_learners.LearnedAdam,
    "recurrent": meta_learners.RecurrentMetaLearner,
    "attention": meta_learners.AttentionMetaLearner,
}


@pytest.mark.parametrize("name", LEARNED)
def test_a_learned_meta_learner_and_its_own_optimizer(name):
    rates = {"inner_rate": 0.25, "discriminator_inner_rate": 0.5}
    model = build("maml", meta_learner=name, outer_rate=0.125, meta_rate=0.0625, **rates)
    assert type(model.meta_learner) is KINDS[name] and model._skip_nonfinite
    assert model.meta_learner.rates.value == {"generator": 0.25, "discriminator": 0.5}
    shares = {group: float(optimizer.learning_rate) for group, optimizer in model.optimizers.items()}
    assert shares == {"generator": 0.125, "discriminator": 0.125, "meta_learner": 0.0625}
    estimator = model.algorithm.estimator
    assert type(estimator) is Unrolled and estimator.order == 2


def test_every_learned_meta_learner_is_above_and_has_the_recipe_s_seed():
    assert list(KINDS) == list(LEARNED) and list(HAND_DESIGNED) == ["descent", "momentum", "adam"]
    for name in ("recurrent", "attention"):
        assert build("maml", meta_learner=name, seed=9).meta_learner.seed == 9


@pytest.mark.parametrize("embedding_dim", [0, 3])
def test_the_attention_meta_learner_receives_the_task_embedding(embedding_dim):
    given = {"embedding_dim": embedding_dim} if embedding_dim else {}
    model = build("maml", meta_learner="attention", network="sagan", **given)
    assert model.meta_learner.embedding_dim == embedding_dim


def test_features_may_be_for_the_distance_alone():
    drawings = {"network": "mlp", "width": 2, "latent_dim": 2, "meta_learner": "meta_sgd"}
    game = presets.build(presets.get("maml", game_features="omniglot28-objective", **drawings), (28, 28, 1)).game
    assert "features" in game.nets and game.terms == Terms()


@pytest.mark.parametrize(
    ("algorithm", "kind", "order"),
    [
        ("maml", Unrolled, 2),
        ("fomaml", Unrolled, 1),
        ("reptile", Displacement, None),
        ("dawson", SplitOpponents, None),
        ("pretraining", JointTraining, None),
        ("conditional", Unrolled, 1),
    ],
)
def test_the_algorithm(algorithm, kind, order):
    conditional = algorithm == "conditional"
    changes = {"network": "sagan", "embedding_dim": 2} if conditional else {"network": "mlp", "inner_steps": 7}
    recipe = presets.get("fomaml", algorithm=algorithm, width=3, latent_dim=2, **changes)
    model = presets.build(recipe, SHAPE)
    assert type(model.algorithm.estimator) is kind and model.algorithm.inner_steps == (0 if conditional else 7)
    assert getattr(model.algorithm.estimator, "order", None) == order
    assert model.algorithm.name == "fomaml", "the name is the preset's, which says where the rest came from"


def test_every_algorithm_is_above_and_is_of_its_own_preset():
    kinds = presets.algorithms.ALGORITHMS
    assert sorted(kinds) == ["conditional", "dawson", "fomaml", "maml", "pretraining", "reptile"]
    assert {type(recipe.algorithm) for recipe in presets.PRESETS.values()} == {type(kind) for kind in kinds.values()}


@pytest.mark.parametrize(
    ("changes", "encoder"),
    [
        ({"network": "mlp"}, networks.MLPEncoder),
        ({"network": "dcgan"}, networks.ImageEncoder),
        ({"network": "sagan", "embedding_dim": 3}, networks.ImageEncoder),
    ],
)
def test_a_vae(changes, encoder):
    adapted = {"algorithm": "fomaml", "inner_steps": 2, "inner_rate": 0.5, "consistency": 0.125}
    if "embedding_dim" not in changes:
        adapted["task_encoder"] = "none"
    model = build("vae", **{**adapted, **changes}, likelihood="gaussian", deviation=0.75, beta=0.25, seed=3)
    game = model.game
    assert type(game) is VAE and game.likelihood == losses.Gaussian(0.75) and game.beta == 0.25
    assert type(game.nets["encoder"]) is encoder and game.nets["encoder"].get_config()["seed"] == 3
    assert game.nets["encoder"].width == game.nets["generator"].width == 3 and game.latent_dim == 2
    assert ("task_encoder" in game.nets) == game.conditioned == ("embedding_dim" in changes)
    assert model.meta_learner.rates.value == {"autoencoder": 0.5}
    assert model.algorithm.estimator.weights == {"autoencoder": 0.125} and set(model.optimizers) == {"autoencoder"}
    plain = presets.build(presets.get("vae", width=3, latent_dim=2, network="mlp"), SHAPE).game
    assert type(plain.likelihood) is losses.Bernoulli and type(plain.nets["generator"]) is networks.SetPrior


@pytest.mark.parametrize(("algorithm", "order"), [("maml", 2), ("fomaml", 1)])
def test_consistency_wraps_the_estimator(algorithm, order):
    estimator = build(algorithm=algorithm, consistency=0.25).algorithm.estimator
    assert type(estimator) is Consistent
    assert estimator.estimator.get_config() == Unrolled(order).get_config()
    assert estimator.weights == {"generator": 0.25, "discriminator": 0.25}


@pytest.mark.parametrize(
    ("penalty", "wanted"),
    [("none", None), ("gradient", losses.GradientPenalty(weight=2.5)), ("r1", losses.R1(weight=2.5))],
)
def test_the_penalty_and_its_weight(penalty, wanted):
    weight = {} if penalty == "none" else {"penalty_weight": 2.5}
    assert build(penalty=penalty, **weight).game.penalty == wanted


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_the_loss(loss):
    assert build(loss=loss).game.loss_function == LOSSES[loss]


def test_the_terms():
    assert build().game.terms == Terms()
    terms = build(adversarial=0.5, pixels=2.0, mode_seeking=3.0).game.terms
    assert terms == Terms(adversarial=0.5, pixels=2.0, mode_seeking=3.0)
    recipe = presets.get("fusion", width=2, nearness=0.5, variety=0.25, terms_features=1.5)
    terms = presets.build(recipe, (28, 28, 1)).game.terms
    assert terms == Terms(adversarial=0.3, features=1.5, nearness=0.5, variety=0.25, pixels=2.0)


def test_a_generator_without_any_term_is_refused():
    with pytest.raises(ValueError, match=r"^game.terms: one of the terms must be > 0. Received: "):
        build(adversarial=0.0)


@pytest.mark.parametrize(
    ("share", "wanted"), [(0.0, None), (0.25, losses.DifferentiableAugmentation(0.25))], ids=["none", "a quarter"]
)
def test_the_augmentation(share, wanted):
    assert build(**({"translation": share} if share else {})).game.augmentation == wanted


def test_turns():
    assert build(discriminator_turns=3).game.turns == ((("discriminator",), 3), (("generator",), 1))


@pytest.mark.parametrize(("clip", "wanted"), [(0.0, None), (0.5, 0.5)])
def test_clip_scales_the_step_of_a_player(clip, wanted):
    model = build(clip=clip)
    assert model._clips == {"generator": wanted, "discriminator": wanted}


@pytest.mark.parametrize(("averaging", "decay"), [(0.0, 0.0), (0.1, 0.1), (0.5, 2 / 11)])
def test_averaging_is_of_all_weights_or_none(averaging, decay):
    """After one step, of which the decay is at most 2/11; see `outer.average`."""
    model = build(averaging=averaging, outer_rate=0.1)
    assert model.averaging == (averaging or None)
    start = model.meta_weights().initial.weights["generator"][0].numpy()
    model.meta_step(random_episodes(shape=SHAPE))
    end = model.meta_weights().initial.weights["generator"][0].numpy()
    averaged = model.meta_weights(averaged=True).initial.weights["generator"][0].numpy()
    np.testing.assert_allclose(averaged, decay * start + (1 - decay) * end, rtol=1e-5, atol=1e-7)
    assert not np.array_equal(start, end)


@pytest.mark.parametrize(
    ("network", "kinds"),
    [
        ("mlp", (networks.MLPGenerator, networks.MLPDiscriminator)),
        ("dcgan", (networks.DCGANGenerator, networks.DCGANDiscriminator)),
        ("sagan", (networks.SAGANGenerator, networks.SAGANDiscriminator)),
    ],
)
def test_the_networks(network, kinds):
    nets = build(network=network, width=3, latent_dim=5, seed=9).game.nets
    assert (type(nets["generator"]), type(nets["discriminator"])) == kinds and len(nets) == 2
    for net in nets.values():
        assert (net.width, net.seed, tuple(net.example_shape)) == (3, 9, SHAPE)
    assert nets["generator"].latent_dim == 5


def test_the_networks_of_fusion():
    changes = {
        "normalization": "none",
        "detail": 1,
        "embedding_dim": 3,
        "pooling": "attention",
        "seed": 9,
        "holdout": 1,
    }
    recipe = presets.get("fusion", width=2, latent_dim=5, temperature=1.3, **changes, **WITHOUT_FEATURES)
    game = presets.build(recipe, SHAPE).game
    generator, discriminator, encoder = (game.nets[name] for name in ("generator", "discriminator", "encoder"))
    assert type(generator) is networks.FusionGenerator and type(discriminator) is networks.FusionDiscriminator
    assert generator.temperature == 1.3
    assert (generator.normalization, generator.detail, generator.latent_dim) == ("none", 1, 5)
    assert (encoder.pooling, encoder.embedding_dim, encoder.seed) == ("attention", 3, 9)
    assert (generator.width, generator.embedding_dim, generator.seed) == (2, 3, 9)
    assert game.holdout == 1 and game.sees_support and game.conditioned


@pytest.mark.parametrize("shape", [(10, 8, 1), (8, 6, 1)])
def test_sides_that_fusion_does_not_take_are_refused(shape):
    with pytest.raises(ValueError, match=r"example_shape.*Received: "):
        presets.build(presets.get("fusion", width=2, latent_dim=4, **WITHOUT_FEATURES), shape)


def test_the_task_embedding_conditions_sagan():
    small = {"width": 3, "latent_dim": 2, **WITHOUT_NETWORK}
    game = presets.build(presets.get("sagan", embedding_dim=3, **small), SHAPE).game
    assert sorted(game.nets) == ["discriminator", "encoder", "generator"]
    assert all(net.embedding_dim == 3 for net in game.nets.values()) and game.conditioned and not game.sees_support
    bare = presets.build(presets.get("sagan", task_encoder="none", algorithm="fomaml", **small), SHAPE).game
    assert sorted(bare.nets) == ["discriminator", "generator"] and not bare.conditioned


@pytest.mark.parametrize("normalization", ["none", "batch"])
def test_normalization_is_the_generators(normalization):
    nets = build(network="dcgan", normalization=normalization).game.nets
    assert nets["generator"].normalization == normalization
    assert len(nets["generator"].non_trainable_variables) == (4 if normalization == "batch" else 0)
    assert nets["discriminator"].non_trainable_variables == []


def test_the_seed_is_the_initial_weights():
    first, same, other = (copies(build(seed=seed).variables) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
    assert not np.array_equal(first[0], other[0])
