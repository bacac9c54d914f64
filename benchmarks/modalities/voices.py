"""Spoken digits by speaker: the data, judges, the training, and the rows of `benchmarks.modalities`."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

from meta_gan import presets
from meta_gan.judges import Judge, JudgeRecipe, train_judge
from meta_gan.judges.spectrograms import judge_source, make_spectrograms
from meta_gan.metrics.class_scores import energy_distance
from meta_gan.metrics.distances import pair_distances, pairwise_distances
from meta_gan.model import MetaModel
from meta_gan.tasks import Source, Tasks
from meta_gan.tasks.media import Sounds
from meta_gan.tasks.media.sounds import fit, resample
from meta_gan.tasks.pixels import to_float
from trainers import MetaTrainer, TrainConfig

FILES = ("fsdd_wave8192.npz", "fsdd_spec32.npz")
SHOTS, QUERIES, REFERENCES, MADE = 5, 10, 20, 20
MANNERS = ((0.8, -6), (0.8, -18), (0.86, -12), (0.86, -24), (0.93, -6), (0.93, -18))
MANNERS += ((1.0, -12), (1.0, -24), (1.07, -6), (1.07, -18), (1.15, -12), (1.15, -24), (1.25, -6), (1.25, -18))
"""Speeds (which change the pitch) and levels in dB at which a training voice counts as another speaker's; the held-out
speakers were recorded 12 to 20 dB below the others."""
JUDGES = {
    "conv4": {"network": "conv4", "width": 48, "augmentation": False, "seed": 1},
    "residual": {"method": "classification", "network": "residual", "width": 24, "batch": 100, "seed": 2},
}
SHIFT, STRETCH, NOISE = 200, 0.07, 0.003  # samples; share; of the loudest sample


@functools.cache
def voices(data: Path) -> Source:
    """Return a class for every speaker and digit; all digits of the test speaker are held out."""
    with np.load(data / FILES[0]) as kept, np.load(data / FILES[1]) as split:
        audio, digits, speakers, people = (kept[key] for key in ("audio", "labels", "speaker", "speakers"))
        classes, rate = np.repeat(split["speaker_split"], 10).astype(np.int8), int(kept["rate"])
    labels = speakers.astype(np.int32) * 10 + digits.astype(np.int32)
    names = [f"{person} {digit}" for person in people for digit in range(10)]
    return Source(audio[..., None], labels, names, classes, name="voices", medium=Sounds(rate))


def in_manners(source: Source) -> Source:
    """Return the source with its training classes also at the speeds and levels of `MANNERS`, as further classes."""
    medium, samples = source.medium, source.images.shape[1]
    assert isinstance(medium, Sounds)
    chosen = np.flatnonzero(np.isin(source.labels, source.split_classes("train")))
    sounds, labels, names = [source.images], [source.labels], list(source.class_names)
    for speed, level in MANNERS:
        rate, scale = round(medium.rate / speed), np.float32(10 ** (level / 20) / 32768)
        made = [resample(source.images[i, :, 0] * scale, medium.rate, rate) for i in chosen]
        sounds.append(medium.levels(np.stack([fit(sound, samples) for sound in made])[..., None]))
        labels.append((source.labels[chosen] + len(names)).astype(np.int32))
        names += [f"{name} x {speed} {level} dB" for name in source.class_names]
    # Classes of no examples, of the speakers that are held out, are never drawn.
    labels_of_all, sounds_of_all = np.concatenate(labels), np.concatenate(sounds)
    kept, numbers = np.unique(labels_of_all, return_inverse=True)
    split = np.concatenate([source.class_split, np.zeros(len(names) - len(source.class_names), np.int8)])[kept]
    return Source(
        sounds_of_all, numbers.astype(np.int32), [names[i] for i in kept], split, name="voices", medium=medium
    )


def train_judges(data: Path, out: Path, name: str, steps: int) -> None:
    """Train a judge on the spectrograms of training voices, unless it exists."""
    folder = out / "judges" / name
    if not folder.is_dir():
        recipe = JudgeRecipe(**{"steps": steps, **JUDGES[name]})
        train_judge(judge_source(in_manners(voices(data))), recipe, name=name).save(folder)


def train(data: Path, folder: Path, steps: int) -> None:
    """Train the preset `sound`, or resume its training."""
    tasks = Tasks(in_manners(voices(data)), SHOTS, QUERIES)
    model = presets.build(presets.get("sound", decay_steps=steps), tasks.example_shape, tasks.card["rate"])
    folder.mkdir(parents=True, exist_ok=True)
    config = TrainConfig(steps=steps, meta_batch=4, validate_every=steps, checkpoint_every=50)
    MetaTrainer(model, tasks, folder, config).run()


def dealt(data: Path, index: int, draw: int) -> list[np.ndarray]:
    """Return support, reference and oracle takes of a class, float32[n, samples, 1]."""
    source = voices(data)
    order = np.random.default_rng([draw, index]).permutation(np.flatnonzero(source.labels == index))
    cuts = np.cumsum([SHOTS, REFERENCES, MADE])
    takes = source.medium.seen(source.images[order[: cuts[-1]]]).numpy()
    return np.split(takes, cuts[:-1])


def augmented(support: np.ndarray, seed: int, kind: str) -> np.ndarray:
    """Return augmented support sounds: a `shift` of +-25 ms, with `all` also a stretch of +-7 % and slight noise."""
    draw, samples, made = np.random.default_rng([seed, 7]), support.shape[1], []
    for number in range(MADE):
        sound = support[number % len(support), :, 0].astype(np.float64)
        if kind == "all":
            speed = draw.uniform(1 - STRETCH, 1 + STRETCH)
            sound = np.interp(np.arange(samples) * speed, np.arange(samples), sound, right=0)
        way = int(draw.integers(-SHIFT, SHIFT + 1))
        sound = np.pad(sound, SHIFT)[SHIFT - way :][:samples]
        if kind == "all":
            sound = sound + draw.normal(size=samples) * NOISE * np.abs(sound).max()
        made.append(np.clip(sound, -1, 1))
    return np.array(made, np.float32)[..., None]


def scores_of(sounds: np.ndarray, support: np.ndarray, judged: dict[str, Any], rate: int) -> dict[str, float]:
    """Return the scores of sounds of one class.

    Args:
        sounds: float32[n, samples, 1].
        support: likewise.
        judged: `judges`, `references` (each judge's features of real takes of the class), `prototypes` (each judge's
            means of the speaker's ten digits), `place` (the index of the class among them) and `threshold`.
        rate: samples per second.
    """
    pictures = to_float(make_spectrograms(sounds, rate))
    found = {}
    for judge, references, prototypes in zip(judged["judges"], judged["references"], judged["prototypes"], strict=True):
        features = judge.features(pictures)
        found[f"energy/{judge.name}"] = energy_distance(features, references)
        nearest = np.square(features[:, None] - prototypes[None]).sum(axis=-1).argmin(axis=1)
        found[f"recognised/{judge.name}"] = float((nearest == judged["place"]).mean())
    flat, own = (x.reshape(len(x), -1) for x in (pictures, to_float(make_spectrograms(support, rate))))
    found["copies"] = float((pairwise_distances(flat, own).min(axis=1) < judged["threshold"]).mean())
    return found


def threshold_of(data: Path, index: int, rate: int) -> float:
    """Return the first percentile of the distances between real spectrograms of a class."""
    source = voices(data)
    takes = source.medium.seen(source.images[source.labels == index]).numpy()
    flat = to_float(make_spectrograms(takes, rate)).reshape(len(takes), -1)
    return float(np.percentile(pair_distances(flat), 1))


def _judged(data: Path, split: str, judges: list[Judge], draw: int) -> list[tuple[Any, list[np.ndarray]]]:
    """Return the argument `judged` of `scores_of` and the takes, for every class of a split."""
    source = voices(data)
    rate, classes = source.medium.rate, source.split_classes(split)  # type: ignore[union-attr]
    deals = [dealt(data, index, draw) for index in classes]
    features = [[judge.features(to_float(make_spectrograms(deal[1], rate))) for deal in deals] for judge in judges]
    prototypes = [np.stack([each.mean(axis=0) for each in of_judge]) for of_judge in features]
    found = []
    for place, (index, deal) in enumerate(zip(classes, deals, strict=True)):
        parts = {"judges": judges, "references": [each[place] for each in features], "prototypes": prototypes}
        found.append(({**parts, "place": place, "threshold": threshold_of(data, index, rate), "rate": rate}, deal))
    return found


def loss(data: Path, model: MetaModel, judges: list[Judge], steps: int) -> float:
    """Return the mean energy distance, under both judges, on validation classes after `steps` inner steps."""
    found = []
    for judged, (support, _, _) in _judged(data, "validation", judges, 0):
        sounds = model.adapt(support, steps=steps).sample(MADE)
        scores = scores_of(sounds, support, judged, judged["rate"])
        found.append([scores[f"energy/{judge.name}"] for judge in judges])
    return float(np.mean(found))


def rows(
    data: Path, model: MetaModel, judges: list[Judge], steps: int, draws: int
) -> dict[str, dict[str, list[float]]]:
    """Return the scores of every row on all test classes and draws."""
    found: dict[str, dict[str, list[float]]] = {}
    for draw in range(draws):
        for judged, (support, _, oracle) in _judged(data, "test", judges, draw):
            sets = {
                "oracle": oracle,
                "copy": support[np.arange(MADE) % SHOTS],
                "copy, shifted": augmented(support, draw, "shift"),
                "copy, shifted, stretched, with noise": augmented(support, draw, "all"),
                "meta-trained, not adapted": model.adapt(support, steps=0).sample(MADE, seed=draw),
            }
            if steps:
                sets[f"meta-trained, {steps} inner steps"] = model.adapt(support, steps=steps).sample(MADE, seed=draw)
            for row, sounds in sets.items():
                for score, value in scores_of(sounds, support, judged, judged["rate"]).items():
                    found.setdefault(row, {}).setdefault(score, []).append(value)
    return found


def shown(data: Path, model: MetaModel, steps: int) -> tuple[list[tuple[np.ndarray, ...]], int]:
    """Return support, held-out takes and samples of every test class, five each, and their rate."""
    source, sets = voices(data), []
    for index in source.split_classes("test"):
        support, references, _ = dealt(data, index, 0)
        sets.append((support, references[:SHOTS], model.adapt(support, steps=steps).sample(SHOTS, seed=1)))
    return sets, source.medium.rate  # type: ignore[union-attr]
