"""Side-by-side speed and quality programs; run with `python -m benchmarks.NAME`, never imported by the package."""
