"""An exported model under load: many threads, mixed requests, and every answer compared with that of a lone request.

`python -m benchmarks.speed.serving_load --out DIR` exports a preset (or `--model`), sends `DISTINCT` requests one after
another, then `--requests` of them, drawn at random, from `--threads` threads at once. It writes `results.json`:
`differing`, the number of answers that differ in any byte from those of lone requests; `p50_ms` and `p99_ms`, in which
a request waits for those of other threads; and `rss_growth_mb` per 1,000 requests, after a warm-up.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import meta_gan
import trainers
from benchmarks import common
from meta_gan import loading, presets, serving, storage

DISTINCT = 24
SHOTS, SAMPLES = (1, 5, 10), (1, 4, 16)
WARM_UP = 500  # requests before the measurement: threads allocate their memory at their first work


def resident() -> int:
    """Return the resident memory of this process in bytes."""
    fields = Path("/proc/self/statm").read_text("ascii").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def requests_of(served: serving.Served, steps: int, seed: int = 0) -> list[tuple[str, dict[str, Any]]]:
    """Return distinct requests `(signature, inputs)`: adaptations of up to `steps` steps and, if present, `sample`."""
    draw = np.random.default_rng(seed)
    made: list[tuple[str, dict[str, Any]]] = []
    plain = "sample" in served.signatures
    shape, limits = served.about["example_shape"], served.about["limits"]
    shots, samples = [k for k in SHOTS if k <= limits["shots"]], [n for n in SAMPLES if n <= limits["num"]]
    for number in range(DISTINCT):
        inputs: dict[str, Any] = {"num": int(draw.choice(samples)), "seed": number}
        if plain and number % 2:
            made.append(("sample", inputs))
            continue
        support = draw.uniform(-1.0, 1.0, (int(draw.choice(shots)), *shape)).astype(np.float32)
        inputs |= {"support": support, "steps": int(draw.integers(0, steps + 1))}
        made.append(("adapt_and_sample", inputs))
    return made


def loaded(served: serving.Served, requests: int, threads: int, steps: int, seed: int = 0) -> dict[str, Any]:
    """Send requests from several threads and measure them.

    Args:
        served: the model.
        requests: how many, >= 1.
        threads: how many at once, >= 1.
        steps: the most inner steps of a request.
        seed: for the requests and their order.

    Returns:
        `{"requests", "threads", "differing", "p50_ms", "p99_ms", "rss_growth_mb", "seconds"}`.
    """
    distinct = requests_of(served, steps, seed)
    alone = [_bytes(served.call(name, **inputs)) for name, inputs in distinct]
    order = np.random.default_rng(seed + 1).integers(0, len(distinct), WARM_UP + requests)

    times, differing = np.zeros(len(order)), np.zeros(len(order), bool)

    def ask(places: range) -> None:
        """Send one thread's requests one after another; a future for each request would itself grow memory."""
        for place in places:
            name, inputs = distinct[order[place]]
            start = time.perf_counter()
            answer = served.call(name, **inputs)
            times[place] = 1000.0 * (time.perf_counter() - start)
            differing[place] = _bytes(answer) != alone[order[place]]

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(ask, [range(first, WARM_UP, threads) for first in range(threads)]))
        before, start = resident(), time.perf_counter()
        list(pool.map(ask, [range(WARM_UP + first, len(order), threads) for first in range(threads)]))
        grown = (resident() - before) / 2**20
    return {
        "requests": requests,
        "threads": threads,
        "differing": int(differing.sum()),
        "p50_ms": float(np.percentile(times[WARM_UP:], 50)),
        "p99_ms": float(np.percentile(times[WARM_UP:], 99)),
        "rss_growth_mb": 1000.0 * grown / requests,
        "seconds": time.perf_counter() - start,
    }


def _bytes(answer: dict[str, np.ndarray]) -> bytes:
    return b"".join(answer[name].tobytes() for name in sorted(answer))


def main() -> None:
    """Export and measure."""
    parser = common.parser("speed.serving_load", __doc__, out="folder; the export is created there once")
    parser.add_argument("--model", help="saved model, run folder or shipped name (default: an untrained DCGAN)")
    parser.add_argument("--requests", type=int, default=10000, help="(default: 10000)")
    parser.add_argument("--threads", type=int, default=32, help="(default: 32)")
    parser.add_argument("--steps", type=int, default=3, help="most inner steps of a request (default: 3)")
    arguments = parser.parse_args()
    if min(arguments.requests, arguments.threads) < 1 or arguments.steps < 0:
        parser.error(f"--requests and --threads must be >= 1, --steps >= 0. Received: {arguments}")
    trainers.configure_threads()
    out = Path(arguments.out)
    folder = out / "served" / "1"
    if not folder.is_dir():
        model = loading.load(arguments.model) if arguments.model else presets.build(presets.get("dcgan"), (28, 28, 1))
        model.export(folder, limits=meta_gan.Limits())
    results = loaded(serving.load(folder), arguments.requests, arguments.threads, arguments.steps)
    storage.write_json(out / "results.json", results)
    print(
        "{requests} requests, {threads} threads: {differing} differing, p50 {p50_ms:.1f} ms, p99 {p99_ms:.1f} ms, "
        "{rss_growth_mb:+.2f} MB a 1,000 requests, {seconds:.0f} s".format(**results)
    )
    if results["differing"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
