"""Every preset makes finite outer steps that move all that it trains."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

import meta_gan
from meta_gan import features, presets
from tests.presets.helpers import RATE, copies, shape_of, small, still
from tests.toys import random_episodes

DRAWING = (28, 28, 1)
# The gain of self-attention and the readout of a prior start at 0: for one step nothing behind has a gradient.
STEPS = {"sagan": 2, "vae": 2}
# After one, FAML's inner descent moves what is behind it by less than a rounding, and Reptile sees no displacement.
BEHIND_THE_GAIN = {"faml": "attention/"}


def stepped(model, shape, steps, tasks=2):
    """The metrics of each of some outer steps, all of one trace."""
    step = tf.function(model.meta_step, autograph=False)
    episodes = random_episodes(tasks=tasks, shape=shape)
    metrics = [{key: float(value) for key, value in step(episodes).items()} for _ in range(steps)]
    assert step.experimental_get_tracing_count() == 1
    return metrics


SLOW = ("faml", "cyclegan", "maml", "sagan", "text", "flow", "few-step-flow", "reptile-flow", "maml-flow", "sound")
EVERY = [
    pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])
    for name in sorted(set(presets.PRESETS) - {"fusion"})
]


@pytest.mark.parametrize("name", EVERY)
def test_a_preset_moves_every_kernel(name):
    # At its own width a preset takes a minute to trace; the nets are made small, and nothing else is changed.
    model = presets.build(presets.get(name, **small(name)), shape_of(name), RATE)
    before = copies(model.trainable_variables)
    gains = [v for v in model.trainable_variables if v.path.endswith("attention/gamma")]
    for metrics in stepped(model, shape_of(name), STEPS.get(name, 1)):
        assert all(math.isfinite(value) for value in metrics.values())
        assert all(metrics[f"gradient_norm/{player}"] > 0 for player in model.game.players)
        adapting = [player for player, places in model.loop.mask.items() if places]
        inner = {f"loss/{player}" for player in adapting} | {f"query/{player}" for player in model.game.players}
        assert ({key for key in metrics if not key.startswith("gradient_norm/")} == inner) == (name != "pretraining")
    excused = BEHIND_THE_GAIN.get(name, "none")
    assert [path for path in still(before, model.trainable_variables) if excused not in path] == []
    assert len(gains) == (2 if name in ("sagan", "faml") else 0) and all(np.all(gain.numpy() != 0) for gain in gains)


@pytest.fixture(scope="module")
def fusion():
    """The preset `fusion` with its shipped features, after one step on three drawings' tasks."""
    model = presets.build(presets.get("fusion", width=2, latent_dim=4, embedding_dim=3), DRAWING)
    before = {name: copies(net.variables) for name, net in model.game.nets.items()}
    trained = copies(model.trainable_variables)
    (metrics,) = stepped(model, DRAWING, 1, tasks=3)
    return SimpleNamespace(model=model, before=before, trained=trained, metrics=metrics)


@pytest.mark.slow
def test_fusion_moves_every_kernel(fusion):
    assert all(math.isfinite(value) for value in fusion.metrics.values())
    assert fusion.metrics["gradient_norm/generator"] > 0 and fusion.metrics["gradient_norm/discriminator"] > 0
    assert fusion.metrics["loss/generator"] == 0.0, "there is no inner step"
    assert "loss/discriminator" not in fusion.metrics, "the context alone would adapt"
    assert still(fusion.trained, fusion.model.trainable_variables) == []


@pytest.mark.slow
def test_the_feature_net_of_fusion_stays_to_the_bit(fusion):
    net = fusion.model.game.nets["features"]
    assert net.trainable_variables == [] and len(net.variables) == len(fusion.before["features"]) > 8
    for old, variable in zip(fusion.before["features"], net.variables, strict=True):
        np.testing.assert_array_equal(variable.numpy(), old)


@pytest.mark.slow
def test_the_feature_net_of_fusion_is_the_shipped_one_in_units(fusion):
    images = np.random.default_rng(0).uniform(-1, 1, (3, *DRAWING)).astype(np.float32)
    wanted = features.load(presets.get("fusion").game.features).features(images)
    np.testing.assert_allclose(fusion.model.game.nets["features"](images), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_fusion_averages_what_it_trains_and_no_more(fusion):
    model, decay = fusion.model, 2 / 11  # of the first step, see `outer.average`
    assert model.averaging == presets.get("fusion").outer.averaging > decay
    averaged = model.meta_weights(averaged=True).initial.weights
    flat = [np.array(tensor) for net in model.game.nets for tensor in averaged[net]]
    assert averaged["features"] == []
    moved = [v for net in model.game.nets.values() for v in net.trainable_variables]
    start = [old for name, net in model.game.nets.items() for old in _trained(fusion.before[name], net)]
    for mean, old, new in zip(flat, start, moved, strict=True):
        np.testing.assert_allclose(mean, decay * old + (1 - decay) * new.numpy(), rtol=1e-5, atol=1e-7)


def _trained(before, net):
    """Of copies of all variables of a net, those of the trainable ones, in their order."""
    position = {id(v): index for index, v in enumerate(net.variables)}
    return [before[position[id(v)]] for v in net.trainable_variables]


def test_fusion_comes_back_from_a_folder(fusion, tmp_path):
    """With its feature net, without the shipped one being asked again."""
    fusion.model.save(tmp_path / "model")
    loaded = meta_gan.load(tmp_path / "model")
    assert loaded.algorithm.inner_steps == 0 and loaded.averaging == fusion.model.averaging
    assert loaded.game.terms == fusion.model.game.terms and loaded.game.holdout == 2
    for name, net in fusion.model.game.nets.items():
        again = loaded.game.nets[name]
        assert len(again.trainable_variables) == len(net.trainable_variables)
        for one, other in zip(net.variables, again.variables, strict=True):
            np.testing.assert_array_equal(one.numpy(), other.numpy())
