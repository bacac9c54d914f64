"""Earlier names: keys of saved configurations and settings are translated, and renamed modules can be imported."""

from __future__ import annotations

import sys
import warnings
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

RENAMED = {
    "code": "task_embedding",
    "code_dim": "embedding_dim",
    "code_shape": "embedding_shape",
    "image_shape": "example_shape",
    "paths": "mask",
}
SETTINGS = {
    "rule": "meta_learner",
    "rule_rate": "meta_rate",
    "code_dim": "embedding_dim",
    "paths": "mask",
    "coarse": "terms.pixels",
    "energy": "terms.features",
    "nats": "terms.likelihood",
}
"""The present names of settings of a recipe."""
MODULES = {
    "meta_gan.tasks.images": "meta_gan.tasks.media.pictures",
    "meta_gan.tasks.photos": "meta_gan.tasks.media.pictures",
    "meta_gan.tasks.sound_files": "meta_gan.tasks.media.sounds",
    "meta_gan.tasks.texts": "meta_gan.tasks.media.texts",
}


def current_names(config: Any) -> Any:
    """Return a saved configuration with every renamed key replaced by its present name.

    Args:
        config: nested dicts and lists, as read from a `config.json` or handed to a `from_config`.

    Returns:
        A new structure with the same values. A configuration written by this version is unchanged.

    Example:
        >>> current_names({"code_dim": 64, "layers": [{"width": 16}]})
        {'embedding_dim': 64, 'layers': [{'width': 16}]}
    """
    if isinstance(config, dict):
        return {RENAMED.get(key, key): current_names(value) for key, value in config.items()}
    if isinstance(config, list):
        return [current_names(value) for value in config]
    return config


class _RenamedModules(MetaPathFinder, Loader):
    """Imports the modules of `MODULES`, which `meta_gan` imports under their present names, under the earlier ones."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name in MODULES else None

    def exec_module(self, module: ModuleType) -> None:
        present = MODULES[module.__name__]
        warnings.warn(f"'{module.__name__}' is now '{present}'", FutureWarning, stacklevel=2)
        vars(module).update({k: v for k, v in vars(sys.modules[present]).items() if not k.startswith("__")})


def register_modules() -> None:
    """Let the modules of `MODULES` be imported under their earlier names, with a `FutureWarning`."""
    if not any(isinstance(finder, _RenamedModules) for finder in sys.meta_path):
        sys.meta_path.append(_RenamedModules())
