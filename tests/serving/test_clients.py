"""One exported model under other clients than this package: they all get what Python gets."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import get_model_metadata_pb2, prediction_log_pb2, prediction_service_pb2_grpc

import meta_gan as mg
from examples import grpc_client, grpc_server, rest_client
from meta_gan import export, serving
from tests.games.nets import support_gan
from tests.serving.conftest import support
from tests.toys import conditioned_flow

ROOT = pathlib.Path(mg.__file__).parents[1]
SUPPORT, STEPS, NUM, SEED = support(3), 2, 4, 5
ASK = {"support": SUPPORT, "steps": np.int32(STEPS), "num": np.int32(NUM), "seed": np.int32(SEED)}


@pytest.fixture(scope="module")
def expected(adapted):
    return adapted.sample(NUM, seed=SEED)


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """A folder with the request as a client would have it on disk."""
    folder = tmp_path_factory.mktemp("asked")
    np.savez(folder / "ask.npz", **ASK)
    np.save(folder / "support.npy", SUPPORT)
    SUPPORT.tofile(folder / "support.f32")
    return folder


def run(*command, **environment):
    """Runs a program that knows nothing of this checkout but what it is told."""
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    clean |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_NUM_INTRAOP_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **environment}
    done = subprocess.run([str(c) for c in command], env=clean, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_tensorflow_alone(folder, asked, expected):
    code = (
        "import sys, numpy as np, tensorflow as tf\n"
        "given = np.load('ask.npz')\n"
        f"call = tf.saved_model.load({str(folder)!r}).signatures['adapt_and_sample']\n"
        "made = call(**{k: tf.constant(v) for k, v in given.items()})['samples'].numpy()\n"
        "assert not [m for m in sys.modules if m.startswith('meta_gan')]\n"
        "np.save('alone.npy', made)\n"
    )
    (asked / "alone.py").write_text(f"import os\nos.chdir({str(asked)!r})\n{code}")
    run(sys.executable, "-I", asked / "alone.py")
    np.testing.assert_allclose(np.load(asked / "alone.npy"), expected, atol=1e-5)


@pytest.mark.slow
def test_saved_model_cli(folder, asked, expected):
    program = pathlib.Path(sys.executable).with_name("saved_model_cli")
    inputs = ";".join(f"{name}={asked / 'ask.npz'}[{name}]" for name in ASK)
    command = ["run", "--dir", folder, "--tag_set", "serve", "--signature_def", "adapt_and_sample"]
    run(program, *command, "--inputs", inputs, "--outdir", asked / "cli")
    np.testing.assert_allclose(np.load(asked / "cli" / "samples.npy"), expected, atol=1e-5)


@pytest.mark.slow
def test_c(folder, asked, expected):
    """The example is built and run as its first lines say."""
    compiler, tensorflow = shutil.which("gcc"), pathlib.Path(tf.__file__).parent
    if compiler is None or not (tensorflow / "libtensorflow_cc.so.2").is_file():
        pytest.skip("gcc, or TensorFlow's C library in its wheel, is not on this machine")
    program = asked / "adapt_and_sample"
    libraries = ["-l:libtensorflow_cc.so.2", "-l:libtensorflow_framework.so.2", f"-Wl,-rpath,{tensorflow}"]
    source = ROOT / "examples" / "adapt_and_sample.c"
    flags = ["-Wall", "-Wextra", "-Werror", f"-I{tensorflow / 'include'}", f"-L{tensorflow}"]
    run(compiler, source, *flags, *libraries, "-o", program)
    rest = [*SUPPORT.shape, STEPS, NUM, SEED]
    run(program, folder, asked / "support.f32", *rest, asked / "c.f32")
    np.testing.assert_allclose(np.fromfile(asked / "c.f32", np.float32).reshape(expected.shape), expected, atol=1e-5)
    bad = subprocess.run(
        [str(p) for p in (program, folder, asked / "support.f32", *SUPPORT.shape, STEPS, 1000, SEED, asked / "c2.f32")],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert bad.returncode == 2 and "`num` must lie in [1, 9]" in bad.stderr and not (asked / "c2.f32").exists()


@pytest.fixture(scope="module")
def server(served):
    """The example's PredictionService on a free port: its address."""
    started, port = grpc_server.start(served, "glyphs", 0)
    yield f"127.0.0.1:{port}"
    started.stop(None)


