"""Fixtures of the room: the real data, and a cache folder that is not the user's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def data_folder() -> Path:
    """The folder of real data sets, or a skip that says how to name it."""
    folder = os.environ.get("META_GAN_DATA")
    if not folder:
        pytest.skip("META_GAN_DATA is not set to a folder with omniglot28.npz and the other real data sets")
    if not (Path(folder) / "omniglot28.npz").is_file():
        pytest.skip(f"META_GAN_DATA={folder} has no omniglot28.npz")
    return Path(folder)


@pytest.fixture(scope="session", autouse=True)
def private_cache(tmp_path_factory):
    """Keep every test of this room away from the user's cache, and render the glyphs once for all of them.

    `META_GAN_TEST_CACHE` names one for all tests of a run, see `.ci/run`.
    """
    named = os.environ.get("META_GAN_TEST_CACHE")
    folder = Path(named) if named else tmp_path_factory.mktemp("meta_gan_cache")
    before = os.environ.get("META_GAN_CACHE")
    os.environ["META_GAN_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["META_GAN_CACHE"]
    else:
        os.environ["META_GAN_CACHE"] = before
