"""Quality over training time of a finished run.

`python -m benchmarks.flagship.training_curve --run RUN --out curve.png` plots the validation of a run folder of
`meta-gan train`: the distance, in the features of the objective's network, between samples of the averaged weights
before adaptation and the query images of fixed tasks.
"""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib.figure

from benchmarks import common

DISTANCE = "validation/distance/before"


def points(run: Path) -> list[tuple[float, float]]:
    """Return minutes of training and the distance of every validation of a run except the one at step 0.

    Raises:
        ValueError: the run has no validation after its first step.
    """
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    minutes = {line["step"]: line["seconds"] / 60.0 for line in lines if "seconds" in line}
    found = [(minutes[line["step"]], line[DISTANCE]) for line in lines if DISTANCE in line and line["step"] in minutes]
    if not found:
        raise ValueError(f"--run must be a run with a validation at a step that was logged. Received: {str(run)!r}")
    return found


def main() -> None:
    """Draw the curve."""
    parser = common.parser("flagship.training_curve", __doc__, out="picture to write")
    parser.add_argument("--run", required=True, help="run folder")
    arguments = parser.parse_args()
    found = points(Path(arguments.run))
    figure = matplotlib.figure.Figure(figsize=(5, 3), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(*zip(*found, strict=True), marker="o")
    axes.set(xlabel="minutes of training", ylabel="distance to unseen drawings", ylim=(0, None))
    figure.savefig(arguments.out, dpi=110)
    for minutes, distance in found:
        print(f"{minutes:.1f} min: {distance:.4f}")


if __name__ == "__main__":
    main()
