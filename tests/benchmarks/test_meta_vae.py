"""The benchmark of meta-learned VAEs: its commands, drawings, curves and table."""

import subprocess

import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from benchmarks import common
from benchmarks.families import meta_vae
from meta_gan import functional, losses
from meta_gan.cli import program, settings
from meta_gan.presets.games import VAEGame
from meta_gan.tasks.base import Source
from tests.toys import tiny_vae

COIN = 2 * np.log(2)
"""Nats of two pixels that a fair coin decides."""


@pytest.fixture
def calls(monkeypatch):
    """The commands, which are recorded instead of run."""
    seen = []

    def fake(arguments, core):
        seen.append(arguments)
        return subprocess.CompletedProcess(arguments, 0, "", "")

    monkeypatch.setattr(common, "meta_gan", fake)
    return seen


@pytest.mark.parametrize("row", meta_vae.ROWS)
def test_every_row_is_a_command_of_the_same_budget(tmp_path, calls, row):
    """The rows differ in the algorithm, what it needs, and where a phase starts."""
    meta_vae.train(row, tmp_path / "data.npz", tmp_path, 10.0, 0)
    phases, minutes, last = meta_vae.ROWS[row], 0.0, None
    assert len(calls) == len(phases)
    for call, (_, own), folder in zip(calls, phases, meta_vae.folders(row, tmp_path), strict=True):
        arguments = program.parser().parse_args(call)
        chosen, _ = settings.resolve(arguments)
        recipe, config = chosen.recipe, chosen.train
        assert isinstance(recipe.game, VAEGame)
        assert f"algorithm={recipe.to_config()['algorithm']['kind']}" == own[0]
        assert config.processor_time and config.fewest_shots == 1 and not arguments.resume
        assert (arguments.start, arguments.out) == (last, str(folder))
        minutes, last = minutes + config.minutes, str(folder)
    assert minutes == pytest.approx(10)
    for folder in meta_vae.folders(row, tmp_path):
        (folder / "00000").mkdir(parents=True)
    meta_vae.train(row, tmp_path / "data.npz", tmp_path, 10.0, 0)
    assert calls[len(phases) :] == [[*call, "--resume"] for call in calls[: len(phases)]]


def test_a_failed_training_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(
        common, "meta_gan", lambda arguments, core: subprocess.CompletedProcess(arguments, 1, "", "out of luck")
    )
    with pytest.raises(RuntimeError, match=r"training 'trained jointly' failed:\nout of luck"):
        meta_vae.train("trained jointly", tmp_path / "data.npz", tmp_path, 10.0, 0)


def test_drawings_become_black_and_white(tmp_path):
    images = np.array([0, 127, 128, 255], np.uint8).reshape(1, 2, 2, 1)
    np.savez(tmp_path / "grey.npz", images=images, labels=np.zeros(1, np.int32))
    path = meta_vae.black_and_white(str(tmp_path / "grey.npz"), tmp_path)
    with np.load(path) as made:
        np.testing.assert_array_equal(made["images"].ravel(), [0, 0, 255, 255])
        np.testing.assert_array_equal(made["labels"], [0])
    (tmp_path / "grey.npz").unlink()
    assert meta_vae.black_and_white(str(tmp_path / "grey.npz"), tmp_path) == path


def numbered():
    """Three classes, one of them for testing, of images whose level is their number."""
    images = np.arange(75, dtype=np.uint8).reshape(75, 1, 1, 1)
    labels = np.repeat(np.arange(3, dtype=np.int32), 25)
    return Source(images, labels, ["a", "b", "c"], np.array([0, 2, 2], np.int8), None, "numbered")


def test_support_and_query_are_disjoint_and_of_unseen_classes():
    pairs = meta_vae.drawings(numbered(), "test", 5)
    assert len(pairs) == 2
    for support, query in pairs:
        levels = np.round((np.concatenate([support, query]).ravel() + 1) * 127.5).astype(int)
        assert len(set(levels)) == 20 and len(support) == len(query) == 10
        assert set(levels // 25) in ({1}, {2})
    again, other = (meta_vae.drawings(numbered(), "test", 5, seed) for seed in (0, 1))
    np.testing.assert_array_equal(again[0][0], pairs[0][0])
    assert any(np.any(a[0] != b[0]) for a, b in zip(pairs, other, strict=True))


def dots():
    """A VAE of two pixels, and two characters: both pixels white in the one, black in the other."""
    model = mg.MetaModel(tiny_vae(likelihood=losses.Bernoulli()), mg.FOMAML(2, 0.1))
    return model, [tuple(np.full((2, 10, 2), side, np.float32)) for side in (1.0, -1.0)]


def test_curves_are_the_bound_after_each_number_of_steps(monkeypatch):
    monkeypatch.setattr(meta_vae, "DRAWS", 3)
    model, pairs = dots()
    found = meta_vae.curves(model, pairs, 5)
    assert found.shape == (2, len(meta_vae.STEPS))
    support, query = pairs[1]
    for steps in (5, 20):
        snapshot = model.adapt(support[:5], steps=steps, seed=1).snapshot
        bound = model.game.log_evidence(snapshot, tf.constant(query), None, 3, functional.seed_pair(1))
        assert -np.mean(bound) < COIN
        np.testing.assert_allclose(found[1, meta_vae.STEPS.index(steps)], -np.mean(bound), rtol=1e-5)
    assert np.abs(meta_vae.curves(model, pairs, 1) - found)[:, 3:].min() > 1e-6


def test_too_few_drawings_are_refused():
    source = numbered()
    few = Source(source.images[:60], source.labels[:60], ["a", "b", "c"], source.class_split, None, "few")
    with pytest.raises(ValueError, match=r"a class needs 20 drawings\. Received: 10 of 'c'"):
        meta_vae.drawings(few, "test", 5)


def test_diverged_curves_count_as_a_coin_and_are_not_chosen(monkeypatch):
    """At a rate of 1e38 the weights overflow; at a tiny rate they stay."""
    monkeypatch.setattr(meta_vae, "DRAWS", 3)
    model, pairs = dots()
    np.testing.assert_allclose(meta_vae.curves(model, pairs, 5, 1e38)[:, -1], COIN)
    monkeypatch.setattr(meta_vae, "SCALES", (1e38, 1.0))
    assert meta_vae.best_scale(model, pairs) == 1.0
    still = meta_vae.curves(model, pairs, 5, 1e-6)
    np.testing.assert_allclose(still[:, 1:], np.repeat(still[:, :1], 5, axis=1), rtol=1e-4)


def test_the_table_by_hand():
    cell = {"mean": 12.34, "low": 11.0, "high": 13.0}
    row = {f"K = {k}, steps {n}": cell for k in meta_vae.SHOTS for n in meta_vae.STEPS}
    lines = meta_vae.table({"a row": row}).splitlines()
    assert lines[2] == "| a row | 1 |" + " 12.3 (11.0 to 13.0) |" * 6 and len(lines) == 2 + 3
