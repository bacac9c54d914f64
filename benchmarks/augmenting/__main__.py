"""Run `benchmarks.augmenting.advice`."""

from benchmarks.augmenting.advice import main

main()
