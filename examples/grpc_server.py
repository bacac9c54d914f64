"""A small PredictionService with TF Serving's gRPC interface, for trying a client without TF Serving.

`python examples/grpc_server.py --model served/glyphs/1 --name glyphs --port 8500` answers `Predict` and
`GetModelMetadata` on the loopback address until it is interrupted; port 0 selects a free port, which is printed. It
needs the extra `serving`. For production run TF Serving itself: this server has neither batching nor versions nor TLS.
"""

from __future__ import annotations

import argparse
from concurrent import futures
from typing import Any

import grpc
import tensorflow as tf
from google.protobuf.any_pb2 import Any as Packed
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, prediction_service_pb2_grpc

from meta_gan import serving

LARGEST = 64 * 2**20  # of a message, in bytes


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Serves one exported model under one name."""

    def __init__(self, served: serving.Served, name: str):
        self.served, self.name = served, name

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Run a signature; abort with INVALID_ARGUMENT and the model's message if it refuses the inputs."""
        self._check(request.model_spec, context)
        signature = request.model_spec.signature_name or "serving_default"
        try:
            made = self.served.call(signature, **{key: tf.make_ndarray(each) for key, each in request.inputs.items()})
        except ValueError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
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
            context.abort(grpc.StatusCode.NOT_FOUND, f"the model must be {self.name!r}. Received: {spec.name!r}")


def start(served: serving.Served, name: str, port: int, threads: int = 8) -> tuple[grpc.Server, int]:
    """Start a server on the loopback address, and return it with its port."""
    sizes = [("grpc.max_send_message_length", LARGEST), ("grpc.max_receive_message_length", LARGEST)]
    server = grpc.server(futures.ThreadPoolExecutor(threads), options=sizes)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(PredictionService(served, name), server)
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
