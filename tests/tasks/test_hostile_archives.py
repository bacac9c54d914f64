"""`.npz` files of anybody: a `DataError` that names file and array, before the memory is taken."""

from __future__ import annotations

import io
import os
import tracemalloc
import zipfile

import numpy as np
import pytest

from meta_gan.tasks import DataError, from_npz, limits, load_support, load_support_sounds
from meta_gan.tasks.archive import Archive
from tests.tasks.helpers import mutant


def header(shape, dtype: str = "'|u1'") -> bytes:
    """Return the header of an array, whatever it claims."""
    text = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def written(path, members, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


LABELS = header((10,), "'<i4'") + b"\0" * 40
IMAGES = header((10, 8, 8)) + b"\0" * 640


def flagged(content: bytes, place: int, value: int, local: int) -> bytes:
    """Change a byte of the first member's entry in the list of members, and of its own head."""
    changed = bytearray(content)
    changed[content.find(b"PK\x01\x02") + place] = value
    changed[local] = value
    return bytes(changed)


CASES = {
    "bytes": (b"not an array", "Received: the magic string is not correct"),
    "token": (IMAGES.replace(b"}", b" "), "Received: "),
    "huge": (header((10**6, 10**6, 10**3), "'<f4'") + b"\0" * 64, "bytes are required by its shape"),
    "overflow": (header((2**62, 2**62, 2**62)) + b"\0" * 64, "bytes are required by its shape"),
    "negative": (header((-1, 8, 8)) + b"\0" * 640, r"sizes >= 0, and is \(-1, 8, 8\)"),
    "objects": (header((1,), "'|O'") + b"\x80\x04K\x01.", "an array of objects"),
    "empty type": (header((2**40,), "'<U0'"), "it is an array of <U0"),
    "deep": (header("(" * 3000 + "1" + ")" * 3000), "Cannot parse header"),
    "long": (b"\x93NUMPY\x02\x00" + (900_000).to_bytes(4, "little") + b" " * 900_000, "Header info length .* is large"),
    "short": (IMAGES[:-1], "640 bytes are required by its shape .* and there are 639"),
    "excess": (IMAGES + b"\0", "640 bytes are required by its shape .* and there are 641"),
    "axes": (header((1,) * 9) + b"\0", "at most 8 sizes"),
    "version": (IMAGES.replace(b"NUMPY\x01", b"NUMPY\x07"), r"version 1 or 2 is required, and is of \(7, 0\)"),
    "strings": (header((24,), "'<U400000'") + b"\0" * 4, "bytes are required by its shape"),
    "beyond Unicode": (header((1,), "'<U1'") + b"\0\0\x11\0", "characters that Unicode does not have"),
    "surrogate": (header((1,), "'>U1'") + b"\0\0\xdc\xe9", "characters that Unicode does not have"),
    "no type": (header((1,), "'<q9z'"), "not a valid dtype"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_member_that_is_no_array(tmp_path, case):
    content, said = CASES[case]
    path = written(tmp_path / "a.npz", {"images.npy": content, "labels.npy": LABELS})
    for read in (from_npz, lambda p: load_support(p, (8, 8, 1))):
        with pytest.raises(DataError, match=rf"a.npz: 'images' must be a whole array without pickles. .*{said}"):
            read(path)


@pytest.mark.parametrize(
    ("place", "value", "local", "said"), [(8, 1, 6, "it is encrypted"), (10, 99, 8, "compressed by method 99")]
)
def test_members_of_other_methods(tmp_path, place, value, local, said):
    path = written(tmp_path / "a.npz", {"images.npy": IMAGES, "labels.npy": LABELS})
    path.write_bytes(flagged(path.read_bytes(), place, value, local))
    with pytest.raises(DataError, match=rf"a.npz: .*{said}"):
        from_npz(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressions_that_numpy_does_not_write(tmp_path, method):
    path = written(tmp_path / "a.npz", {"images.npy": IMAGES, "labels.npy": LABELS}, method)
    with pytest.raises(DataError, match=r"use `numpy.savez_compressed`"):
        from_npz(path)


def test_a_bomb_takes_no_memory(tmp_path):
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("images.npy", "w") as file:
        file.write(header((2**20, 8, 8)))
        for _ in range(64):
            file.write(bytes(limits.MIB))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"bomb.npz: must open to at most 48 MB.*store the array uncompressed"):
            load_support(path, (8, 8, 1))
        assert tracemalloc.get_traced_memory()[1] < 4 * limits.MIB
    finally:
        tracemalloc.stop()


def test_arrays_count_together(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "OPENED", 1500)
    monkeypatch.setattr(limits, "EXPANSION", 1)
    path = written(tmp_path / "a.npz", {"a.npy": IMAGES, "b.npy": IMAGES})
    with Archive(path) as archive:
        assert archive["a"].shape == (10, 8, 8)
        with pytest.raises(DataError, match=r"must open to at most 0 MB"):
            archive["b"]


def test_many_members(tmp_path, monkeypatch):
    path = written(tmp_path / "a.npz", {f"{i}.npy": b"" for i in range(1001)}, zipfile.ZIP_STORED)
    with pytest.raises(DataError, match=r"a.npz: .*at most 1000 members, and has 1001"):
        from_npz(path)
    monkeypatch.setattr("meta_gan.tasks.archive._Bounded.limit", 1000)
    with pytest.raises(DataError, match=r"a.npz: .*its list of members must have at most 1000 bytes"):
        from_npz(path)


def test_a_name_that_occurs_twice(tmp_path):
    with pytest.warns(UserWarning, match=r"Duplicate name"):
        path = tmp_path / "a.npz"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("images.npy", IMAGES)
            archive.writestr("images.npy", IMAGES)
    with pytest.raises(DataError, match=r"a.npz: .*'images' must occur once"):
        from_npz(path)


def test_paths_as_names_write_nothing(tmp_path):
    names = {"../../out.npy": IMAGES, "/tmp/out.npy": IMAGES, "images.npy": IMAGES, "labels.npy": LABELS}
    source = from_npz(written(tmp_path / "a.npz", names), shots=1, queries=1).source
    assert source.images.shape == (10, 8, 8, 1) and os.listdir(tmp_path) == ["a.npz"]


@pytest.mark.parametrize("dtype", [">i4", "<f4", "<U3", "|b1", "<c8", "|S2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_are_read_as_numpy_reads_them(tmp_path, dtype, order):
    array = np.asarray(np.arange(24).reshape(2, 3, 4).astype(dtype), order=order)
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", a=array)
        with Archive(tmp_path / "a.npz") as archive:
            read = archive["a"]
        assert read.dtype == array.dtype and read.flags.f_contiguous == array.flags.f_contiguous
        np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize("rate", [2**60, 2**31 - 1, 1, 99])
def test_sampling_rates_out_of_range(tmp_path, rate):
    np.savez(tmp_path / "a.npz", audio=np.zeros((24, 64), np.int16), rate=rate, labels=np.repeat([0, 1], 12))
    for read in (from_npz, lambda p: load_support_sounds(p, 8000, 64)):
        with pytest.raises(
            DataError, match=rf"a.npz: the sampling rate must be 100 to 1000000 Hz.*Received: {rate} Hz"
        ):
            read(tmp_path / "a.npz")


def test_special_files(tmp_path):
    os.mkfifo(tmp_path / "f.npz")
    with pytest.raises(DataError, match=r"f.npz: must be a .npz file. Received: a FIFO"):
        from_npz(tmp_path / "f.npz")
    (tmp_path / "d.npz").mkdir()
    with pytest.raises(DataError, match=r"d.npz: must be a .npz file. Received: a folder"):
        from_npz(tmp_path / "d.npz")


def test_floats_of_a_support_archive_follow_the_rule_of_data_sets(tmp_path):
    levels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1)).astype(np.uint8)
    levels[0, 0, 0] = 0
    expected = (levels / 127.5 - 1).astype(np.float32)
    for values, is_told in ((levels, False), (expected, False), ((levels / 255).astype(np.float32), True)):
        np.savez(tmp_path / "s.npz", support=values)
        support = load_support(tmp_path / "s.npz", (8, 8, 1))
        np.testing.assert_allclose(support.images, expected, atol=1e-6)
        assert ("read as [0, 1], as data sets are" in (support.message or "")) == is_told


def seeds() -> dict[str, bytes]:
    """Return small files of every format, by suffix."""
    from PIL import Image

    levels = np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8)
    found = {}
    for suffix in ("png", "jpg", "gif", "webp", "bmp", "tif"):
        file = io.BytesIO()
        options = {"compression": "tiff_lzw"} if suffix == "tif" else {}
        Image.fromarray(levels).save(file, {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix.upper()), **options)
        found[suffix] = file.getvalue()
    file = io.BytesIO()
    np.savez_compressed(file, images=levels[None].repeat(24, 0), labels=np.repeat([0, 1], 12), class_split=[0, 2])
    found["npz"] = file.getvalue()
    found["txt"] = "anna\nbéla\nδέλτα\n".encode()
    return found


@pytest.mark.parametrize("suffix", seeds())
def test_mutants_end_in_a_data_error_that_names_the_file(tmp_path, suffix):
    from meta_gan.tasks.media.texts import read_lines

    generator, content = np.random.default_rng(7), seeds()[suffix]
    read = {"npz": lambda p: from_npz(p, shots=1, queries=1), "txt": read_lines}
    path, refused = tmp_path / f"mutant.{suffix}", 0
    for _ in range(60):
        path.write_bytes(mutant(content, generator))
        try:
            read.get(suffix, lambda p: load_support(p, (8, 8, 1)))(path)
        except DataError as error:
            refused += 1
            assert path.name in str(error)
    assert refused > 0
