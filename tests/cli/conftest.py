"""A small world, made once: a data file, a run trained by the command line, and support images."""

from __future__ import annotations

import os
from types import SimpleNamespace

import numpy as np
import pytest

from meta_gan.cli import program
from meta_gan.tasks.pictures import save_png
from tests.trainers import helpers

TINY = ["width=4", "latent_dim=4", "inner_steps=2", "penalty=none"]
OFTEN = ["meta_batch=2", "log_every=1", "validate_every=2", "checkpoint_every=2", "validation_batches=1"]
SETTINGS = [*TINY, *OFTEN, "picture_steps=0,1"]


def call(*arguments):
    """Runs a command in this process and returns its exit code; parsing errors come as SystemExit, as in a shell."""
    try:
        return program.run(program.parse([str(each) for each in arguments]))
    except SystemExit as stop:
        return stop.code


def train_arguments(world, out, *more, data=None):
    """`meta-gan train` of the small world, with `more` at its end; a later flag replaces an earlier one."""
    start = ["train", "--preset", "fomaml", "--data", data or world.data, "--out", out, "--steps", "2"]
    return [*start, "--shots", "3", "--queries", "3", "--set", *SETTINGS, *more]


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """Paths: `data` (.npz), `runs`, `run`, `support` (a folder of PNGs), `support_npz`, `adapted`."""
    root = tmp_path_factory.mktemp("world")
    made = SimpleNamespace(root=root, data=root / "noise.npz", runs=root / "runs", support=root / "support")
    np.savez(made.data, **helpers.arrays())
    assert call(*train_arguments(made, made.runs)) == 0
    made.run = made.runs / "00000-fomaml-noise"
    images = helpers.arrays(seed=1)["images"][:5]
    made.images = images
    for index, image in enumerate(images):
        save_png(made.support / f"{index}.png", image)
    made.support_npz = root / "support.npz"
    np.savez(made.support_npz, support=images)
    made.adapted = root / "adapted"
    arguments = ["--model", made.runs, "--support", made.support_npz, "--out", made.adapted, "--seed", 7, "--sample", 3]
    assert call("adapt", *arguments, "--inner-steps", 1) == 0
    return made


@pytest.fixture
def refused(capsys, monkeypatch):
    """Checks that a command is refused: exit code 2, one line of ours on stderr, nothing at `out`."""

    def check(*arguments, out=None, code=2):
        capsys.readouterr()
        assert call(*arguments) == code
        captured = capsys.readouterr()
        assert captured.err.startswith(f"meta-gan {arguments[0]}: "), captured.err
        assert captured.err.endswith("\n") and captured.err.count("\n") == 1, captured.err
        assert "Traceback" not in captured.err + captured.out
        assert out is None or not os.path.lexists(out)
        return captured.err

    return check
