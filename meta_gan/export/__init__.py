"""Export to SavedModels for TF Serving, in which the inner loop itself runs."""

from meta_gan.export.limits import DIVERGED, Input, Limits
from meta_gan.export.writing import (
    ABOUT,
    EXTRA,
    KIND,
    MANIFEST,
    digests,
    export_adapted_model,
    export_meta_model,
    is_whole,
    write_manifest,
)

__all__ = [
    "ABOUT",
    "DIVERGED",
    "EXTRA",
    "KIND",
    "MANIFEST",
    "Input",
    "Limits",
    "digests",
    "export_adapted_model",
    "export_meta_model",
    "is_whole",
    "write_manifest",
]
