"""Readers: `Tasks` from arrays, archives, folders, TensorFlow Datasets, and rendered characters."""

__all__: list[str] = []
