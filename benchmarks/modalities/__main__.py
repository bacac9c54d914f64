"""Run `benchmarks.modalities.comparison`."""

from benchmarks.modalities.comparison import main

main()
