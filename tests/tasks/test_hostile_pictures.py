"""Picture files that are thin, huge, bombs, or no files: bounded memory or a `DataError` that names file and limit."""

from __future__ import annotations

import os
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from meta_gan.tasks import DataError, limits, load_support
from meta_gan.tasks.media.decoding import Upright, fit, read_fitted, read_rgba, read_size
from tests.tasks.helpers import square, write_image


def reference(image: Image.Image, height: int, width: int) -> np.ndarray:
    """Pad to the proportions at full size, then resize: the definition, in unbounded memory."""
    scale = max(image.height / height, image.width / width)
    frame = (max(image.width, round(width * scale)), max(image.height, round(height * scale)))
    pixels = np.asarray(image)
    edges = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    colour = np.rint(np.median(edges, axis=0)).astype(int)
    padded = Image.new(image.mode, frame, tuple(colour.tolist()) if colour.ndim else int(colour))
    padded.paste(image, ((frame[0] - image.width) // 2, (frame[1] - image.height) // 2))
    return np.asarray(padded.resize((width, height), Image.Resampling.BOX if scale >= 1 else Image.Resampling.BILINEAR))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize(
    ("size", "target"),
    [((31, 17), (7, 9)), ((17, 31), (7, 9)), ((300, 11), (28, 28)), ((11, 300), (28, 28)), ((28, 40), (28, 28)),
     ((3, 5), (12, 16)), ((28, 9), (28, 28)), ((1, 1), (4, 4)), ((64, 64), (28, 20))],
)  # fmt: skip
def test_bands_give_the_bits_of_the_padded_picture(mode, size, target, monkeypatch):
    monkeypatch.setattr("meta_gan.tasks.media.decoding._BAND", 64)  # a few rows at a time
    channels = {"L": (), "RGB": (3,), "RGBA": (4,)}[mode]
    levels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], *channels), np.uint8)
    image = Image.fromarray(levels)
    np.testing.assert_array_equal(np.asarray(fit(image, *target)), reference(image, *target))


def test_a_picture_of_extreme_proportions_is_nearly_the_same_reduced_the_other_way(monkeypatch):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 11), np.uint8))
    exact = reference(image, 28, 28).astype(int)
    monkeypatch.setattr("meta_gan.tasks.media.decoding._WIDEST", 0)
    assert np.abs(np.asarray(fit(image, 28, 28)).astype(int) - exact).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_as_it_is_cropped(orientation):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.getexif()[0x0112] = orientation
    whole, upright = ImageOps.exif_transpose(image), Upright(image, orientation)
    assert upright.size == whole.size
    for box in ((0, 0, *whole.size), (1, 2, 4, 5), (0, 1, whole.width, 2)):
        np.testing.assert_array_equal(np.asarray(upright.crop(box)), np.asarray(whole.crop(box)))


