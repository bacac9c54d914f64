"""The benchmark of learned meta-learners: its tasks, verdicts by hand, and files."""

import json

import numpy as np
import pytest

from benchmarks.meta_learners import comparison as meta_learners
from benchmarks.meta_learners import mixtures

FLAT = np.zeros((40, mixtures.LONGEST + 1))


def spread(mean, seed=0):
    """Distances of forty tasks around a mean; the same for the same seed."""
    noise = np.random.default_rng(seed).normal(scale=0.1, size=(40, 1))
    return FLAT + mean + noise


def test_tasks_are_three_blobs_of_a_class():
    """Points lie within five deviations of one of three centres, all drawn from the seed."""
    one, same, other = (mixtures.episodes(4, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.support, same.support)
    assert np.abs(one.query - other.query).max() > 0.1
    assert one.support.shape == (4, 16, 2) and one.query.shape == (4, 64, 2)
    points = np.concatenate([one.support, one.query], axis=1)
    for task in points:
        left, centres = task, 0
        while len(left):
            left = left[np.linalg.norm(left - left[0], axis=1) > 10 * mixtures.DEVIATION]
            centres += 1
        assert centres <= mixtures.BLOBS


def test_the_networks_have_2500_weights():
    start = mixtures.initial(0)
    assert 2400 < sum(np.size(t) for ts in start.weights.values() for t in ts) < 2600
    first, other = start.weights["generator"][0], mixtures.initial(1).weights["generator"][0]
    assert np.abs(first - other).max() > 0.01
    assert mixtures.initial(0, 64).weights["generator"][0].shape == (4, 64)


@pytest.mark.parametrize(("own", "other", "verdict"), [(1.0, 1.5, "win"), (1.5, 1.0, "loss"), (1.0, 1.0, "tie")])
def test_verdicts_compare_the_same_tasks(own, other, verdict):
    """A constant difference is significant whatever the spread of the tasks; independent noise makes a tie."""
    curves = {"recurrent": spread(own), "Adam": spread(other, seed=1 if verdict == "tie" else 0)}
    line = meta_learners.compared("a task", 10, "recurrent", "Adam", curves)
    assert line.startswith(f"| a task | 10 | recurrent | Adam | {np.mean(curves['recurrent'] - curves['Adam']):+.4f}")
    assert line.endswith(f"| {verdict} |")


def test_files_of_a_report(tmp_path):
    report = meta_learners.Report(tmp_path)
    report.add("a task", {"Adam": spread(1.0), "recurrent": spread(0.5)})
    results = json.loads((tmp_path / "results.json").read_text())
    row = results["a task"]["recurrent"]
    assert list(row) == ["5", "10", "20", "50"] and set(row["10"]) == {"mean", "low", "high"}
    assert row["10"]["mean"] == pytest.approx(float(spread(0.5)[:, 10].mean()), rel=1e-5)
    assert row["10"]["low"] < row["10"]["mean"] < row["10"]["high"]
    verdicts = (tmp_path / "verdicts.md").read_text().splitlines()
    assert len(verdicts) == 2 + 4 and all("| recurrent | Adam |" in line for line in verdicts[2:])


def test_diverged_runs_are_infinitely_far():
    def curves(start, tasks, scale):
        return np.where(np.arange(mixtures.LONGEST + 1) < 3, 1.0, np.nan) * np.ones((len(tasks.seed), 1))

    found = mixtures.measured(curves, [None], mixtures.episodes(25, 0))
    assert found.shape == (25, mixtures.LONGEST + 1)
    assert np.all(found[:, :3] == 1) and np.all(found[:, 3:] == np.inf)


def test_starts_alternate():
    seen = []

    def curves(start, tasks, scale):
        seen.append((start, len(tasks.seed)))
        return np.zeros((len(tasks.seed), mixtures.LONGEST + 1))

    mixtures.measured(curves, ["a", "b"], mixtures.episodes(50, 0))
    assert seen == [("a", 20), ("b", 20), ("a", 10)]


def test_rates_are_tuned_for_each_number_of_steps_and_for_all():
    """By a formula, 1 is best at 5 steps, .01 at 50 steps, and .1 on average."""
    best = {5: 1.0, 50: 0.01}

    def curves(start, tasks, rate):
        values = np.ones(mixtures.LONGEST + 1)
        for steps, wanted in best.items():
            values[steps] = abs(np.log10(float(rate) / wanted)) ** 2
        return np.tile(values, (len(tasks.seed), 1))

    assert mixtures.best_rates(curves, (5, 50)) == (best, 0.1)


def test_every_variant_differs_in_one_thing():
    for name, method in mixtures.VARIANTS.items():
        whole = mixtures.METHODS[name.partition(",")[0]]
        config, other = method.make(0.03).get_config(), whole.make(0.03).get_config()
        differing = [key for key in config if key != "name" and config[key] != other[key]]
        assert len(differing) + (method.order != whole.order) == 1, name


@pytest.mark.slow(reason="compiles for a minute")
def test_training_restarts_and_lowers_the_distance():
    trainer = mixtures.Trainer("recurrent", 0.03)
    tasks, found = mixtures.episodes(40, 5), []
    before = mixtures.measured(trainer.curves, mixtures.fresh(0), tasks)[:, mixtures.INNER].mean()
    for _ in range(2):
        trainer.train("random", 0, 60)
        found.append(mixtures.measured(trainer.curves, mixtures.fresh(0), tasks)[:, mixtures.INNER])
    np.testing.assert_array_equal(*found)
    assert found[0].mean() < 0.9 * before


def test_a_file_instead_of_a_folder_is_refused(tmp_path, monkeypatch, capsys):
    path = tmp_path / "out.txt"
    path.write_text("mine")
    monkeypatch.setattr("sys.argv", ["meta_learners.py", "--quick", "--out", str(path)])
    with pytest.raises(SystemExit) as stopped:
        meta_learners.main()
    assert stopped.value.code == 2 and "--out must be a folder" in capsys.readouterr().err
    assert path.read_text() == "mine"
