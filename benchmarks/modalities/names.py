"""Names by nationality: the data, the training, and the rows of `benchmarks.modalities`."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

from meta_gan import presets
from meta_gan.metrics.ngrams import NGramModel, ngram_distance, novelty, valid_share
from meta_gan.model import MetaModel
from meta_gan.tasks import Tasks, from_texts
from meta_gan.tasks.media import Texts
from trainers import MetaTrainer, TrainConfig

FILE = "names18.npz"
SHOTS, LENGTH, MADE, HELD = 20, 16, 200, 300
ORDER, TASKS = 3, 6


@functools.cache
def tasks_of(data: Path) -> Tasks:
    """Return episodes of 20 support and 20 query names."""
    with np.load(data / FILE) as kept:
        arrays = dict(kept)
    card = {"class_names": arrays["class_names"].tolist(), "class_split": arrays["class_split"], "name": FILE}
    texts, labels = arrays["names"].tolist(), arrays["labels"].astype(np.int32)
    return from_texts(texts, labels, length=LENGTH, shots=SHOTS, queries=SHOTS, **card)


def medium_of(data: Path) -> Texts:
    """Return the medium of the names: texts over their alphabet."""
    medium = tasks_of(data).source.medium
    assert isinstance(medium, Texts)
    return medium


def train(data: Path, folder: Path, steps: int) -> None:
    """Train the preset `text`, or resume its training."""
    tasks = tasks_of(data)
    model = presets.build(presets.get("text", decay_steps=steps), tasks.example_shape)
    folder.mkdir(parents=True, exist_ok=True)
    config = TrainConfig(steps=steps, meta_batch=TASKS, validate_every=steps, checkpoint_every=50)
    MetaTrainer(model, tasks, folder, config).run()


def dealt(data: Path, index: int, draw: int) -> tuple[list[str], list[str], list[str]]:
    """Return support, reference and oracle names of a class; references and oracle share the held-out names."""
    source, medium = tasks_of(data).source, medium_of(data)
    order = np.random.default_rng([draw, index]).permutation(np.flatnonzero(source.labels == index))
    texts = medium.decode(source.images[order[: SHOTS + HELD]])
    held = texts[SHOTS:]
    return texts[:SHOTS], held[::2], held[1::2]


def made_by(data: Path, model: MetaModel, support: list[str], steps: int, count: int, seed: int) -> list[str]:
    """Return samples of the model after `steps` inner steps."""
    medium = medium_of(data)
    examples = medium.seen(medium.encode(support, LENGTH)).numpy()
    return medium.decode(model.adapt(examples, steps=steps, seed=seed).sample(count, seed=seed))


def loss(data: Path, model: MetaModel, judges: Any, steps: int) -> float:
    """Return the mean n-gram distance on validation classes after `steps` inner steps."""
    found = []
    for index in tasks_of(data).source.split_classes("validation"):
        support, held, _ = dealt(data, index, 0)
        found.append(ngram_distance(made_by(data, model, support, steps, MADE, 0), held))
    return float(np.mean(found))


def known(data: Path) -> list[str]:
    """Return all training names."""
    source = tasks_of(data).source
    return medium_of(data).decode(source.images[np.isin(source.labels, source.split_classes("train"))])


def rows(data: Path, model: MetaModel, judges: Any, steps: int, draws: int) -> dict[str, dict[str, list[float]]]:
    """Return the scores of every row on all test classes and draws."""
    source, medium, trained = tasks_of(data).source, medium_of(data), known(data)
    base = NGramModel(trained, ORDER, alphabet=medium.alphabet)
    found: dict[str, dict[str, list[float]]] = {}
    for index in source.split_classes("test"):
        for draw in range(draws):
            support, held, oracle = dealt(data, index, draw)
            pick = np.random.default_rng([draw, index, 1])
            alone, backed = NGramModel(support, ORDER, alphabet=medium.alphabet), NGramModel(support, ORDER, base)
            sets = {
                "oracle": pick.choice(oracle, MADE).tolist(),
                "copy": pick.choice(support, MADE).tolist(),
                "n-grams of the 20 names": alone.sample(MADE, LENGTH, draw),
                "n-grams with back-off to all training names": backed.sample(MADE, LENGTH, draw),
                "meta-trained, not adapted": made_by(data, model, support, 0, MADE, draw),
                f"meta-trained, {steps} inner steps": made_by(data, model, support, steps, MADE, draw),
            }
            for row, texts in sets.items():
                scores = found.setdefault(row, {})
                scores.setdefault("n-gram distance", []).append(ngram_distance(texts, held))
                scores.setdefault("not in support or training", []).append(novelty(texts, [*support, *trained]))
                scores.setdefault("valid", []).append(valid_share(texts, medium.alphabet, LENGTH))
    return found


def shown(data: Path, model: MetaModel, steps: int) -> dict[str, list[str]]:
    """Return ten samples of every test class."""
    source = tasks_of(data).source
    return {
        source.class_names[index]: made_by(data, model, dealt(data, index, 0)[0], steps, 10, 0)
        for index in source.split_classes("test")
    }
