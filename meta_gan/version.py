"""The version of the package; `setup.py` reads it from this file, and saved models record it."""

__version__ = "0.1.0"
