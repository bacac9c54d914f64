"""Readers: `Tasks` from arrays, archives, folders, TensorFlow Datasets, and rendered characters."""

from __future__ import annotations

from meta_gan.tasks.readers.archives import from_npz
from meta_gan.tasks.readers.arrays import from_arrays, from_sounds, from_texts
from meta_gan.tasks.readers.folders import from_folder, from_sound_folder, from_text_folder
from meta_gan.tasks.readers.glyph_set import glyphs
from meta_gan.tasks.readers.spec import open_source
from meta_gan.tasks.readers.tfds_sets import from_tfds

__all__ = [
    "from_arrays",
    "from_folder",
    "from_npz",
    "from_sound_folder",
    "from_sounds",
    "from_text_folder",
    "from_texts",
    "from_tfds",
    "glyphs",
    "open_source",
]
