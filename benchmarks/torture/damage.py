"""Damage a run folder in twelve ways: resuming must recover it to the bit, or name the file and change nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.torture import forks, kills

NEWEST, END = 4, 6
_DATA, _INDEX, _MANIFEST = (f"ckpt-{NEWEST}{end}" for end in (".data-00000-of-00001", ".index", ".json"))


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(bytes(content))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _each(run: Path, pattern: str, harm: Callable[[Path], Any]) -> None:
    for path in list((run / "checkpoints").glob(pattern)):
        harm(path)


def _orphans(run: Path) -> None:
    for name in ("checkpoints/ckpt-5_temp", ".model.0123abcd.part", "served/.6.89abcdef.part"):
        (run / name).mkdir(parents=True)
        (run / name / "part").write_bytes(b"half")
    for name in ("checkpoints/checkpoint.tmp1", "checkpoints/ckpt-2.data-00000-of-00001", ".config.json.part"):
        (run / name).write_bytes(b"half")


HARMS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a bit of the newest data": (lambda run: _flip(run / "checkpoints" / _DATA), ""),
    "half of the newest data": (lambda run: _cut(run / "checkpoints" / _DATA), ""),
    "the newest index, empty": (lambda run: (run / "checkpoints" / _INDEX).write_bytes(b""), ""),
    "the newest index, missing": (lambda run: (run / "checkpoints" / _INDEX).unlink(), ""),
    "the newest manifest, garbage": (lambda run: (run / "checkpoints" / _MANIFEST).write_bytes(b"\xff{"), ""),
    "the pointer, garbage": (lambda run: (run / "checkpoints" / "checkpoint").write_bytes(b"\xff" * 99), ""),
    "the newest checkpoint, deleted": (lambda run: _each(run, f"ckpt-{NEWEST}*", Path.unlink), ""),
    "leftovers of killed saves": (_orphans, ""),
    "the metrics, garbage": (lambda run: (run / "metrics.jsonl").write_bytes(b"[]\n\xff\x00"), ""),
    "all checkpoints, damaged": (lambda run: _each(run, "ckpt-*", _cut), "checkpoints"),
    "all checkpoints, deleted": (lambda run: shutil.rmtree(run / "checkpoints"), "checkpoints"),
    "the configuration, garbage": (lambda run: _cut(run / "config.json"), "config.json"),
}
"""`{what: (harm, the file that a refusal must name, "" if the run must recover)}`."""


def _content(run: Path) -> dict[str, bytes]:
    paths = (path for path in run.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(run)): path.read_bytes() for path in paths}


def campaign(folder: Path) -> dict[str, Any]:
    """Return how many of the damaged runs recovered or were refused as they should be, with notes on the others."""
    folder.mkdir(parents=True)
    data, whole, base = folder / "data.npz", folder / "whole", folder / "base"
    kills.write_data(data, validation=False)
    for place, steps in ((whole, END), (base, NEWEST)):
        place.mkdir()
        if forks.command(kills.train("maml", data, steps), place).code:
            raise RuntimeError(f"the run in {place} failed")
    wanted, notes, right = kills.result(whole)["weights"], [], 0
    for number, (what, (harm, named)) in enumerate(HARMS.items()):
        place = Path(shutil.copytree(base, folder / f"harm-{number:02d}"))
        run = kills.the_run(place)
        assert run is not None
        harm(run)
        before = _content(run)
        ended = forks.command(kills.train("maml", data, END, resume=True), place)
        if named:
            good = ended.code == 2 and named in ended.errors and _content(run) == before
        else:
            good = ended.code == 0 and kills.result(place)["weights"] == wanted and not kills.leftovers(run)
        right += good
        if not good:
            notes.append(f"{what}: exit {ended.code}, {ended.errors.strip()[-300:]}")
    return {"folders": len(HARMS), "right": right, "notes": notes}
