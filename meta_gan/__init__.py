"""Few-shot generation by meta-learning, on TensorFlow and Keras.

Meta-train a generative model over many small tasks, then give it a few examples of a class that it never saw. It
becomes a generator of that class, which you can sample from, save or serve.
"""

from meta_gan.backend import import_tensorflow

import_tensorflow()

from meta_gan import (
    controller,
    features,
    games,
    judges,
    layers,
    losses,
    meta,
    meta_learners,
    metrics,
    networks,
    presets,
    protocol,
    report,
    serving,
    tasks,
)
from meta_gan.adapted import AdaptedModel
from meta_gan.augment import augment
from meta_gan.augmenting import Augmenter
from meta_gan.errors import DamagedFileError, DivergenceError
from meta_gan.export import Limits
from meta_gan.loading import from_preset, load, load_adapted, save_to_preset, start_from, upload
from meta_gan.meta import (
    FOMAML,
    MAML,
    Algorithm,
    Displacement,
    InnerLoop,
    JointTraining,
    Pretraining,
    Reptile,
    Unrolled,
)
from meta_gan.model import MetaModel
from meta_gan.renames import register_modules
from meta_gan.types import Episode, MetaWeights, Snapshot
from meta_gan.version import VERSION

__version__ = VERSION

register_modules()

__all__ = [
    "FOMAML",
    "MAML",
    "AdaptedModel",
    "Algorithm",
    "Augmenter",
    "DamagedFileError",
    "Displacement",
    "DivergenceError",
    "Episode",
    "InnerLoop",
    "JointTraining",
    "Limits",
    "MetaModel",
    "MetaWeights",
    "Pretraining",
    "Reptile",
    "Snapshot",
    "Unrolled",
    "augment",
    "controller",
    "features",
    "from_preset",
    "games",
    "judges",
    "layers",
    "load",
    "load_adapted",
    "losses",
    "meta",
    "meta_learners",
    "metrics",
    "networks",
    "presets",
    "protocol",
    "report",
    "save_to_preset",
    "serving",
    "start_from",
    "tasks",
    "upload",
]
