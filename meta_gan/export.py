"""SavedModels for TF Serving, in which the inner loop itself runs.

A server takes `steps` and `num` from strangers, so each endpoint checks what it is asked against limits that are
fixed at export; the assertion names the input and the limit.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from meta_gan import functional, storage
from meta_gan.types import MetaWeights, Snapshot


@dataclass(frozen=True)
class Limits:
    """The greatest request that an exported model serves.

    Attributes:
        shots: support images, >= 1.
        steps: inner steps, >= 0.
        num: samples of one call, >= 1.
    """

    shots: int = 128
    steps: int = 200
    num: int = 1024

    def __post_init__(self) -> None:
        if self.shots < 1 or self.steps < 0 or self.num < 1:
            raise ValueError(f"limits must be shots >= 1, steps >= 0 and num >= 1. Received: {self}")


def _checked(checks: Sequence[tuple[str, Any, int, int]], inputs: Any, finite: Sequence[Any] = ()) -> Any:
    """The inputs, behind assertions that every `(name, value, least, most)` is in its range."""
    asserts = [
        tf.debugging.Assert(
            tf.logical_and(value >= least, value <= most),
            [f"'{name}' must lie in [{least}, {most}], the limit set at export. Received:", value],
        )
        for name, value, least, most in checks
    ]
    for image in finite:
        inside = tf.reduce_all(tf.abs(image) <= 1.001)
        asserts.append(
            tf.debugging.Assert(
                inside,
                [
                    "'support' must be finite and lie in [-1, 1]. Received a maximum of:",
                    tf.reduce_max(tf.abs(image)),
                ],
            )
        )
    with tf.control_dependencies(asserts):
        return tf.nest.map_structure(tf.identity, inputs)


def export_meta_model(deployment: Any, path: str | os.PathLike[str], limits: Limits) -> None:
    """Writes the SavedModel of a meta-model.

    Signatures: `adapt_and_sample(support, steps, num, seed)` always; `sample(num, seed)` and `serving_default(z)`
    where the game needs no support set. The output is named `samples`.

    Args:
        deployment: the meta-model's compiled parts.
        path: the version folder to make, such as `served/glyphs/1`.
        limits: the greatest request served.
    """
    meta = deployment.values()
    game = deployment.copy(meta.initial)
    learner = deployment.algorithm.meta_learner
    served = type(deployment)(
        game,
        deployment.algorithm,
        deployment.paths,
        lambda: MetaWeights(functional.read(game.nets), [tf.convert_to_tensor(v) for v in learner.trainable_variables]),
    )

    def adapt_and_sample(support: Any, steps: Any, num: Any, seed: Any) -> Any:
        checks = [
            ("support", tf.shape(support)[0], 1, limits.shots),
            ("steps", steps, 0, limits.steps),
            ("num", num, 1, limits.num),
        ]
        support, steps, num = _checked(checks, (support, steps, num), [support])
        snapshot = served.adapt_values(support, steps, seed)
        conditioning = game.condition(snapshot, support)
        return served.endpoint_values("sample", snapshot, conditioning, {"num": num}, seed)

    archive = keras.export.ExportArchive()
    scalar = {name: tf.TensorSpec([], tf.int32, name=name) for name in ("steps", "num", "seed")}
    _track(archive, [*game.nets.values(), learner])
    archive.add_endpoint("adapt_and_sample", adapt_and_sample, [served.support_spec, *scalar.values()])
    if not game.conditioners:
        _add_endpoints(archive, served, lambda: functional.read(game.nets), None, limits)
    _write(archive, path)


def export_adapted_model(
    deployment: Any, snapshot: Snapshot, conditioning: Any, path: str | os.PathLike[str], limits: Limits
) -> None:
    """Writes the SavedModel of an adapted model: `serving_default(z)` and `sample(num, seed)`.

    Args:
        deployment: the meta-model's compiled parts.
        snapshot: adapted values of all nets.
        conditioning: tensors, which become constants of the graph, or None.
        path: the version folder to make.
        limits: the greatest request served.
    """
    game = deployment.copy(snapshot)
    served = type(deployment)(game, deployment.algorithm, deployment.paths, deployment.values)
    archive = keras.export.ExportArchive()
    _track(archive, list(game.nets.values()))
    _add_endpoints(archive, served, lambda: functional.read(game.nets), conditioning, limits)
    _write(archive, path)


def _add_endpoints(archive: Any, served: Any, snapshot: Any, conditioning: Any, limits: Limits) -> None:
    latents = served.game.endpoints["generate"].inputs["z"]

    def sample(num: Any, seed: Any) -> Any:
        num = _checked([("num", num, 1, limits.num)], num)
        return served.endpoint_values("sample", snapshot(), conditioning, {"num": num}, seed)

    def serving_default(z: Any) -> Any:
        z = _checked([("z", tf.shape(z)[0], 1, limits.num)], z)
        return served.endpoint_values("generate", snapshot(), conditioning, {"z": z}, tf.constant(0))

    scalars = [tf.TensorSpec([], tf.int32, name=name) for name in ("num", "seed")]
    archive.add_endpoint("sample", sample, scalars)
    archive.add_endpoint("serving_default", serving_default, [latents])


def _track(archive: Any, models: Sequence[Any]) -> None:
    for model in models:
        if model.variables:
            archive.track(model)


def _write(archive: Any, path: str | os.PathLike[str]) -> None:
    with storage.new_folder(path) as folder:
        archive.write_out(str(folder), verbose=False)
