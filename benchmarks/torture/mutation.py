"""Mutations of files: of any bytes, and of PNG chunks, zip members and JSON values behind valid checksums."""

from __future__ import annotations

import copy
import io
import json
import random
import struct
import warnings
import zipfile
import zlib
from typing import Any

WORDS = (0, 1, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
VALUES = [None, -1, 0, 1, 2**31, 2**63, 10**30, 1e308, float("nan"), float("inf"), True, "", "x", "../../x", [], {}]
VALUES += [[1], [[]], {"a": 1}, "float16", -0.5, "Lambda"]
_PNG = b"\x89PNG\r\n\x1a\n"


def mutate(content: bytes, draw: random.Random) -> bytes:
    """Return a mutation of a file, chosen by what the file is."""
    if draw.random() < 0.35:
        return any_bytes(content, draw)
    if content.startswith(_PNG):
        return png(content, draw)
    if content.startswith(b"PK"):
        return archive(content, draw)
    if content.startswith(b"{"):
        return json_values(content, draw)
    return any_bytes(content, draw)


def any_bytes(content: bytes, draw: random.Random) -> bytes:
    """Cut, flip, blank, repeat, insert or delete some bytes, or overwrite four by an integer."""
    found, size = bytearray(content), len(content)
    if not size:
        return draw.randbytes(8)
    place, length = draw.randrange(size), draw.randint(1, max(1, size // 6))
    kind = draw.choice(("cut", "flip", "flips", "zero", "copy", "repeat", "insert", "delete", "word"))
    if kind == "cut":
        del found[place:]
    elif kind in ("flip", "flips"):
        for _ in range(1 if kind == "flip" else 20):
            # Half of them in the head, which has the sizes.
            found[draw.randrange(min(size, draw.choice((256, size))))] ^= 1 << draw.randrange(8)
    elif kind == "zero":
        found[place : place + length] = bytes(len(found[place : place + length]))
    elif kind == "copy":
        found[place : place + length] = content[draw.randrange(size) :][:length]
    elif kind == "repeat":
        found[place:place] = content[place : place + length] * draw.choice((1, 2, 8))
    elif kind == "insert":
        found[place:place] = draw.randbytes(draw.randint(1, 40))
    elif kind == "delete":
        del found[place : place + draw.randint(1, 40)]
    elif size > 4:
        place = draw.randrange(min(size, 400) - 3)
        found[place : place + 4] = struct.pack(draw.choice(("<I", ">I")), draw.choice((*WORDS, draw.getrandbits(32))))
    return bytes(found)


def png(content: bytes, draw: random.Random) -> bytes:
    """Mutate, drop or add a chunk of a PNG, with right checksums."""
    chunks, place = [], len(_PNG)
    while place + 8 <= len(content):
        (length,) = struct.unpack(">I", content[place : place + 4])
        chunks.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + length]))
        place += 12 + length
    index, kind = draw.randrange(len(chunks)), draw.random()
    if kind < 0.7:
        chunks[index] = (chunks[index][0], any_bytes(chunks[index][1], draw))
    elif kind < 0.85:
        del chunks[index]
    else:
        name = draw.choice((b"tRNS", b"PLTE", b"iCCP", b"eXIf", b"acTL", b"fcTL", b"zTXt", b"iTXt", b"gAMA"))
        chunks.insert(index, (name, draw.randbytes(draw.randint(0, 60))))
    parts = (struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in chunks)
    return _PNG + b"".join(parts)


def archive(content: bytes, draw: random.Random) -> bytes:
    """Mutate, drop, rename or repeat a member of a zip archive, with right checksums."""
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        members = [(info.filename, opened.read(info)) for info in opened.infolist()]
    index, kind = draw.randrange(len(members)), draw.random()
    name, data = members[index]
    if kind < 0.75:
        head = 128 if name.endswith(".npy") and draw.random() < 0.6 else len(data)
        changed = mutate(data[:head], draw) if head == len(data) else any_bytes(data[:head], draw)
        members[index] = (name, changed + data[head:])
    elif kind < 0.85:
        del members[index]
    elif kind < 0.95:
        members[index] = (draw.choice(("../x.npy", "/etc/x.npy", "images.npy", "a/b.npy", f"{name}x")), data)
    else:
        members.append((name, data))
    packing = draw.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    written = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of repeated names
        with zipfile.ZipFile(written, "w", packing) as made:
            for name, data in members:
                made.writestr(name, data)
    return written.getvalue()


def json_values(content: bytes, draw: random.Random) -> bytes:
    """Replace, delete or add a value anywhere in a JSON object."""
    tree = copy.deepcopy(json.loads(content))
    places = _places(tree)
    if not places:
        return any_bytes(content, draw)
    parent, key = draw.choice(places)
    kind = draw.random()
    if kind < 0.65:
        parent[key] = draw.choice(VALUES)
    elif kind < 0.85:
        del parent[key]
    elif isinstance(parent, dict):
        parent[draw.choice(("x", "name", "units", "config", "class_name", "module"))] = draw.choice(VALUES)
    else:
        parent.append(draw.choice(VALUES))
    return json.dumps(tree).encode()


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """Return `(container, key)` of every value in a tree of dicts and lists."""
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [place for key, value in pairs for place in ((tree, key), *_places(value))]
