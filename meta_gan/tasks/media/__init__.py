"""Media: codecs of examples as pictures, sounds or texts.

A `Medium` is a codec: `Pictures`, `Sounds` or `Texts`. Loaders, trainers and the command line call its verbs
(`read_support`, `write_samples`, `preview`, `sheet`, `describe`, `card`) and never ask which medium it is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from meta_gan.tasks.errors import DataError
from meta_gan.tasks.media.medium import Medium
from meta_gan.tasks.media.pictures import Pictures
from meta_gan.tasks.media.sounds import Sounds
from meta_gan.tasks.media.texts import Texts

__all__ = ["Medium", "Pictures", "Sounds", "Texts", "of_card"]

_KINDS: dict[str, type[Medium]] = {medium.kind: medium for medium in (Pictures, Sounds, Texts)}


def of_card(card: Mapping[str, Any]) -> Medium:
    """Return the medium that a model's data card names; a card that names none is of pictures.

    Raises:
        ValueError: an unknown medium, or a card without what that medium needs.

    Example:
        >>> of_card({"medium": "sounds", "rate": 8000})
        Sounds(rate=8000)
    """
    kind = card.get("medium", Pictures.kind)
    if kind not in _KINDS:
        raise DataError(f"'medium' must be one of {', '.join(map(repr, _KINDS))}. Received: {kind!r}")
    # A medium's fields are what its card holds beside its kind.
    return _KINDS[kind](**{field.name: card.get(field.name) for field in dataclasses.fields(_KINDS[kind])})
