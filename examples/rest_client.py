"""Send a few images to TF Serving by REST and save samples of their class; needs NumPy only.

`python examples/rest_client.py --url http://localhost:8501/v1/models/glyphs:predict --support five.npy --out made.npy`
"""

from __future__ import annotations

import argparse
import json
import urllib.error
import urllib.request

import numpy as np


def adapt_and_sample(url: str, support: np.ndarray, steps: int, num: int, seed: int) -> np.ndarray:
    """Return samples, float32[num, H, W, C] in [-1, 1], of the class of `support`, float32[k, H, W, C] in [-1, 1].

    Raises:
        ValueError: the server refused the request; holds its message.
    """
    # Named inputs in columns; the row form, `instances`, would add an axis to scalars.
    inputs = {"support": support.tolist(), "steps": steps, "num": num, "seed": seed}
    body = json.dumps({"signature_name": "adapt_and_sample", "inputs": inputs}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60.0) as answer:
            # The only output of a signature has no name in the answer.
            return np.array(json.load(answer)["outputs"], np.float32)
    except urllib.error.HTTPError as error:
        raise ValueError(f"the server refused: {error.read().decode()}") from error


def main() -> None:
    """Send one request."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="http://HOST:8501/v1/models/NAME:predict")
    parser.add_argument("--support", required=True, help=".npy of float32[k, H, W, C] in [-1, 1]")
    parser.add_argument("--steps", type=int, default=0, help="inner steps (default: 0)")
    parser.add_argument("--num", type=int, default=64, help="samples (default: 64)")
    parser.add_argument("--seed", type=int, default=0, help="(default: 0)")
    parser.add_argument("--out", required=True, help=".npy of the samples")
    given = parser.parse_args()
    made = adapt_and_sample(given.url, np.load(given.support), given.steps, given.num, given.seed)
    np.save(given.out, made)
    print(f"{len(made)} samples: {given.out}")


if __name__ == "__main__":
    main()
