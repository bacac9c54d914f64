"""Tune a recipe by the energy distance of its validations, with Optuna; it needs `pip install optuna`.

`python examples/tune.py --data my_classes/ --out tuned --trials 20` makes a run folder for each trial in `tuned/`, and
the study `tuned/study.db`. The same command continues an interrupted study, its interrupted run included, until it has
20 trials. A trial whose validations are worse than the median of those before it is pruned. One process at a time.

`--space` names what is tuned, `--set` what is fixed, both as `meta-gan train --set` does: `KEY=LOW:HIGH` is a range,
of integers if both are, `KEY=LOW:HIGH:log` a range of logarithms, `KEY=A,B,C` a choice. `--seed` makes a study
repeatable on one machine, unless it was interrupted.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import optuna

import meta_gan as mg
from meta_gan.cli.settings import Settings
from trainers import MetaTrainer, TrainingStopped, configure_threads, run_folder

STUDY = "study.db"


class Pruning(keras.callbacks.Callback):
    """Report the distance of every validation to a trial, and stop its run if it should be pruned."""

    def __init__(self, trial: optuna.Trial):
        super().__init__()
        self.trial, self.pruned = trial, False

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Report the distance after the step of the log."""
        self.trial.report(logs["val_distance/after"], int(logs["step"]))
        if self.trial.should_prune():
            self.pruned = self.model.stop_training = True


def suggested(trial: optuna.Trial, space: Sequence[str]) -> dict[str, Any]:
    """Return the settings that a trial proposes.

    Raises:
        ValueError: an item of `space` has another form.
    """
    found: dict[str, Any] = {}
    for item in space:
        key, _, text = item.partition("=")
        low, *rest = text.split(":")
        try:
            if not rest:
                found[key] = trial.suggest_categorical(key, text.split(","))
                continue
            if rest[1:] not in ([], ["log"]):
                raise ValueError(f"not a kind of range: {rest[1:]}")
            whole = low.isdigit() and rest[0].isdigit()
            suggest, number = (trial.suggest_int, int) if whole else (trial.suggest_float, float)
            found[key] = suggest(key, number(low), number(rest[0]), log=len(rest) == 2)
        except ValueError as error:
            raise ValueError(
                f"--space must be KEY=LOW:HIGH, KEY=LOW:HIGH:log or KEY=A,B. Received: {item!r}"
            ) from error
    return found


def run_trial(trial: optuna.Trial, tasks: mg.tasks.Tasks, arguments: argparse.Namespace) -> float | None:
    """Make the run of a trial, or go on with it; return the distance of its last validation, None if not finite.

    Raises:
        optuna.TrialPruned: the validations are worse than those of other trials.
        TrainingStopped: the run diverged.
    """
    changes = {**dict(item.split("=", 1) for item in arguments.set), **suggested(trial, arguments.space)}
    settings = mg.presets.change(Settings(recipe=mg.presets.get(arguments.preset)), changes)
    model = mg.presets.build(settings.recipe, tasks.example_shape, tasks.card.get("rate"))
    folder = Path(arguments.out) / trial.user_attrs.get("folder", f"{trial.number:05d}-trial")
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    trial.set_user_attr("folder", folder.name)
    pruning = Pruning(trial)
    description = {"recipe": settings.recipe.to_config(), "source": arguments.data}
    MetaTrainer(model, tasks, folder, settings.train, description, callbacks=[pruning]).run()
    if pruning.pruned:
        raise optuna.TrialPruned
    # Of the log: a run that was complete when its program was interrupted validates nothing more.
    lines = map(json.loads, (folder / run_folder.METRICS).read_text("utf-8").splitlines())
    return [line["validation/distance/after"] for line in lines if "validation/distance/after" in line][-1]


def open_study(out: Path, seed: int) -> optuna.Study:
    """Return the study of a folder, in which a trial that was interrupted is the next one."""
    study = optuna.create_study(storage=f"sqlite:///{out / STUDY}", study_name="meta-gan", load_if_exists=True)
    # Another seed for what is left: the same one would propose the first trials again.
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials))
    for trial in study.get_trials(states=[optuna.trial.TrialState.RUNNING]):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        study.enqueue_trial(trial.params, user_attrs=trial.user_attrs)
    return study


def main(words: Sequence[str] | None = None) -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="as for `meta-gan train`; needs validation classes")
    parser.add_argument("--out", required=True, help="folder of the study and its runs")
    parser.add_argument("--trials", type=int, default=20, help="in all, with those made before (default: 20)")
    parser.add_argument("--preset", default="fusion", help="(default: fusion)")
    parser.add_argument("--space", nargs="+", default=["outer.rate=1e-5:1e-2:log"], metavar="KEY=VALUES")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE")
    parser.add_argument("--shots", type=int, default=5, help="(default: 5)")
    parser.add_argument("--queries", type=int, default=7, help="(default: 7)")
    parser.add_argument("--seed", type=int, default=0, help="(default: 0)")
    arguments = parser.parse_args(words)
    tasks = mg.tasks.open_source(arguments.data, shots=arguments.shots, queries=arguments.queries, seed=arguments.seed)
    if not tasks.splits["validation"]:
        parser.error(f"--data must have validation classes. Received: {arguments.data}, without any")
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    study = open_study(out, arguments.seed)
    ended = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    for _ in range(arguments.trials - len(study.get_trials(states=ended))):
        # Not `optimize`, which takes a trial that Ctrl-C interrupts for a failed one.
        trial = study.ask()
        try:
            study.tell(trial, run_trial(trial, tasks, arguments))
        except optuna.TrialPruned:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        except TrainingStopped as error:
            print(f"trial {trial.number} failed: {error}")
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
    best = study.best_trial
    print(f"trial {best.number}: distance {best.value:.4f}, {best.params}, in {out / best.user_attrs['folder']}")


if __name__ == "__main__":
    configure_threads()
    main()
