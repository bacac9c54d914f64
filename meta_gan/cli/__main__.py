"""`python -m meta_gan.cli`, the same as `meta-gan`."""

from meta_gan.cli.program import main

main()
