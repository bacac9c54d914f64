"""Sounds and texts."""
