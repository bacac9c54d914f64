"""Damaged folders of models: loaded unchanged, or refused by one type of error that names the file."""

import hashlib
import json
import os
import random
import re
import shutil
import zipfile

import numpy as np
import pytest

import meta_gan as mg
from meta_gan import loading, reading, storage
from meta_gan.losses import NonSaturating
from tests.toys import random_episodes, tiny_dcgan, tiny_gan

SUPPORT = random_episodes(shots=4).support[0].numpy()
LOADERS = {"model": mg.load, "adapted": mg.load_adapted}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A model, the same adapted, and a model of other nets, each saved."""
    root = tmp_path_factory.mktemp("good")
    model = mg.MetaModel(tiny_gan(loss=NonSaturating()), mg.FOMAML(inner_steps=1, inner_rate=0.1))
    model.save(root / "model")
    model.adapt(SUPPORT).save(root / "adapted")
    mg.MetaModel(tiny_dcgan(), mg.FOMAML(inner_steps=1)).save(root / "other")
    return root


@pytest.fixture(params=["model", "adapted"])
def copy(request, folders, tmp_path):
    """`(kind, folder)` of a copy that may be damaged."""
    shutil.copytree(folders / request.param, tmp_path / request.param)
    return request.param, tmp_path / request.param


def remove(file):
    shutil.rmtree(file) if file.is_dir() else file.unlink()


def half(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flipped(file):
    data = bytearray(file.read_bytes())
    data[len(data) // 3] ^= 2
    file.write_bytes(data)


def linked(target):
    def link(file):
        file.unlink()
        os.symlink(target, file)

    return link


def folder_in_place(file):
    file.unlink()
    file.mkdir()


def pipe(file):
    file.unlink()
    os.mkfifo(file)


DAMAGE = {
    "missing": remove,
    "empty": lambda file: file.write_bytes(b""),
    "truncated": half,
    "one bit": flipped,
    "noise": lambda file: file.write_bytes(random.Random(0).randbytes(500)),
    "not UTF-8": lambda file: file.write_bytes(b'{"kind": "\xff\xfe"}'),
    "deep": lambda file: file.write_bytes(b"[" * 100_000),
    "a folder": folder_in_place,
    "a dangling link": linked("nowhere"),
    "a loop": lambda file: linked(file.name)(file),
    "a device": linked("/dev/zero"),
    "a pipe": pipe,
}


@pytest.mark.parametrize("name", [storage.CONFIG, storage.WEIGHTS])
@pytest.mark.parametrize("kind", DAMAGE)
def test_every_damage_names_the_file(copy, name, kind):
    loader, folder = LOADERS[copy[0]], copy[1]
    DAMAGE[kind](folder / name)
    with pytest.raises(mg.DamagedFileError, match=re.escape(name)) as caught:
        loader(folder)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("name", [storage.CONFIG, storage.WEIGHTS])
def test_a_file_of_another_model_is_refused(copy, folders, name):
    shutil.copy(folders / "other" / name, copy[1] / name)
    with pytest.raises(ValueError, match=re.escape(str(copy[1]))):
        LOADERS[copy[0]](copy[1])


def test_a_file_of_a_newer_version_is_refused(copy):
    file = copy[1] / storage.CONFIG
    config = json.loads(file.read_text())
    for number in (3, -1, 0, None, "2", [1], 1.5, True):
        file.write_text(json.dumps({**config, "format": number}))
        with pytest.raises(mg.DamagedFileError, match=r"config.json' must be of format <= 2"):
            LOADERS[copy[0]](copy[1])


def test_a_huge_file_is_refused_without_reading_it(copy):
    with open(copy[1] / storage.CONFIG, "r+b") as file:
        file.truncate(2**40)
    with pytest.raises(mg.DamagedFileError, match=r"config.json' must be of at most 16777216 bytes"):
        LOADERS[copy[0]](copy[1])


def test_no_flipped_bit_of_a_configuration_changes_a_setting(copy):
    """Every bit of some bytes: refused, or the configuration is the same."""
    file = copy[1] / storage.CONFIG
    data, good = bytearray(file.read_bytes()), storage.read_config(copy[1])
    refused, step = 0, len(data) // 40
    for place in range(0, len(data), step):
        for bit in range(8):
            data[place] ^= 1 << bit
            file.write_bytes(data)
            data[place] ^= 1 << bit
            try:
                assert storage.read_config(copy[1]) == good
            except mg.DamagedFileError as error:
                assert str(file) in str(error)
                refused += 1
    assert refused > 8 * 40 * 0.8


def test_a_configuration_may_be_laid_out_otherwise(copy):
    file = copy[1] / storage.CONFIG
    value = json.loads(file.read_text())
    file.write_text(json.dumps(dict(sorted(value.items())), indent=7))
    LOADERS[copy[0]](copy[1])


def test_folders_without_a_checksum_still_load(copy):
    """Those of format 1; format 2 cannot lose its checksum."""
    file = copy[1] / storage.CONFIG
    value = json.loads(file.read_text())
    del value[storage.CHECKSUM]
    file.write_text(json.dumps(value))
    with pytest.raises(mg.DamagedFileError, match="'config_sha256', None"):
        LOADERS[copy[0]](copy[1])
    file.write_text(json.dumps({**value, "format": 1}))
    LOADERS[copy[0]](copy[1])


VALUES = [None, -1, 0, 2**31, 2**63, 10**30, 1e308, float("nan"), True, "", "os", "Lambda", [], {}, [1], {"a": 1}, 0.5]


def places(tree, place=()):
    """Every place of a tree of dicts and lists."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield (*place, key)
        yield from places(value, (*place, key))


