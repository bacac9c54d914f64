"""The game of a translation's recipe, and that domains are for such recipes alone."""

import pytest

from meta_gan import losses, presets
from meta_gan.games import GAN, VAE, Transfer, Translation

SHAPES = {"source": (8, 8, 1), "target": (8, 8, 1)}


def test_a_translation_one_way():
    """Conditioned on the task embedding of the target, where there is a task encoder."""
    recipe = presets.get(
        "translation", width=2, embedding_dim=3, discriminator_inner_rate=0.5, seed=4, consistency=0.25
    )
    model = presets.build(recipe, SHAPES)
    game = model.game
    assert type(game) is Translation and set(game.nets) == {"translator", "discriminator", "encoder"}
    assert (game.cycle, game.identity, game.content) == (0.0, 0.0, 1.0) and game.penalty == losses.R1(0.1)
    assert game.loss_function == losses.LeastSquares() and game.example_shape == SHAPES
    assert game.nets["translator"].get_config() | {"width": 2, "seed": 4} == game.nets["translator"].get_config()
    assert model.meta_learner.rates.value == {"translator": 2e-3, "discriminator": 0.5}
    assert model.algorithm.estimator.weights == {"translator": 0.25, "discriminator": 0.25}


def test_a_translation_there_and_back():
    """Two nets of a kind must not start as one."""
    game = presets.build(presets.get("cyclegan", width=2), SHAPES).game
    assert (game.cycle, game.identity, game.content) == (10.0, 5.0, 0.0)
    for one, other in (("translator", "back"), ("discriminator", "back_discriminator")):
        first, second = (game.nets[name].trainable_variables[0].numpy() for name in (one, other))
        assert first.shape == second.shape and (first != second).all()


def test_terms_of_a_translation():
    """Energy in the features of a frozen network, or in pixels where there is none, and the truth."""
    shapes = {"source": (28, 28, 1), "target": (28, 28, 1)}
    recipe = presets.get("translation", width=2, energy=0.5, features="omniglot28-objective", truth=2.0)
    game = presets.build(recipe, shapes).game
    assert (game.energy, game.truth) == (0.5, 2.0) and not game.nets["features"].trainable
    plain = presets.build(presets.get("translation", width=2, energy=0.5), shapes).game
    assert plain.energy == 0.5 and "features" not in plain.nets


def test_a_translation_needs_two_domains_of_one_shape():
    with pytest.raises(
        ValueError, match=r"'example_shape' must be {'source': shape, 'target': shape} when game is 'translation'"
    ):
        presets.build(presets.get("translation"), (8, 8, 1))
    for name in ("translation", "fomaml"):
        with pytest.raises(
            ValueError, match=r"'example_shape' must be the same for both domains. Received: .*\(4, 4, 1\)"
        ):
            presets.build(presets.get(name), {"source": (8, 8, 1), "target": (4, 4, 1)})


@pytest.mark.parametrize(("name", "kind"), [("fomaml", GAN), ("vae", VAE)])
def test_other_families_are_transferred_from_one_domain_to_the_other(name, kind):
    game = presets.build(presets.get(name, width=2, latent_dim=4), SHAPES).game
    assert type(game) is Transfer and type(game.game) is kind and game.example_shape == SHAPES
    steps = presets.get(name).inner_steps
    assert game.source_steps == max(1, (steps + 1) // 2), "as in training, and after that the target's alone"
