"""`DataError`, and how errors of argument checks become one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class DataError(ValueError):
    """Data that cannot be used; the message says what is required and what was received."""


@contextmanager
def data_errors(where: object = "") -> Iterator[None]:
    """Raise every ValueError of the block as a DataError, whose message begins with `where` if that is given."""
    try:
        yield
    except ValueError as error:
        raise DataError(f"{where}: {error}" if where else str(error)) from error
