"""Read mutated files: each must be read, or refused by an error of a known type that names the file, soon and small."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.torture import forks, mutation, seeds

FAULTS = ("wrong_type", "unnamed", "slow", "large", "crashed")
SECONDS, MEGABYTES = 2.0, 64.0


def campaign(folder: Path, count: int, seed: int = 0) -> dict[str, Any]:
    """Read `count` mutants, in a forked process that is replaced when one of them hangs or kills it.

    Returns:
        Counts of "read", "refused" and of `FAULTS`, the slowest and the largest, and notes on the first of each fault.
    """
    folder.mkdir(parents=True)
    made = forks.wait(forks.fork(lambda: seeds.write(folder / "seeds"), [folder / "out", folder / "err"]), 600)
    if made:
        raise RuntimeError(f"the seeds could not be written: {(folder / 'err').read_text()[-2000:]}")
    rows: list[dict[str, Any]] = []
    while len(rows) < count:
        rows += _worker(folder, len(rows), count, seed)
    counts = Counter(fault for row in rows for fault in row["faults"])
    kinds = Counter(row["kind"] for row in rows)
    notes, seen = [], Counter[str]()
    for row in rows:
        key = f"{row['kind']} {row['faults']} {row['error'][:40]}"
        seen[key] += 1
        if row["faults"] and seen[key] == 1 and len(notes) < 40:
            notes.append(row)
    return {
        "mutants": len(rows),
        "refused": sum(bool(row["error"]) for row in rows),
        **{fault: counts[fault] for fault in FAULTS},
        "slowest_seconds": max(row["seconds"] for row in rows),
        "largest_megabytes": max(row["megabytes"] for row in rows),
        "kinds": dict(kinds),
        "notes": notes,
    }


def _worker(folder: Path, start: int, count: int, seed: int) -> list[dict[str, Any]]:
    """Read mutants in one process, from number `start`, until all are read or one hangs or kills it."""
    reading, writing = os.pipe()
    number = forks.fork(lambda: _read_all(folder, start, count, seed, writing), [folder / "out", folder / "err"])
    os.close(writing)
    rows, buffer, begun = [], b"", None
    limit = time.monotonic() + 120.0  # to load the libraries
    while True:
        ready, _, _ = select.select([reading], [], [], 0.2)
        if ready and not (data := os.read(reading, 65536)):
            break
        if ready:
            *lines, buffer = (buffer + data).split(b"\n")
            for line in map(json.loads, lines):
                if "begun" in line:
                    begun = line["begun"]
                else:
                    rows.append(line)
                    begun = None
            limit = time.monotonic() + 10 * SECONDS
        elif time.monotonic() > limit:
            os.kill(number, signal.SIGKILL)
            break
    os.close(reading)
    _, status = os.waitpid(number, 0)
    if begun is not None:
        hung = os.waitstatus_to_exitcode(status) == -signal.SIGKILL
        fault = {"faults": ["slow" if hung else "crashed"], "error": "", "seconds": 10 * SECONDS, "megabytes": 0.0}
        rows.append({"number": start + len(rows), "kind": begun, **fault})
    elif status or (not rows and start < count):
        raise RuntimeError(f"the reader of mutants ended by itself: {(folder / 'err').read_text()[-2000:]}")
    return rows


def _read_all(folder: Path, start: int, count: int, seed: int, writing: int) -> None:
    made = folder / "seeds"
    found = seeds.readers(made)
    contents = {kind: seeds.content(kind, made) for kind in seeds.SHARES}
    for kind, read in found.items():
        _warm(read, seeds.place(kind, made, folder, contents[kind]))
    for number in range(start, count):
        draw = random.Random(f"{seed} {number}")
        (kind,) = draw.choices(list(seeds.SHARES), weights=list(seeds.SHARES.values()))
        path = seeds.place(kind, made, folder, mutation.mutate(contents[kind], draw))
        os.write(writing, json.dumps({"begun": kind}).encode() + b"\n")
        row = {"number": number, "kind": kind, **_read_one(found[kind], path)}
        os.write(writing, json.dumps(row).encode() + b"\n")


def _warm(read: Any, path: Path) -> None:
    """Read a good file, so that no mutant pays for the first use of a library."""
    read(path)


def _read_one(read: Any, path: Path) -> dict[str, Any]:
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before, start, faults, said = _megabytes("VmRSS"), time.process_time(), [], ""
    try:
        read(path)
    except (ValueError, OSError) as error:
        said = f"{type(error).__name__}: {error}"
        faults += ["wrong_type"] * (isinstance(error, (UnicodeError, json.JSONDecodeError)))
        faults += ["unnamed"] * (path.name not in str(error))
    except BaseException as error:
        said = f"{type(error).__name__}: {error}"
        faults.append("wrong_type")
    seconds, grown = time.process_time() - start, _megabytes("VmHWM") - before
    faults += ["slow"] * (seconds > SECONDS) + ["large"] * (grown > MEGABYTES)
    return {"faults": faults, "error": said[:300], "seconds": round(seconds, 3), "megabytes": round(grown, 1)}


def _megabytes(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024
