"""Tests of `meta_gan.tasks`."""
