"""Make a trained model ready to ship: choose its temperature on validation tasks, and save it with its card.

`python -m benchmarks.pictures.shipping NAME --data FOLDER --out DIR` reads the last run that
`benchmarks.pictures.training` left in DIR. The temperature is the lowest multiple of .05 at which samples are as far
from their support images as real pictures of the validation tasks are, in the features of the training. The model is
saved as DIR/NAME.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import meta_gan as mg
from benchmarks import common
from benchmarks.pictures import training
from benchmarks.pictures.data import prepare
from meta_gan import loading, metrics, storage
from meta_gan.cli import program, settings, sources
from meta_gan.tasks.pixels import to_uint8

TEMPERATURES = tuple(round(0.05 * i, 2) for i in range(16, 37))
TASKS, SAMPLES = 48, 16
LICENCE = (
    "Apache-2.0; the sources are under MIT, Apache-2.0, CC BY 4.0, OFL-1.1 and the permissive licences of the icons"
)


Task = tuple[np.ndarray, np.ndarray]
"""A support set and a query set, float32[n, height, width, channels] each."""


def validation_tasks(name: str, sources_: dict[str, str], out: Path) -> list[Task]:
    """Return tasks of the validation classes that a model was not trained on."""
    parsed = program.parser().parse_args(training.command(name, sources_, out))
    _, resolved = settings.resolve(parsed)
    episodes = sources.open_training(resolved, seed=resolved.seed).validation(8, TASKS // 8)
    return [pair for each in episodes for pair in zip(each.support.numpy(), each.query.numpy(), strict=True)]


def measure(folder: Path, temperature: float, tasks: list[Task]) -> dict[str, float]:
    """Return the mean closeness, copy rate and energy distance of samples of the tasks at a temperature."""
    model = loading.load(folder)
    model.game.nets["generator"].temperature = temperature
    features = model.game.nets["features"]
    rows = []
    for number, (support, query) in enumerate(tasks):
        samples = model.adapt(support, steps=0, seed=number).sample(SAMPLES, seed=number)
        far = [features(part).numpy() for part in (samples, support, query)]
        threshold = metrics.copy_threshold(to_uint8(np.concatenate([support, query])))
        copies = metrics.copy_rate(to_uint8(samples), to_uint8(support), threshold)
        rows.append([metrics.support_closeness(*far), copies, metrics.energy_distance(far[0], far[2])])
    closeness, copies, energy = np.mean(rows, axis=0)
    return {"temperature": temperature, "closeness": closeness, "copy_rate": copies, "energy_distance": energy}


def choose(folder: Path, tasks: list[Task]) -> list[dict[str, float]]:
    """Measure temperatures upwards, until samples are as far from the support as real pictures are."""
    found = []
    for temperature in TEMPERATURES:
        found.append(measure(folder, temperature, tasks))
        print({key: round(float(value), 3) for key, value in found[-1].items()}, flush=True)
        if found[-1]["closeness"] >= 1.0:
            break
    return found


def main() -> None:
    """Choose the temperature of a model, and save it."""
    parser = common.parser("pictures.shipping", __doc__, data="folder of the .npz files")
    parser.add_argument("name", choices=tuple(training.MODELS), help="the model")
    parser.add_argument("--temperature", type=float, help="take this one instead of choosing")
    arguments = parser.parse_args()
    out, name = Path(arguments.out), arguments.name
    storage.check_free(out / name)
    folder = loading.resolve(out / "runs" / name)
    tasks = validation_tasks(name, prepare(Path(arguments.data), out / "data"), out)
    chosen = arguments.temperature or choose(folder, tasks)[-1]["temperature"]
    model = loading.load(folder)
    model.game.nets["generator"].temperature = chosen
    config = storage.read_config(folder)
    about: dict[str, Any] = {
        "recipe": f"python -m benchmarks.pictures.training {name} --data FOLDER --out DIR",
        "sampling": f"z at {chosen:g} times the spread of training",
        "licence": LICENCE,
    }
    mg.save_to_preset(model, out / name, training=config.get("training"), about=about)
    print(f"saved: {out / name}, at temperature {chosen:g}")


if __name__ == "__main__":
    main()
