"""Run `benchmarks.families.translations`."""

from benchmarks.families.translations import main

main()
