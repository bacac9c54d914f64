"""How good translations between two domains are: models and what needs none, over the pairs of a split.

A task is a pair of classes of `DomainTasks`. Every row is given the support sets, translates the source's query images,
and is scored on the target's query images; a model that makes the target of noise, a `Transfer`, draws as many. The
rows that need no model are `identity`, the source's images as they are, and `nearest`, for every image the support
image of the target that is nearest to it in pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from meta_gan.checks import check_integer
from meta_gan.judges.judge import Judge
from meta_gan.metrics import scores as metrics
from meta_gan.metrics.intervals import bootstrap_mean
from meta_gan.metrics.neighbours import pairwise
from meta_gan.model import MetaModel
from meta_gan.tasks import DomainTasks
from meta_gan.tasks.base import Source

SOURCE, TARGET = "source", "target"
PLAIN_ROWS = ("identity", "nearest")
PIXELS = "pixels"
PROTOTYPE_IMAGES = 200
MOST_PAIRS = 2000  # their images are drawn as one tensor
_WINDOW = 11  # of Wang et al.; smaller images have a window of their side

Row = Callable[[dict[str, np.ndarray], np.ndarray, int], dict[str, np.ndarray]]
"""From a support set, the source's query images and a seed to `{"images"}`, and `"returned"` of a way back; or to
`{"samples"}`, which are of the target, but of no image of the source."""


def row_of(model: MetaModel, steps: int | None = None, rate_scale: float = 1.0) -> Row:
    """Return the row of a model of two domains: it adapts to the support set, then translates, or draws samples.

    What is not finite, of an adaptation that diverged, counts as mid-grey.

    Args:
        model: of a game of two domains with the endpoint `translate` or `sample`.
        steps: inner steps >= 0; None for the model's own.
        rate_scale: > 0, multiplies every update.

    Raises:
        ValueError: the model is of one domain or has no such endpoint, or an argument out of range.
    """
    endpoints = model.game.endpoints
    if not isinstance(model.game.example_shape, Mapping) or not {"translate", "sample"} & set(endpoints):
        raise ValueError(
            "a model must be of two domains and have the endpoint 'translate' or 'sample'. Received: one of "
            f"{model.game.example_shape} and {sorted(endpoints)}"
        )
    chosen = model.algorithm.inner_steps if steps is None else check_integer(steps, "steps", 0)
    adaptation = model.adaptation

    def row(support: dict[str, np.ndarray], images: np.ndarray, seed: int) -> dict[str, np.ndarray]:
        (snapshot,) = adaptation.trajectory(support, [chosen], seed, rate_scale)
        conditioning = adaptation.condition(snapshot, support) if model.game.conditioned else None

        def run(name: str, given: dict[str, Any], made: str = "images") -> np.ndarray:
            result = adaptation.run(name, snapshot, conditioning, given, seed)[made]
            # Of a diverged adaptation: what is not finite is mid-grey, which every score counts as bad.
            return np.clip(np.nan_to_num(result.numpy().astype(np.float32), posinf=0.0, neginf=0.0), -1.0, 1.0)

        if "translate" not in endpoints:
            return {"samples": run("sample", {"num": len(images)}, "samples")}
        found = {"images": run("translate", {"images": images})}
        if "translate_back" in endpoints:
            found["returned"] = run("translate_back", {"images": found["images"]})
        return found

    return row


def identity(support: dict[str, np.ndarray], images: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """The row of no translation at all."""
    return {"images": images}


def nearest(support: dict[str, np.ndarray], images: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """The row of the target's support images, for each image the one that is nearest to it in pixels."""
    flat = (np.reshape(each, (len(each), -1)).astype(np.float64) for each in (images, support[TARGET]))
    return {"images": support[TARGET][pairwise(*flat).argmin(axis=1)]}