def changed(tree, place, value, gone):
    """A copy with another value at a place, or without it."""
    made = json.loads(json.dumps(tree))
    node = made
    for key in place[:-1]:
        node = node[key]
    if gone:
        del node[place[-1]]
    else:
        node[place[-1]] = value
    return made


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, 400, 100))
def test_mutants_of_folders_without_a_checksum(copy, start):
    mutate(copy, range(start, start + 100))


def test_a_few_mutants_of_folders_without_a_checksum(copy):
    mutate(copy, range(1000, 1015))


def mutate(copy, seeds):
    """The configuration has any other value at any place, and loads or names the file."""
    file = copy[1] / storage.CONFIG
    value = json.loads(file.read_text())
    del value[storage.CHECKSUM]
    value["format"] = 1
    all_places = list(places(value))
    for seed in seeds:
        draw = random.Random(seed)
        mutant = changed(value, draw.choice(all_places), draw.choice(VALUES), draw.random() < 0.3)
        file.write_text(json.dumps(mutant))
        try:
            LOADERS[copy[0]](copy[1])
        except ValueError as error:
            assert str(copy[1]) in str(error), seed


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"width": 10**9}, "'0.width'"),
        ({"latent_dim": 10**9}, "'0.latent_dim'"),
        ({"depth": 10**7}, "'0.depth'"),
        ({"units": 1e308}, "'0.units'"),
        ({"detail": 100}, "'0.detail'"),
        ({"example_shape": [20000, 20000, 1]}, "'0.example_shape'"),
        ({"example_shape": [8, 2**40, 1]}, "'0.example_shape'"),
        ({"batch_shape": [None, 10**9]}, "'0.batch_shape'"),
        ({"conditioning": {"support": [[10**6, 8, 8, 1], "float32"]}}, "'0.conditioning.support.0'"),
    ],
)
def test_sizes_are_checked_before_networks_are_built(entry, message):
    good = {"width": 16, "example_shape": [1024, 1024, 3], "seed": 2**40, "levels": 10**6, "num_heads": 16, "depth": 1}
    reading.check_sizes([{**good, "conditioning": {"a": [[3, 16], "float32"]}}], "file", [(3, 16)])
    with pytest.raises(mg.DamagedFileError, match=f"'file' must describe networks that fit its weights.*{message}"):
        reading.check_sizes([entry], "file", [(3, 16)] * 4)


def signed(folder, data):
    """Write weights, with their sha256 in a configuration of format 1."""
    (folder / storage.WEIGHTS).write_bytes(data)
    file = folder / storage.CONFIG
    config = {**json.loads(file.read_text()), "format": 1, "weights_sha256": hashlib.sha256(data).hexdigest()}
    config.pop(storage.CHECKSUM, None)
    file.write_text(json.dumps(config))


def bomb(header):
    """An `.npz` of one array with any header."""

    def make(path):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            text = header.ljust(117) + "\n"
            archive.writestr(
                "variable_0000.npy", b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()
            )

    return make


def zeros(path):
    np.savez_compressed(path, variable_0000=np.zeros(2**26, np.uint8))


@pytest.mark.parametrize(
    "make",
    [
        bomb("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000, 1000), }"),
        bomb("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 4), }"),
        bomb("{'descr': '|O', 'fortran_order': False, 'shape': (), }"),
        bomb("{'descr': '<f4', 'shape': (4,"),
        bomb("(" * 110),
        zeros,
    ],
    ids=["huge", "negative", "objects", "cut", "parentheses", "expanding"],
)
def test_weights_are_compared_with_their_headers_before_they_are_read(copy, tmp_path, make):
    make(tmp_path / "made.npz")
    signed(copy[1], (tmp_path / "made.npz").read_bytes())
    with pytest.raises(mg.DamagedFileError, match=r"weights.npz' must be a whole"):
        LOADERS[copy[0]](copy[1])


def test_the_newest_run_is_taken_even_if_its_model_is_damaged(folders, tmp_path):
    """An older run's model in its place would be another one."""
    for name in ("00000-a", "00001-b"):
        shutil.copytree(folders / "model", tmp_path / name / "model")
    (tmp_path / "00001-b" / "model" / storage.CONFIG).unlink()
    assert loading.resolve(tmp_path) == tmp_path / "00001-b" / "model"
    with pytest.raises(
        mg.DamagedFileError, match=r"must hold config.json; copy or save it whole. Received: '.*00001-b"
    ):
        mg.load(tmp_path)
