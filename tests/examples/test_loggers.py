"""The loggers, against modules that stand in for the services: which metrics they send, for which steps."""

import importlib
import sys
from types import ModuleType

import numpy as np
import pytest

from tests.trainers import helpers
from trainers import run_folder


class Wandb(ModuleType):
    """What a logger uses of `wandb`; a run is the module itself."""

    def __init__(self):
        super().__init__("wandb")
        self.calls = []

    def init(self, **options):
        self.calls.append(("begin", options))
        return self

    def log(self, values, step):
        self.calls.append((step, values))

    def finish(self):
        self.calls.append(("end", None))


class MLflow(ModuleType):
    """What a logger uses of `mlflow`."""

    def __init__(self):
        super().__init__("mlflow")
        self.calls = []

    def start_run(self, **options):
        self.calls.append(("begin", options))

    def log_metrics(self, metrics, step):
        self.calls.append((step, metrics))

    def end_run(self):
        self.calls.append(("end", None))


@pytest.mark.parametrize(
    ("name", "logger", "stand_in", "options"),
    [
        ("wandb_logger", "WandbLogger", Wandb, {"project": "toy"}),
        ("mlflow_logger", "MLflowLogger", MLflow, {"run_name": "toy"}),
    ],
)
def test_what_is_sent(tmp_path, monkeypatch, name, logger, stand_in, options):
    """Four steps, a validation after three of them and at the end, and training metrics of every second step."""
    service = stand_in()
    monkeypatch.setitem(sys.modules, service.__name__, service)
    monkeypatch.delitem(sys.modules, f"examples.{name}", raising=False)
    made = getattr(importlib.import_module(f"examples.{name}"), logger)(every=2, **options)
    monkeypatch.delitem(sys.modules, f"examples.{name}")
    folder = run_folder.new_run(tmp_path, "toy")
    trained = helpers.trainer(folder, callbacks=[made], steps=4, validate_every=3)
    trained._meta_step = lambda episodes: {"loss/generator": np.float32(0.25)}
    trained._assess = lambda episodes: {"distance/after": np.float32(0.5)}
    trained.picture = lambda: [np.zeros((1, *helpers.SHAPE), np.float32)]
    trained._export = lambda: None
    trained.run()
    assert service.calls[0] == ("begin", options) and service.calls[-1] == ("end", None)
    sent = [(step, set(values)) for step, values in service.calls[1:-1]]
    training = {"step", "loss/generator"}
    validation = {*training, "seconds", "val_distance/after"}
    assert sent == [(2, training), (3, validation), (4, training), (4, validation)]
    assert [values["step"] for _, values in service.calls[1:-1]] == [2, 3, 4, 4]
    assert service.calls[2][1]["val_distance/after"] == 0.5 and service.calls[1][1]["loss/generator"] == 0.25
