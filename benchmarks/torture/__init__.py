"""Kills, damaged folders and mutated files: what a run and the readers of files survive."""
