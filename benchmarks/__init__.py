"""Benchmarks by subject, run with `python -m benchmarks.NAME`; `python benchmarks` lists them."""
