"""An exported model under load: no answer differs, memory does not grow, and nothing is traced again."""

import json

import numpy as np
import pytest

import meta_gan as mg
from benchmarks.speed import serving_load
from meta_gan import serving
from tests.serving.conftest import LIMITS, support
from tests.toys import tiny_dcgan


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("load") / "1"
    mg.MetaModel(tiny_dcgan(), mg.FOMAML(1, 0.05)).export(folder, LIMITS)
    return serving.load(folder)


@pytest.mark.slow
def test_a_thousand_mixed_requests_of_32_threads(served):
    """A tenth of `make load`."""
    results = serving_load.loaded(served, 1000, 32, 3)
    assert results["differing"] == 0
    assert results["rss_growth_mb"] < 5.0
    assert 0.0 < results["p50_ms"] <= results["p99_ms"]


def test_requests_are_mixed_and_within_the_limits(served):
    asked = serving_load.requests_of(served, 3)
    names = [name for name, _ in asked]
    assert len(asked) == serving_load.DISTINCT and {"sample", "adapt_and_sample"} == set(names)
    adapting = [inputs for name, inputs in asked if name == "adapt_and_sample"]
    assert {inputs["steps"] for inputs in adapting} == {0, 1, 2, 3}
    assert max(len(inputs["support"]) for inputs in adapting) <= LIMITS.shots
    assert max(inputs["num"] for _, inputs in asked) <= LIMITS.num
    assert len({serving_load._bytes(served.call(name, **inputs)) for name, inputs in asked}) == len(asked)


class Leaky:
    """A server with a new answer and a megabyte more memory in every call."""

    def __init__(self):
        self.kept, self.signatures = [], {}
        self.about = {"example_shape": [8, 8, 1], "limits": {"shots": 6, "num": 9}}

    def call(self, name, **inputs):
        self.kept.append(np.random.default_rng(len(self.kept)).bytes(2**20))
        return {"samples": np.float32([len(self.kept)])}


def test_leaks_and_differing_answers_are_detected():
    results = serving_load.loaded(Leaky(), 100, 4, 3)
    assert results["differing"] >= 500 and results["rss_growth_mb"] > 500


def test_python_adapts_in_one_trace():
    model = mg.MetaModel(tiny_dcgan(), mg.FOMAML(1, 0.05))
    for k, steps, count in ((1, 1, 2), (5, 3, 7), (3, 2, 1)):
        model.adapt(support(k), steps=steps, seed=k).sample(count, seed=k)
    assert model.adaptation._adapt.function.experimental_get_tracing_count() == 1
    assert model.adaptation._endpoints["sample"].function.experimental_get_tracing_count() == 1


def test_results_are_written(served, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(serving_load, "loaded", lambda *a: {**dict.fromkeys(KEYS, 1.0), "differing": 0, "asked": a[1:]})
    monkeypatch.setattr(serving_load.serving, "load", lambda folder: served)
    monkeypatch.setattr(serving_load.trainers, "configure_threads", lambda: None)
    (tmp_path / "served" / "1").mkdir(parents=True)
    monkeypatch.setattr("sys.argv", ["x", "--out", str(tmp_path), "--requests", "7", "--threads", "2", "--steps", "1"])
    serving_load.main()
    assert json.loads((tmp_path / "results.json").read_text())["asked"] == [7, 2, 1]
    assert "0 differing" in capsys.readouterr().out


KEYS = ("requests", "threads", "p50_ms", "p99_ms", "rss_growth_mb", "seconds")


@pytest.mark.parametrize("bad", [("--requests", "0"), ("--threads", "0"), ("--steps", "-1")])
def test_bad_numbers_are_refused(bad, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["x", "--out", str(tmp_path / "out"), *bad])
    with pytest.raises(SystemExit) as stop:
        serving_load.main()
    assert stop.value.code == 2 and "must be >= 1" in capsys.readouterr().err and not (tmp_path / "out").exists()
