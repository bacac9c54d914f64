"""Writing a SavedModel: its variables and signatures, their description as JSON, and a model card."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from meta_gan import functional, storage
from meta_gan.adaptation import CompiledAdaptation
from meta_gan.export.limits import Limits, checked, converged
from meta_gan.export.signatures import DEFAULT, Signature, Signatures
from meta_gan.types import MetaWeights, Tensor, Tree

EXTRA, ABOUT, MANIFEST, KIND = "assets.extra", "meta_gan.json", "sha256.json", "meta_gan_saved_model"
SHOWN = 8  # inputs of a signature on the card; `NAME_adapted` takes every weight


def export_meta_model(
    adaptation: CompiledAdaptation,
    path: str | os.PathLike[str],
    limits: Limits,
    data: Mapping[str, Any] | None = None,
) -> None:
    """Write the SavedModel of a meta-model.

    For a GAN: `adapt_and_sample(support, steps, num, seed)`, `adapt_and_generate(support, steps, z, seed)`,
    `adapt_and_discriminate(support, steps, images, seed)`; `adapt_and_sample_many(support, steps, num, seed)` of
    several support sets; `adapt(support, steps, seed)` to weights that `sample_adapted(weights..., num, seed)` takes;
    with a task encoder `encode_task(support)`; where no support set is needed `sample(num, seed)`,
    `discriminate(images)` and `serving_default(z)`. For a VAE also `reconstruct(images)` and `encode(images)`; for a
    game of domains `adapt_and_translate(source_support, target_support, steps, images, seed)` and
    `serving_default(images)`.

    Args:
        adaptation: of the meta-model.
        path: the version folder to make, such as `served/glyphs/1`.
        limits: the greatest request served.
        data: JSON values that describe the training data, for the card.

    Raises:
        ValueError: the folder exists, or cannot be written; nothing is left half-written.
    """
    game, meta_learner = adaptation.copy(adaptation.values().initial), adaptation.loop.meta_learner

    def values() -> MetaWeights:
        learned = [tf.convert_to_tensor(v) for v in meta_learner.trainable_variables]
        return MetaWeights(functional.read(game.nets), learned)

    served = CompiledAdaptation(dataclasses.replace(adaptation.loop, game=game), adaptation.algorithm, values)
    _write(Signatures(served, limits).of_meta_model(), [*game.nets.values(), meta_learner], served, path, limits, data)


def export_adapted_model(
    held: CompiledAdaptation,
    conditioning: Tree,
    path: str | os.PathLike[str],
    limits: Limits,
    data: Mapping[str, Any] | None = None,
) -> None:
    """Write the SavedModel of an adapted model: a signature for each endpoint of the game.

    Args:
        held: the adaptation over models that hold the adapted values, see `CompiledAdaptation.holding`.
        conditioning: tensors, which become constants of the graph, or None.
        path: the version folder to make.
        limits: the greatest request served.
        data: as in `export_meta_model`.

    Raises:
        ValueError: as in `export_meta_model`.
    """
    game, signatures = held.game, Signatures(held, limits).of_adapted_model(conditioning)
    used = {name for endpoint in game.endpoints.values() for name in endpoint.nets}
    _write(signatures, [net for name, net in game.nets.items() if name in used], held, path, limits, data)


def _write(
    signatures: Sequence[Signature],
    models: Sequence[keras.Model],
    served: CompiledAdaptation,
    path: str | os.PathLike[str],
    limits: Limits,
    data: Mapping[str, Any] | None,
) -> None:
    archive = keras.export.ExportArchive()
    # Not by `archive.track(model)`, for which Keras also traces every net by itself: needlessly, and without the
    # conditioning that some cannot be called without.
    # The lists hold TensorFlow's variables, which the functions capture: a Keras variable would be stored once more.
    for kind in ("variables", "trainable_variables", "non_trainable_variables"):
        held = [variable.value for model in models for variable in getattr(model, kind)]
        archive.add_variable_collection(kind, held)
    outputs = {signature.name: _add(archive, signature) for signature in signatures}
    described = {
        signature.name: {
            "inputs": {given.name: given.described() for given in signature.inputs},
            "outputs": outputs[signature.name],
        }
        for signature in signatures
    }
    # Keras gives the first the default's name where no other has it.
    described.setdefault(DEFAULT, described[signatures[0].name])
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
        (folder / EXTRA / storage.CARD).write_text(card(about), encoding="utf-8")
        write_manifest(folder)


def _add(archive: keras.export.ExportArchive, signature: Signature) -> dict[str, Any]:
    """Add a signature to an archive; return its outputs as JSON values."""
    names = [given.name for given in signature.inputs]

    def run(*values: Tensor) -> dict[str, Tensor]:
        return converged(signature.fn(checked(signature.inputs, dict(zip(names, values, strict=True)))))

    specs = [given.spec for given in signature.inputs]
    # A function is traced again when it is saved, and so is everything that it calls; a concrete one is not.
    traced = tf.function(run, input_signature=specs, autograph=False).get_concrete_function()
    archive.add_endpoint(signature.name, traced, input_signature=specs)
    found = traced.structured_outputs
    return {name: {"dtype": out.dtype.name, "shape": out.shape.as_list()} for name, out in found.items()}


def write_manifest(folder: Path) -> None:
    """Write the sha256 of every file of an exported folder into it."""
    storage.write_json(folder / EXTRA / MANIFEST, digests(folder))


def is_whole(folder: Path) -> bool:
    """Return True if every file of an exported folder, and no other, is as its manifest says."""
    try:
        return bool(json.loads((folder / EXTRA / MANIFEST).read_text("utf-8")) == digests(folder))
    except (OSError, ValueError, RecursionError):
        return False


def digests(folder: Path) -> dict[str, str]:
    """Return the sha256 of every file of an exported folder but the manifest, by its path inside."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / EXTRA / MANIFEST)
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def card(about: Mapping[str, Any]) -> str:
    """Return the card of an exported model, Markdown with a table of signatures.

    Args:
        about: the values of `assets.extra/meta_gan.json`.

    Example:
        >>> print(card(json.loads(Path("served/glyphs/1/assets.extra/meta_gan.json").read_text())))
    """
    data = about.get("data") or {}
    splits = ", ".join(f"{len(names)} {split}" for split, names in (data.get("splits") or {}).items())
    limits = ", ".join(f"{name} {value}" for name, value in about["limits"].items())
    lines = [
        "# A SavedModel of meta_gan",
        "",
        f"- Algorithm: {about['algorithm']}, {about['inner_steps']} inner steps of its own.",
        f"- Examples: {storage.examples(about['example_shape'], data)}.",
        f"- Data: {data.get('name', 'not recorded')}; classes {splits or 'not recorded'}.",
        f"- Limits of a request: {limits}; what is over them is refused by name.",
        "- It keeps nothing between requests: the same request gives the same answer. Never batch requests together.",
        "",
        "| signature | inputs | outputs |",
        "|---|---|---|",
        *[
            f"| `{name}` | {_listed(signature['inputs'])} | {_listed(signature['outputs'])} |"
            for name, signature in about["signatures"].items()
        ],
        "",
    ]
    return "\n".join(lines)


def _listed(described: Mapping[str, Any]) -> str:
    """Return inputs or outputs with dtypes, shapes and limits; of very many the first and the last."""
    shown = [f"`{name}` {_shape(each)}{_limits(each)}" for name, each in described.items()]
    left = len(shown) - SHOWN
    return "; ".join(shown if left <= 1 else [*shown[: SHOWN // 2], f"{left} more", *shown[-SHOWN // 2 :]])


def _shape(described: Mapping[str, Any]) -> str:
    sizes = ", ".join("n" if size is None else str(size) for size in described["shape"])
    return f"{described['dtype']}[{sizes}]"


def _limits(described: Mapping[str, Any]) -> str:
    if "range" in described:
        return " in {} to {}".format(*described["range"])
    lengths = " x ".join("{} to {}".format(*bound) for bound in described.get("lengths", []))
    values = f", {described['values']}" if "values" in described else ""
    return (f", {lengths} of them" if lengths else "") + values