def test_grpc(server, expected):
    made = grpc_client.adapt_and_sample(server, "glyphs", SUPPORT, STEPS, NUM, SEED)
    np.testing.assert_allclose(made, expected, atol=1e-5)


def test_grpc_errors_have_their_codes(server):
    for ask, code, said in (
        (("glyphs", SUPPORT, 99, NUM, SEED), grpc.StatusCode.INVALID_ARGUMENT, "`steps` must lie in [0, 5]"),
        (("glyphs", SUPPORT * np.nan, 0, NUM, SEED), grpc.StatusCode.INVALID_ARGUMENT, "`support` must be finite"),
        (("gliphs", SUPPORT, 0, NUM, SEED), grpc.StatusCode.NOT_FOUND, "the model must be 'glyphs'"),
    ):
        with pytest.raises(grpc.RpcError) as refusal:
            grpc_client.adapt_and_sample(server, *ask)
        assert refusal.value.code() == code and said in refusal.value.details()


def test_grpc_tells_the_signatures(server, served):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "glyphs"
    with grpc.insecure_channel(server) as channel:
        answer = prediction_service_pb2_grpc.PredictionServiceStub(channel).GetModelMetadata(request)
    found = get_model_metadata_pb2.SignatureDefMap()
    answer.metadata["signature_def"].Unpack(found)
    assert set(found.signature_def) == set(served.signatures)
    shape = found.signature_def["adapt_and_sample"].inputs["support"].tensor_shape
    assert [dim.size for dim in shape.dim] == [-1, 8, 8, 1]


class Rest(BaseHTTPRequestHandler):
    """The row of TF Serving's REST interface that the client uses."""

    served = None

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        wanted = self.served.signatures[asked["signature_name"]]["inputs"]
        inputs = {name: np.array(asked["inputs"][name], each["dtype"]) for name, each in wanted.items()}
        try:
            (made,) = self.served.call(asked["signature_name"], **inputs).values()
            status, body = 200, {"outputs": made.tolist()}
        except ValueError as error:
            status, body = 400, {"error": str(error)}
        self.send_response(status if self.path == "/v1/models/glyphs:predict" else 404)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_):
        pass


def test_rest(served, expected):
    handler = type("Handler", (Rest,), {"served": served})
    with HTTPServer(("127.0.0.1", 0), handler) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{web.server_port}/v1/models/glyphs:predict"
        made = rest_client.adapt_and_sample(url, SUPPORT, STEPS, NUM, SEED)
        with pytest.raises(ValueError, match=r"the server refused: .*`num` must lie in \[1, 9\]"):
            rest_client.adapt_and_sample(url, SUPPORT, STEPS, 100, SEED)
        web.shutdown()
    np.testing.assert_allclose(made, expected, atol=1e-5)


