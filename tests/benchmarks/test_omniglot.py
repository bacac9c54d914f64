"""The benchmark of meta-learners on drawings: its commands, the tuning of Adam, and the table by hand."""

import subprocess

import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from benchmarks import common
from benchmarks.meta_learners import omniglot
from meta_gan.cli import program, settings
from meta_gan.presets.algorithms import LEARNED
from meta_gan.presets.networks import NETWORKS
from tests.toys import random_episodes, tiny_dcgan


@pytest.fixture
def calls(monkeypatch):
    """The commands, which are recorded and create their folders instead of being run."""
    seen = []

    def fake(arguments, core):
        seen.append((list(arguments), core))
        folder = omniglot.Path(arguments[arguments.index("--out") + 1])
        (folder / "run").mkdir(parents=True, exist_ok=True)
        return subprocess.CompletedProcess(arguments, 0, "", "")

    monkeypatch.setattr(common, "meta_gan", fake)
    return seen


@pytest.mark.parametrize("network", omniglot.RECIPES)
@pytest.mark.parametrize("name", LEARNED)
def test_the_training_is_a_valid_command(name, network, tmp_path, calls):
    omniglot.train(name, "drawings.npz", tmp_path, 15.0, 1, network)
    ((arguments, core),) = calls
    chosen, _ = settings.resolve(program.parser().parse_args(arguments))
    recipe, config = chosen.recipe, chosen.train
    assert type(recipe.algorithm.meta_learner) is type(LEARNED[name])
    assert type(recipe.network) is type(NETWORKS[network])
    assert recipe.inner_steps == 10 and core == 1 and recipe.game.features == "omniglot28-objective"
    assert recipe.outer.decay_steps == 15 * omniglot.STEPS_A_MINUTE[name]
    assert config.minutes == 15 and config.processor_time and config.meta_batch == 4
    assert "--resume" not in arguments
    omniglot.train(name, "drawings.npz", tmp_path, 15.0, 0)
    assert calls[1][0][-1] == "--resume", "an interrupted run is resumed"


@pytest.mark.slow
def test_a_failed_training_is_an_error(tmp_path):
    with pytest.raises(RuntimeError, match=r"(?s)training 'recurrent' failed:\n.*nowhere.npz"):
        omniglot.train("recurrent", str(tmp_path / "nowhere.npz"), tmp_path, 1.0, common.cores()[0])


def small_model():
    meta_learner = mg.meta_learners.MetaSGD(0.01)
    return mg.MetaModel(tiny_dcgan(), mg.Algorithm("learned", meta_learner, mg.Unrolled(2), 1, "^generator/"))


def test_adam_starts_from_the_same_initial_weights():
    """The averaged weights, if the model has them."""
    plain = small_model()
    model = mg.MetaModel(plain.game, plain.algorithm, averaging=0.9)
    for average in model._averages:
        average.assign_add(tf.ones_like(average))
    beside = omniglot.with_adam(model, 0.25)
    wanted = model.meta_weights(averaged=True).initial.weights
    tf.nest.map_structure(np.testing.assert_array_equal, beside.meta_weights().initial.weights, wanted)
    assert type(beside.meta_learner) is mg.meta_learners.Adam
    assert beside.meta_learner.rates.value == 0.25 and beside.loop.mask == model.loop.mask


def test_the_best_rate_ends_nearest(monkeypatch):
    """By hand, .003 is nearest at fifty steps though not at ten, and a diverged run is infinitely far."""

    class Known:
        def __init__(self, game, meta_learner, compiled, mask):
            assert meta_learner.rates.value == 1.0 and not compiled and mask == "^generator/"

        def __call__(self, start, tasks, rate):
            found = np.full((2, 51), 5.0)
            found[:, 10] = 0.1 if rate == 1e-3 else 3.0
            found[:, 50] = {3e-3: 1.0, 1e-2: 1.5, 1e-1: np.nan}.get(rate, 4.0)
            return found

    monkeypatch.setattr(omniglot.mixtures, "Curves", Known)
    rate, distances = omniglot.tuned_rate(small_model(), random_episodes())
    assert rate == 3e-3
    assert distances["0.003"] == [5.0, 5.0, 5.0, 5.0, 3.0, 5.0, 1.0] and distances["0.1"][-1] == float("inf")


def test_the_table_by_hand():
    curve = {str(k): {"mean": 0.5 + k} for k in omniglot.CURVE}
    judges = {judge: {"energy_distance": curve} for judge in omniglot.JUDGES}
    tuning = {"recurrent": {"rate": 0.01, "steps": 90}}
    lines = omniglot.table({"curve": {"recurrent": judges}}, tuning).splitlines()
    assert lines[0] == "| row | K = 0 | K = 1 | K = 2 | K = 5 | K = 10 | K = 20 | K = 50 |"
    assert lines[2].startswith("| recurrent | 0.500 / 0.500 | 1.500 / 1.500 |")
    assert lines[-1] == "Adam's rates: recurrent 0.01 (90 outer steps)"
