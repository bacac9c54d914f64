"""The cost of an inner step by meta-learner: the arithmetic by hand, and a tiny measurement."""

import json

import numpy as np
import pytest

from benchmarks.meta_learners import cost
from benchmarks.speed import meta_steps as speed


@pytest.mark.parametrize(("busy", "expected"), [((0.25, 1.5), 1.5), ((0.25, None), None)])
def test_ratios_by_hand(monkeypatch, busy, expected):
    """Ten times the place in the table in seconds, ten steps: Adam, the first, takes 1 second a step."""
    places = {name: 10.0 * (1 + i) for i, name in enumerate(cost.META_LEARNERS)}
    found = {name: {"seconds": place, "others": busy[name == "Adam"]} for name, place in places.items()}
    monkeypatch.setattr(speed, "timed", lambda alternatives, repeats: {name: found[name] for name in alternatives})
    monkeypatch.setattr(cost, "adaptation", lambda meta_learner, sizes: (None, 77))
    measured = cost.measure(speed.Sizes())
    assert measured["weights"] == 77 and measured["others"] == expected
    for i, name in enumerate(cost.META_LEARNERS):
        assert measured["meta_learners"][name] == {"seconds_a_step": 1.0 + i, "beside_adam": 1.0 + i}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Adam", pytest.param("recurrent", marks=pytest.mark.slow), "attention"])
def test_untrained_meta_learners_adapt_like_adam(name):
    """Their readouts start at 0, so that the result is the same."""
    run, count = cost.adaptation(cost.META_LEARNERS[name](), speed.QUICK)
    adam, _ = cost.adaptation(cost.META_LEARNERS["Adam"](), speed.QUICK)
    leaves, expected = run(), adam()
    assert count == sum(int(np.size(t)) for ts in leaves.values() for t in ts)
    for player, tensors in expected.items():
        for got, wanted in zip(leaves[player], tensors, strict=True):
            np.testing.assert_allclose(got, wanted, atol=1e-4)


def test_the_measured_nets_have_half_a_million_weights():
    _, count = cost.adaptation(cost.META_LEARNERS["Adam"](), speed.Sizes())
    assert 450_000 < count < 550_000


@pytest.mark.slow
def test_results_and_verdicts(tmp_path, capsys):
    cost.main(["--quick", "--out", str(tmp_path / "out")])
    found = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert (
        list(found["meta_learners"]) == list(cost.META_LEARNERS) and found["meta_learners"]["Adam"]["beside_adam"] == 1
    )
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(cost.META_LEARNERS) and lines[1].endswith("1.00 of Adam's")
    for line, entry in zip(lines[2:], list(found["meta_learners"].values())[1:], strict=True):
        assert line.endswith("within the aim" if entry["beside_adam"] <= 1.5 else "above the aim")
