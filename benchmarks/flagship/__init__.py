"""The shipped flagship model: its evaluation, ablations and training on other data."""
