"""Run a benchmark from any folder: `python PATH/TO/benchmarks NAME ARGUMENTS`, with NAME as `flagship.ablations`."""

import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def programs() -> list[str]:
    """Return the names of all benchmarks; a folder's name stands for its main program."""
    folder = ROOT / "benchmarks"
    names = [
        ".".join(path.relative_to(folder).with_suffix("").parts)
        for path in folder.rglob("*.py")
        if 'if __name__ == "__main__"' in path.read_text("utf-8") or (path.parent != folder and path.stem == "__main__")
    ]
    return sorted(name.removesuffix(".__main__") for name in names if name != "__main__")


def main() -> None:
    """Run the benchmark that the first argument names, or list all."""
    if sys.argv[1:2] and sys.argv[1] in programs():
        # The folder of this file comes first otherwise, and its modules would hide others of the same name.
        sys.path[0] = str(ROOT)
        runpy.run_module(f"benchmarks.{sys.argv.pop(1)}", run_name="__main__", alter_sys=True)
        return
    print(f"usage: python {sys.argv[0]} NAME ...\n\nNAME is one of:", *programs(), sep="\n  ")
    sys.exit(0 if sys.argv[1:] in ([], ["-h"], ["--help"]) else 2)


if __name__ == "__main__":
    main()
