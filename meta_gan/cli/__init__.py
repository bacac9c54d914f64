"""The command line: `meta-gan train | adapt | sample | export | info | data`."""

from meta_gan.cli.program import main

__all__ = ["main"]
