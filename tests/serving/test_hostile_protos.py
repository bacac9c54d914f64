"""Requests to the example server that are damaged or lie about their sizes: refused, with little memory."""

import queue
import re
import resource
import threading
import time
from types import SimpleNamespace

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from examples import grpc_client, grpc_server
from meta_gan.serving.protos import decode
from tests.serving.conftest import support

FIVE = support(5)
PREDICT = f"/{grpc_server.SERVICE}/Predict"
TENSOR = type(tf.make_tensor_proto(0))
FLOAT, INT = {"dtype": "float32", "shape": [None, 8, 8, 1]}, {"dtype": "int32", "shape": []}


def proto(dtype, shape, **content):
    """A `TensorProto` of any contents."""
    made = TENSOR(dtype=dtype if isinstance(dtype, int) else tf.as_dtype(dtype).as_datatype_enum)
    for size in shape:
        made.tensor_shape.dim.add(size=size)
    for key, value in content.items():
        if key == "tensor_content":
            made.tensor_content = value
        else:
            getattr(made, key).extend(value)
    return made


@pytest.fixture(scope="module")
def channel(served):
    """A channel to the example's server, which takes bytes."""
    server, port = grpc_server.start(served, "m", 0, calls=4)
    with grpc.insecure_channel(f"127.0.0.1:{port}", grpc_client.OPTIONS) as made:
        yield made
    server.stop(None)


def ask(channel, signature="adapt_and_sample", **inputs):
    """The answer's samples, or the error's code and details."""
    given = {"support": FIVE, "steps": np.int32(0), "num": np.int32(1), "seed": np.int32(0)} | inputs
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "m", signature
    for name, value in given.items():
        if value is not None:
            request.inputs[name].CopyFrom(value if isinstance(value, TENSOR) else tf.make_tensor_proto(value))
    return send(channel, request.SerializeToString())


def send(channel, data):
    try:
        answer = channel.unary_unary(PREDICT)(data, timeout=30)
    except grpc.RpcError as error:
        return error.code().name, error.details()
    return tf.make_ndarray(predict_pb2.PredictResponse.FromString(answer).outputs["samples"])


