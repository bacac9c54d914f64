"""Prints how many megabytes a second-order meta-gradient of 24 steps takes: `peak_memory.py CHECKPOINT`; on Linux."""

import re
import sys
from pathlib import Path

import tensorflow as tf

from meta_gan.meta import Unrolled
from tests.toys import one, parts, random_episodes, tiny_gan


def peak():
    """The most that this process has held; `getrusage` would tell that of its parent, if it held more."""
    (kilobytes,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    return int(kilobytes) / 1024


def main():
    made = parts(tiny_gan(width=128), rate=0.01)
    task = Unrolled(2, True, int(sys.argv[1])).task
    run = tf.function(lambda episode: task(*made, episode, 24), autograph=False, reduce_retracing=True)
    taken = []
    for shots in (2, 3, 3000):
        run(one(random_episodes(shots=shots)))
        taken.append(peak())
    assert run.experimental_get_tracing_count() <= 2
    print(taken[2] - taken[1])


if __name__ == "__main__":
    main()
