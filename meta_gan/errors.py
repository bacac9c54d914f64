"""The package's own errors; any module may import them."""

from __future__ import annotations


class DivergenceError(ArithmeticError, ValueError):
    """Training or adaptation diverged: a weight or an output is NaN or infinite.

    The commands exit with 4, and write nothing.
    """


class DamagedFileError(ValueError):
    """A file or folder of a model is damaged, of another kind or too large; the message names it."""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or the name of its type if it has no message."""
    return next(iter(str(error).splitlines()), type(error).__name__)
