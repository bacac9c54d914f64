"""Run `benchmarks.controller.comparison`."""

from benchmarks.controller.comparison import main

main()