def test_onnx_runtime(adapted, tmp_path):
    import onnxruntime

    z = np.random.default_rng(0).normal(size=(5, 2)).astype("float32")
    adapted.export(tmp_path / "g.onnx", format="onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "g.onnx"), providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    np.testing.assert_allclose(session.run(None, {given.name: z})[0], adapted.generator(z), atol=1e-5)


@pytest.mark.slow
def test_onnx_runtime_of_a_flow_that_saw_its_support_set(tmp_path):
    """The graph holds the solver's steps, guidance and the support set; z is all that is left to give."""
    import onnxruntime

    support = np.random.default_rng(1).integers(0, 256, (3, 8, 8, 1), np.uint8)
    flow = mg.MetaModel(conditioned_flow(), mg.FOMAML(1, 0.05)).adapt(support)
    flow.export(tmp_path / "g.onnx", format="onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "g.onnx"), providers=["CPUExecutionProvider"])
    z = np.random.default_rng(0).normal(size=(5, 65)).astype("float32")
    made = session.run(None, {session.get_inputs()[0].name: z})[0]
    np.testing.assert_allclose(made, flow.generator(z), atol=1e-5)
    assert np.abs(made[1:] - made[0]).max() > 0.1, "not one image"


def test_litert(adapted, tmp_path):
    adapted.export(tmp_path / "g.tflite", format="litert")
    interpreter = tf.lite.Interpreter(str(tmp_path / "g.tflite"))
    (given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()
    z = np.random.default_rng(0).normal(size=(1, 2)).astype("float32")
    interpreter.resize_tensor_input(given["index"], z.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], z)
    interpreter.invoke()
    np.testing.assert_allclose(interpreter.get_tensor(made["index"]), adapted.generator(z), atol=1e-5)


def test_before_adaptation_the_plain_generator_is_converted_too(model, tmp_path):
    import onnxruntime

    z = np.random.default_rng(0).normal(size=(5, 2)).astype("float32")
    model.export(tmp_path / "g.onnx", format="onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "g.onnx"), providers=["CPUExecutionProvider"])
    own = model.adaptation.copy(model.meta_weights(averaged=True).initial).nets["generator"]
    np.testing.assert_allclose(session.run(None, {session.get_inputs()[0].name: z})[0], own(z), atol=1e-5)
    with pytest.raises(ValueError, match="'export' without a support set needs a game that is not conditioned"):
        mg.MetaModel(support_gan(), mg.FOMAML(1, 0.05)).export(tmp_path / "h.onnx", format="onnx")
    assert not (tmp_path / "h.onnx").exists()


def test_other_formats_are_refused(adapted, tmp_path):
    for options in ({"format": "pickle"}, {"format": "onnx", "limits": mg.Limits()}):
        with pytest.raises(ValueError, match="'format' must be one of"):
            adapted.export(tmp_path / "g", **options)


@pytest.mark.slow
def test_warm_up_requests_are_what_the_model_takes(folder, served, tmp_path):
    place = shutil.copytree(folder, tmp_path / "1")
    file = serving.write_warm_up(place, "glyphs")
    assert file == place / export.EXTRA / "tf_serving_warmup_requests"
    warmed = []
    for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        assert request.model_spec.name == "glyphs"
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        answer = served.call(request.model_spec.signature_name, **inputs)
        assert all(np.isfinite(value).all() for value in answer.values())
        warmed.append(request.model_spec.signature_name)
    assert sorted(warmed) == sorted(name for name in served.signatures if not name.endswith("_adapted"))
    serving.load(place)
    with pytest.raises(ValueError, match=r"must be signatures of a model that meta_gan exported.*Received: \['none'\]"):
        serving.write_warm_up(place, "glyphs", ["none"])


@pytest.mark.slow
def test_a_keras_application(model, tmp_path):
    """The example, run as its first lines say."""
    model.save(tmp_path / "model")
    bars = np.full((4, 8, 8, 1), -1.0, np.float32)  # of which a line can tell noise
    bars[:, 2:6, 3:5] = 1.0
    np.save(tmp_path / "bars.npy", bars)
    command = [ROOT / "examples" / "keras_app.py", "--model", tmp_path / "model", "--support", tmp_path / "bars.npy"]
    told = run(sys.executable, *command, "--out", tmp_path / "app", "--onnx", PYTHONPATH=str(ROOT))
    lines = dict(line.split(": ", 1) for line in told.splitlines() if ": " in line)
    assert lines["as a layer"] == "(4, 16, 16, 1)"
    assert float(lines["as training data"].split()[-1]) > 0.7
    assert float(lines["by ONNX Runtime"].split()[2]) < 1e-5
    before, after = (float(each) for each in lines["trained on"].split(" to "))
    assert after < before
    assert {path.name for path in (tmp_path / "app").iterdir()} == {
        "samples.npy",
        "classifier.keras",
        "generator.onnx",
        "fine_tuned.keras",
    }
