"""A picture of the attention of a learned meta-learner over the tensors of both players."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from meta_gan.report.figures import INK, canvas

_INCHES_PER_TOKEN, _LABELS = 0.24, 3.2


def save_attention(path: str | os.PathLike[str], tokens: Sequence[str], weights: Any, title: str = "") -> None:
    """Draw the attention weights of one update as a PNG: a row for each querying token, a column for each key.

    Args:
        path: the file to write.
        tokens: what each of the n tokens stands for, as in `meta.attention_maps.AttentionMap`.
        weights: float[blocks, heads, n, n], rows of sum 1; the mean over the heads of the last block is drawn.
        title: shown above.

    Raises:
        ValueError: weights of another shape.

    Example:
        >>> for found in meta_gan.meta.attention_maps.attention_maps(model, five_images, steps=1):
        ...     save_attention(f"{found.player}.png", found.tokens, found.weights, found.player)
    """
    weights, n = np.asarray(weights), len(tokens)
    if weights.ndim != 4 or weights.shape[2:] != (n, n) or not weights.size:
        raise ValueError(
            f"'weights' must have the shape [blocks, heads, {n}, {n}] for {n} tokens. Received: {weights.shape}"
        )
    shares = weights[-1].mean(axis=0)
    side = _INCHES_PER_TOKEN * n + _LABELS
    with canvas(side + 0.6, side, **{"font.size": 8.0}) as figure:
        axes = figure.subplots()
        image = axes.imshow(shares, cmap="Greys", vmin=0.0, vmax=float(shares.max()))
        axes.set_xticks(range(n), tokens, rotation=90)
        axes.set_yticks(range(n), tokens)
        axes.set(xlabel="looked at", ylabel="looks", title=title)
        figure.colorbar(image, ax=axes, shrink=0.5, label="share", format="%.2f").outline.set_edgecolor(INK)
        figure.savefig(path, format="png", dpi=110, facecolor="white")
