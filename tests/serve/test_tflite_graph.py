"""MediaPipe's networks as ONNX, beside LiteRT on what they see in use."""

import numpy as np
import pytest

pytest.importorskip("onnx", reason="networks are made for browsers with the library onnx")

import onnxruntime
from ai_edge_litert import schema_py_generated as schema

from hemiface.data.phantom import make as phantom
from hemiface.errors import DamagedError
from hemiface.serve.tflite_graph import tflite_to_onnx
from hemiface.vision.finding import assets
from hemiface.vision.finding.litert import TfliteNetwork

PULLED = pytest.mark.usefixtures("face_networks")
NETWORKS = ("detection", "landmarks")


def pictures(side: int) -> np.ndarray:
    """Float32 [6, side, side, 3] in 0..1: faces, noise, grey."""
    faces = phantom.render(np.arange(4), seed=0) / 255
    times = side // 48 + 1
    large = faces.repeat(times, axis=1).repeat(times, axis=2)[:, :side, :side, np.newaxis]
    noise = np.random.default_rng(0).random((1, side, side, 3))
    parts = [large.repeat(3, axis=3), noise, np.full((1, side, side, 3), 0.5)]
    return np.concatenate(parts).astype(np.float32)


@PULLED
@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_are_those_of_litert(name):
    path = assets.path_of(name)
    network = TfliteNetwork(path)
    made = tflite_to_onnx(path.read_bytes(), path.name).SerializeToString()
    session = onnxruntime.InferenceSession(made)
    (given,) = session.get_inputs()
    assert tuple(given.shape) == network.input_shape
    for picture in pictures(network.input_shape[1]):
        expected = network.run(picture)
        found = session.run(list(expected), {given.name: picture[np.newaxis]})
        for one, other in zip(expected.values(), found, strict=True):
            assert one.shape == other.shape
            # Scores are logits, positions pixels: both up to about 200.
            np.testing.assert_allclose(other, one, atol=1e-3, rtol=1e-5)


@PULLED
@pytest.mark.parametrize("name", NETWORKS)
def test_weights_stay_in_half_precision(name):
    from onnx import TensorProto

    path = assets.path_of(name)
    made = tflite_to_onnx(path.read_bytes(), path.name)
    kinds = {one.data_type for one in made.graph.initializer}
    # And whole numbers for shapes and padding.
    assert kinds == {TensorProto.FLOAT16, TensorProto.INT64}
    assert len(made.SerializeToString()) < path.stat().st_size


def changed(content: bytes, change) -> bytes:
    """Return a .tflite file after `change` had its parts."""
    import flatbuffers

    parts = schema.ModelT.InitFromPackedBuf(content, 0)
    change(parts)
    builder = flatbuffers.Builder(len(content))
    builder.Finish(parts.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def options(parts, kind):
    """Options of the first operator of a kind."""
    place = parts.operatorCodes.index(code_of(parts, kind))
    return next(
        one.builtinOptions for one in parts.subgraphs[0].operators if one.opcodeIndex == place
    )


def code_of(parts, kind):
    number = getattr(schema.BuiltinOperator, kind)
    (code,) = [one for one in parts.operatorCodes if one.deprecatedBuiltinCode == number]
    return code


def other_operator(parts):
    relu = code_of(parts, "RELU")
    relu.builtinCode = relu.deprecatedBuiltinCode = schema.BuiltinOperator.TANH


def fused(parts):
    options(parts, "ADD").fusedActivationFunction = schema.ActivationFunctionType.RELU6


def dilated(parts):
    options(parts, "CONV_2D").dilationWFactor = 2


def several_filters(parts):
    options(parts, "DEPTHWISE_CONV_2D").depthMultiplier = 2


def two_graphs(parts):
    parts.subgraphs = parts.subgraphs * 2


@PULLED
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (other_operator, "the operator TANH"),
        (fused, "an activation inside of ADD"),
        (dilated, "a dilated convolution"),
        (several_filters, "several filters for one channel"),
        (two_graphs, "2 graphs in place of one"),
    ],
)
def test_what_isnt_known_is_refused(change, said):
    content = changed(assets.path_of("detection").read_bytes(), change)
    with pytest.raises(DamagedError, match=f"^one.tflite has {said}, which can't be made ONNX"):
        tflite_to_onnx(content, "one.tflite")


def test_another_file_is_refused():
    with pytest.raises(DamagedError, match=r"^a\.onnx isn't a \.tflite network"):
        tflite_to_onnx(b"no network at all", "a.onnx")
