"""The frozen feature network of a recipe's objective."""

from __future__ import annotations

from typing import Any

import keras

from meta_gan.judges.judge import load_judge
from meta_gan.layers import LogMel, SymbolPairs
from meta_gan.presets.networks import check_rate, medium_of

SPECTROGRAM, PAIRS = "spectrogram", "pairs"
_FRAMES, _BANDS = 32, 32


def features(name: str, shape: tuple[int, ...], rate: int | None) -> keras.Model:
    """The frozen network of an objective, its features in units of about two real examples' distance.

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
        return _spectrogram(shape, check_rate(rate)) if kind == "sounds" else _pairs(shape)
    judge = load_judge(name)
    if judge.card.get("purpose") != "objective":
        raise ValueError(
            f"'features' must name a network of the purpose 'objective': a judge must never be an objective. "
            f"Received: {name!r}, of the purpose {judge.card.get('purpose')!r}"
        )
    rescaling = keras.layers.Rescaling(1.0 / judge.scale, name="unit")
    if kind == "sounds" and tuple(judge.example_shape) == (_FRAMES, _BANDS, 1):
        front = LogMel(check_rate(rate), -(-shape[0] // _FRAMES), _BANDS, name="spectrogram")
        return keras.Sequential([keras.Input(shape), front, judge.network, rescaling], name="features")
    if tuple(judge.example_shape) != tuple(shape):
        raise ValueError(
            f"'features' must name a network for images of {tuple(shape)}; make one by "
            f"`meta-gan judge --purpose objective`. Received: {name!r}, for {tuple(judge.example_shape)}"
        )
    return keras.Sequential([keras.Input(shape), judge.network, rescaling], name="features")


def _spectrogram(shape: tuple[int, ...], rate: int) -> keras.Model:
    layers: list[Any] = [keras.Input(shape), LogMel(rate, -(-shape[0] // _FRAMES), _BANDS, name="spectrogram")]
    # Two frames by two bands: a fold of one frame in time is no other sound.
    layers += [keras.layers.AveragePooling2D(2), keras.layers.Flatten(), keras.layers.Rescaling(1 / 8)]
    return keras.Sequential(layers, name="features")


def _pairs(shape: tuple[int, ...]) -> keras.Model:
    layers = [keras.Input(shape), SymbolPairs(name="pairs"), keras.layers.Rescaling(0.3)]
    return keras.Sequential(layers, name="features")
