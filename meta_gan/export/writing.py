"""Writing a SavedModel: its variables, its signatures, and beside them what it says of itself."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from meta_gan import functional, storage
from meta_gan.export import card
from meta_gan.export import signatures as making
from meta_gan.export.limits import Limits, checked
from meta_gan.types import MetaWeights, Snapshot

EXTRA, ABOUT, MANIFEST, KIND = "assets.extra", "meta_gan.json", "sha256.json", "meta_gan_saved_model"


def export_meta_model(
    adaptation: Any, path: str | os.PathLike[str], limits: Limits, data: Mapping[str, Any] | None = None
) -> None:
    """Writes the SavedModel of a meta-model.

    For a GAN: `adapt_and_sample(support, steps, num, seed)`, `adapt_and_generate(support, steps, z, seed)`,
    `adapt_and_discriminate(support, steps, images, seed)`; `adapt_and_sample_many(support, steps, num, seed)` of
    several support sets; `adapt(support, steps, seed)` to weights that `sample_adapted(weights..., num, seed)` takes;
    with a task encoder `encode_task(support)`; where no support set is needed `sample(num, seed)`,
    `discriminate(images)` and `serving_default(z)`. For a VAE also `reconstruct(images)` and `encode(images)`; for a
    game of domains `adapt_and_translate(source_support, target_support, steps, images, seed)` and
    `serving_default(images)`.

    Args:
        adaptation: the meta-model's compiled parts.
        path: the version folder to make, such as `served/glyphs/1`.
        limits: the greatest request served.
        data: JSON values that say what was trained on, for the card.

    Raises:
        ValueError: the folder exists, or cannot be written; nothing is left half-written.
    """
    meta = adaptation.values()
    game = adaptation.copy(meta.initial)
    learner = adaptation.algorithm.meta_learner
    served = type(adaptation)(
        game,
        adaptation.algorithm,
        adaptation.mask,
        lambda: MetaWeights(functional.read(game.nets), [tf.convert_to_tensor(v) for v in learner.trainable_variables]),
    )
    _write(making.of_meta_model(served, limits), [*game.nets.values(), learner], served, path, limits, data)


def export_adapted_model(
    adaptation: Any,
    snapshot: Snapshot,
    conditioning: Any,
    path: str | os.PathLike[str],
    limits: Limits,
    data: Mapping[str, Any] | None = None,
) -> None:
    """Writes the SavedModel of an adapted model: a signature for each endpoint of the game.

    Args:
        adaptation: the meta-model's compiled parts.
        snapshot: adapted values of all nets.
        conditioning: tensors, which become constants of the graph, or None.
        path: the version folder to make.
        limits: the greatest request served.
        data: as in `export_meta_model`.

    Raises:
        ValueError: as in `export_meta_model`.
    """
    game = adaptation.copy(snapshot)
    served = type(adaptation)(game, adaptation.algorithm, adaptation.mask, adaptation.values)
    made = making.of_adapted_model(served, conditioning, limits)
    _write(made, list(game.nets.values()), served, path, limits, data)


def _write(
    made: Sequence[making.Signature],
    models: Sequence[Any],
    served: Any,
    path: str | os.PathLike[str],
    limits: Limits,
    data: Mapping[str, Any] | None,
) -> None:
    archive = keras.export.ExportArchive()
    _track(archive, models)
    outputs = {signature.name: _add(archive, signature) for signature in made}
    described = {
        signature.name: {
            "inputs": {given.name: given.described() for given in signature.inputs},
            "outputs": outputs[signature.name],
        }
        for signature in made
    }
    # Keras gives the first the default's name where no other has it.
    described.setdefault(making.DEFAULT, described[made[0].name])
    about = {
        "kind": KIND,
        "format": 1,
        **served.game.card,
        "algorithm": served.algorithm.name,
        "inner_steps": served.algorithm.inner_steps,
        "limits": dataclasses.asdict(limits),
        "signatures": described,
        "data": dict(data or {}),
    }
    with storage.new_folder(path) as folder:
        archive.write_out(str(folder), verbose=False)
        (folder / EXTRA).mkdir(exist_ok=True)
        storage.write_json(folder / EXTRA / ABOUT, about)
        (folder / EXTRA / storage.CARD).write_text(card.markdown(about), encoding="utf-8")
        write_manifest(folder)


def write_manifest(folder: Path) -> None:
    """Writes the sha256 of every file of an exported folder into it."""
    storage.write_json(folder / EXTRA / MANIFEST, digests(folder))


def digests(folder: Path) -> dict[str, str]:
    """The sha256 of every file of an exported folder but the manifest, by its path inside."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / EXTRA / MANIFEST)
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _add(archive: Any, signature: making.Signature) -> dict[str, Any]:
    """Adds a signature to an archive; its outputs as JSON values."""
    names = [given.name for given in signature.inputs]

    def run(*values: Any) -> dict[str, Any]:
        return signature.fn(checked(signature.inputs, dict(zip(names, values, strict=True))))

    specs = [given.spec for given in signature.inputs]
    # What is saved is traced anew, and so would be all that it calls; but not what is concrete.
    traced = tf.function(run, input_signature=specs, autograph=False).get_concrete_function()
    archive.add_endpoint(signature.name, traced, input_signature=specs)
    found = traced.structured_outputs
    return {name: {"dtype": out.dtype.name, "shape": out.shape.as_list()} for name, out in found.items()}


def _track(archive: Any, models: Sequence[Any]) -> None:
    """Makes all variables of the models part of the archive.

    Not by `archive.track(model)`, for which Keras also traces every net by itself: in vain, and without the
    conditioning that some cannot be called without.
    """
    for kind in ("variables", "trainable_variables", "non_trainable_variables"):
        archive.add_variable_collection(kind, [variable for model in models for variable in getattr(model, kind)])
