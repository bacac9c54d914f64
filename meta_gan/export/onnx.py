"""ONNX of a model that adapts by seeing its support set: one graph from support set and z to examples."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from meta_gan import atomic, functional
from meta_gan.adaptation import CompiledAdaptation
from meta_gan.games.base import NO_SEED, Game
from meta_gan.types import Tensor

_EXAMPLE = 3  # support examples of the call before an export; the graph takes any number


class SeenSupport(keras.Model):
    """The model of the graph: a game's nets, called with a support set and z.

    Args:
        game: a game with the endpoint `generate(z) -> samples`; this model takes over its nets.
    """

    def __init__(self, game: Game) -> None:
        super().__init__(name="samples", dtype="float32")
        # The nets' variables and not the nets, which TensorFlow would also trace alone, without their conditioning.
        self.game, self.parts = game, [net.variables for net in game.nets.values()]

    def call(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return `samples` float[n, *example] of `support` float[k, *example] and `z` float[n, latent_dim]."""
        snapshot = functional.read(self.game.nets)
        conditioning = self.game.condition(snapshot, inputs["support"])
        return self.game.endpoints["generate"].fn(snapshot, conditioning, {"z": inputs["z"]}, NO_SEED)


def export_onnx(adaptation: CompiledAdaptation, path: str | os.PathLike[str]) -> None:
    """Write the graph of `adapt(support, steps=0)` and `generate(z)` as one ONNX file.

    Its inputs are `support`, float32[k, *example] in [-1, 1], and `z`, float32[n, latent_dim] from a standard normal
    distribution; its output is `samples`, float32[n, *example]. Any k and n are possible. It takes no inner steps.

    Args:
        adaptation: of a model whose game is conditioned on the support set and has the endpoint `generate`.
        path: the file to write.

    Raises:
        ValueError: another game, or nets of another dtype than float32.
    """
    game = adaptation.copy(adaptation.values().initial)
    inputs = game.endpoints["generate"].inputs if "generate" in game.endpoints else {}
    if not game.conditioned or set(inputs) != {"z"}:
        raise ValueError(
            "'support' must be False for a game that is not conditioned on a support set, or generates from other "
            f"inputs than z. Received: True, with a {type(game).__name__}"
        )
    if inputs["z"].dtype != tf.float32:
        raise ValueError(f"'support' must be False for nets of other types than float32. Received: {inputs['z'].dtype}")
    shapes = {"support": (None, *game.example_shape), "z": tuple(inputs["z"].shape)}
    model = SeenSupport(game)
    model({name: tf.zeros([_EXAMPLE, *shape[1:]]) for name, shape in shapes.items()})
    signature: Any = {name: keras.InputSpec("float32", shape, name=name) for name, shape in shapes.items()}
    place = Path(path)
    with atomic.new_files(place.parent) as work:
        model.export(str(work / place.name), format="onnx", verbose=False, input_signature=[signature])
