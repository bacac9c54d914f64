"""The number of inner steps that held-out examples decide, and the history of an adaptation."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

import meta_gan as mg
from meta_gan import early_stopping, functional
from meta_gan.early_stopping import NUMBERS, History, fewest_best, held_out_distances
from meta_gan.errors import DivergenceError
from meta_gan.losses import NonSaturating
from tests.toys import random_episodes, tiny_gan

SUPPORT = random_episodes(shots=7).support[0].numpy()


@pytest.fixture(scope="module")
def model():
    game = tiny_gan(loss=NonSaturating(), discriminator_turns=2)
    return mg.MetaModel(game, mg.FOMAML(inner_steps=2, inner_rate=0.1))


class Scripted:
    """An adaptation whose held-out distance after n steps is written down; that of the first part is greater."""

    def __init__(self, distances):
        self.distances, self.seen = distances, []
        self.game = SimpleNamespace(example_shape=(2,))

    def trajectory(self, support, steps, seed):
        yield from steps

    def held_out_distance(self, snapshot, support, held_out, seed):
        self.seen.append((snapshot, support, held_out))
        offset = 2.0 if len(self.seen) % 3 == 1 else -1.0
        return self.distances[snapshot] + offset


RISING = {number: 3.0 + number for number in NUMBERS}


def test_the_mean_over_parts_is_taken_for_every_number():
    found = held_out_distances(Scripted({**RISING, 5: 2.5, 10: 2.5}), SUPPORT, 0)
    assert list(found) == list(NUMBERS)
    np.testing.assert_allclose(list(found.values()), [3.0, 4.0, 5.0, 2.5, 2.5, 23.0, 53.0, 103.0])
    assert fewest_best(found) == 5, "the smallest of equal ones"


def test_every_example_is_held_out_once():
    adaptation = Scripted(RISING)
    held_out_distances(adaptation, SUPPORT, 0)
    first = adaptation.seen[:3]
    held_out = np.concatenate([each[2] for each in first])
    np.testing.assert_array_equal(np.unique(held_out, axis=0), np.unique(SUPPORT, axis=0))
    assert len(held_out) == len(SUPPORT)
    for _, support, each in first:
        assert len(support) + len(each) == len(SUPPORT)
        assert not (support[:, None] == each[None]).all(axis=-1).any()


def test_numbers_of_steps_that_diverge_are_left_out():
    found = held_out_distances(Scripted({**RISING, 2: np.nan, 50: np.inf}), SUPPORT, 0)
    assert list(found) == [0, 1, 5, 10, 20, 100]
    with pytest.raises(DivergenceError, match="before adaptation"):
        held_out_distances(Scripted({**RISING, 0: np.nan}), SUPPORT, 0)


def test_auto_adapts_to_all_examples_for_the_best_number(model):
    """And the distances are those of adaptations to two thirds of them."""
    adapted = model.adapt(SUPPORT, steps="auto", seed=3)
    distances = adapted.history.held_out
    assert adapted.history.steps == fewest_best(distances)
    same = model.adapt(SUPPORT, steps=adapted.history.steps, seed=3)
    np.testing.assert_array_equal(adapted.sample(5), same.sample(5))
    parts = [np.arange(7) % 3 == i for i in range(3)]
    by_hand = [
        model.adaptation.held_out_distance(
            model.adapt(SUPPORT[~part], steps=1, seed=3).snapshot, SUPPORT[~part], SUPPORT[part], 3
        )
        for part in parts
    ]
    np.testing.assert_allclose(distances[1], np.mean(by_hand), rtol=1e-5)


def test_history_has_the_mean_loss_of_each_players_turns(model):
    history = model.adapt(SUPPORT, steps=3, seed=1).history
    _, records = model.loop.adapt(model.meta_weights(), SUPPORT, 3, functional.seed_pair(1))
    assert history.steps == 3 and history.held_out == {}
    np.testing.assert_allclose(history.losses["discriminator"], records.numpy()[:, :2].mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(history.losses["generator"], records.numpy()[:, 2], rtol=1e-5)
    empty = model.adapt(SUPPORT, steps=0).history
    assert empty.steps == 0 and {name: len(each) for name, each in empty.losses.items()} == {
        "discriminator": 0,
        "generator": 0,
    }


def test_history_as_json():
    history = History(2, {"generator": np.array([1.5, np.nan], np.float32)}, {0: 1.0, 20: 0.5})
    expected = {"steps": 2, "losses": {"generator": [1.5, None]}, "held_out": {"0": 1.0, "20": 0.5}}
    assert json.loads(json.dumps(history.as_dict(), allow_nan=False)) == expected


def test_refusals(model):
    with pytest.raises(ValueError, match=r"'steps' must be an integer >= 0 or 'auto'. Received: 'best'"):
        model.adapt(SUPPORT, steps="best")
    with pytest.raises(ValueError, match=r"'steps' must be an integer >= 0.* Received: -1"):
        model.adapt(SUPPORT, steps=-1)
    with pytest.raises(ValueError, match=r"'support' must have at least 3 examples for steps='auto'.* Received: 2"):
        model.adapt(SUPPORT[:2], steps="auto")
    domains = SimpleNamespace(game=SimpleNamespace(example_shape={"source": (2,), "target": (2,)}))
    with pytest.raises(ValueError, match="game of two domains"):
        early_stopping.held_out_distances(domains, SUPPORT, 0)
