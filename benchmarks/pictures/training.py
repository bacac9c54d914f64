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
        objective: whether its features are those of a network that is trained on the emoji first.
        flags: other arguments of `meta-gan train`.
    """

    shape: str
    steps: int
    weights: dict[str, float]
    settings: tuple[str, ...] = ()
    start: str = ""
    objective: bool = False
    flags: tuple[str, ...] = field(default=("--preset", "fusion", "--shots", "5", "--queries", "7"))


OFTEN = ("train.validate_every=1000", "train.checkpoint_every=250", "train.log_every=25", "train.picture_steps=0")
"""How often a run validates and saves: a validation costs as much as dozens of steps."""
DRAWINGS = {
    "omniglot": 4,
    "glyphs": 3,
    "icons": 3,
    "fonts": 1,
    "characters": 1,
    "variations:omniglot": 1,
    "variations:icons": 2,
}
"""The sources of drawings28."""
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
        DRAWINGS,
        (*OFTEN, "symmetries=true", "fewest_shots=2", "decay_steps=6000", "terms.nearness=3"),
        "omniglot",
    ),
    "drawings28-emoji": Training(
        "28x28x1",
        9000,
        {**DRAWINGS, "fonts": 2, "variations:icons": 1, "variations:emoji": 3},
        (*OFTEN, "symmetries=true", "fewest_shots=2", "decay_steps=9000", "terms.nearness=3"),
        "drawings28",
    ),
    "pictures32": Training("32x32x3", 3600, COLOURS, (*OFTEN, *COLOUR_SETTINGS, "decay_steps=3600"), objective=True),
    "pictures64": Training(
        "64x64x3",
        6000,
        COLOURS,
        (*OFTEN, *COLOUR_SETTINGS, "decay_steps=6000", "network.detail=1"),
        objective=True,
    ),
}


def objective_command(name: str, sources: dict[str, str], folder: Path) -> list[str]:
    """Return the arguments of `meta-gan judge` for the network in whose features a model is trained."""
    made = ["judge", "--data", sources["emoji"], "--image-shape", MODELS[name].shape, "--out", str(folder)]
    made += ["--purpose", "objective", "--method", "classification", "--network", "conv4"]
    return [*made, "--width", "48", "--seed", "3", "--steps", "1200"]


def command(name: str, sources: dict[str, str], out: Path) -> list[str]:
    """Return the arguments of `meta-gan train` for a model."""
    training, kind = MODELS[name], "variations:"
    data = [kind * entry.startswith(kind) + sources[entry.removeprefix(kind)] for entry in training.weights]
    made = ["train", *training.flags, "--data", *data, "--weights", *map(str, training.weights.values())]
    made += ["--image-shape", training.shape, "--out", str(out / "runs" / name), "--steps", str(training.steps)]
    made += ["--start", training.start] if training.start else []
    features = [f"game.features={objective_folder(name, out)}"] if training.objective else []
    return [*made, "--set", *training.settings, *features]


def objective_folder(name: str, out: Path) -> Path:
    """Return the folder of the network in whose features a model is trained."""
    return out / "objectives" / MODELS[name].shape


def main() -> None:
    """Train a model, or go on with its training."""
    parser = common.parser("pictures.training", __doc__, data="folder of the .npz files")
    parser.add_argument("name", choices=tuple(MODELS), help="the model")
    parser.add_argument("--dry-run", action="store_true", help="check everything and print the settings")
    arguments = parser.parse_args()
    out, name = Path(arguments.out), arguments.name
    sources, folder = prepare(Path(arguments.data), out / "data"), objective_folder(name, out)
    if MODELS[name].objective and not folder.is_dir():
        _meta_gan(objective_command(name, sources, folder))
    made = command(name, sources, out)
    made += ["--resume"] if common.started(out / "runs" / name) else []
    _meta_gan([*made, *(["--dry-run"] if arguments.dry_run else [])])


def _meta_gan(arguments: list[str]) -> None:
    """Run a command, and end with its exit code if it fails."""
    if code := subprocess.run([sys.executable, "-m", "meta_gan.cli", *arguments], check=False).returncode:
        sys.exit(code)


if __name__ == "__main__":
    main()
