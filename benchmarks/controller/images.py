"""A controller on drawings, in a short form: `python -m benchmarks.controller.images --data omniglot28.npz --out DIR`.

It meta-trains a DCGAN by FOMAML, finds the constant rate with which Adam comes nearest to validation characters in 40
inner steps, trains a controller of Adam from these weights for the same time, and evaluates both rows under
few-shot-28, K = 5, on 100 unseen characters, with one seed and one draw. The policy is trained by evolution strategies
on the distance in the features of the shipped objective network, which is no judge. It writes `results.json`,
`report.md` and `chosen.png`, the controller's choices over time. An interrupted run continues.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import matplotlib.figure
import numpy as np
import tensorflow as tf

import meta_gan as mg
import trainers
from benchmarks import common
from benchmarks.common import ENDLESS, JUDGES
from benchmarks.meta_learners import mixtures
from meta_gan import functional, loading, presets, storage
from meta_gan.controller import ScheduleController
from meta_gan.games import GAN
from meta_gan.judges import load_judge
from meta_gan.meta import EvolutionStrategies
from meta_gan.meta_learners import Adam
from meta_gan.protocol import Evaluation, Method, Settings
from meta_gan.report import Report
from meta_gan.tasks import open_source
from meta_gan.types import Episode
from trainers import MetaTrainer, TrainConfig, run_folder

STEPS, EVERY, TUNING_TASKS = 40, 5, 24
RATES = (3e-4, 1e-3, 3e-3, 1e-2)
RECIPE = ("network=dcgan", "width=16", "loss=non_saturating", "penalty=none", "outer_rate=0.001", "averaging=0.99")


def start(data: str, out: Path, minutes: float) -> GAN:
    """Train a GAN by FOMAML, and return it with the objective's features, in which distances are measured.

    Raises:
        RuntimeError: the training failed; the message holds the end of its output.
    """
    folder = out / "fomaml"
    fields = [*RECIPE, "checkpoint_every=50"]
    done = common.train("fomaml", data, folder, minutes, common.cores()[0], fields, "--queries", "10")
    common.check(done, "training by FOMAML")
    model = loading.load(loading.resolve(folder))
    game: Any = model.adaptation.copy(model.meta_weights(averaged=True).initial)
    judge = mg.features.load(presets.named.OBJECTIVE)
    unit = keras.layers.Rescaling(1.0 / judge.scale, name="unit")
    features = keras.Sequential([keras.Input(game.example_shape), judge.network, unit], name="features")
    return GAN(game.nets["generator"], game.nets["discriminator"], game.loss_function, game.penalty, features=features)


def adam(rate: float) -> Adam:
    """Return the meta-learner that is steered."""
    return Adam(rate, 0.5, 0.99, 1e-6)


def best_rate(game: GAN, episodes: Episode) -> tuple[float, dict[str, float]]:
    """Return the rate with which Adam reaches the least distance in 40 steps, and the mean distance of every rate."""
    curves = mixtures.Curves(game, adam(1.0), False)
    starts = functional.read(game.nets)
    found = {rate: float(np.nanmean(curves(starts, episodes, rate)[:, STEPS])) for rate in RATES}
    return min(found, key=found.__getitem__), {str(rate): value for rate, value in found.items()}


def controlled(game: GAN, rate: float, tasks: Any, folder: Path, minutes: float) -> mg.MetaModel:
    """Return a controller of Adam from these weights, trained for minutes of processor time; its run is resumed."""
    # An outer step takes seconds here, and evolution strategies find a good schedule in tens of them where a policy
    # gradient needs hundreds (docs/controller.md); they need a policy that is not calm.
    controller = ScheduleController(adam(rate), STEPS, EVERY, holdout=0.2, calm=0.1)
    row = mg.Algorithm("controller", controller, EvolutionStrategies(0.2, 4, logarithm=True), STEPS)
    model = mg.MetaModel(game, row)
    model.compile(optimizer=keras.optimizers.Adam(0.03), clip=1.0, skip_nonfinite=True)
    runs = run_folder.runs(folder)
    place = runs[-1] if runs else run_folder.new_run(folder, "controller")
    config = TrainConfig(
        steps=ENDLESS,
        minutes=minutes,
        processor_time=True,
        meta_batch=2,
        log_every=1,
        validate_every=ENDLESS,
        checkpoint_every=5,
    )
    return loading.load(MetaTrainer(model, tasks, place, config, {"recipe": "controller"}).run())


def chosen(model: mg.MetaModel, episodes: Episode) -> np.ndarray:
    """Return the knobs after each decision, float32[tasks, decisions, knobs]."""
    controller: Any = model.meta_learner
    loop, meta = model.loop, model.meta_weights(averaged=True)

    def one(episode: Episode) -> Any:
        carry, kept = loop.begin(meta), tf.TensorArray(tf.float32, STEPS // EVERY, clear_after_read=False)

        def body(i: Any, carry: Any, kept: Any) -> Any:
            carry, _ = loop.advance(meta, carry, episode.support, EVERY, episode.seed)
            stand = [carry.meta_learner_state["knobs"][knob.name] for knob in controller.knobs]
            return i + 1, carry, kept.write(i, tf.stack(stand))

        _, _, kept = tf.while_loop(lambda i, *_: i < STEPS // EVERY, body, (tf.constant(0), carry, kept))
        return tf.ensure_shape(kept.stack(), [STEPS // EVERY, len(controller.knobs)])

    return tf.function(lambda: functional.map_tasks(one, episodes), autograph=False)().numpy()


def card_of(model: mg.MetaModel, minutes: float) -> dict[str, Any]:
    """Return the card of a row for the report."""
    return {"weights_sha256": model.adaptation.fingerprint(), "training": {"minutes by FOMAML": minutes}}


def picture(path: Path, names: list[str], knobs: np.ndarray) -> None:
    """Plot every knob over time: its mean over tasks and its quartiles."""
    figure = matplotlib.figure.Figure(figsize=(9, 2.4), layout="constrained")
    times = EVERY * np.arange(knobs.shape[1])
    for place, (axes, name) in enumerate(zip(figure.subplots(1, len(names)), names, strict=True)):
        low, high = np.quantile(knobs[..., place], [0.25, 0.75], axis=0)
        axes.fill_between(times, low, high, step="post", alpha=0.2)
        axes.step(times, knobs[..., place].mean(axis=0), where="post")
        axes.set(title=name, xlabel="inner step")
    figure.savefig(path, dpi=110)


def main() -> None:
    """Train and evaluate."""
    parser = common.parser("controller.images", __doc__, data="omniglot28.npz")
    parser.add_argument("--minutes", type=float, default=8.0, help="of processor time for each training (default: 8)")
    parser.add_argument("--classes", type=int, default=100, help="evaluation classes (default: 100)")
    arguments = parser.parse_args()
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    trainers.configure_threads()
    tasks = open_source(arguments.data, shots=5, queries=10)
    game = start(arguments.data, out, arguments.minutes)
    rate, found = best_rate(game, tasks.episode_batch("validation", 0, TUNING_TASKS))
    print(f"Adam's constant rate: {rate} of {found}", flush=True)
    model = controlled(game, rate, tasks, out / "controller", arguments.minutes)
    steered: Any = model.meta_learner
    knobs = chosen(model, tasks.episode_batch("test", 0, TUNING_TASKS))
    picture(out / "chosen.png", [knob.name for knob in steered.knobs], knobs)
    plain = mg.MetaModel(
        model.adaptation.copy(model.meta_weights().initial), mg.Reptile(STEPS, meta_learner=adam(rate))
    )
    methods = [
        Method(name, row, card_of(row, arguments.minutes)) for name, row in (("controller", model), ("constant", plain))
    ]
    settings = Settings(
        steps=STEPS,
        curve=(0, 10, 20, STEPS),
        classes=arguments.classes,
        scratch_steps=0,
        classification_draws=0,
        stability_classes=0,
    )
    source = open_source(arguments.data, shots=1, queries=1).source
    report = Evaluation(source, methods, [load_judge(name) for name in JUDGES], settings, out / "evaluation").run()
    means = {name: knobs[..., i].mean(axis=0).tolist() for i, name in enumerate(k.name for k in steered.knobs)}
    results = {"rates": found, "chosen": means, "curve": report["curve"], "rows": report["rows"]}
    storage.write_json(out / "results.json", results)
    text = Report.from_dict(report).to_markdown()
    (out / "report.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
