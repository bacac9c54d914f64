"""The Dockerfiles: what they copy exists, and their versions are those of setup.py."""

import re

import pytest

from tests.test_readme import ROOT

FILES = sorted((ROOT / "docker").glob("*.Dockerfile"))
MADE = {"served/characters"}  # by the command in the file's own comment


def test_there_are_two():
    assert [file.stem for file in FILES] == ["gpu", "serving"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_it_copies_exists(file):
    lines = re.findall(r"^COPY (.+) \S+$", file.read_text("utf-8"), re.MULTILINE)
    names = {name for line in lines for name in line.split()}
    assert names and not [name for name in names - MADE if not (ROOT / name).exists()]


def test_the_image_for_training_has_the_tensorflow_and_the_sources_of_setup_py():
    text, setup = (ROOT / "docker/gpu.Dockerfile").read_text("utf-8"), (ROOT / "setup.py").read_text("utf-8")
    (bounds,) = re.findall(r'"tensorflow(>=[^"]+)"', setup)
    assert f"tensorflow[and-cuda]{bounds}" in text
    (python,) = re.findall(r"FROM python:3\.(\d+)-", text)
    (least,) = re.findall(r'python_requires=">=3\.(\d+)"', setup)
    assert int(python) >= int(least)
    copied = " ".join(re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE)).split()
    assert {"meta_gan", "trainers", "saved_models"} <= set(copied), "the packages that setup.py looks for"
