"""The command line, one file a command; `launcher` is its entry point."""

from meta_gan.cli.program import main

__all__ = ["main"]