BAD = {
    "one value for 2^28 images": ({"support": proto("float32", [2**28, 8, 8, 1], float_val=[0])}, r"\[1, 6\]"),
    "one value for 2^28 numbers": ({"support": proto("float32", [2**28], float_val=[0])}, "'support' must be float32"),
    "a num of 2^28 values": ({"num": proto("int32", [2**28], int_val=[1])}, r"'num' must be int32\[\]"),
    "2^62 by 2^62": ({"support": proto("float32", [2**62] * 4, float_val=[0])}, "'support' must be float32"),
    "a negative length": ({"support": proto("float32", [-1, 8, 8, 1], float_val=[0])}, r"\[1, 6\]"),
    "an unknown rank": ({"support": TENSOR(dtype=1, tensor_shape={"unknown_rank": True})}, "'support' must be float32"),
    "too few bytes": ({"support": proto("float32", [5, 8, 8, 1], tensor_content=b"\0" * 7)}, "7 bytes"),
    "too many bytes": ({"support": proto("float32", [1, 8, 8, 1], tensor_content=b"\0" * 10**6)}, "1000000 bytes"),
    "no values": ({"support": proto("float32", [5, 8, 8, 1])}, "0 values for 320 elements"),
    "too many values": ({"num": proto("int32", [], int_val=[1, 2])}, "2 values for 1 elements"),
    "a resource": ({"support": proto("resource", [1])}, "'support' must be float32"),
    "a variant": ({"support": proto("variant", [1])}, "'support' must be float32"),
    "words": ({"support": proto("string", [1], string_val=[b"x"])}, "'support' must be float32"),
    "an unknown dtype": ({"support": proto(999, [5, 8, 8, 1])}, "dtype 999"),
    "doubles": ({"support": FIVE.astype(np.float64)}, "'support' must be float32"),
    "a seed of 64 bits": ({"seed": np.int64(2**40)}, "'seed' must be int32"),
    "a num of NaN": ({"num": np.float32(np.nan)}, "'num' must be int32"),
    "a num that is a list": ({"num": np.array([1, 2], np.int32)}, r"'num' must be int32\[\]"),
    "num 0": ({"num": np.int32(0)}, r"`num` must lie in \[1, 9\]"),
    "num 10^9": ({"num": np.int32(10**9)}, r"`num` must lie in \[1, 9\]"),
    "steps -1": ({"steps": np.int32(-1)}, r"`steps` must lie in \[0, 5\]"),
    "no image": ({"support": FIVE[:0]}, r"\[1, 6\]"),
    "10,000 images": ({"support": np.zeros((10_000, 8, 8, 1), np.float32)}, r"\[1, 6\]"),
    "NaN": ({"support": FIVE * np.nan}, "`support` must be finite"),
    "a missing input": ({"seed": None}, "must be given"),
    "an input too many": ({"x" * 1000: np.int32(0)}, "must be given"),
    "an unknown signature": ({"signature": "nope"}, "the signature must be one of"),
    "a private signature": ({"signature": "__saved_model_init_op"}, "the signature must be one of"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_requests_are_refused_with_a_message_and_little_memory(channel, kind):
    inputs, said = BAD[kind]
    ask(channel)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    code, details = ask(channel, **inputs)
    assert code == "INVALID_ARGUMENT" and re.search(said, details), details
    assert len(details) < 1000 and "Traceback" not in details
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 2**10


@pytest.mark.parametrize("data", [b"\xff" * 50, b"\x0a\x03\x0a\x01\xff", b"\x12\xff\xff\xff\xff\x0f", b"{" * 3000])
def test_bytes_that_are_no_request_are_refused(channel, data):
    code, details = send(channel, data)
    assert code == "INVALID_ARGUMENT" and "the request must be a PredictRequest" in details


def test_an_empty_request_names_the_model(channel):
    assert send(channel, b"") == ("NOT_FOUND", "the model must be 'm'. Received: ''")


def test_messages_far_longer_than_any_request_are_not_taken(channel, served):
    """Requests of this model are below 100 kB; by hand for another one: 64 sets of 100 images of 1 kB, and seeds."""
    assert grpc_server.longest_request(served) == grpc_server.LEAST
    code, _ = send(channel, bytes(grpc_server.LEAST + 1))
    assert code == "RESOURCE_EXHAUSTED"
    inputs = {
        "support": {"dtype": "float32", "shape": [None, None, 16, 16, 1], "lengths": [[1, 64], [1, 100]]},
        "seed": {"dtype": "int32", "shape": [None], "lengths": [[1, 64]]},
        "num": {"dtype": "int32", "shape": [], "range": [1, 9]},
    }
    other = SimpleNamespace(about={"signatures": {"many": {"inputs": inputs}, "none": {"inputs": {}}}})
    assert grpc_server.longest_request(other) == 2 * (64 * 100 * 1024 + 64 * 4 + 4)


def test_one_value_for_an_allowed_number_of_images_is_what_it_means(channel, served):
    short = proto("float32", [5, 8, 8, 1], float_val=[0.5])
    full = served.call("adapt_and_sample", support=np.full((5, 8, 8, 1), 0.5, np.float32), steps=0, num=1, seed=0)
    np.testing.assert_array_equal(ask(channel, support=short), full["samples"])


def test_an_output_that_does_not_exist_is_refused(channel):
    request = predict_pb2.PredictRequest(output_filter=["nope"])
    request.model_spec.name, request.model_spec.signature_name = "m", "sample"
    for name in ("num", "seed"):
        request.inputs[name].CopyFrom(tf.make_tensor_proto(np.int32(1)))
    code, details = send(channel, request.SerializeToString())
    assert code == "INVALID_ARGUMENT" and "`output_filter` must name outputs of ['samples']" in details


def test_good_requests_beside_bad_ones_get_the_same_answers(channel):
    expected, answers = ask(channel, num=np.int32(3)), []

    def client(number):
        for _ in range(5):
            if number:
                answers.append(ask(channel, num=np.int32(3)))
            else:
                ask(channel, support=proto("float32", [2**28], float_val=[0]))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 10
    for answer in answers:
        np.testing.assert_array_equal(answer, expected)


def test_calls_that_never_end_are_refused_beyond_the_limit(served):
    """Three clients open a call and send nothing: one is refused at once, as is every other call until they end."""
    server, port = grpc_server.start(served, "m", 0, calls=2)
    stop = threading.Event()

    def slowly():
        stop.wait(20)
        yield b""

    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as made:
            # A stream of requests opens the call before its first message. The calls reach the server in any order,
            # so nothing else is asked until one of them was refused: the other two are then open.
            slow, refused = [made.stream_unary(PREDICT).future(slowly(), timeout=20) for _ in range(3)], queue.Queue()
            for each in slow:
                each.add_done_callback(refused.put)
            assert refused.get(timeout=15).code().name == "RESOURCE_EXHAUSTED"
            assert ask(made)[0] == "RESOURCE_EXHAUSTED"
            stop.set()
            assert all(each.exception(20) is not None for each in slow)
            # The server frees a call's place a moment after the caller has its answer.
            answer, deadline = ask(made), time.monotonic() + 15
            while isinstance(answer, tuple) and time.monotonic() < deadline:
                answer = ask(made)
            assert isinstance(answer, np.ndarray)
    finally:
        stop.set()
        server.stop(None)


def test_decoding_is_that_of_tensorflow():
    for value, wanted in ((FIVE, FLOAT), (FIVE[:1], FLOAT), (np.int32(7), INT)):
        np.testing.assert_array_equal(decode("x", tf.make_tensor_proto(value), wanted, [[1, 6]]), value)
