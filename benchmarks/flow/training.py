"""Train the flow that ships as `omniglot-flow`, and save it with its card.

`python -m benchmarks.flow.training --data omniglot28.npz --out DIR` took 83 minutes of one core beside other work. Run
it again to resume it. The run is in DIR/flow, and the model is DIR/omniglot-flow.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import meta_gan as mg
from benchmarks import common
from meta_gan import loading, storage

NAME, STEPS = "omniglot-flow", 8000
"""Name of the model, and outer steps of its training."""
SAMPLING = {"solver_steps": 4, "guidance": 2.0}
"""Settings of sampling of the shipped model."""
OFTEN = ("train.checkpoint_every=500", "train.log_every=50", "train.validate_every=1000")
TASKS = ("fewest_shots=1", "symmetries=true")
SHOTS = ("--shots", "10")


def command(data: str, out: Path) -> list[str]:
    """Return the arguments of `meta-gan train`."""
    made = ["train", "--preset", "flow", "--data", data, "--out", str(out / "flow"), *SHOTS, "--queries", "7"]
    own = [f"decay_steps={STEPS}", *(f"{name}={value:g}" for name, value in SAMPLING.items())]
    return [*made, "--steps", str(STEPS), "--set", *OFTEN, *TASKS, *own]


def ship(out: Path, metrics: str) -> Path:
    """Save the trained model with its card, and return its folder.

    Args:
        out: the folder of the run and of the model.
        metrics: a sentence of the card on the model's scores, or "".
    """
    run = loading.resolve(out / "flow")
    about = {
        "recipe": "python -m benchmarks.flow.training --data omniglot28.npz --out DIR",
        "use": "one to ten 28x28 drawings, light on dark, of one class; not tried on photographs",
        "sampling": ", ".join(f"{name} {value:g}" for name, value in SAMPLING.items())
        + "; another guidance trades diversity for likeness to the class",
        "licence": "Apache-2.0; trained on Omniglot (MIT)",
    }
    about |= {"metrics": metrics} if metrics else {}
    training = storage.read_config(run).get("training")
    mg.save_to_preset(mg.load(run, sampling=SAMPLING), out / NAME, training=training, about=about)
    return out / NAME


def main() -> None:
    """Train, or go on, and save."""
    parser = common.parser("flow.training", __doc__, data="omniglot28.npz")
    parser.add_argument("--metrics", default="", help="a sentence of the card on the model's scores")
    arguments = parser.parse_args()
    out = Path(arguments.out)
    storage.check_free(out / NAME)
    made = command(arguments.data, out)
    made += ["--resume"] if common.started(out / "flow") else []
    if code := subprocess.run([sys.executable, "-m", "meta_gan.cli", *made], check=False).returncode:
        sys.exit(code)
    print(f"saved: {ship(out, arguments.metrics)}")


if __name__ == "__main__":
    main()
