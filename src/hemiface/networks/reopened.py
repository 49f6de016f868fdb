"""An exported network opened for training again: ONNX file -> Bundle.

Export folds every normalisation into the convolution before it, and int8 rounds the weights. Here
the rounded weights are taken as they are, and each normalisation is put back with the mean and
variance that training images have at its place, so that it undoes what it does: the network answers
as the file does, and can be trained from there.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from hemiface.config import model_config
from hemiface.data.images import Images
from hemiface.errors import DamagedError, UsageError
from hemiface.files import sha256_file
from hemiface.models import shipped
from hemiface.models.onnx_file import OnnxModel
from hemiface.networks.network import Bundle, FaceNetwork, build, predict

__all__ = ["bundle_of", "trainable"]

_PREFIX = "network."  # how the exported module holds the network
_DIGITS = 16
_FACES = 1024
"""Training images whose statistics are taken."""
_COMPARED = 64
_MOST_APART = 0.02
"""Mean difference of probabilities. int8 rounds activations too, which the network doesn't: up to
.004 for the files that come with hemiface. Networks put together wrongly are much farther apart."""


def trainable(source: str | Path, images: Images, folder: Path) -> Path:
    """Return a Bundle to start from: `source` itself, or what is made of it in `folder`.

    An ONNX file, or the name of a model that comes with hemiface, is opened again by the first
    1,024 training images and written as `<its name>-<start of its SHA-256>.safetensors`: two files
    may have one name, and the training's own Bundle has one. What lies there of the same file and
    images is used, so that a training that goes on starts from the same bytes.

    Raises:
        DamagedError, UsageError: as `bundle_of`.
    """
    if Path(source).suffix == ".safetensors":
        return Path(source)
    file = Path(source) if Path(source).is_file() else shipped.path_of(str(source))
    faces = np.asarray(images.split("train").pixels)[:_FACES]
    sha256 = sha256_file(file)
    target = folder / f"{file.stem}-{sha256[:_DIGITS]}.safetensors"
    if target.is_file():
        known = Bundle.load(target).provenance
        made_from = known.get("reopened_sha256"), known.get("reopened_faces_sha256")
        if made_from == (sha256, _faces_sha256(faces)):
            return target
    folder.mkdir(parents=True, exist_ok=True)
    bundle_of(file, faces).save(target)
    return target


def bundle_of(file: str | Path, faces: npt.NDArray[np.uint8]) -> Bundle:
    """Return the network of an exported file as a Bundle that training can start from.

    `faces` uint8 [n, 48, 48] are training images, some hundred at least: their statistics become
    those of the normalisations.

    Raises:
        DamagedError: the file is missing, damaged or not exported by hemiface.
        UsageError: its network can't be put together again, or there are no faces.
    """
    if not len(faces):
        raise UsageError("A network can't be opened for training again without training images.")
    source = Path(file)
    opened = OnnxModel.load(source)
    model = model_config({**opened.header["model"]}, "[model] of its header")
    network = build(model, pretrained=False)
    _fill(network, _Constants(source), torch.from_numpy(np.ascontiguousarray(faces)))
    _require_same_answers(network, opened, faces[:_COMPARED])
    return Bundle(
        network.config,
        network.state_dict(),
        {
            **opened.header["provenance"],
            # What the file's provenance says of a training holds for what it was before.
            "fingerprint": None,
            "reopened_from": source.name,
            "reopened_sha256": sha256_file(source),
            "reopened_faces": len(faces),
            "reopened_faces_sha256": _faces_sha256(faces),
        },
    )


def _faces_sha256(faces: npt.NDArray[np.uint8]) -> str:
    return hashlib.sha256(np.ascontiguousarray(faces).data).hexdigest()


def _fill(network: FaceNetwork, constants: "_Constants", faces: Tensor) -> None:
    """Set every parameter and statistic of `network`."""
    followers = _normalisations(network)
    put_back = {id(norm) for norm in followers.values()}
    biases: dict[str, Tensor] = {}
    with torch.no_grad():
        for name, module in network.named_modules():
            if id(module) in put_back or module is network:
                continue
            for key, value in _own_tensors(module):
                value.copy_(constants.fitting(f"{name}.{key}", value))
            if name in followers:
                biases[name] = constants.bias_beside(f"{name}.weight", followers[name].bias)
        _put_back(network, followers, biases, faces)


def _own_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield a module's own parameters and floating statistics by their names."""
    yield from module.named_parameters(recurse=False)
    for name, value in module.named_buffers(recurse=False):
        if value.is_floating_point():
            yield name, value


def _require_same_answers(
    network: FaceNetwork, opened: OnnxModel, faces: npt.NDArray[np.uint8]
) -> None:
    """Raise unless network and file agree, as far as the file's rounding lets them."""
    ours = predict(network, torch.from_numpy(np.ascontiguousarray(faces))).numpy()
    apart = float(np.abs(ours - opened.predict(faces)).mean())
    if apart > _MOST_APART:
        raise UsageError(
            f"{opened.path} answers otherwise than the network put together from it (its "
            f"probabilities differ by {apart:.3f} on the average); it can't be trained further."
        )