def png(width: int, height: int, bits: int = 1, colour: int = 0) -> bytes:
    """Write a black PNG, of a few bytes for any size."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    row = b"\0" * ((width * bits * {0: 1, 2: 3, 6: 4}[colour] + 7) // 8 + 1)
    packer = zlib.compressobj(9)
    content = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", content) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(20000, 10), (10, 20000), (60000, 1), (1, 60000), (65535, 2)])
def test_thin_pictures_take_little_memory(tmp_path, size):
    (tmp_path / "thin.png").write_bytes(png(*size))
    tracemalloc.start()
    try:
        images = load_support(tmp_path, (28, 28, 1)).images
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert images.shape == (1, 28, 28, 1) and (images == -1).all()
    assert peak < 32 * limits.MIB


@pytest.mark.parametrize(
    ("size", "bits", "colour", "said"),
    [
        ((9400, 9400), 1, 0, "must open to at most 48 MB .*smaller. Received: a picture of 9400 x 9400"),
        ((6000, 6000), 16, 0, "which opens to 69 MB, in"),
        ((5000, 5000), 8, 2, "which opens to 95 MB, in"),
        ((80000, 1), 1, 0, "may have sides of at most 65535 pixels; make the picture smaller"),
        ((1, 80000), 1, 0, "may have sides of at most 65535 pixels"),
    ],
)  # fmt: skip
def test_bombs_are_refused_by_their_headers(tmp_path, monkeypatch, size, bits, colour, said):
    (tmp_path / "bomb.png").write_bytes(png(*size, bits, colour))
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded before the check"))
    with pytest.raises(DataError, match=rf"bomb.png: .*{said}"):
        read_fitted(tmp_path / "bomb.png", 28, 28)


@pytest.mark.parametrize(
    ("suffix", "options"),
    [("webp", {"lossless": True, "method": 0, "quality": 0}), ("gif", {}), ("tif", {"compression": "tiff_lzw"}),
     ("jpg", {"progressive": True}), ("avif", {"speed": 10})],
)  # fmt: skip
def test_bombs_of_other_formats(tmp_path, suffix, options, monkeypatch):
    monkeypatch.setattr(limits, "OPENED", 2 * limits.MIB)
    monkeypatch.setattr(limits, "EXPANSION", 1)
    path = tmp_path / f"bomb.{suffix}"
    Image.new("RGB" if suffix != "gif" else "L", (1000, 1000)).save(path, **options)
    with pytest.raises(DataError, match=rf"bomb.{suffix}: must open to at most 2 MB"):
        read_rgba(path)


def test_a_large_file_may_open_to_more(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "OPENED", 1000)
    levels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    assert read_rgba(write_image(tmp_path / "a.png", levels)).size == (64, 64)


def test_a_very_large_jpeg_is_decoded_smaller_and_looks_the_same(tmp_path, monkeypatch):
    levels = np.kron(square(12), np.ones((40, 40), np.uint8))
    path = write_image(tmp_path / "a.jpg", levels, quality=95)
    whole = read_fitted(path, 12, 12).astype(int)
    monkeypatch.setattr(limits, "OPENED", 480 * 480 // 4)
    assert read_rgba(path).size == (240, 240)
    assert np.abs(read_fitted(path, 12, 12) - whole).max() <= 2
    assert read_size(path) == (480, 480)


@pytest.mark.parametrize("suffix", ["tif", "avif", "jfif", "jpe", "apng"])
def test_further_formats_and_suffixes(tmp_path, suffix):
    formats = {"tif": "TIFF", "avif": "AVIF", "apng": "PNG"}
    Image.fromarray(square(16)).save(tmp_path / f"a.{suffix}", format=formats.get(suffix, "JPEG"))
    support = load_support(tmp_path, (16, 16, 1))
    assert support.files == [f"a.{suffix}"] and support.images[0, 8, 8, 0] > 0.9


def test_a_tiff_of_floats(tmp_path):
    Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match=r"a.tif: an image must have levels of 8 or 16 bits.*Received: floats"):
        read_rgba(tmp_path / "a.tif")


def test_files_that_were_passed_over_are_named(tmp_path):
    write_image(tmp_path / "1.png", square())
    (tmp_path / "2.heic").write_bytes(b"....ftypheic")
    (tmp_path / "3.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "4.png").symlink_to(tmp_path / "4.png")
    os.mkfifo(tmp_path / "5.png")
    (tmp_path / "6.png").symlink_to("/dev/zero")
    (tmp_path / "7\x1b[31m.txt").touch()
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "._1.png"):
        (tmp_path / name).touch()
    (tmp_path / "__MACOSX").mkdir()
    support = load_support(tmp_path, (12, 12, 1))
    assert support.files == ["1.png"]
    assert "1 images were read; passed over 6 files: 2.heic (HEIC: save it as JPEG" in support.message
    for said in ("3.png (a broken link)", "4.png (a loop of links)", "5.png (a FIFO)", "6.png (a device)", "1 more"):
        assert said in support.message
    assert "\x1b" not in support.message


@pytest.mark.parametrize("name", ["f.png", "f.npz", "f.tif"])
def test_special_files_are_refused_at_once(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(DataError, match=rf"{name}: must be a folder, a .npz file or one image. Received: a FIFO"):
        load_support(tmp_path / name, (12, 12, 1))
    (tmp_path / "z.png").symlink_to("/dev/zero")
    with pytest.raises(DataError, match=r"z.png: must be .*Received: a device"):
        load_support(tmp_path / "z.png", (12, 12, 1))
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"gone.png, a broken link"):
        load_support(tmp_path / "gone.png", (12, 12, 1))


def test_bad_files_are_skipped_on_request(tmp_path):
    for name in ("a", "c"):
        write_image(tmp_path / f"{name}.png", square())
    (tmp_path / "b.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"b.png: must be a whole image"):
        load_support(tmp_path, (12, 12, 1))
    support = load_support(tmp_path, (12, 12, 1), on_bad_file="skip")
    assert support.files == ["a.png", "c.png"] and len(support.images) == 2
    assert "skipped 1 file: " in support.message and "b.png: must be a whole image" in support.message
    with pytest.raises(DataError, match=r"'on_bad_file' must be one of 'error', 'skip'. Received: 'drop'"):
        load_support(tmp_path, (12, 12, 1), on_bad_file="drop")
    for name in ("a", "c"):
        (tmp_path / f"{name}.png").unlink()
    with pytest.raises(DataError, match=r"at least 1 image must be readable"):
        load_support(tmp_path, (12, 12, 1), on_bad_file="skip")


def test_names_that_are_not_utf8_are_shown_escaped(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9.png")).write_bytes(b"no picture")
    with pytest.raises(DataError) as caught:
        load_support(tmp_path, (12, 12, 1))
    assert "caf\\xe9.png: must be a whole image" in str(caught.value)
    str(caught.value).encode()
