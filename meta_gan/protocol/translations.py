"""Scores of translations between two domains, over the pairs of classes of a split.

A task is a pair of classes of `DomainTasks`. Every method receives the support sets, translates the source's query
images, and is scored on the target's query images; a model that generates the target from noise (a `Transfer`) draws
the same number of samples. Two rows need no model: `identity`, the source's images unchanged, and `nearest`, for each
image the target's support image that is nearest to it in pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from meta_gan import metrics
from meta_gan.checks import check_integer
from meta_gan.judges import Judge
from meta_gan.model import MetaModel
from meta_gan.protocol.methods import check_judges
from meta_gan.tasks import DomainTasks
from meta_gan.tasks.base import Source

SOURCE, TARGET = "source", "target"
PIXELS = "pixels"
PROTOTYPE_IMAGES = 200
MOST_PAIRS = 2000  # their images are drawn as one tensor
_WINDOW = 11  # of Wang et al.; smaller images have a window of their side

Images = dict[str, np.ndarray]
TranslationMethod = Callable[[Images, np.ndarray, int], Images]
"""A method of two domains: from the support images of each domain, the source's query images and a seed to {"images"},
their translations, and "returned" if it translates back; or to {"samples"} of the target, from noise."""


def translation_method(model: MetaModel, steps: int | None = None, rate_scale: float = 1.0) -> TranslationMethod:
    """Return the method that adapts a model of two domains to the support set, then translates or samples.

    Values that are not finite, after an adaptation that diverged, become mid-grey.

    Args:
        model: of a game of two domains with the endpoint `translate` or `sample`.
        steps: inner steps, >= 0; None for the model's own.
        rate_scale: multiplies every update, > 0.

    Raises:
        ValueError: the model is of one domain or has no such endpoint, or an argument is out of range.
    """
    endpoints = model.game.endpoints
    if not isinstance(model.game.example_shape, Mapping) or not {"translate", "sample"} & set(endpoints):
        raise ValueError(
            "a model must be of two domains and have the endpoint 'translate' or 'sample'. Received: one of "
            f"{model.game.example_shape} and {sorted(endpoints)}"
        )
    chosen = model.algorithm.inner_steps if steps is None else check_integer(steps, "steps", 0)
    adaptation = model.adaptation

    def translate(support: Images, images: np.ndarray, seed: int) -> Images:
        (snapshot,) = adaptation.trajectory(support, [chosen], seed, rate_scale)
        conditioning = adaptation.condition(snapshot, support) if model.game.conditioned else None

        def run(name: str, inputs: dict[str, Any], output: str = "images") -> np.ndarray:
            result = adaptation.run(name, snapshot, conditioning, inputs, seed)[output]
            return np.clip(np.nan_to_num(result.numpy().astype(np.float32), posinf=0.0, neginf=0.0), -1.0, 1.0)

        if "translate" not in endpoints:
            return {"samples": run("sample", {"num": len(images)}, "samples")}
        found = {"images": run("translate", {"images": images})}
        if "translate_back" in endpoints:
            found["returned"] = run("translate_back", {"images": found["images"]})
        return found

    return translate


def identity(support: Images, images: np.ndarray, seed: int) -> Images:
    """Return the source's images unchanged."""
    return {"images": images}


def nearest(support: Images, images: np.ndarray, seed: int) -> Images:
    """Return for each image the target's support image that is nearest to it in pixels."""
    flat = (np.reshape(each, (len(each), -1)).astype(np.float64) for each in (images, support[TARGET]))
    return {"images": support[TARGET][metrics.pairwise_distances(*flat).argmin(axis=1)]}


PLAIN: dict[str, TranslationMethod] = {"identity": identity, "nearest": nearest}


def evaluate_translations(
    tasks: DomainTasks,
    methods: Mapping[str, TranslationMethod],
    judges: Sequence[Judge] = (),
    split: str = "test",
    draws: int = 1,
    seed: int = 0,
) -> dict[str, Any]:
    """Score methods on every pair of a split.

    The scores are `energy_distance` between translations and the target's query images, in each judge's features and,
    as `pixels`, in pixels; `label_preservation`, where both classes of a pair have one name: the share of translations
    nearest, in a judge's features, to the mean of the correct class among all of the target; `l1` and `ssim` to the
    truth, of translations where query sets are paired; and `cycle_error`, the mean absolute difference of an image and
    its translation back.

    Args:
        tasks: with `shots` support images of each domain and 2 or more `queries` to score.
        methods: by name, beside `identity` and `nearest`, which are always there; see `translation_method`.
        judges: of the tasks' image shape.
        split: of the pairs.
        draws: of the support and query set of every pair, >= 1.
        seed: of adaptation, in the int32 range.

    Returns:
        {"rows": {row: {score: {mean, low, high}}}, "tasks", "shots", "queries", "split", "judges"}, with 95 % bootstrap
        intervals over pairs and draws. All rows have the same tasks.

    Raises:
        ValueError: a method has a reserved name, judges have equal names or take other images, an argument is out of
            range, or the split has no pairs or more than 2,000.

    Example:
        >>> report = evaluate_translations(pairs, {"fomaml": translation_method(model, steps=5)}, [judge], draws=3)
        >>> report["rows"]["fomaml"]["energy_distance/conv"]["mean"]

    Reference: Wang, Bovik, Sheikh and Simoncelli, "Image Quality Assessment: From Error Visibility to Structural
        Similarity", 2004, for `ssim`.
    """
    check_integer(draws, "draws", 1)
    if taken := sorted(set(methods) & set(PLAIN)):
        raise ValueError(f"'methods' must have names other than {tuple(PLAIN)}. Received: {taken}")
    if tasks.queries < 2:
        raise ValueError(f"'queries' of an energy distance must be at least 2. Received: {tasks.queries}")
    check_judges(judges, tasks.target.example_shape, [PIXELS])
    if (count := len(tasks.pairs.get(split, ()))) > MOST_PAIRS:
        raise ValueError(f"'split' must have at most {MOST_PAIRS} pairs. Received: {count} in {split!r}")
    found = _measure(tasks, {**PLAIN, **methods}, judges, split, draws, seed)
    return {
        "rows": {
            name: {score: metrics.bootstrap_mean(values).as_dict() for score, values in scores.items()}
            for name, scores in found.items()
        },
        "tasks": len(found["identity"][f"energy_distance/{PIXELS}"]),
        "shots": tasks.shots,
        "queries": tasks.queries,
        "split": split,
        "judges": {judge.name: judge.sha256 for judge in judges},
    }


