"""Run `benchmarks.flagship.evaluation`."""

from benchmarks.flagship.evaluation import main

main()
