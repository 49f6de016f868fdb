"""The networks that find faces, made for browsers from the files in the cache.

Nothing about them is learnt anew: MediaPipe's two become ONNX, and CenterFace, whose file is for
pictures of 32 x 32, takes pictures of any size.
"""

from typing import TYPE_CHECKING

from hemiface.serve.tflite_graph import tflite_to_onnx
from hemiface.vision.finding import assets

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["face_networks", "of_any_size"]

_CENTERFACE = "centerface"


def face_networks() -> dict[str, bytes]:
    """Return name (a key of `assets.ASSETS`) -> the content of an ONNX file.

    Raises:
        HemifaceError: they were never pulled.
        DamagedError: one isn't what it was any more.
    """
    made = {}
    for name in assets.ASSETS:
        path = assets.path_of(name)
        content = path.read_bytes()
        network = (
            of_any_size(content) if name == _CENTERFACE else tflite_to_onnx(content, path.name)
        )
        made[name] = network.SerializeToString(deterministic=True)
    return made


def of_any_size(content: bytes) -> "ModelProto":
    """Return CenterFace's network for pictures of any height and width that 32 divides.

    Its file says that there are ten pictures of 32 x 32, which ONNX Runtime holds it to and OpenCV
    doesn't, and lists its weights as inputs, so that nothing can be computed ahead. What no layer
    uses is left out.
    """
    import onnx
    from onnx import TensorProto, checker, helper

    old = onnx.load_model_from_string(content)
    used = {word for node in old.graph.node for word in node.input}
    weights = [one for one in old.graph.initializer if one.name in used]
    known = {one.name for one in weights}
    (picture,) = [one.name for one in old.graph.input if one.name in used - known]

    def described(word: str, channels: int, sides: tuple[str, str]) -> "onnx.ValueInfoProto":
        return helper.make_tensor_value_info(word, TensorProto.FLOAT, [1, channels, *sides])

    outputs = [
        described(one.name, one.type.tensor_type.shape.dim[1].dim_value, ("rows", "columns"))
        for one in old.graph.output
    ]
    inputs = [described(picture, 3, ("height", "width"))]
    graph = helper.make_graph(old.graph.node, _CENTERFACE, inputs, outputs, weights)
    made = helper.make_model(graph, opset_imports=old.opset_import, ir_version=old.ir_version)
    checker.check_model(made, full_check=True)
    return made
