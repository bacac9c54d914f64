"""Requests of strangers: refused by name, quickly, and the server lives on."""

import time

import numpy as np
import pytest

from tests.serving.conftest import support

GOOD = {"support": support(3), "steps": 1, "num": 2, "seed": 0}
HUGE, LEAST = 2**31 - 1, -(2**31)
ONES = np.ones((2, 8, 8, 1), np.float32)
Z = np.zeros((2, 2), np.float32)


def spoilt(value):
    images = support(3)
    images[1, 2, 3, 0] = value
    return images


# name: (signature, what is other than in a good request, what the refusal names)
HOSTILE = {
    **{f"num {n}": ("adapt_and_sample", {"num": n}, "`num` must lie in [1, 9]") for n in (0, -1, 10, HUGE, LEAST)},
    **{f"steps {n}": ("adapt_and_sample", {"steps": n}, "`steps` must lie in [0, 5]") for n in (6, -1, HUGE, LEAST)},
    **{f"sample num {n}": ("sample", {"num": n}, "`num` must lie in [1, 9]") for n in (0, -1, 10, HUGE, LEAST)},
    **{f"adapt steps {n}": ("adapt", {"steps": n}, "`steps` must lie in [0, 5]") for n in (6, -1, HUGE)},
    "no image": ("adapt_and_sample", {"support": ONES[:0]}, "the length of `support` along axis 0 must lie in [1, 6]"),
    "too many images": (
        "adapt_and_sample",
        {"support": np.zeros((7, 8, 8, 1), np.float32)},
        "the length of `support` along axis 0 must lie in [1, 6]",
    ),
    "very many images": (
        "adapt",
        {"support": np.zeros((20000, 8, 8, 1), np.float32)},
        "the length of `support` along axis 0 must lie in [1, 6]",
    ),
    "a NaN": ("adapt_and_sample", {"support": spoilt(np.nan)}, "`support` must be finite and lie in [-1, 1]"),
    "a NaN to adapt": ("adapt", {"support": spoilt(np.nan)}, "`support` must be finite and lie in [-1, 1]"),
    "an infinity": ("adapt_and_sample", {"support": spoilt(np.inf)}, "`support` must be finite and lie in [-1, 1]"),
    "less than nothing": ("adapt_and_sample", {"support": spoilt(-np.inf)}, "`support` must be finite"),
    "1e30": ("adapt_and_sample", {"support": spoilt(1e30)}, "`support` must be finite and lie in [-1, 1]"),
    "levels of 0 to 255": ("adapt_and_sample", {"support": 255 * ONES}, "`support` must be finite and lie in [-1, 1]"),
    "bytes for floats": ("adapt_and_sample", {"support": ONES.astype(np.uint8)}, "'support' must be float32"),
    "doubles for floats": ("adapt_and_sample", {"support": ONES.astype(np.float64)}, "'support' must be float32"),
    "words": ("adapt_and_sample", {"support": np.array([b"drop table"])}, "'support' must be float32"),
    "a wrong side": ("adapt_and_sample", {"support": np.zeros((2, 8, 9, 1), np.float32)}, "'support' must be float32"),
    "colours": ("adapt_and_sample", {"support": np.zeros((2, 8, 8, 3), np.float32)}, "'support' must be float32"),
    "no batch axis": ("adapt_and_sample", {"support": ONES[0]}, "'support' must be float32"),
    "an axis too many": ("adapt_and_sample", {"support": ONES[None]}, "'support' must be float32"),
    "a list for num": ("adapt_and_sample", {"num": np.array([1, 2], np.int32)}, "'num' must be int32"),
    "a real num": ("adapt_and_sample", {"num": 1.5}, "'num' must be int32"),
    "a num over 32 bits": ("adapt_and_sample", {"num": 2**31}, "'num' must be int32"),
    "a seed over 32 bits": ("adapt_and_sample", {"seed": 2**40}, "'seed' must be int32"),
    "a missing input": ("adapt_and_sample", {"seed": None}, "'adapt_and_sample' must be given ['num', 'seed'"),
    "an input too many": ("adapt_and_sample", {"shell": "rm"}, "'adapt_and_sample' must be given ['num', 'seed'"),
    "an unknown signature": ("system", {}, "the signature must be one of ['adapt', "),
    "no latents": ("serving_default", {"z": Z[:0]}, "the length of `z` along axis 0 must lie in [1, 9]"),
    "many latents": ("serving_default", {"z": np.zeros((10, 2), np.float32)}, "the length of `z` along axis 0"),
    "latents of NaN": ("serving_default", {"z": Z * np.nan}, "`z` must be finite"),
    "latents of infinity": ("serving_default", {"z": Z + np.inf}, "`z` must be finite"),
    "latents of 1e30": ("serving_default", {"z": Z + np.float32(1e30)}, None),
    "pixels of 2": ("discriminate", {"images": 2 * ONES}, "`images` must be finite and lie in [-1, 1]"),
}
INPUTS = {
    "adapt_and_sample": ("support", "steps", "num", "seed"),
    "adapt": ("support", "steps", "seed"),
    "sample": ("num", "seed"),
}


def request_of(signature, changes):
    inputs = {name: GOOD[name] for name in INPUTS.get(signature, ())} | changes
    return {name: value for name, value in inputs.items() if value is not None}


def test_there_are_forty_hostile_requests():
    assert len(HOSTILE) >= 40


def test_hostile_requests_are_refused_by_name_and_the_server_lives_on(served):
    """Each in under ten milliseconds (of the best of three, for the machine may be busy), or answered finitely."""
    expected = served.call("adapt_and_sample", **GOOD)["samples"]
    served.call("sample", num=1, seed=0)
    for name, (signature, changes, said) in HOSTILE.items():
        inputs, times = request_of(signature, changes), []
        for _ in range(3):
            start = time.perf_counter()
            if said is None:
                assert all(np.isfinite(value).all() for value in served.call(signature, **inputs).values()), name
                break
            with pytest.raises(ValueError) as refusal:
                served.call(signature, **inputs)
            times.append(time.perf_counter() - start)
            assert said in str(refusal.value) and len(str(refusal.value)) < 500, (name, str(refusal.value))
        assert said is None or min(times) < 0.01, (name, times)
    np.testing.assert_array_equal(served.call("adapt_and_sample", **GOOD)["samples"], expected)


def test_weights_of_strangers_must_be_finite(served):
    weights = served.call("adapt", support=support(3), steps=0, seed=0)
    name = next(iter(weights))
    weights[name] = weights[name] * np.nan
    with pytest.raises(ValueError, match=f"`{name}` must be finite"):
        served.call("sample_adapted", **weights, num=1, seed=0)


def test_inputs_may_be_called_anything(served):
    for name in ("self", "signature"):
        with pytest.raises(ValueError, match="must be given"):
            served.call("sample", **{"num": 1, "seed": 0, name: 1})
    with pytest.raises(ValueError, match="'support' must be float32"):
        served.call("adapt", support=[[1.0], [1.0, 2.0]], steps=0, seed=0)
