"""What an inner step costs by the rule that makes it, beside Adam: `python -m benchmarks.rule_cost --out DIR`.

A DCGAN of half a million weights (that of `benchmarks.speed`, without its penalty) adapts to five images by ten steps
in one compiled function. The rules take turns, so that a drift of the machine hits all alike; medians are compared.
DIR/results.json holds, by rule, seconds a step and the ratio to Adam's.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

# A program run by its path, not by `-m`, would not find its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import meta_gan as mg
import trainers
from benchmarks import speed
from meta_gan import meta_learners, storage
from meta_gan.meta import inner_loop

RULES: Mapping[str, Callable[[], meta_learners.MetaLearner]] = {
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


def adaptation(rule: meta_learners.MetaLearner, sizes: speed.Sizes) -> tuple[Callable[[], Any], int]:
    """Adapting to one support set by that rule, as a compiled function of nothing; and how many weights move."""
    nets = mg.networks.dcgan((sizes.side, sizes.side, 1), width=sizes.width)
    model = mg.MetaModel(mg.games.GAN(*nets), mg.Algorithm("cost", rule, mg.Unrolled(2), sizes.steps))
    episode = tf.nest.map_structure(lambda t: t[0], speed.episodes(sizes, 1))

    def adapted() -> Any:
        pieces = (model.game, model.meta_learner, model.mask, model.meta_weights())
        carry = inner_loop.begin(*pieces)
        return inner_loop.advance(*pieces, carry, episode.support, sizes.steps, 1, episode.seed)[0].leaves

    return tf.function(adapted, autograph=False), sum(net.count_params() for net in nets)


def measure(sizes: speed.Sizes) -> dict[str, Any]:
    """Seconds a step by rule, the ratio to Adam's, and the size of the nets."""
    made = {name: adaptation(make(), sizes) for name, make in RULES.items()}
    timed = speed.timed({name: run for name, (run, _) in made.items()}, sizes.repeats)
    seconds = {name: timed[name]["seconds"] / sizes.steps for name in RULES}
    ratios = {name: seconds[name] / seconds["Adam"] for name in RULES}
    rules = {name: {"seconds_a_step": seconds[name], "beside_adam": ratios[name]} for name in RULES}
    # Where the system does not tell, it is unknown, and not none.
    others = [entry["others"] for entry in timed.values()]
    return {
        "weights": made["Adam"][1],
        "rules": rules,
        "others": None if None in others else max(others),
    }


def main(arguments: list[str] | None = None) -> None:
    """Measures, prints and writes `results.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, help="folder for results.json")
    parser.add_argument("--quick", action="store_true", help="tiny nets, to see that it works")
    given = parser.parse_args(arguments)
    trainers.configure_threads()
    found = measure(speed.QUICK if given.quick else speed.Sizes())
    out = Path(given.out)
    out.mkdir(parents=True, exist_ok=True)
    storage.write_json(out / "results.json", found)
    others = "an unknown number of" if found["others"] is None else f"{found['others']:.2f}"
    print(f"{found['weights']} weights; other programs kept {others} cores busy")
    for name, entry in found["rules"].items():
        verdict = "" if name == "Adam" else (", within the aim" if entry["beside_adam"] <= AIM else ", above the aim")
        print(f"{name}: {1e3 * entry['seconds_a_step']:.2f} ms, {entry['beside_adam']:.2f} of Adam's{verdict}")


if __name__ == "__main__":
    main()
