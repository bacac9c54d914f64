"""The package's own errors; any module may import them."""

from __future__ import annotations


class DivergenceError(ArithmeticError, ValueError):
    """Training or adaptation diverged: a weight or an output is NaN or infinite.

    The commands exit with 4, and write nothing.
    """


class DamagedFileError(ValueError):
    """A file or folder of a model is damaged, of another kind or too large; the message names it."""
