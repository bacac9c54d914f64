"""Learned meta-learners beside hand-designed ones."""
