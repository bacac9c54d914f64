"""The frozen networks of a recipe: the feature network of an objective, and the teacher of a flow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from meta_gan import functional
from meta_gan.features import load, log_mel, spectrogram, symbol_pairs
from meta_gan.features.fixed import BANDS, FRAMES, stacked
from meta_gan.games import FlowMatching
from meta_gan.loading import load as load_model
from meta_gan.presets.networks import check_rate, medium_of

SPECTROGRAM, PAIRS = "spectrogram", "pairs"


def features(name: str, shape: tuple[int, ...], rate: int | None) -> keras.Model:
    """Return the frozen network of an objective, scaled so that two real examples are about 1 apart.

    Args:
        name: of a network of the purpose "objective", or `spectrogram` for sounds, or `pairs`, of symbols, for texts.
        shape: of the examples.
        rate: of sounds.

    Raises:
        ValueError: a network of another purpose or of other examples.
    """
    kind = medium_of(shape)
    own = {"sounds": SPECTROGRAM, "texts": PAIRS}.get(kind)
    if name in (SPECTROGRAM, PAIRS):
        if name != own:
            raise ValueError(f"'features' {name!r} is for other examples. Received: {kind}, of shape {shape}")
        return spectrogram(shape, check_rate(rate)) if kind == "sounds" else symbol_pairs(shape)
    network = load(name)
    if network.card.get("purpose") != "objective":
        raise ValueError(
            f"'features' must name a network of the purpose 'objective': a judge must never be an objective. "
            f"Received: {name!r}, of the purpose {network.card.get('purpose')!r}"
        )
    rescaling = keras.layers.Rescaling(1.0 / network.scale, name="unit", dtype="float32")
    if kind == "sounds" and network.example_shape == (FRAMES, BANDS, 1):
        front = log_mel(shape, check_rate(rate))
        return stacked(shape, [front, network.network, rescaling])
    if tuple(network.example_shape) != tuple(shape):
        raise ValueError(
            f"'features' must name a network for images of {tuple(shape)}; make one by `meta-gan judge --data SOURCE "
            f"--purpose objective --out NET` and pass --set game.features=NET, or pass --image-shape "
            f"{'x'.join(map(str, network.example_shape))}. Received: {name!r}, for {tuple(network.example_shape)}"
        )
    return stacked(shape, [network.network, rescaling])


def flow_teacher(name: str, guidance: float, nets: Mapping[str, Any]) -> dict[str, Any]:
    """Return the networks of a trained flow, and give their weights, the averaged ones, to new networks of their kind.

    Args:
        name: folder or shipped name of the model.
        guidance: of the teacher.
        nets: the new networks, "generator" and "encoder" (or None).

    Raises:
        ValueError: there is no such model, it is no flow that sees its support set, or its networks are not like `nets`
            apart from what changes samples alone.
    """
    model = load_model(name)
    game = model.game
    if not isinstance(game, FlowMatching) or not game.sees_support:
        raise ValueError(
            f"'teacher' must be a flow that sees its support set. Received: {name!r}, a {type(game).__name__}"
        )
    taught = {net: game.nets.get(net) for net in nets}
    for net, student in nets.items():
        own, theirs = _without_seed(student), _without_seed(taught[net])
        if changed := sorted(key for key in own | theirs if own.get(key) != theirs.get(key)):
            raise ValueError(
                f"the {net} must be like that of 'teacher' {name!r}. Received: one that differs in {', '.join(changed)}"
            )
    game.nets["generator"].change_sampling({"guidance": guidance})
    averaged = model.meta_weights(averaged=True).initial
    functional.write(game.nets, averaged)
    functional.write({net: student for net, student in nets.items() if student is not None}, averaged)
    return taught


def _without_seed(net: Any) -> dict[str, Any]:
    """Return the arguments of a network, or of None, that the meaning of its weights depends on."""
    free = {"name", "seed", "dtype", "trainable", *getattr(net, "sampling", ())}
    config = {"network": None} if net is None else {"network": type(net).__name__, **net.get_config()}
    return {key: value for key, value in config.items() if key not in free}
