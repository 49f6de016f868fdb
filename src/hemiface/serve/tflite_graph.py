"""A small .tflite network as an ONNX graph, for browsers: LiteRT doesn't run there as everywhere.

Only what MediaPipe's two networks for faces consist of is known here: convolutions, additions,
maxima, padding, reshapes and two activations in single precision, with weights in half precision.
These stay so in the file and are cast where it is opened, as LiteRT does, which loses nothing.
Everything else is an error: a network that is nearly right finds faces nearly where they are.

TFLite counts a picture's axes as [batch, height, width, channels], ONNX as [batch, channels,
height, width]. Inside of the graph every array of four axes is the latter; inputs and outputs are
as LiteRT has them.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from hemiface.errors import DamagedError

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto

__all__ = ["tflite_to_onnx"]

Array = npt.NDArray[Any]

_OPSET = 13
_IR_VERSION = 7
"""Of the file's format: what came with that opset."""
_CHANNELS_FIRST, _CHANNELS_LAST = (0, 3, 1, 2), (0, 2, 3, 1)
_MAGIC = b"TFL3"


def tflite_to_onnx(content: bytes, name: str) -> "ModelProto":
    """Return the network in a .tflite file as an ONNX model that gives the same outputs.

    `name` is what errors call the file. Inputs and outputs keep their names and shapes.

    Raises:
        DamagedError: it is no such file, or has a part that isn't known here.
    """
    return _Conversion(content, name).model()


