"""Time of an inner step by meta-learner, beside Adam: `python -m benchmarks.meta_learners.cost --out DIR`.

A DCGAN of half a million weights (that of `benchmarks.speed`, without its penalty) adapts to five images in ten steps
of one compiled function. The meta-learners take turns, so that a drift of the machine affects all alike; medians are
compared. `results.json` holds, by meta-learner, seconds per step and the ratio to Adam's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

import meta_gan as mg
import trainers
from benchmarks import common
from benchmarks.speed import meta_steps as speed
from meta_gan import meta_learners, storage

META_LEARNERS: Mapping[str, Callable[[], meta_learners.MetaLearner]] = {
    "Adam": lambda: meta_learners.Adam(1e-3),
    "descent": lambda: meta_learners.GradientDescent(1e-3),
    "Meta-SGD": lambda: meta_learners.MetaSGD(1e-3),
    "learned Adam": lambda: meta_learners.LearnedAdam(1e-3),
    "recurrent": lambda: meta_learners.RecurrentMetaLearner(1e-3),
    "attention": lambda: meta_learners.AttentionMetaLearner(1e-3),
    "recurrent, fused": lambda: meta_learners.RecurrentMetaLearner(1e-3, fused=True),
    "attention, fused": lambda: meta_learners.AttentionMetaLearner(1e-3, fused=True),
    "coordinatewise LSTM": lambda: meta_learners.CoordinatewiseLSTM(1e-3),
}
AIM = 1.5


def adaptation(meta_learner: meta_learners.MetaLearner, sizes: speed.Sizes) -> tuple[Callable[[], Any], int]:
    """Return a compiled function that adapts to one support set by a meta-learner, and the number of weights."""
    nets = mg.networks.dcgan((sizes.side, sizes.side, 1), width=sizes.width)
    model = mg.MetaModel(mg.games.GAN(*nets), mg.Algorithm("cost", meta_learner, mg.Unrolled(2), sizes.steps))
    episode = tf.nest.map_structure(lambda t: t[0], speed.episodes(sizes, 1))

    def adapted() -> Any:
        return model.loop.adapt(model.meta_weights(), episode.support, sizes.steps, episode.seed)[0].params

    return tf.function(adapted, autograph=False), sum(net.count_params() for net in nets)


def measure(sizes: speed.Sizes) -> dict[str, Any]:
    """Return seconds per step by meta-learner, the ratio to Adam's, and the size of the networks."""
    made = {name: adaptation(make(), sizes) for name, make in META_LEARNERS.items()}
    timed = speed.timed({name: run for name, (run, _) in made.items()}, sizes.repeats)
    seconds = {name: timed[name]["seconds"] / sizes.steps for name in META_LEARNERS}
    ratios = {name: seconds[name] / seconds["Adam"] for name in META_LEARNERS}
    costs = {name: {"seconds_a_step": seconds[name], "beside_adam": ratios[name]} for name in META_LEARNERS}
    # None where the system does not tell.
    others = [entry["others"] for entry in timed.values()]
    return {
        "weights": made["Adam"][1],
        "meta_learners": costs,
        "others": None if None in others else max(others),
    }


def main(arguments: list[str] | None = None) -> None:
    """Measure, print and write `results.json`."""
    parser = common.parser(
        "meta_learners.cost", __doc__, quick="tiny networks, as a test", out="folder of results.json"
    )
    given = parser.parse_args(arguments)
    trainers.configure_threads()
    found = measure(speed.QUICK if given.quick else speed.Sizes())
    out = Path(given.out)
    out.mkdir(parents=True, exist_ok=True)
    storage.write_json(out / "results.json", found)
    others = "an unknown number of" if found["others"] is None else f"{found['others']:.2f}"
    print(f"{found['weights']} weights; other programs kept {others} cores busy")
    for name, entry in found["meta_learners"].items():
        verdict = "" if name == "Adam" else (", within the aim" if entry["beside_adam"] <= AIM else ", above the aim")
        print(f"{name}: {1e3 * entry['seconds_a_step']:.2f} ms, {entry['beside_adam']:.2f} of Adam's{verdict}")


if __name__ == "__main__":
    main()
