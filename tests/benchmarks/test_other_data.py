"""The rows on other data: their commands are ones that the command line takes, and the table is by hand."""

import json
import subprocess

import pytest

from benchmarks import lanes, other_data
from meta_gan.cli import commands, program
from meta_gan.cli.sources import open_tasks


def parsed(arguments):
    return program._parser().parse_args([str(a) for a in arguments])


def made(name, folder):
    return other_data.commands(other_data.CASES[name], folder / "data", folder / "out", 20.0)


@pytest.mark.parametrize("name", other_data.CASES)
def test_every_command_is_one_that_the_command_line_takes(name, tmp_path):
    for arguments in made(name, tmp_path).values():
        assert parsed(arguments).data.endswith(other_data.CASES[name].file)


@pytest.mark.parametrize("name", other_data.CASES)
def test_models_are_the_flagship_and_no_judge_is_an_objective(name, tmp_path):
    steps = made(name, tmp_path)
    if other_data.CASES[name].trained:
        recipe, config = commands._settings(parsed(steps["runs"]))
        assert recipe.network == "fusion" and config.minutes == 20 and config.processor_time and config.symmetries
        assert recipe.features not in parsed(steps["report"]).judge
    assert ("runs" in steps) == other_data.CASES[name].trained


def test_what_has_judges_of_its_own_learns_from_an_objective_of_its_own(tmp_path):
    steps = made("icons32", tmp_path)
    assert list(steps) == ["judge-a", "judge-b", "objective", "runs", "report"]
    assert [parsed(steps[n]).purpose for n in ("judge-a", "judge-b", "objective")] == [None, None, "objective"]
    assert f"features={tmp_path / 'out' / 'objective'}" in steps["runs"]
    assert parsed(steps["report"]).judge == [str(tmp_path / "out" / n) for n in ("judge-a", "judge-b")]
    assert "--protocol" not in steps["runs"]


def test_the_protocol_is_that_of_every_command(tmp_path):
    for arguments in made("Fashion-MNIST, fold 1", tmp_path).values():
        assert parsed(arguments).protocol == "C/1"


@pytest.mark.parametrize("name", other_data.CASES)
def test_the_measured_classes_exist_and_are_none_of_the_training(name, tmp_path, data_folder):
    """Found out only after the training, a split without classes costs an hour."""
    case = other_data.CASES[name]
    report = parsed(other_data.commands(case, data_folder, tmp_path, 20.0)["report"])
    classes = open_tasks(report, shots=1, queries=1).splits
    assert report.split == case.split and classes[case.split]
    assert case.split == "test" or not classes["test"], (
        "validation classes stand in only for a test split that is empty"
    )
    assert not case.trained or not set(classes[case.split]) & set(classes["train"])


def test_transfer_measures_what_ships(tmp_path):
    steps = made("Omniglot to MNIST", tmp_path)
    assert list(steps) == ["report"] and "fusion=omniglot" in steps["report"]


@pytest.fixture
def calls(monkeypatch):
    """What would be run: each command makes its folder, and a report is one."""
    seen = []

    def fake(arguments, core):
        seen.append((arguments[0], "--resume" in arguments, core))
        out = arguments[arguments.index("--out") + 1]
        folder = other_data.Path(out)
        (folder / "part").mkdir(parents=True, exist_ok=True)
        (folder / "report.json").write_text(json.dumps({"rows": {}}), encoding="utf-8")
        return subprocess.CompletedProcess(arguments, 0, "", "")

    monkeypatch.setattr(lanes, "meta_gan", fake)
    return seen


def test_what_is_whole_is_not_made_again_and_a_training_goes_on(tmp_path, calls):
    assert other_data.measure("icons32", tmp_path, tmp_path, 1.0, 3) == {"rows": {}}
    assert calls == [("judge", False, 3)] * 3 + [("train", False, 3), ("evaluate", False, 3)]
    calls.clear()
    other_data.measure("icons32", tmp_path, tmp_path, 1.0, 3)
    assert calls == [("train", True, 3), ("evaluate", False, 3)]


def test_reports_come_in_the_order_asked_for(tmp_path, calls):
    names = ["icons32", "MNIST without 1", "Omniglot to MNIST"]
    assert list(other_data.run(names, tmp_path, tmp_path, 1.0)) == names


def test_a_command_that_fails_is_told_with_its_end(tmp_path):
    with pytest.raises(RuntimeError, match=r"(?s)MNIST without 1: train .*failed:\n.*mnist.npz"):
        other_data.measure("MNIST without 1", tmp_path, tmp_path, 1.0, lanes.cores()[0])


def test_the_table_by_hand():
    scores = {score: {"mean": 0.5} for score in other_data.SCORES}
    one = {"a": scores, "b": {**scores, "recognisability": None}}
    head, rule, first, *rest = other_data.table({"icons32": {"rows": dict.fromkeys(other_data.ROWS, one)}}).splitlines()
    assert head.startswith("| data | row | energy_distance | recognisability |") and len(rest) == 4
    assert rule.count("---") == head.count("|") - 1 == first.count("|") - 1
    assert first.startswith("| icons32 | oracle | 0.500 / 0.500 | 0.500 / - | 0.500 / 0.500 |")


def test_lanes_share_no_core(monkeypatch):
    monkeypatch.setattr(lanes, "cores", lambda: [4, 7, 9])
    seen = []
    lanes.side_by_side(range(5), lambda job, core: seen.append((job, core)))
    assert sorted(seen) == [(0, 4), (1, 7), (2, 4), (3, 7), (4, 4)]


def test_a_job_that_fails_is_raised_and_the_other_lane_ends_its_own(monkeypatch):
    monkeypatch.setattr(lanes, "cores", lambda: [0, 1])
    done = []

    def work(job, core):
        if job == 0:
            raise ValueError("the first")
        done.append(job)

    with pytest.raises(ValueError, match="the first"):
        lanes.side_by_side(range(4), work)
    assert done == [1, 3]


def test_a_process_is_pinned_and_hands_its_output_over():
    core = lanes.cores()[0]
    done = lanes.meta_gan(["info", "--model", "no-such-model"], core)
    assert done.returncode == 2 and "no-such-model" in done.stderr
