"""Make a trained model ready to ship: choose its temperature on validation tasks, and save it with its card.

`python -m benchmarks.pictures.shipping NAME --data FOLDER --out DIR` reads the last run that
`benchmarks.pictures.training` left in DIR. The temperature is the lowest multiple of .05 from 1 on at which at most
4.5 % of samples of validation classes are copies of a support image. The model is saved as DIR/NAME.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

import meta_gan as mg
from benchmarks import common
from benchmarks.pictures import training
from benchmarks.pictures.data import prepare
from meta_gan import loading, metrics, storage, tasks
from meta_gan.protocol.allocation import Allocation, allocate, class_order
from meta_gan.tasks.media.pictures import resize_images
from meta_gan.tasks.pixels import to_float, to_uint8

TEMPERATURES = tuple(round(0.05 * i, 2) for i in range(20, 37))
COPIES = 0.045
CLASSES = ("omniglot", "icons", "glyphs", "characters")
SHOTS, SAMPLES, MOST = 5, 15, 24
DRAWINGS = "Omniglot (MIT), fonts (nearly all OFL-1.1) and icons (permissive, by pack)"
EMOJI = "the emoji sets fluent-emoji (MIT), fxemoji and noto (Apache-2.0), emojione and twemoji (CC BY 4.0)"
"""What a card says of the licences of the sources."""


def allocations(name: str, made: dict[str, str]) -> list[Allocation]:
    """Return the support sets and references of validation classes of the sources that a model was trained on.

    They are brought to its shape, grey drawings by repeating their channel. Sources of variations, and those whose
    validation classes have fewer than 12 pictures, have none.
    """
    shape = tuple(map(int, training.MODELS[name].shape.split("x")))
    found = []
    for each in CLASSES:
        if each in training.MODELS[name].weights:
            source = tasks.open_source(made[each], shots=SHOTS, queries=7).source
            source = dataclasses.replace(source, images=resize_images(source.images, shape))
            found.append(allocate(source, class_order(source, "validation")[:MOST], SHOTS))
    return found


def measure(folder: Path, temperature: float, allocated: list[Allocation]) -> dict[str, float]:
    """Return the mean copy rate, closeness and energy distance of samples at a temperature."""
    model = loading.load(folder)
    model.game.nets["generator"].temperature = temperature
    features, rows = model.game.nets["features"], []
    for each in allocated:
        parts = zip(each.images("support"), each.images("references"), each.thresholds(), strict=True)
        for seed, (support, real, threshold) in enumerate(parts):
            samples = to_uint8(model.adapt(support, steps=0, seed=seed).sample(SAMPLES, seed=seed))
            far = [features(to_float(part)).numpy() for part in (samples, support, real[:40])]
            copies = metrics.copy_rate(samples, support, threshold)
            rows.append([copies, metrics.support_closeness(*far), metrics.energy_distance(far[0], far[2])])
    copies, closeness, energy = np.mean(rows, axis=0)
    return {"temperature": temperature, "copy_rate": copies, "closeness": closeness, "energy_distance": energy}


def choose(folder: Path, allocated: list[Allocation]) -> float:
    """Return the lowest temperature at which few enough samples are copies; the highest if none is."""
    for temperature in TEMPERATURES:
        found = measure(folder, temperature, allocated)
        print({key: round(float(value), 3) for key, value in found.items()}, flush=True)
        if found["copy_rate"] <= COPIES:
            break
    return temperature


def main() -> None:
    """Choose the temperature of a model, and save it."""
    parser = common.parser("pictures.shipping", __doc__, data="folder of the .npz files")
    parser.add_argument("name", choices=tuple(training.MODELS), help="the model")
    parser.add_argument("--temperature", type=float, help="take this one instead of choosing")
    parser.add_argument("--metrics", default="", help="a sentence of the card on the model's scores")
    arguments = parser.parse_args()
    out, name = Path(arguments.out), arguments.name
    storage.check_free(out / name)
    folder = loading.resolve(out / "runs" / name)
    made = prepare(Path(arguments.data), out / "data")
    chosen = arguments.temperature
    if chosen is None:
        chosen = choose(folder, allocations(name, made))
    model = loading.load(folder)
    model.game.nets["generator"].temperature = chosen
    config = storage.read_config(folder)
    about: dict[str, Any] = {
        "recipe": f"python -m benchmarks.pictures.training {name} --data FOLDER --out DIR",
        "sampling": f"z at {chosen:g} times the spread of training",
        "licence": f"Apache-2.0; trained on {DRAWINGS}{f', and {EMOJI}' * training.MODELS[name].objective}",
    }
    about |= {"metrics": arguments.metrics} if arguments.metrics else {}
    mg.save_to_preset(model, out / name, training=config.get("training"), about=about)
    print(f"saved: {out / name}, at temperature {chosen:g}")


if __name__ == "__main__":
    main()
