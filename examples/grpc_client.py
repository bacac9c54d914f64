"""Send a few images to TF Serving by gRPC and save samples of their class.

`python examples/grpc_client.py --address localhost:8500 --name glyphs --support five.npy --num 64 --out samples.npy`;
needs the extra `serving`, but neither Keras nor this package.
"""

from __future__ import annotations

import argparse

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

# By default gRPC refuses answers over 4 MB, hardly enough for 1024 images of 28 x 28.
OPTIONS = [("grpc.max_receive_message_length", 64 * 2**20), ("grpc.max_send_message_length", 64 * 2**20)]


def adapt_and_sample(address: str, name: str, support: np.ndarray, steps: int, num: int, seed: int) -> np.ndarray:
    """Return samples, float32[num, H, W, C] in [-1, 1], of the class of `support`, float32[k, H, W, C] in [-1, 1].

    Raises:
        grpc.RpcError: no server, or INVALID_ARGUMENT with a message that names the refused input.
    """
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = name, "adapt_and_sample"
    request.inputs["support"].CopyFrom(tf.make_tensor_proto(support, tf.float32))
    for key, value in {"steps": steps, "num": num, "seed": seed}.items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value, tf.int32))
    with grpc.insecure_channel(address, OPTIONS) as channel:
        answer = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=60.0)
    return tf.make_ndarray(answer.outputs["samples"])


def main() -> None:
    """Send one request."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--address", default="localhost:8500", help="(default: localhost:8500)")
    parser.add_argument("--name", default="model", help="name of the served model (default: model)")
    parser.add_argument("--support", required=True, help=".npy of float32[k, H, W, C] in [-1, 1]")
    parser.add_argument("--steps", type=int, default=0, help="inner steps (default: 0)")
    parser.add_argument("--num", type=int, default=64, help="samples (default: 64)")
    parser.add_argument("--seed", type=int, default=0, help="(default: 0)")
    parser.add_argument("--out", required=True, help=".npy of the samples")
    given = parser.parse_args()
    made = adapt_and_sample(given.address, given.name, np.load(given.support), given.steps, given.num, given.seed)
    np.save(given.out, made)
    print(f"{len(made)} samples: {given.out}")


if __name__ == "__main__":
    main()
