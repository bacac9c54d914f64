"""Train a flow of drawings, distil it into four steps, and save the result with its card.

`python -m benchmarks.flow.training --data omniglot28.npz --out DIR` took 103 minutes of one core beside other work
for the flow; the distillation has not been timed. Run it again to resume it. The runs are in DIR/flow and
DIR/few-steps, and the model is DIR/omniglot-flow. `--stage` does one of the three parts alone.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import meta_gan as mg
from benchmarks import common
from meta_gan import functional, loading, storage
from meta_gan.model import MetaModel

STAGES = ("flow", "few-steps", "ship")
STEPS, FEW, FINE = 9000, 4, 16
"""Outer steps of the flow; steps from noise to drawing of the student and of its teacher."""
DISTILLATION_STEPS = 2000
GUIDANCE = 2.0
"""Guidance of the teacher."""
OFTEN = ("train.checkpoint_every=250", "train.log_every=25", "train.picture_steps=0")
TASKS = ("fewest_shots=1", "symmetries=true")
SHOTS = ("--shots", "10")


def command(stage: str, data: str, out: Path) -> list[str]:
    """Return the arguments of `meta-gan train` for a stage."""
    made = ["train", "--preset", "flow", "--data", data, "--out", str(out / stage), *SHOTS]
    if stage == "flow":
        own = [f"decay_steps={STEPS}", f"solver_steps={FEW}", "train.validate_every=500"]
        return [*made, "--queries", "7", "--steps", str(STEPS), "--set", *OFTEN, *TASKS, *own]
    own = [f"game.teacher={loading.resolve(out / 'flow')}", f"teacher_guidance={GUIDANCE:g}", f"teacher_steps={FINE}"]
    own += [f"solver_steps={FEW}", "guidance=1", "unconditional=0", "outer.rate=0.0003"]
    own += [f"decay_steps={DISTILLATION_STEPS}", "train.validate_every=250"]
    return [*made, "--queries", "2", "--steps", str(DISTILLATION_STEPS), "--set", *OFTEN, *TASKS, *own]


def ship(out: Path) -> Path:
    """Save the student without its teacher, with the averaged weights, and return its folder."""
    run = loading.resolve(out / "few-steps")
    model = loading.load(run)
    functional.write(model.game.nets, model.meta_weights(averaged=True).initial)
    alone = MetaModel(model.game.student(), model.algorithm)
    alone.data_card = dict(model.data_card)
    about = {
        "recipe": "python -m benchmarks.flow.training --data omniglot28.npz --out DIR",
        "sampling": f"{FEW} evaluations of the network; the guidance {GUIDANCE:g} is learned",
        "licence": "Apache-2.0; trained on Omniglot (MIT)",
    }
    training = storage.read_config(run).get("training")
    mg.save_to_preset(alone, out / "omniglot-flow", training=training, about=about)
    return out / "omniglot-flow"


def main() -> None:
    """Train, distil and save, or go on."""
    parser = common.parser("flow.training", __doc__, data="omniglot28.npz")
    parser.add_argument("--stage", nargs="+", choices=STAGES, default=STAGES, help="the parts to do (default: all)")
    arguments = parser.parse_args()
    out = Path(arguments.out)
    for stage in (stage for stage in STAGES if stage in arguments.stage):
        if stage == "ship":
            print(f"saved: {ship(out)}")
            continue
        made = command(stage, arguments.data, out)
        made += ["--resume"] if common.started(out / stage) else []
        if code := subprocess.run([sys.executable, "-m", "meta_gan.cli", *made], check=False).returncode:
            sys.exit(code)


if __name__ == "__main__":
    main()
