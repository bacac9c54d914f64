"""Training time against quality, of a finished run: `python -m benchmarks.training_curve --run RUN --out curve.png`.

RUN is a run folder of `meta-gan train`. The quality is its validation: the distance of samples to the query images of
fixed validation tasks, before adaptation, from the averaged weights, in the features of the objective's network.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib.figure

DISTANCE = "validation/distance/before"


def points(run: Path) -> list[tuple[float, float]]:
    """Minutes of training and the distance then, for every validation of a run but the first, at step 0.

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
    """Draws the curve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", required=True, help="run folder")
    parser.add_argument("--out", required=True, help="picture to write")
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
