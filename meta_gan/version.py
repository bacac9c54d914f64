"""The version of the package; `setup.py` reads it from this file, and saved models record it."""

VERSION = "0.1.0"
