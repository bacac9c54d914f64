"""Few-shot tasks: where episodes come from.

A `Source` is labelled examples, pictures, sounds or texts (`media`), split by class. `Tasks` draws episodes from one: a
class, `shots` support examples to adapt to and `queries` others to be judged on, each a pure function of (seed, split,
step). Every loader returns `Tasks`: `glyphs` (embedded, no download), `from_arrays`, `from_npz`, `from_folder`,
`from_tfds`, `from_sounds`, `from_sound_folder`, `from_texts`, `from_text_folder`, and `open_source` for a string.
`pair_classes` and `pair_domains` make `DomainTasks` of sources, to translate between. `load_support` reads a user's own
few pictures, `check_images` checks arrays that a caller hands to a model.
"""

from __future__ import annotations

from meta_gan.tasks.archives import from_npz
from meta_gan.tasks.arrays import from_arrays
from meta_gan.tasks.base import Source
from meta_gan.tasks.domains import DomainTasks
from meta_gan.tasks.episodes import Tasks
from meta_gan.tasks.errors import DataError
from meta_gan.tasks.folders import from_folder
from meta_gan.tasks.glyph_set import glyphs
from meta_gan.tasks.images import load_support
from meta_gan.tasks.pairing import pair_classes, pair_domains
from meta_gan.tasks.pixels import check_images
from meta_gan.tasks.sounds import from_sound_folder, from_sounds
from meta_gan.tasks.spec import open_source
from meta_gan.tasks.texts import from_text_folder, from_texts
from meta_gan.tasks.tfds_sets import from_tfds

__all__ = [
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
    "open_source",
    "pair_classes",
    "pair_domains",
]
