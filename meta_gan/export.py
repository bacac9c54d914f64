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
        num: samples of one call, or rows of what it is given, >= 1.
    """

    shots: int = 128
    steps: int = 200
    num: int = 1024

    def __post_init__(self) -> None:
        if self.shots < 1 or self.steps < 0 or self.num < 1:
            raise ValueError(f"limits must be shots >= 1, steps >= 0 and num >= 1. Received: {self}")


def _checked(checks: Sequence[tuple[str, Any, int, int]], inputs: Any, images: dict[str, Any]) -> Any:
    """The inputs, behind assertions that every `(name, value, least, most)` is in its range, and images in theirs."""
    asserts = [
        tf.debugging.Assert(
            tf.logical_and(value >= least, value <= most),
            [f"`{name}` must lie in [{least}, {most}], the limit set at export. Received:", value],
        )
        for name, value, least, most in checks
    ]
    for name, image in images.items():
        inside = tf.reduce_all(tf.abs(image) <= 1.001)
        asserts.append(
            tf.debugging.Assert(
                inside,
                [
                    f"`{name}` must be finite and lie in [-1, 1]. Received a greatest size of:",
                    tf.reduce_max(tf.abs(image)),
                ],
            )
        )
    with tf.control_dependencies(asserts):
        return tf.nest.map_structure(tf.identity, inputs)


def export_meta_model(deployment: Any, path: str | os.PathLike[str], limits: Limits) -> None:
    """Writes the SavedModel of a meta-model.

    Each endpoint of the game becomes a signature `adapt_and_NAME`, and, where the game needs no support set, one of
    its own. For a GAN: `adapt_and_sample(support, steps, num, seed)`, `adapt_and_generate(support, steps, z, seed)`,
    `sample(num, seed)` and `serving_default(z)`, each with the output `samples`; for a VAE also `reconstruct(images)`
    and `encode(images)`; for a game of domains `adapt_and_translate(source_support, target_support, steps, images,
    seed)` and `serving_default(images)`.

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

    archive = keras.export.ExportArchive()
    _track(archive, [*game.nets.values(), learner])
    # One function, so that the inner loop is traced and stored once for all signatures.
    adapt = tf.function(served.adapt_values, autograph=False)
    for name, endpoint in game.endpoints.items():
        _add_adapting(archive, served, adapt, name, endpoint, limits)
        if not game.conditioned:
            _add_plain(archive, served, name, endpoint, None, limits)
    _write(archive, path)


def export_adapted_model(
    deployment: Any, snapshot: Snapshot, conditioning: Any, path: str | os.PathLike[str], limits: Limits
) -> None:
    """Writes the SavedModel of an adapted model: a signature for each endpoint of the game.

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
    for name, endpoint in game.endpoints.items():
        _add_plain(archive, served, name, endpoint, conditioning, limits)
    _write(archive, path)


def _specs(endpoint: Any, *before: tf.TensorSpec) -> list[tf.TensorSpec]:
    """The named inputs of a signature: what comes before, the endpoint's own, and the seed where it draws."""
    seed = [tf.TensorSpec([], tf.int32, name="seed")] if endpoint.seeded else []
    return [*before, *endpoint.inputs.values(), *seed]


def _sizes(endpoint: Any, inputs: dict[str, Any], limits: Limits) -> list[tuple[str, Any, int, int]]:
    """What `num` limits: a scalar's value, or how many rows a tensor has."""
    counts = {name: x if x.shape.rank == 0 else tf.shape(x)[0] for name, x in inputs.items()}
    return [(name, count, 1, limits.num) for name, count in counts.items()]


def _images(inputs: dict[str, Any]) -> dict[str, Any]:
    """Those inputs of an endpoint that are examples."""
    return {name: x for name, x in inputs.items() if name == "images"}


def _add_adapting(archive: Any, served: Any, adapt: Any, name: str, endpoint: Any, limits: Limits) -> None:
    """The signature `adapt_and_NAME`: the inner loop `adapt` on the support set or sets, then the endpoint."""
    keys = list(endpoint.inputs)

    sets = tf.nest.flatten(served.support_spec)

    def adapt_and_run(*values: Any) -> Any:
        named = dict(zip([spec.name for spec in sets], values, strict=False))
        support = tf.nest.pack_sequence_as(served.support_spec, list(named.values()))
        steps, *rest = values[len(sets) :]
        inputs, seed = dict(zip(keys, rest, strict=False)), rest[-1]
        checks = [
            *[(set_name, tf.shape(examples)[0], 1, limits.shots) for set_name, examples in named.items()],
            ("steps", steps, 0, limits.steps),
            *_sizes(endpoint, inputs, limits),
        ]
        support, steps, inputs = _checked(checks, (support, steps, inputs), {**named, **_images(inputs)})
        snapshot = adapt(support, steps, seed)
        conditioning = served.game.condition(snapshot, support)
        return served.endpoint_values(name, snapshot, conditioning, inputs, seed)

    steps = tf.TensorSpec([], tf.int32, name="steps")
    # Adaptation draws, so every adapting signature has a seed.
    specs = _specs(endpoint._replace(seeded=True), *sets, steps)
    archive.add_endpoint(f"adapt_and_{name}", adapt_and_run, specs)


def _add_plain(archive: Any, served: Any, name: str, endpoint: Any, conditioning: Any, limits: Limits) -> None:
    """An endpoint's own signature, named after it; the game's `default_endpoint` is `serving_default`."""
    keys = list(endpoint.inputs)

    def run(*values: Any) -> Any:
        inputs = dict(zip(keys, values, strict=False))
        inputs = _checked(_sizes(endpoint, inputs, limits), inputs, _images(inputs))
        seed = values[-1] if endpoint.seeded else tf.constant(0)
        return served.endpoint_values(name, functional.read(served.game.nets), conditioning, inputs, seed)

    default = name == served.game.default_endpoint
    archive.add_endpoint("serving_default" if default else name, run, _specs(endpoint))


def _track(archive: Any, models: Sequence[Any]) -> None:
    """Makes all variables of the models part of the archive.

    Not by `archive.track(model)`, for which Keras also traces every net by itself: in vain, and without the
    conditioning that some cannot be called without.
    """
    for kind in ("variables", "trainable_variables", "non_trainable_variables"):
        archive.add_variable_collection(kind, [variable for model in models for variable in getattr(model, kind)])


def _write(archive: Any, path: str | os.PathLike[str]) -> None:
    with storage.new_folder(path) as folder:
        archive.write_out(str(folder), verbose=False)