def translate_pairs(
    tasks: DomainTasks,
    methods: Mapping[str, TranslationMethod],
    split: str = "test",
    count: int = 4,
    columns: int = 8,
    seed: int = 0,
) -> list[list[np.ndarray]]:
    """Return the translations of the first pairs of a split, as rows of pictures for `tasks.pictures.grid`.

    Args:
        tasks: see `evaluate_translations`.
        methods: likewise.
        split: likewise.
        count: number of pairs, at most.
        columns: number of images of each set.
        seed: likewise.

    Returns:
        For each pair the source's query images, the target's support images, a row of each method, and the target's
        query images, which are the truth where query sets are paired.
    """
    rows: list[list[np.ndarray]] = []
    for number, (_, support, query) in enumerate(_iterate_tasks(tasks, split, 1)):
        if number == count:
            break
        images = query[SOURCE][:columns]
        made = [_translations(method(support, images, seed + number)) for method in methods.values()]
        rows += [list(each) for each in (images, support[TARGET][:columns], *made, query[TARGET][:columns])]
    return rows


def _measure(
    tasks: DomainTasks,
    methods: Mapping[str, TranslationMethod],
    judges: Sequence[Judge],
    split: str,
    draws: int,
    seed: int,
) -> dict[str, dict[str, list[float]]]:
    """Return {row: {score: its values, one for each task that has one}}."""
    labelled = len(tasks.target.class_names) > 1
    prototypes = {judge.name: _prototypes(judge, tasks.target) for judge in judges if labelled}
    found: dict[str, dict[str, list[float]]] = {name: {} for name in methods}
    for number, ((a, b), support, query) in enumerate(_iterate_tasks(tasks, split, draws)):
        same = tasks.source.class_names[a] == tasks.target.class_names[b]
        for name, method in methods.items():
            made = method(support, query[SOURCE], seed + number)
            scores = _scores(made, query, judges, tasks.paired)
            for judge in judges if same and labelled else ():
                share = metrics.recognisability(judge.features(_translations(made)), prototypes[judge.name], b)
                scores[f"label_preservation/{judge.name}"] = share
            for score, value in scores.items():
                found[name].setdefault(score, []).append(value)
    return found


def _translations(made: Images) -> np.ndarray:
    """Return what a method made, from images or from noise."""
    return made["images"] if "images" in made else made["samples"]


def _iterate_tasks(tasks: DomainTasks, split: str, draws: int) -> Iterator[tuple[list[int], Images, Images]]:
    """Yield the classes and the support and query images of every pair of a split, `draws` times."""
    for draw in range(draws):
        episode = tasks.episode_batch(split, draw, max(1, len(tasks.pairs[split])))
        for number in np.argsort(episode.task_id.numpy()):
            sets = [{d: each[d][number].numpy() for d in (SOURCE, TARGET)} for each in (episode.support, episode.query)]
            yield tasks.pairs[split][int(episode.task_id[number])].tolist(), sets[0], sets[1]


def _scores(made: Images, query: Images, judges: Sequence[Judge], paired: bool) -> dict[str, float]:
    """Return all scores of one method and task that need no classes."""
    images, truth = _translations(made), query[TARGET]
    flat = [np.reshape(each, (len(each), -1)) for each in (images, truth)]
    scores = {f"energy_distance/{PIXELS}": metrics.energy_distance(*flat)}
    for judge in judges:
        scores[f"energy_distance/{judge.name}"] = metrics.energy_distance(judge.features(images), judge.features(truth))
    if paired and "images" in made:
        scores["l1"] = float(np.abs(images - truth).mean())
        window = min(_WINDOW, *images.shape[1:3])
        # SSIM is defined for intensities >= 0; about a mean of 0 it would call two different greys dissimilar.
        similar = tf.image.ssim(tf.constant(images) + 1.0, tf.constant(truth) + 1.0, max_val=2.0, filter_size=window)
        scores["ssim"] = float(tf.reduce_mean(similar))
    if "returned" in made:
        scores["cycle_error"] = float(np.abs(made["returned"] - query[SOURCE]).mean())
    return scores


def _prototypes(judge: Judge, source: Source) -> np.ndarray:
    """Return the mean features of up to `PROTOTYPE_IMAGES` images of every class, float64[classes, d]."""
    draw, means = np.random.default_rng(0), []
    for index in range(len(source.class_names)):
        members = draw.permutation(np.flatnonzero(source.labels == index))[:PROTOTYPE_IMAGES]
        means.append(judge.features(source.images[members]).astype(np.float64).mean(axis=0))
    return np.stack(means)