def evaluate_translations(
    tasks: DomainTasks,
    rows: Mapping[str, Row],
    judges: Sequence[Judge] = (),
    split: str = "test",
    draws: int = 1,
    seed: int = 0,
) -> dict[str, Any]:
    """Score rows over every pair of a split.

    Scores: `energy_distance` between translations and the target's query images, of each judge's features, and of
    pixels under the name `pixels`; `label_preservation`, where both classes of a pair have one name, the share of
    translations nearest, in a judge's features, to the mean of their own class among all of the target; `l1` and `ssim`
    to the truth, of translations where query sets are paired; and `cycle_error`, the mean absolute change there and
    back, of models with the way back.

    Args:
        tasks: `shots` images of each domain are given, and `queries` are scored, at least 2.
        rows: by name, beside `identity` and `nearest`, which are always there; see `row_of`.
        judges: each of the tasks' image shape.
        split: whose pairs.
        draws: of support and query of every pair, >= 1.
        seed: int32 range, of adaptation.

    Returns:
        `{"rows": {row: {score: {mean, low, high}}}, "tasks", "shots", "queries", "split", "judges"}`, with 95 %
        bootstrap intervals over pairs and draws; the same tasks for every row.

    Raises:
        ValueError: a row named as one that is always there, a judge for other images, of a name that another has, or
            that was an objective, an argument out of range, or a split without pairs or with more than 2,000.

    Example:
        >>> report = evaluate_translations(pairs, {"fomaml": row_of(model, steps=5)}, [judge], draws=3)
        >>> report["rows"]["fomaml"]["energy_distance/conv"]["mean"]

    Reference: Wang, Bovik, Sheikh and Simoncelli, "Image Quality Assessment: From Error Visibility to Structural
        Similarity", 2004, for `ssim`.
    """
    check_integer(draws, "draws", 1)
    _check(tasks, rows, judges)
    if (count := len(tasks.pairs.get(split, ()))) > MOST_PAIRS:
        raise ValueError(f"at most {MOST_PAIRS} pairs are measured; name a smaller split. Received: {count} of {split}")
    found = _measured(tasks, {"identity": identity, "nearest": nearest, **rows}, judges, split, draws, seed)
    return {
        "rows": {
            name: {score: bootstrap_mean(values).as_dict() for score, values in scores.items()}
            for name, scores in found.items()
        },
        "tasks": len(found["identity"][f"energy_distance/{PIXELS}"]),
        "shots": tasks.shots,
        "queries": tasks.queries,
        "split": split,
        "judges": {judge.name: judge.sha256 for judge in judges},
    }


def translated(
    tasks: DomainTasks, rows: Mapping[str, Row], split: str = "test", count: int = 4, columns: int = 8, seed: int = 0
) -> list[list[np.ndarray]]:
    """Return what rows make of the first pairs of a split, as rows of pictures for `tasks.pictures.grid`.

    Args:
        tasks: see `evaluate_translations`.
        rows: likewise.
        split: likewise.
        count: pairs, at most; fewer where there are fewer.
        columns: images of each set.
        seed: likewise.

    Returns:
        For every pair the source's query images, the target's support images, a line for each of `rows`, and the
        target's query images, which are the truth where they are paired.
    """
    lines: list[list[np.ndarray]] = []
    for number, (_, support, query) in enumerate(_tasks(tasks, split, 1)):
        if number == count:
            break
        images = query[SOURCE][:columns]
        lines += [list(images), list(support[TARGET][:columns])]
        lines += [list(_made(row(support, images, seed + number))) for row in rows.values()]
        lines.append(list(query[TARGET][:columns]))
    return lines


def _measured(
    tasks: DomainTasks, rows: Mapping[str, Row], judges: Sequence[Judge], split: str, draws: int, seed: int
) -> dict[str, dict[str, list[float]]]:
    """`{row: {score: a value for each task that has it}}`."""
    labelled = len(tasks.target.class_names) > 1
    prototypes = {judge.name: _prototypes(judge, tasks.target) for judge in judges if labelled}
    found: dict[str, dict[str, list[float]]] = {name: {} for name in rows}
    for number, ((a, b), support, query) in enumerate(_tasks(tasks, split, draws)):
        same = tasks.source.class_names[a] == tasks.target.class_names[b]
        for name, row in rows.items():
            made = row(support, query[SOURCE], seed + number)
            scores = _scores(made, query, judges, tasks.paired)
            for judge in judges if same and labelled else ():
                share = metrics.recognisability(judge.features(_made(made)), prototypes[judge.name], b)
                scores[f"label_preservation/{judge.name}"] = share
            for score, value in scores.items():
                found[name].setdefault(score, []).append(value)
    return found


