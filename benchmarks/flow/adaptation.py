"""What inner steps do to a meta-learned initialisation: scores over steps, and samples before and after.

`python -m benchmarks.flow.adaptation --model DIR --data omniglot28.npz --out DIR` adapts a model to five drawings of
unseen characters. It writes `report.md` and `report.json` as `meta-gan evaluate` does; `curve.png`: energy distance,
recognisability and copy rate over inner steps, beside one image repeated; and `before_after.png`: five drawings, five
samples before adaptation and five after it, a row for each character.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import trainers
from benchmarks import common
from benchmarks.common import JUDGES
from meta_gan.judges import load_judge
from meta_gan.protocol import Evaluation, Settings
from meta_gan.report import Report
from meta_gan.report.figures import COLOURS, INK, canvas
from meta_gan.tasks import open_source
from meta_gan.tasks.pictures import grid, save_png
from meta_gan.tasks.pixels import to_float

STEPS = 50
CURVE = (0, 1, 5, 10, 20, 50)
SCORES = {"energy_distance": "energy distance", "recognisability": "recognisability", "copy_rate": "copy rate"}
REPEATED = "one image repeated"


def draw_curve(path: Path, report: Report, name: str) -> None:
    """Draw the scores of a model over inner steps under each judge, with those of one image repeated as lines."""
    with canvas(9.0, 3.0) as figure:
        for axes, (score, label) in zip(figure.subplots(1, len(SCORES)), SCORES.items(), strict=True):
            for colour, (judge, scores) in zip(COLOURS, report.curve[name].items(), strict=False):
                means = [scores[score][str(step)]["mean"] for step in CURVE]
                axes.plot(range(len(CURVE)), means, marker="o", color=colour, label=judge)
                repeated = report.controls[REPEATED][judge][score]
                axes.axhline(repeated["mean"], color=colour, linestyle=(0, (3, 3)), linewidth=1)
            axes.set_xticks(range(len(CURVE)), CURVE)
            axes.set(xlabel="inner steps", title=label)
            axes.title.set_color(INK)
            axes.grid(axis="y")
        axes.legend(frameon=False, fontsize=8)
        figure.savefig(path, format="png", dpi=110, facecolor="white")


def main() -> None:
    """Evaluate, and draw the pictures."""
    parser = common.parser("flow.adaptation", __doc__, data="omniglot28.npz")
    parser.add_argument("--model", required=True, help="run or model folder")
    parser.add_argument("--classes", type=int, default=100, help="characters, >= 2 (default: 100)")
    arguments = parser.parse_args()
    trainers.configure_threads()
    out, name = Path(arguments.out), "model"
    settings = Settings(
        steps=STEPS,
        curve=CURVE,
        classes=arguments.classes,
        scratch_steps=0,
        stability_classes=0,
        classification_draws=0,
    )
    judges = [load_judge(judge) for judge in JUDGES]
    source = open_source(arguments.data, shots=1, queries=1).source
    evaluation = Evaluation(source, [common.method(name, arguments.model)], judges, settings, out / "evaluation")
    report = Report.from_dict(evaluation.run())
    report.write(out)
    draw_curve(out / "curve.png", report, name)
    before, after = (evaluation.galleries()[row] for row in (f"{name}, 0 steps", name))
    gap = np.zeros_like(before["support"][:, :1])
    parts = [before["support"], gap, before["samples"][:, :5], gap, after["samples"][:, :5]]
    save_png(out / "before_after.png", grid(to_float(np.concatenate(parts, axis=1))))
    print(report.to_markdown())


if __name__ == "__main__":
    main()
