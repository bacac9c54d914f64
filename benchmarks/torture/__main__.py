"""Kill runs, damage folders and mutate files, and count what is lost, wrong, unnamed, slow or large.

`make torture` runs it whole: 200 kills of four kinds of run, 12 damaged folders and 20,000 mutants.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import common
from benchmarks.torture import damage, forks, kills, mutants
from meta_gan import storage

FAULTS = ("unresumable", "lost", "differing", "outside", "leftovers", "hung")


def main() -> None:
    """Run all campaigns, print the counts, and exit with 1 if anything went wrong."""
    parser = common.parser("torture", __doc__, quick="a tenth of everything", out="a new folder")
    parser.add_argument("--kills", type=int, default=200, help="kills of runs (default: 200)")
    parser.add_argument("--mutants", type=int, default=20_000, help="mutated files (default: 20000)")
    parser.add_argument("--lanes", type=int, default=len(common.cores()), help="processes at once (default: cores)")
    arguments = parser.parse_args()
    storage.check_free(arguments.out)
    share, start = (10 if arguments.quick else 1), time.monotonic()
    out = Path(arguments.out).resolve()
    out.mkdir(parents=True, exist_ok=True)
    each = -(-arguments.kills // share // len(kills.SCENARIOS))
    jobs = {name: lambda name=name: kills.campaign(name, out / "kills" / name, each) for name in kills.SCENARIOS}
    jobs["damage"] = lambda: damage.campaign(out / "damage")
    jobs["mutants"] = lambda: mutants.campaign(out / "mutants", arguments.mutants // share)
    # Imported before the first fork; see `forks`.
    import meta_gan.cli.program  # noqa: F401

    results = forks.side_by_side(jobs, out / "results", arguments.lanes)
    results["minutes"] = round((time.monotonic() - start) / 60, 1)
    storage.write_json(out / "report.json", results)
    print(json.dumps(results, indent=2))
    sys.exit(int(_wrong(results)))


def _wrong(results: dict[str, Any]) -> bool:
    """Return True if any campaign found a fault."""
    killed = any(results[name].get(fault, 0) for name in kills.SCENARIOS for fault in FAULTS)
    damaged = results["damage"]["right"] < results["damage"]["folders"]
    return killed or damaged or any(results["mutants"][fault] for fault in mutants.FAULTS)


if __name__ == "__main__":
    main()