def _made(found: Mapping[str, np.ndarray]) -> np.ndarray:
    """What a row made, whether of images or of noise."""
    return found["images"] if "images" in found else found["samples"]


def _check(tasks: DomainTasks, rows: Mapping[str, Row], judges: Sequence[Judge]) -> None:
    if taken := sorted(set(rows) & set(PLAIN_ROWS)):
        raise ValueError(f"rows must have names other than {PLAIN_ROWS}. Received: {taken}")
    if tasks.queries < 2:
        raise ValueError(f"an energy distance needs 2 query images. Received: queries={tasks.queries}")
    names = [judge.name for judge in judges]
    if len(set(names)) < len(names) or PIXELS in names:
        raise ValueError(f"judges must have names of their own, none of them {PIXELS!r}. Received: {names}")
    for judge in judges:
        if judge.card.get("purpose") == "objective":
            raise ValueError(
                f"a judge must never have been an objective of training. Received: {judge.name!r}, a net for objectives"
            )
        if tuple(judge.example_shape) != tasks.target.example_shape:
            raise ValueError(
                f"the judge {judge.name!r} must take images of {tasks.target.example_shape}. "
                f"Received: {tuple(judge.example_shape)}"
            )


def _tasks(
    tasks: DomainTasks, split: str, draws: int
) -> Iterator[tuple[list[int], dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """Every pair of a split, so many times: its classes, and its support and query images by domain."""
    for draw in range(draws):
        episode = tasks.episode_batch(split, draw, max(1, len(tasks.pairs[split])))
        for number in np.argsort(episode.task_id.numpy()):
            sets = [{d: each[d][number].numpy() for d in (SOURCE, TARGET)} for each in (episode.support, episode.query)]
            yield tasks.pairs[split][int(episode.task_id[number])].tolist(), sets[0], sets[1]


def _scores(
    made: dict[str, np.ndarray], query: dict[str, np.ndarray], judges: Sequence[Judge], paired: bool
) -> dict[str, float]:
    """All scores of one row and task that need no classes."""
    images, truth = _made(made), query[TARGET]
    flat = [np.reshape(each, (len(each), -1)) for each in (images, truth)]
    scores = {f"energy_distance/{PIXELS}": metrics.energy_distance(*flat)}
    for judge in judges:
        scores[f"energy_distance/{judge.name}"] = metrics.energy_distance(judge.features(images), judge.features(truth))
    if paired and "images" in made:
        scores["l1"] = float(np.abs(images - truth).mean())
        window = min(_WINDOW, *images.shape[1:3])
        # Of intensities from 0 on, as it is defined: about a mean of 0 it would call two greys unlike.
        similar = tf.image.ssim(tf.constant(images) + 1.0, tf.constant(truth) + 1.0, max_val=2.0, filter_size=window)
        scores["ssim"] = float(tf.reduce_mean(similar))
    if "returned" in made:
        scores["cycle_error"] = float(np.abs(made["returned"] - query[SOURCE]).mean())
    return scores


def _prototypes(judge: Judge, source: Source) -> np.ndarray:
    """The mean features of up to `PROTOTYPE_IMAGES` images of every class, float64[classes, d]."""
    draw, means = np.random.default_rng(0), []
    for index in range(len(source.class_names)):
        members = draw.permutation(np.flatnonzero(source.labels == index))[:PROTOTYPE_IMAGES]
        means.append(judge.features(source.images[members]).astype(np.float64).mean(axis=0))
    return np.stack(means)
