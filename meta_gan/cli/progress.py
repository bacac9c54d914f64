"""Progress reports of long commands on standard error."""

from __future__ import annotations

import sys

from meta_gan.cli import console


class Progress:
    """Print progress: on a terminal one line that is overwritten, elsewhere a line for every tenth of a stage.

    With `--quiet` print nothing.
    """

    def __init__(self) -> None:
        self.stage, self.tenth = "", -1

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Report that `done` of `total` parts of a stage are finished."""
        if console.quiet():
            return
        if sys.stderr.isatty():
            print(f"\r{stage}: {done} of {total} ", end="\n" if done == total else "", file=sys.stderr, flush=True)
            return
        tenth = 10 * done // total
        if (stage, tenth) != (self.stage, self.tenth):
            self.stage, self.tenth = stage, tenth
            print(f"{stage}: {done} of {total}", file=sys.stderr, flush=True)
