"""Data, models and runs small enough to train within a test."""

from __future__ import annotations

import json

import numpy as np

from meta_gan import presets
from meta_gan.tasks import from_arrays
from trainers import MetaTrainer, TrainConfig, run_folder

SHAPE = (8, 8, 1)
SPLIT = (0,) * 6 + (1,) * 2 + (2,) * 2
EACH = 12


def arrays(split=SPLIT, seed=0):
    """`images`, `labels`, `class_split` of noise: 12 images of 8 x 8 for each class of `split`."""
    images = np.random.default_rng(seed).integers(0, 256, (EACH * len(split), *SHAPE), np.uint8)
    return {"images": images, "labels": np.repeat(np.arange(len(split)), EACH), "class_split": np.array(split)}


def tasks(split=SPLIT, **options):
    data = arrays(split)
    return from_arrays(data.pop("images"), data.pop("labels"), **data, **{"shots": 3, "queries": 3, **options})


def model(**changes):
    tiny = {"network": "mlp", "width": 4, "latent_dim": 2, "inner_steps": 2, "penalty": "none"}
    return presets.build(presets.get("fomaml", **{**tiny, **changes}), SHAPE)


def config(**changes):
    often = {"steps": 6, "meta_batch": 2, "log_every": 1, "validate_every": 3, "checkpoint_every": 2}
    small = {"validation_batches": 1, "picture_classes": 2, "picture_steps": (0, 1)}
    return TrainConfig(**{**often, **small, **changes})


def trainer(folder, made=None, data=None, description=None, strategy=None, callbacks=(), progress=True, **changes):
    """A trainer of new objects throughout, as another process would make them."""
    made, data = model() if made is None else made, tasks() if data is None else data
    rest = {"strategy": strategy, "callbacks": callbacks, "progress": progress}
    return MetaTrainer(made, data, folder, config(**changes), description, **rest)


def values(of):
    """Copies of all that a run trains: weights, state, averages, and the optimizers' variables.

    Asked of the nets themselves, not of the trainer or of the model, which have their own lists to get wrong.
    """
    optimizers = [v for group in sorted(of.model.optimizers) for v in of.model.optimizers[group].variables]
    nets = [v for name in sorted(of.model.game.nets) for v in of.model.game.nets[name].variables]
    averages = [v for v in of.model.variables if v.name.startswith("average")]
    return [np.array(v) for v in [*nets, *averages, *optimizers]]


def assert_same_values(first, second):
    assert len(first) == len(second) > 0
    for index, (one, other) in enumerate(zip(first, second, strict=True)):
        np.testing.assert_array_equal(one, other, err_msg=f"variable {index}")


def metrics(folder):
    """The lines of `metrics.jsonl` by a parser that refuses NaN, which is not JSON."""

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    lines = (folder / run_folder.METRICS).read_text("utf-8").splitlines()
    return [json.loads(line, parse_constant=refuse) for line in lines]


def timeless(folder):
    """The metrics but for the seconds, which no two runs share."""
    return [{key: value for key, value in line.items() if key != "seconds"} for line in metrics(folder)]


def files(folder):
    """`{relative path: bytes}` of all files of a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
