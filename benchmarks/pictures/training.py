"""Train the shipped models of many kinds of pictures.

`python -m benchmarks.pictures.training NAME --data FOLDER --out DIR` trains one of `MODELS` on a mixture of the sources
in FOLDER, or resumes its last run in DIR, and saves it as DIR/NAME.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import common
from benchmarks.pictures.data import prepare


@dataclass(frozen=True)
class Training:
    """How a model is trained.

    Attributes:
        shape: `--image-shape` of its pictures.
        steps: outer steps.
        weights: how often tasks of each source are drawn; `variations:` before a name for tasks of one picture.
        settings: fields of `--set`.
        start: the model whose weights it starts from; empty for none.
    """

    shape: str
    steps: int
    weights: dict[str, float]
    settings: tuple[str, ...] = ()
    start: str = ""
    flags: tuple[str, ...] = field(default=("--preset", "fusion", "--shots", "5", "--queries", "7"))


OFTEN = ("train.validate_every=1000", "train.checkpoint_every=250", "train.log_every=25", "train.picture_steps=0")
"""How often a run validates and saves: a validation costs as much as dozens of steps."""
COLOURS = {
    "variations:emoji": 4,
    "variations:icons": 1,
    "variations:glyphs": 1,
    "icons": 2,
    "omniglot": 1,
    "glyphs": 1,
    "fonts": 1,
}
"""The sources of pictures in colour; drawings get random ink and paper colours."""
COLOUR_SETTINGS = ("network=colour_fusion", "fewest_shots=2")
MODELS = {
    "drawings28": Training(
        "28x28x1",
        6000,
        {
            "omniglot": 4,
            "glyphs": 3,
            "icons": 3,
            "fonts": 1,
            "characters": 1,
            "variations:omniglot": 1,
            "variations:icons": 2,
        },
        (*OFTEN, "symmetries=true", "fewest_shots=2", "decay_steps=6000", "terms.nearness=3"),
        "omniglot",
    ),
    "pictures32": Training("32x32x3", 8000, COLOURS, (*OFTEN, *COLOUR_SETTINGS, "decay_steps=8000")),
    "pictures64": Training("64x64x3", 6000, COLOURS, (*OFTEN, *COLOUR_SETTINGS, "decay_steps=6000", "network.detail=1")),
}


def command(name: str, sources: dict[str, str], out: Path) -> list[str]:
    """Return the arguments of `meta-gan train` for a model."""
    training, kind = MODELS[name], "variations:"
    data = [kind * entry.startswith(kind) + sources[entry.removeprefix(kind)] for entry in training.weights]
    made = ["train", *training.flags, "--data", *data, "--weights", *map(str, training.weights.values())]
    made += ["--image-shape", training.shape, "--out", str(out / "runs" / name), "--steps", str(training.steps)]
    made += ["--start", training.start] if training.start else []
    return [*made, "--set", *training.settings]


def main() -> None:
    """Train a model, or go on with its training."""
    parser = common.parser("pictures.training", __doc__, data="folder of the .npz files")
    parser.add_argument("name", choices=tuple(MODELS), help="the model")
    parser.add_argument("--dry-run", action="store_true", help="check everything and print the settings")
    arguments = parser.parse_args()
    out = Path(arguments.out)
    made = command(arguments.name, prepare(Path(arguments.data), out / "data"), out)
    made += ["--resume"] if common.started(out / "runs" / arguments.name) else []
    made += ["--dry-run"] if arguments.dry_run else []
    sys.exit(subprocess.run([sys.executable, "-m", "meta_gan.cli", *made], check=False).returncode)


if __name__ == "__main__":
    main()
