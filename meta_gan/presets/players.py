"""The frozen feature network of a recipe's objective."""

from __future__ import annotations

import keras

from meta_gan.features import load, log_mel, spectrogram, symbol_pairs
from meta_gan.features.fixed import BANDS, FRAMES, stacked
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
            f"'features' must name a network for images of {tuple(shape)}; make one by "
            f"`meta-gan judge --purpose objective`. Received: {name!r}, for {tuple(network.example_shape)}"
        )
    return stacked(shape, [network.network, rescaling])
