"""The error for data that cannot be used as they are."""

from __future__ import annotations


class DataError(ValueError):
    """Data that cannot be used; the message says what is required and what was received."""