class _Constants:
    """The tensors of a graph that depend on no input."""

    def __init__(self, source: Path) -> None:
        try:
            graph = onnx.load(str(source)).graph
        except Exception as error:  # protobuf's errors share no base class
            raise DamagedError(f"{source} isn't an ONNX file; get it again.") from error
        self._source = source
        self._stored = {one.name: one for one in graph.initializer}
        self._made = {node.output[0]: node for node in graph.node}
        self._convolved = {node.input[1]: node for node in graph.node if node.op_type == "Conv"}

    def fitting(self, name: str, like: Tensor) -> Tensor:
        """Return the float tensor of parameter `name`, which must have the shape of `like`."""
        for candidate in _names(name):
            value = self._value(candidate)
            if value is not None and value.shape == tuple(like.shape):
                return torch.from_numpy(np.array(value, np.float32))
        raise UsageError(
            f"{self._source} has no weights of shape {list(like.shape)} for {name}: networks of "
            "convolutions that hemiface exported can be trained further, others can't."
        )

    def bias_beside(self, name: str, like: Tensor) -> Tensor:
        """Return what the convolution by the weights `name` adds, of the shape of `like`.

        By the convolution, for export gives equal biases one name.
        """
        found = [self._convolved[one] for one in _names(name) if one in self._convolved]
        value = self._value(found[0].input[2]) if found and len(found[0].input) > 2 else None
        return (
            torch.zeros_like(like)
            if value is None
            else torch.from_numpy(np.array(value, np.float32))
        )

    def _value(self, name: str) -> npt.NDArray[Any] | None:
        if name in self._stored:
            return numpy_helper.to_array(self._stored[name])
        node = self._made.get(name)
        inputs = [self._value(one) for one in node.input] if node is not None else [None]
        if node is None or any(one is None for one in inputs):
            return None
        if node.op_type == "Cast":
            return inputs[0]
        if node.op_type == "DequantizeLinear":
            return _dequantised(*inputs)
        return None


def _names(parameter: str) -> tuple[str, str]:
    """Return what a graph calls a parameter, as it is and when it is stored in eight bits."""
    return f"{_PREFIX}{parameter}", f"{_PREFIX}{parameter}_DequantizeLinear_Output"


def _dequantised(stored: Any, scale: Any, zero: Any = 0) -> npt.NDArray[np.float32]:
    """Return the numbers behind eight or 32 bits; a scale per output channel is on axis 0."""
    step, origin = np.asarray(scale, np.float64), np.asarray(zero, np.float64)
    along = (-1,) + (1,) * (stored.ndim - 1)
    step, origin = (one.reshape(along) if one.size > 1 else one for one in (step, origin))
    found: npt.NDArray[np.float32] = ((stored - origin) * step).astype(np.float32)
    return found


def _normalisations(network: FaceNetwork) -> dict[str, nn.BatchNorm2d]:
    """Return the normalisation that follows each convolution, by the convolution's name.

    Found by passing a picture through: it is the one whose input is the convolution's output.
    """
    outputs: dict[int, str] = {}
    kept: list[Tensor] = []  # an address is only unique as long as its tensor lives
    found: dict[str, nn.BatchNorm2d] = {}
    hooks = []
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):

            def left(_: nn.Module, __: Any, output: Tensor, name: str = name) -> None:
                kept.append(output)
                outputs[id(output)] = name

            hooks.append(module.register_forward_hook(left))
        elif isinstance(module, nn.BatchNorm2d):

            def reached(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
                if id(inputs[0]) in outputs and isinstance(module, nn.BatchNorm2d):
                    found[outputs[id(inputs[0])]] = module

            hooks.append(module.register_forward_pre_hook(reached))
    network.eval()
    with torch.no_grad():
        network(torch.zeros(1, 48, 48, dtype=torch.uint8))
    for hook in hooks:
        hook.remove()
    return found


def _put_back(
    network: FaceNetwork,
    followers: dict[str, nn.BatchNorm2d],
    biases: dict[str, Tensor],
    faces: Tensor,
) -> None:
    """Set each normalisation so that it adds the folded bias and changes nothing else.

    In one pass: those before it are set when the pictures reach it.
    """
    hooks = []
    for name, norm in followers.items():

        def settle(norm: Any, inputs: tuple[Tensor, ...], bias: Tensor = biases[name]) -> None:
            variance, mean = torch.var_mean(inputs[0].double(), dim=(0, 2, 3), correction=0)
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)
            norm.weight.copy_((variance + norm.eps).sqrt())
            norm.bias.copy_(mean + bias)

        hooks.append(norm.register_forward_pre_hook(settle))
    network.eval()(faces)
    for hook in hooks:
        hook.remove()
