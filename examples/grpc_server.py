"""A small PredictionService with TF Serving's gRPC interface, for trying a client without TF Serving.

`python examples/grpc_server.py --model served/glyphs/1 --name glyphs --port 8500` answers `Predict` and
`GetModelMetadata` on the loopback address until it is interrupted; port 0 selects a free port, which is printed. It
needs the extra `serving`. For production run TF Serving itself: this server has neither batching nor versions nor TLS.

A request that is damaged, too large or outside the model's limits gets INVALID_ARGUMENT (HTTP 400) with a message,
before anything is allocated for it. A call beyond `CALLS` at once gets RESOURCE_EXHAUSTED (429), and a connection ends
after `SECONDS`, so that clients that never finish a request cannot keep others out.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from concurrent import futures
from typing import Any

import grpc
import tensorflow as tf
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2

from meta_gan import serving

LEAST, LARGEST = 4 * 2**20, 64 * 2**20  # of the longest message that is taken, in bytes
CALLS = 64  # at the same time; each waits in a thread of its own
SECONDS = 120  # that a connection is kept, and then that its last calls may take
SERVICE = "tensorflow.serving.PredictionService"


class PredictionService:
    """Serves one exported model under one name."""

    def __init__(self, served: serving.Served, name: str):
        self.served, self.name = served, name

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Run a signature; abort with INVALID_ARGUMENT and the model's message if it refuses the inputs."""
        self._check(request.model_spec, context)
        signature = request.model_spec.signature_name or "serving_default"
        try:
            made = self.served.call_protos(signature, request.inputs)
        except ValueError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        if unknown := set(request.output_filter) - set(made):
            outputs = f"`output_filter` must name outputs of {sorted(made)}"
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"{outputs}. Received: {len(unknown)} others")
        answer = predict_pb2.PredictResponse()
        answer.model_spec.name, answer.model_spec.signature_name = self.name, signature
        for key, value in made.items():
            if not request.output_filter or key in request.output_filter:
                answer.outputs[key].CopyFrom(tf.make_tensor_proto(value))
        return answer

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Return the signatures, which clients request as the field `signature_def`."""
        self._check(request.model_spec, context)
        found = get_model_metadata_pb2.SignatureDefMap()
        for name, sides in self.served.signatures.items():
            signature = meta_graph_pb2.SignatureDef(method_name="tensorflow/serving/predict")
            for side, tensors in sides.items():
                for key, each in tensors.items():
                    info = getattr(signature, side)[key]
                    info.name, info.dtype = key, tf.dtypes.as_dtype(each["dtype"]).as_datatype_enum
                    info.tensor_shape.CopyFrom(tf.TensorShape(each["shape"]).as_proto())
            found.signature_def[name].CopyFrom(signature)
        packed = Packed()
        packed.Pack(found)
        answer = get_model_metadata_pb2.GetModelMetadataResponse()
        answer.model_spec.name = self.name
        answer.metadata["signature_def"].CopyFrom(packed)
        return answer

    def _check(self, spec: Any, context: grpc.ServicerContext) -> None:
        if spec.name != self.name:
            said = f"the model must be {self.name!r}. Received: {spec.name[:80]!r}"
            context.abort(grpc.StatusCode.NOT_FOUND, said)


def handler(method: Callable[[Any, grpc.ServicerContext], Any], kind: Any) -> grpc.RpcMethodHandler:
    """Return a handler that also answers bytes that are no message of their kind, and errors of the program."""

    def answer(data: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            request = kind.FromString(data)
        except DecodeError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"the request must be a {kind.DESCRIPTOR.name}: {error}")
        try:
            return method(request, context).SerializeToString()
        # Of TensorFlow and of memory; all refusals of inputs are ValueErrors, answered by `method`.
        except (tf.errors.OpError, MemoryError) as error:
            context.abort(grpc.StatusCode.INTERNAL, type(error).__name__)
            raise

    return grpc.unary_unary_rpc_method_handler(answer)


def longest_request(served: serving.Served) -> int:
    """Return the bytes of the longest message to take: twice the largest request that the model's limits allow."""
    sizes = []
    for signature in served.about["signatures"].values():
        inputs = signature["inputs"].values()
        shapes = [[most for _, most in given.get("lengths", [])] for given in inputs]
        each = [
            tf.dtypes.as_dtype(given["dtype"]).size * math.prod([*most, *given["shape"][len(most) :]])
            for given, most in zip(inputs, shapes, strict=True)
        ]
        sizes.append(sum(each))
    return min(LARGEST, max(LEAST, 2 * max(sizes)))


def start(served: serving.Served, name: str, port: int, calls: int = CALLS) -> tuple[grpc.Server, int]:
    """Start a server on the loopback address, and return it with its port."""
    options = [("grpc.max_send_message_length", LARGEST), ("grpc.max_receive_message_length", longest_request(served))]
    options += [("grpc.max_connection_age_ms", 1000 * SECONDS), ("grpc.max_connection_age_grace_ms", 1000 * SECONDS)]
    server = grpc.server(futures.ThreadPoolExecutor(calls), options=options, maximum_concurrent_rpcs=calls)
    service = PredictionService(served, name)
    methods = {
        "Predict": handler(service.Predict, predict_pb2.PredictRequest),
        "GetModelMetadata": handler(service.GetModelMetadata, get_model_metadata_pb2.GetModelMetadataRequest),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    return server, bound


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="the version folder of an export")
    parser.add_argument("--name", default="model", help="model name in requests (default: model)")
    parser.add_argument("--port", type=int, default=8500, help="0 for a free port (default: 8500)")
    arguments = parser.parse_args()
    server, port = start(serving.load(arguments.model), arguments.name, arguments.port)
    print(f"serving {arguments.name!r} on port {port}", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
