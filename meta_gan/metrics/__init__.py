"""Scores of generated examples, computed with numpy alone."""
