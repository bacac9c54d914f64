"""`Judge`: a feature network that scores generated images."""

from __future__ import annotations

from typing import Any

from meta_gan.features import FeatureNetwork, shipped_names


class Judge(FeatureNetwork):
    """A feature network that scores generated images and is never part of a loss.

    It is trained on meta-training classes only, and its sha256 is in every report of its scores. The arguments are
    those of `FeatureNetwork`.

    Raises:
        ValueError: as `FeatureNetwork`, or the network's purpose is "objective".

    Example:
        >>> Judge(conv4((28, 28, 1)), "untrained").features(np.zeros((3, 28, 28, 1), np.uint8)).shape
        (3, 64)
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.card["purpose"] == "objective":
            raise ValueError(
                f"a judge must never have been the objective of a training. Received: {self.name!r}, of the purpose "
                "'objective'"
            )


load_judge = Judge.load


def shipped_judges() -> list[str]:
    """Return the names of the judges in the package."""
    return shipped_names("judge")