class _Conversion:
    """One file on its way, with the parts of the ONNX graph that are made so far."""

    def __init__(self, content: bytes, name: str) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self._name = name
        if content[4:8] != _MAGIC:
            raise DamagedError(f"{name} isn't a .tflite network; get it again.")
        self._file = schema.ModelT.InitFromPackedBuf(content, 0)
        if len(self._file.subgraphs) != 1:
            raise self._unknown(f"{len(self._file.subgraphs)} graphs in place of one")
        self._graph = self._file.subgraphs[0]
        self._operators = {number: word for word, number in vars(schema.BuiltinOperator).items()}
        self._padding_same = schema.Padding.SAME
        self._dtypes = {
            schema.TensorType.FLOAT32: np.float32,
            schema.TensorType.FLOAT16: np.float16,
            schema.TensorType.INT32: np.int32,
        }
        self._nodes: list[NodeProto] = []
        self._weights: list[TensorProto] = []
        self._halves: dict[int, int] = {}
        """Tensor -> the one in half precision that it is a copy of."""

    def model(self) -> "ModelProto":
        from onnx import checker, helper

        for index in self._graph.inputs:
            self._node("Transpose", [self._outer(index)], self._inner(index), perm=_CHANNELS_FIRST)
        for operator in self._graph.operators:
            kind = self._kind(operator)
            if kind not in self._MAKERS:
                raise self._unknown(f"the operator {kind}")
            if getattr(operator.builtinOptions, "fusedActivationFunction", 0):
                raise self._unknown(f"an activation inside of {kind}")
            self._MAKERS[kind](self, operator)
        for index in self._graph.outputs:
            four = len(self._shape(index)) == 4
            more = {"perm": _CHANNELS_LAST} if four else {}
            kind = "Transpose" if four else "Identity"
            self._node(kind, [self._inner(index)], self._outer(index), **more)
        graph = helper.make_graph(
            self._nodes,
            "hemiface",
            [self._described(index) for index in self._graph.inputs],
            [self._described(index) for index in self._graph.outputs],
            self._weights,
        )
        opsets = [helper.make_opsetid("", _OPSET)]
        made = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
        checker.check_model(made, full_check=True)
        return made

    def _dequantize(self, operator: Any) -> None:
        """Note that a weight is kept in half precision; `_weight` casts it where it is needed."""
        (half,), (single,) = operator.inputs, operator.outputs
        if self._content(half).dtype != np.float16:
            raise self._unknown("weights of whole numbers")
        self._halves[single] = half

    def _convolution(self, operator: Any) -> None:
        self._convolve(operator, _CHANNELS_FIRST, 1)

    def _depthwise(self, operator: Any) -> None:
        """Add a convolution of each channel by itself; its weights are [1, height, width, c]."""
        channels = self._shape(operator.inputs[0])[3]
        if operator.builtinOptions.depthMultiplier != 1:
            raise self._unknown("several filters for one channel")
        self._convolve(operator, (3, 0, 1, 2), channels)

    def _convolve(self, operator: Any, axes: Sequence[int], groups: int) -> None:
        options = operator.builtinOptions
        if (options.dilationHFactor, options.dilationWFactor) != (1, 1):
            raise self._unknown("a dilated convolution")
        picture, weights, bias = operator.inputs
        size = self._shape(weights)[1:3]
        self._node(
            "Conv",
            [self._inner(picture), self._weight(weights, axes), self._weight(bias)],
            self._inner(operator.outputs[0]),
            group=groups,
            kernel_shape=size,
            **self._window(options, picture, size),
        )

    def _max_pool(self, operator: Any) -> None:
        options = operator.builtinOptions
        size = [options.filterHeight, options.filterWidth]
        window = self._window(options, operator.inputs[0], size)
        self._simple("MaxPool", operator, kernel_shape=size, **window)

    def _window(self, options: Any, picture: int, size: Sequence[int]) -> dict[str, list[int]]:
        """Return how a window of a size moves over a picture: its strides and what is added."""
        strides = [options.strideH, options.strideW]
        before, after = [0, 0], [0, 0]
        if options.padding == self._padding_same:
            sides = self._shape(picture)[1:3]
            for axis, (side, stride, window) in enumerate(zip(sides, strides, size, strict=True)):
                # As many steps as the stride fits, the odd pixel at the end.
                missing = max((-(-side // stride) - 1) * stride + window - side, 0)
                before[axis], after[axis] = missing // 2, missing - missing // 2
        return {"strides": strides, "pads": before + after}

    def _add(self, operator: Any) -> None:
        one, other = operator.inputs
        if self._shape(one) != self._shape(other):
            raise self._unknown("an addition of different shapes")
        self._simple("Add", operator)

    def _pad(self, operator: Any) -> None:
        picture, sides = operator.inputs
        before, after = self._content(sides)[list(_CHANNELS_FIRST)].T
        pads = self._constant(np.concatenate([before, after]).astype(np.int64), sides)
        self._node("Pad", [self._inner(picture), pads], self._inner(operator.outputs[0]))

    def _prelu(self, operator: Any) -> None:
        picture, slopes = operator.inputs
        # One slope a channel, [1, 1, channels].
        slope = self._weight(slopes, (2, 0, 1))
        self._node("PRelu", [self._inner(picture), slope], self._inner(operator.outputs[0]))

    def _relu(self, operator: Any) -> None:
        self._simple("Relu", operator)

    def _reshape(self, operator: Any) -> None:
        source, target = operator.inputs[0], operator.outputs[0]
        shape = self._shape(target)
        if len(self._shape(source)) != 4 or len(shape) == 4:
            raise self._unknown(f"a reshape of {self._shape(source)} to {shape}")
        last = f"{self._inner(source)}-last"
        self._node("Transpose", [self._inner(source)], last, perm=_CHANNELS_LAST)
        wanted = self._constant(np.array(shape, dtype=np.int64), target)
        self._node("Reshape", [last, wanted], self._inner(target))

    def _concatenation(self, operator: Any) -> None:
        if len(self._shape(operator.outputs[0])) == 4:
            raise self._unknown("a concatenation of pictures")
        self._simple("Concat", operator, axis=operator.builtinOptions.axis)

    _MAKERS: ClassVar[dict[str, Callable[["_Conversion", Any], None]]] = {
        "ADD": _add,
        "CONCATENATION": _concatenation,
        "CONV_2D": _convolution,
        "DEPTHWISE_CONV_2D": _depthwise,
        "DEQUANTIZE": _dequantize,
        "MAX_POOL_2D": _max_pool,
        "PAD": _pad,
        "PRELU": _prelu,
        "RELU": _relu,
        "RESHAPE": _reshape,
    }

    def _simple(self, kind: str, operator: Any, **options: Any) -> None:
        names = [self._inner(index) for index in operator.inputs]
        self._node(kind, names, self._inner(operator.outputs[0]), **options)

    def _node(self, kind: str, inputs: Iterable[str], output: str, **options: Any) -> None:
        from onnx import helper

        self._nodes.append(helper.make_node(kind, list(inputs), [output], **options))

    def _weight(self, index: int, axes: Sequence[int] | None = None) -> str:
        """Return the name of a weight in single precision, its axes in another order."""
        from onnx import TensorProto

        half = self._halves.get(index)
        content = self._content(index if half is None else half)
        turned = content if axes is None else content.transpose(axes)
        stored = self._constant(np.ascontiguousarray(turned), index)
        if half is None:
            return stored
        self._node("Cast", [stored], self._inner(index), to=TensorProto.FLOAT)
        return self._inner(index)

    def _constant(self, values: Array, index: int) -> str:
        """Add an array to the file; return its name, which is made from that of a tensor."""
        from onnx import numpy_helper

        name = f"{self._inner(index)}-stored"
        self._weights.append(numpy_helper.from_array(values, name))
        return name

    def _content(self, index: int) -> Array:
        """Return the array that stands in the file for a tensor."""
        tensor = self._graph.tensors[index]
        data = self._file.buffers[tensor.buffer].data
        if data is None or tensor.type not in self._dtypes:
            raise self._unknown(f"a tensor of type {tensor.type} without values")
        values: Array = np.frombuffer(bytes(data), dtype=self._dtypes[tensor.type])
        return values.reshape(self._shape(index))

    def _shape(self, index: int) -> list[int]:
        return [int(size) for size in self._graph.tensors[index].shape]

    def _inner(self, index: int) -> str:
        return f"tensor-{index}"

    def _outer(self, index: int) -> str:
        name: str = self._graph.tensors[index].name.decode()
        return name

    def _described(self, index: int) -> "ValueInfoProto":
        from onnx import TensorProto, helper

        name, shape = self._outer(index), self._shape(index)
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    def _kind(self, operator: Any) -> str:
        code = self._file.operatorCodes[operator.opcodeIndex]
        # The byte that held it once is too small for newer operators.
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        return str(self._operators.get(number, number))

    def _unknown(self, what: str) -> DamagedError:
        return DamagedError(f"{self._name} has {what}, which can't be made ONNX here.")
