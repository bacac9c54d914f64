"""A Keras callback that sends the metrics of a run to MLflow; `pip install mlflow`, then

`trainers.MetaTrainer(model, tasks, folder, config, callbacks=[MLflowLogger(run_name=folder.name)])`.
"""

from __future__ import annotations

from typing import Any

import keras
import mlflow


class MLflowLogger(keras.callbacks.Callback):
    """Log every validation, and the training metrics of every `every` steps, with the run's step as their step.

    `options` are those of `mlflow.start_run`; with the `run_id` of before, a resumed run goes on with its curves.
    """

    def __init__(self, every: int = 10, **options: Any):
        super().__init__()
        self.every, self.options = every, options

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        mlflow.start_run(**self.options)

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        if logs["step"] % self.every == 0:
            mlflow.log_metrics(logs, step=int(logs["step"]))

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        mlflow.log_metrics(logs, step=int(logs["step"]))

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        mlflow.end_run()
