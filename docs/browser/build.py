"""Build the static page that runs the shipped model `omniglot` in the browser: `python docs/browser/build.py OUT`.

`OUT` becomes a folder for any static host. It contains the page's HTML, scripts and style, the model as ONNX, its
description `model.json`, and ONNX Runtime for browsers, in the version and with the checksum of `package-lock.json`.
The program needs npm and the extra `onnx`. It replaces a page that it built before.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

MODEL, COUNT = "omniglot", 50
OWN = ("browser.js", "noise.js", "pixels.js")
SERVED = "demo.js"
"""The one script of the demo's page that the static page does not use."""
RUNTIME = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
"""The smallest runtime for the CPU: a script and the WebAssembly file that it loads."""


def check(out: Path) -> str:
    """Check the requirements before anything is built, and return the path of npm.

    Raises:
        ValueError: npm or the extra `onnx` is missing, or `out` exists and is not a page that this program built.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise ValueError("the page must be built with npm, of Node.js 20 or newer, on the PATH. Received: no npm")
    if absent := [name for name in ("onnx", "tf2onnx") if importlib.util.find_spec(name) is None]:
        raise ValueError(f"the page must be built with the extra `onnx`. Received: no {' and no '.join(absent)}")
    if other := _other_content(out):
        raise ValueError(f"'OUT' must be a new folder, or a page that this program built. Received: {other}")
    return npm


def _other_content(out: Path) -> str | None:
    """Return what a folder holds other than the files of a page, or None if nothing."""
    from meta_gan import storage
    from meta_gan.demo import site

    own = {"index.html", "model.json", f"{MODEL}.onnx", *OWN, *RUNTIME, *(path.name for path in site.FILES.iterdir())}
    return storage.other_content(out, own) if os.path.lexists(out) else None


def install_runtime(npm: str, out: Path) -> None:
    """Copy `RUNTIME` from the npm package to a folder; npm checks the sha512 in `package-lock.json`.

    Raises:
        RuntimeError: npm failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, folder)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            said = " ".join(line.removeprefix("npm error").strip() for line in done.stderr.splitlines()[:4])
            raise RuntimeError(f"npm could not install onnxruntime-web: {said}")
        for name in RUNTIME:
            shutil.copy(Path(folder, "node_modules/onnxruntime-web/dist", name), out)


def export_model(out: Path) -> None:
    """Write the model as ONNX, including its adaptation to a support set, and its description `model.json`."""
    import meta_gan

    model = meta_gan.load(MODEL)
    model.export(out / f"{MODEL}.onnx", format="onnx", support=True)
    about = {
        "name": MODEL,
        "file": f"{MODEL}.onnx",
        "example_shape": model.game.example_shape,
        "polarity": model.data_card["polarity"],
        "latent_dim": model.game.latent_dim,
        "stratified": model.game.nets["generator"].stratified,
    }
    (out / "model.json").write_text(json.dumps(about) + "\n", "utf-8")


def build(out: Path) -> None:
    """Build the page in a temporary folder beside `out`, which it then replaces as a whole.

    Raises:
        ValueError: see `check`.
        RuntimeError: npm failed.
        OSError: the folder cannot be written.
    """
    npm = check(out)
    from meta_gan import atomic
    from meta_gan.demo import site

    with atomic.new_folder(out, replaces=True) as page:
        install_runtime(npm, page)
        export_model(page)
        for path in (*(HERE / name for name in OWN), *site.FILES.iterdir()):
            if path.name != SERVED:
                shutil.copy(path, page)
        (page / "index.html").write_text(site.render("index.html", "browser.js", COUNT, HERE), "utf-8")


def sizes(out: Path) -> dict[str, tuple[int, int]]:
    """Return the size of each file of a page in bytes, uncompressed and compressed with gzip."""
    contents = {path.name: path.read_bytes() for path in sorted(out.iterdir())}
    return {name: (len(content), len(gzip.compress(content))) for name, content in contents.items()}


def main(arguments: list[str]) -> int:
    """Build the page, print the sizes of its files, and return the exit code."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print(f"usage: {sys.argv[0]} OUT", file=sys.stderr)
        return 2
    out = Path(arguments[0])
    try:
        build(out)
    except (ValueError, RuntimeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, ValueError) else 1
    found = sizes(out)
    for name, (plain, packed) in found.items():
        print(f"{plain:>12,} bytes, {packed:>10,} compressed: {name}")
    plain, packed = (sum(each) for each in zip(*found.values(), strict=True))
    print(f"{plain:>12,} bytes, {packed:>10,} compressed: {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
