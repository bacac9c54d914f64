"""Keys of saved configurations that have been renamed, and their translation to the present names."""

from __future__ import annotations

from typing import Any

RENAMED = {
    "code": "task_embedding",
    "code_dim": "embedding_dim",
    "code_shape": "embedding_shape",
    "image_shape": "example_shape",
    "paths": "mask",
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
