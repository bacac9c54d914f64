"""The study of `examples/tune.py`: its space, its runs, its pruning, and that it goes on where it was."""

import json

import numpy as np
import pytest

from tests.cli.conftest import OFTEN, TINY
from tests.trainers import helpers
from trainers import MetaTrainer, run_folder

optuna = pytest.importorskip("optuna", reason="optuna is not installed")

from examples import tune  # noqa: E402


@pytest.fixture(autouse=True)
def quiet_optuna():
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)


@pytest.fixture
def words(tmp_path):
    """The arguments of a study of tiny runs, but for the number of trials."""
    np.savez(tmp_path / "noise.npz", **helpers.arrays())
    fixed = [*TINY, *OFTEN, "picture_steps=0,1", "train.steps=4", "picture_classes=2"]
    start = ["--data", tmp_path / "noise.npz", "--out", tmp_path / "tuned", "--preset", "fomaml"]
    episodes = ["--shots", 3, "--queries", 3, "--set", *fixed, "--space", "outer.rate=1e-4:1e-2:log"]
    return [str(word) for word in (*start, *episodes)]


@pytest.mark.slow
def test_two_trials_and_then_a_third(words, tmp_path, capsys):
    out = tmp_path / "tuned"
    tune.main([*words, "--trials", "2"])
    study = tune.open_study(out, 0)
    first = [trial.params for trial in study.trials]
    assert len(first) == 2 and sorted(path.name for path in run_folder.runs(out)) == ["00000-trial", "00001-trial"]
    tune.main([*words, "--trials", "3"])
    study = tune.open_study(out, 0)
    assert [trial.params for trial in study.trials[:2]] == first and len(study.trials) == 3
    assert len({params["outer.rate"] for params in (trial.params for trial in study.trials)}) == 3
    for trial in study.trials:
        lines = [
            line for line in helpers.metrics(out / trial.user_attrs["folder"]) if "validation/distance/after" in line
        ]
        assert trial.intermediate_values == {line["step"]: line["validation/distance/after"] for line in lines[1:]}
        assert trial.value == lines[-1]["validation/distance/after"] and lines[-1]["step"] == 4
        config = json.loads((out / trial.user_attrs["folder"] / "config.json").read_text())
        assert config["recipe"]["outer"]["rate"] == trial.params["outer.rate"]
    tune.main([*words, "--trials", "3"])
    assert len(tune.open_study(out, 0).trials) == 3
    best = min(study.trials, key=lambda trial: trial.value)
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"trial {best.number}: distance {best.value:.4f}, ")


@pytest.mark.slow
def test_an_interrupted_trial_goes_on_in_its_folder(words, tmp_path, monkeypatch):
    run = MetaTrainer.run

    def interrupted(trainer):
        begin = trainer.callbacks.begin_step

        def begin_step(step):
            if step == 3:
                raise KeyboardInterrupt
            begin(step)

        trainer.callbacks.begin_step = begin_step
        return run(trainer)

    monkeypatch.setattr(MetaTrainer, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tune.main([*words, "--trials", "1"])
    monkeypatch.undo()
    tune.main([*words, "--trials", "1"])
    lost, made = tune.open_study(tmp_path / "tuned", 0).trials
    assert lost.state.name == "FAIL" and made.state.name == "COMPLETE" and made.params == lost.params
    assert [path.name for path in run_folder.runs(tmp_path / "tuned")] == ["00000-trial"] and set(
        made.intermediate_values
    ) == {4}


def test_data_without_validation_classes_are_refused_before_anything_is_written(words, tmp_path, capsys):
    np.savez(tmp_path / "noise.npz", **helpers.arrays((0,) * 6))
    with pytest.raises(SystemExit, match="2"):
        tune.main(words)
    assert "--data must have validation classes. Received: " in capsys.readouterr().err
    assert not (tmp_path / "tuned").exists()


@pytest.mark.parametrize(
    ("item", "value", "kind"),
    [("a=1:8", 8, int), ("a=.5:2", 0.5, float), ("a=1e-4:1e-2:log", 1e-3, float), ("a=x,y", "y", str)],
)
def test_the_space(item, value, kind):
    found = tune.suggested(optuna.trial.FixedTrial({"a": value}), [item])
    assert found == {"a": value} and isinstance(found["a"], kind)


@pytest.mark.parametrize("item", ["a=1:x", "a=2:1", "a=0:1:log", "a=1:2:lg", "a=:3"])
def test_a_bad_space_is_refused(item):
    with pytest.raises(ValueError, match=rf"--space must be KEY=LOW:HIGH.*Received: '{item}'"):
        tune.suggested(optuna.create_study().ask(), [item])


def test_a_trial_is_pruned_by_its_validations():
    """The median of two trials at step 2 is 1.5: a trial of 2 there is pruned, one of 1 is not."""
    study = optuna.create_study(pruner=optuna.pruners.MedianPruner(n_startup_trials=2))
    for distance in (1.0, 2.0):
        trial = study.ask()
        trial.report(distance, 2)
        study.tell(trial, distance)
    for distance, pruned in ((2.0, True), (1.0, False)):
        callback = tune.Pruning(study.ask())
        callback.set_model(helpers.model())
        callback.on_epoch_end(0, {"step": 2, "val_distance/after": distance})
        assert callback.pruned == callback.model.stop_training == pruned
