"""`Augmenter`: pictures for a user's own classes, and a measurement of whether they help."""

from meta_gan.augmenting.augmenter import Augmenter

__all__ = ["Augmenter"]
