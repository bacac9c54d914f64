"""Run `benchmarks.meta_learners.comparison`."""

from benchmarks.meta_learners.comparison import main

main()
