"""The benchmark of the flagship on other data: its commands, and the table by hand."""

import json
import subprocess

import pytest

from benchmarks import common
from benchmarks.flagship import other_data
from meta_gan.cli import program, settings
from meta_gan.cli.sources import open_tasks
from meta_gan.presets.networks import Fusion


def parsed(arguments):
    return program.parser().parse_args([str(a) for a in arguments])


def made(name, folder):
    return other_data.commands(other_data.CASES[name], folder / "data", folder / "out", 20.0)


@pytest.mark.parametrize("name", other_data.CASES)
def test_every_command_is_valid(name, tmp_path):
    for arguments in made(name, tmp_path).values():
        data = parsed(arguments).data
        assert (data if isinstance(data, str) else data[0]).endswith(other_data.CASES[name].file)


@pytest.mark.parametrize("name", other_data.CASES)
def test_models_have_the_flagships_network_and_no_judge_is_an_objective(name, tmp_path):
    steps = made(name, tmp_path)
    if other_data.CASES[name].trained:
        chosen, _ = settings.resolve(parsed(steps["runs"]))
        recipe, config = chosen.recipe, chosen.train
        assert isinstance(recipe.network, Fusion)
        assert config.minutes == 20 and config.processor_time and config.symmetries
        assert recipe.game.features not in parsed(steps["report"]).judge
    assert ("runs" in steps) == other_data.CASES[name].trained


def test_a_case_with_its_own_judges_has_its_own_objective(tmp_path):
    steps = made("icons32", tmp_path)
    assert list(steps) == ["judge-a", "judge-b", "objective", "runs", "report"]
    assert [parsed(steps[n]).purpose for n in ("judge-a", "judge-b", "objective")] == [None, None, "objective"]
    assert f"game.features={tmp_path / 'out' / 'objective'}" in steps["runs"]
    assert parsed(steps["report"]).judge == [str(tmp_path / "out" / n) for n in ("judge-a", "judge-b")]
    assert "--protocol" not in steps["runs"]


def test_every_command_has_the_protocol(tmp_path):
    for arguments in made("Fashion-MNIST, fold 1", tmp_path).values():
        assert parsed(arguments).protocol == "C/1"


@pytest.mark.parametrize("name", other_data.CASES)
def test_the_evaluated_classes_exist_and_are_unseen(name, tmp_path, data_folder):
    """An empty split would be found only after an hour of training."""
    case = other_data.CASES[name]
    report = parsed(other_data.commands(case, data_folder, tmp_path, 20.0)["report"])
    classes = open_tasks(report, shots=1, queries=1).splits
    assert report.split == case.split and classes[case.split]
    assert case.split == "test" or not classes["test"], (
        "validation classes stand in only for a test split that is empty"
    )
    assert not case.trained or not set(classes[case.split]) & set(classes["train"])


def test_transfer_evaluates_the_shipped_model(tmp_path):
    steps = made("Omniglot to MNIST", tmp_path)
    assert list(steps) == ["report"] and "fusion=omniglot" in steps["report"]


@pytest.fixture
def calls(monkeypatch):
    """The commands, which are recorded and create their folders instead of being run."""
    seen = []

    def fake(arguments, core):
        seen.append((arguments[0], "--resume" in arguments, core))
        out = arguments[arguments.index("--out") + 1]
        folder = other_data.Path(out)
        (folder / "part").mkdir(parents=True, exist_ok=True)
        (folder / "report.json").write_text(json.dumps({"rows": {}}), encoding="utf-8")
        return subprocess.CompletedProcess(arguments, 0, "", "")

    monkeypatch.setattr(common, "meta_gan", fake)
    return seen


def test_finished_judges_are_kept_and_a_training_is_resumed(tmp_path, calls):
    assert other_data.measure("icons32", tmp_path, tmp_path, 1.0, 3) == {"rows": {}}
    assert calls == [("judge", False, 3)] * 3 + [("train", False, 3), ("evaluate", False, 3)]
    calls.clear()
    other_data.measure("icons32", tmp_path, tmp_path, 1.0, 3)
    assert calls == [("train", True, 3), ("evaluate", False, 3)]


def test_reports_are_in_the_given_order(tmp_path, calls):
    names = ["icons32", "MNIST without 1", "Omniglot to MNIST"]
    assert list(other_data.run(names, tmp_path, tmp_path, 1.0)) == names


@pytest.mark.slow
def test_a_failed_command_is_an_error(tmp_path):
    with pytest.raises(RuntimeError, match=r"(?s)MNIST without 1: train .*failed:\n.*mnist.npz"):
        other_data.measure("MNIST without 1", tmp_path, tmp_path, 1.0, common.cores()[0])


def test_the_table_by_hand():
    scores = {score: {"mean": 0.5} for score in other_data.SCORES}
    one = {"a": scores, "b": {**scores, "recognisability": None}}
    head, delimiter, first, *rest = other_data.table(
        {"icons32": {"rows": dict.fromkeys(other_data.ROWS, one)}}
    ).splitlines()
    assert head.startswith("| data | row | energy_distance | recognisability |") and len(rest) == 4
    assert delimiter.count("---") == head.count("|") - 1 == first.count("|") - 1
    assert first.startswith("| icons32 | oracle | 0.500 / 0.500 | 0.500 / - | 0.500 / 0.500 |")
