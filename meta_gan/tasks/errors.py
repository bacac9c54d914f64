"""`DataError`, how errors of argument checks become one, and `shown`, which makes names safe to print."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

# Control characters (terminal escapes among them), line separators, marks that reorder a line, and the lone surrogates
# by which Python stands for bytes that are not UTF-8.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def shown(name: object) -> str:
    r"""Return a name or path for messages and reports: on one line, without control characters.

    Args:
        name: anything; its `str` is used.

    Returns:
        The text with every control character as an escape sequence of Python, and every byte that is not UTF-8 as
        `\xNN`. It can be encoded in UTF-8.

    Example:
        >>> print(shown("red\x1b[31m.png"))
        red\x1b[31m.png
    """
    return _UNSAFE.sub(lambda match: _escape(match[0]), str(name))


def _escape(character: str) -> str:
    # The undecodable byte 0xNN of a file name is the surrogate U+DCNN.
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


class DataError(ValueError):
    """Data that cannot be used; the message says what is required and what was received.

    The message is shown as by `shown`, on one line, since it contains names.
    """

    def __init__(self, message: object) -> None:
        """Escape control characters in `message`."""
        super().__init__(shown(message))


@contextmanager
def data_errors(where: object = "") -> Iterator[None]:
    """Raise every ValueError of the block as a DataError, whose message begins with `where` if that is given."""
    try:
        yield
    except ValueError as error:
        raise DataError(f"{where}: {error}" if where else str(error)) from error
