"""Networks and features by what examples are, and what is refused."""

import numpy as np
import pytest
import tensorflow as tf

from meta_gan import networks, presets
from meta_gan.judges import JudgeRecipe
from meta_gan.presets.networks import medium_of
from meta_gan.presets.players import features

SOUNDS, TEXTS, DRAWING = (1024, 1), (8, 4), (8, 8, 1)
TINY = {"width": 3, "latent_dim": 4}


def players(recipe, shape, rate):
    return recipe.network.pair(shape, rate, recipe.game.embedding_dim, recipe.seed)


def recipe(network, **changes):
    own = {"normalization": "meta"} if network == "fusion" else {}
    return presets.get("dcgan", network=network, **{**TINY, **own, **changes})


def test_media():
    assert [medium_of(shape) for shape in (SOUNDS, TEXTS, DRAWING, (2,))] == ["sounds", "texts", "pictures", "pictures"]


@pytest.mark.parametrize(
    ("network", "shape", "kinds"),
    [
        ("fusion", SOUNDS, (networks.WaveFusionGenerator, networks.WaveFusionDiscriminator)),
        ("dcgan", SOUNDS, (networks.WaveGenerator, networks.SequenceDiscriminator)),
        ("mlp", SOUNDS, (networks.MLPGenerator, networks.MLPDiscriminator)),
        ("fusion", TEXTS, (networks.TextGenerator, networks.SequenceDiscriminator)),
        ("dcgan", TEXTS, (networks.TextGenerator, networks.SequenceDiscriminator)),
        ("mlp", TEXTS, (networks.MLPGenerator, networks.MLPDiscriminator)),
        ("fusion", DRAWING, (networks.FusionGenerator, networks.FusionDiscriminator)),
        ("dcgan", DRAWING, (networks.DCGANGenerator, networks.DCGANDiscriminator)),
    ],
)
def test_networks(network, shape, kinds):
    # A text's z is as large as the text.
    made = players(recipe(network, **({"latent_dim": 64} if shape == TEXTS else {})), shape, 8000)
    assert tuple(type(net) for net in made) == kinds
    assert all(getattr(net, "sees_support", False) == (network == "fusion") for net in made)


def test_the_rate_reaches_the_players_of_sounds():
    assert [net.rate for net in players(recipe("fusion"), SOUNDS, 4000)] == [4000, 4000]
    for network in ("fusion", "dcgan"):
        with pytest.raises(ValueError, match=r"'rate' must be given for sounds, in samples a second\. Received: None"):
            presets.build(recipe(network), SOUNDS)


def test_the_task_embedding_reaches_the_players_of_both():
    for shape in (SOUNDS, TEXTS):
        model = presets.build(recipe("fusion", embedding_dim=3, latent_dim=64), shape, 8000)
        assert model.game.nets["encoder"].embedding_dim == 3 == model.game.nets["discriminator"].embedding_dim


@pytest.mark.parametrize(
    ("network", "shape", "changes", "field"),
    [
        ("dcgan", SOUNDS, {"normalization": "batch"}, "normalization"),
        ("fusion", SOUNDS, {"detail": 3}, "detail"),
        ("fusion", TEXTS, {"latent_dim": 5}, "latent_dim"),
    ],
)
def test_settings_without_effect(network, shape, changes, field):
    with pytest.raises(ValueError, match=rf"^'network.{field}' must be .* for (sounds|texts). Received: "):
        players(recipe(network, **{"latent_dim": 64, **changes}), shape, 8000)


def test_a_likelihood_of_two_levels_is_of_pictures():
    for shape in (SOUNDS, TEXTS):
        with pytest.raises(
            ValueError, match=r"^'game.likelihood' must be 'gaussian' for (sounds|texts). Received: 'bernoulli'"
        ):
            presets.build(presets.get("vae", network="mlp", **TINY), shape, 8000)
        assert presets.build(presets.get("vae", network="mlp", likelihood="gaussian", **TINY), shape).game


def test_sagan_is_of_pictures():
    with pytest.raises(ValueError, match=r"^'network' must not be 'sagan' for texts\. Received: "):
        players(recipe("sagan"), TEXTS, None)


@pytest.mark.parametrize(("name", "shape", "size"), [("spectrogram", SOUNDS, 16 * 16), ("pairs", TEXTS, 4 + 16)])
def test_features_of_their_own(name, shape, size):
    net = features(name, shape, 8000)
    assert net.input_shape == (None, *shape) and net.output_shape == (None, size) and not net.weights
    other = {SOUNDS: TEXTS, TEXTS: SOUNDS}[shape]
    with pytest.raises(ValueError, match=f"'features' '{name}' is for other examples"):
        features(name, other, 8000)
    with pytest.raises(
        ValueError, match=f"'features' '{name}' is for other examples. Received: pictures".replace(".", r"\.")
    ):
        features(name, DRAWING, None)


def test_spectrogram_features_tell_pitches_apart():
    """Two tones lie farther apart than a tone from itself a little later."""
    time = np.arange(1024) / 8000
    tones = np.stack([0.3 * np.sin(2 * np.pi * f * (time + shift)) for f, shift in ((300, 0), (300, 1e-3), (900, 0))])
    first, later, higher = features("spectrogram", SOUNDS, 8000)(tf.constant(tones[..., None], tf.float32)).numpy()
    assert np.linalg.norm(first - later) < 0.3 * np.linalg.norm(first - higher)


@pytest.mark.slow
def test_a_network_that_was_trained_on_spectrograms(tmp_path):
    from meta_gan.judges import train_judge
    from meta_gan.judges.spectrograms import judge_source
    from meta_gan.tasks import from_sounds

    draw = np.random.default_rng(0).normal(0, 0.1, (24, 1024))
    source = from_sounds(draw, np.repeat(["a", "b"], 12), 8000, class_split=[0, 0]).source
    made = JudgeRecipe(width=4, steps=2, ways=2, shots=2, queries=2, augmentation=False, purpose="objective")
    train_judge(judge_source(source), made).save(tmp_path / "net")
    net = features(str(tmp_path / "net"), SOUNDS, 8000)
    assert net(tf.zeros([2, *SOUNDS])).shape[0] == 2
    with pytest.raises(ValueError, match="must name a network for images of"):
        features(str(tmp_path / "net"), DRAWING, None)
