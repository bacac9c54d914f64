"""Run `benchmarks.speed.meta_steps`."""

from benchmarks.speed.meta_steps import main

main()
