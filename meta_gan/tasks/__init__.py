"""Few-shot tasks: where episodes come from.

A `Source` is labelled examples, split by class; its `media.Medium` says whether they are pictures, sounds or texts.
`Tasks` draws episodes from one: a class, `shots` support examples to adapt to and `queries` other examples to be judged
on, each a pure function of (seed, split, step). The loaders return `Tasks`: `glyphs` (no download needed),
`from_arrays`, `from_npz`, `from_folder`, `from_tfds`, `from_sounds`, `from_sound_folder`, `from_texts`,
`from_text_folder`, and `open_source`, which takes a string. `pair_classes` and `pair_domains` make `DomainTasks`, to
translate between two sources. `mixture` draws from several sources at once, `variations` makes tasks of one picture
each, and `Collection` those of all classes of a user. `load_support` and `load_support_sounds` read a user's own few
pictures and sounds; `check_images` checks image arrays.
"""

from __future__ import annotations

from meta_gan.tasks.base import Source
from meta_gan.tasks.collection import Collection
from meta_gan.tasks.domains import DomainTasks, pair_classes, pair_domains
from meta_gan.tasks.episodes import Tasks
from meta_gan.tasks.errors import DataError
from meta_gan.tasks.media.pictures import load_support
from meta_gan.tasks.media.sounds import load_support_sounds
from meta_gan.tasks.mixtures import mixture, variations
from meta_gan.tasks.pixels import check_images
from meta_gan.tasks.readers.archives import from_npz
from meta_gan.tasks.readers.arrays import from_arrays, from_sounds, from_texts
from meta_gan.tasks.readers.folders import from_folder, from_sound_folder, from_text_folder
from meta_gan.tasks.readers.glyph_set import glyphs
from meta_gan.tasks.readers.spec import open_source
from meta_gan.tasks.readers.tfds_sets import from_tfds

__all__ = [
    "Collection",
    "DataError",
    "DomainTasks",
    "Source",
    "Tasks",
    "check_images",
    "from_arrays",
    "from_folder",
    "from_npz",
    "from_sound_folder",
    "from_sounds",
    "from_text_folder",
    "from_texts",
    "from_tfds",
    "glyphs",
    "load_support",
    "load_support_sounds",
    "mixture",
    "open_source",
    "pair_classes",
    "pair_domains",
    "variations",
]
