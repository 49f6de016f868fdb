"""A shipped network: an ONNX file that takes faces as they are stored, run without torch.

The file holds preprocessing and softmax inside the graph and everything a Bundle's header says in
its metadata, so that nothing but the file is needed to use it and to say where it came from.
"""

import base64
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from hemiface.documents import json_value, undamaged
from hemiface.errors import DamagedError, UsageError
from hemiface.files import SEAL_KEY, UNSEALED, seal, sealed_content
from hemiface.inputs import require_file
from hemiface.tables import EMOTIONS, FER2013_SIZE_PX

__all__ = [
    "FOLDER",
    "FORMAT",
    "METADATA_KEY",
    "PRECISIONS",
    "OnnxModel",
    "add_seal",
    "described",
    "open_session",
    "require_faces",
]

FOLDER = Path(__file__).parent / "files"
"""Where the package's own models lie."""

METADATA_KEY = "hemiface"
"""The key of the file's metadata that holds the header as JSON."""

FORMAT = 1
PRECISIONS = ("fp32", "fp16", "int8")
_HEADER_TYPES = {
    "model": dict,
    "provenance": dict,
    "licence": str,
    "source_sha256": str,
    "opset": int,
    "scores": dict,
}
# MatMulInteger of uint8 [1, 4] with four times 127, as an ONNX file of 100 bytes.
_PRODUCT = base64.b64decode(
    "CAgSADpYChgKAWEKAWISAWMiDU1hdE11bEludGVnZXISAXAqDwgECAEQA0IBYkoEf39/f1oTCgFhEg4KDAgCEggKAggB"
    "CgIIBGITCgFjEg4KDAgGEggKAggBCgIIAUIECgAQDQ=="
)
_INPUT = ("faces", "tensor(uint8)", [FER2013_SIZE_PX, FER2013_SIZE_PX])
_OUTPUTS = [(name, "tensor(float)", [len(EMOTIONS)]) for name in ("logits", "probabilities")]


class OnnxModel:
    """An ONNX file that `hemiface.networks.export` wrote, ready to predict.

    `header` is read-only: format, model (its configuration), emotions (the class order), size_px,
    licence, provenance, precision (fp32, fp16 or int8), source_sha256 (of the Bundle), opset,
    scores (protocol -> condition -> metric -> value), and, where they were made, calibration,
    parity and class_mix (emotion -> share in training). `path` is where the file lies.

    One object serves any number of threads at once.
    """

    def __init__(self, path: Path, header: Mapping[str, Any], session: Any) -> None:
        self.path = path
        self.header = MappingProxyType(dict(header))
        self._session = session

    @classmethod
    def load(cls, path: str | Path, threads: int = 1) -> Self:
        """Open a file; `threads` compute one batch together (1 is best on a shared machine).

        Raises:
            UsageError: `threads` is not positive.
            DamagedError: the file is missing, truncated, not hemiface's, or of another class order.
        """
        source = Path(path)
        if threads < 1:
            raise UsageError(f"threads must be at least 1, got {threads}.")
        require_file(source, "Model")
        session = open_session(source, threads)
        text, inputs, outputs = described(session, source)
        if text is None:
            raise DamagedError(
                f"{source} is an ONNX file, but not one of hemiface; make one with hemiface export."
            )
        header = _checked_header(text, source)
        if inputs != [_INPUT] or outputs != _OUTPUTS:
            raise DamagedError(
                f"The graph of {source} is not one that hemiface exports (inputs {inputs}, "
                f"outputs {outputs}); export it again."
            )
        return cls(source, header, session)

    def predict(
        self, faces: npt.NDArray[np.uint8], batch_size: int = 256
    ) -> npt.NDArray[np.float32]:
        """Return probabilities float32 [n, 7], in the order of EMOTIONS, for uint8 [n, 48, 48].

        How faces are batched doesn't change the result beyond rounding.

        Raises:
            UsageError: `faces` has another type or shape, or `batch_size` is not positive.
        """
        require_faces(faces, batch_size)
        result = np.empty((len(faces), len(EMOTIONS)), dtype=np.float32)
        for start in range(0, len(faces), batch_size):
            batch = np.ascontiguousarray(faces[start : start + batch_size])
            (found,) = self._session.run(["probabilities"], {"faces": batch})
            result[start : start + batch_size] = found
        return result


def require_faces(faces: npt.NDArray[np.uint8], batch_size: int) -> None:
    """Raise UsageError unless these are uint8 [n, 48, 48] and the batches have a size."""
    side = FER2013_SIZE_PX
    if not isinstance(faces, np.ndarray):
        raise UsageError(
            f"predict() takes an array uint8 [n, {side}, {side}], got {type(faces).__name__}."
        )
    if faces.dtype != np.uint8 or faces.ndim != 3 or faces.shape[1:] != (side, side):
        raise UsageError(
            f"predict() takes uint8 [n, {side}, {side}], got {faces.dtype} {list(faces.shape)}."
        )
    if batch_size < 1:
        raise UsageError(f"batch_size must be at least 1, got {batch_size}.")


def add_seal(path: Path) -> None:
    """Seal a file (`files.seal`) that was written before there were seals; others stay as they are.

    The seal is one more entry of the metadata, behind all else: of a protobuf, what is repeated may
    stand anywhere, so that no other byte changes.
    """
    content = path.read_bytes()
    if UNSEALED[:-64].encode() in content:
        return
    # Field 14 of a ModelProto, metadata_props: a message of a key (1) and a value (2). Lengths
    # under 128 are one byte.
    entry = _delimited(1, SEAL_KEY.encode()) + _delimited(2, UNSEALED.encode())
    path.write_bytes(content + _delimited(14, entry))
    seal(path)


def _delimited(field: int, content: bytes) -> bytes:
    return bytes([field << 3 | 2, len(content)]) + content


def open_session(source: Path, threads: int) -> Any:
    """Return ONNX Runtime's session on the file `source`.

    Raises:
        DamagedError: it can't be read, has changed since it was written, or is not an ONNX model.
    """
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as errors

    content = sealed_content(source)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Waiting threads would burn the cores that other work on the machine needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Without VNNI, x86 adds pairs of 8-bit products in 16 bits and int8 models lose accuracy
    # silently. The exact way around it takes more than twice as long, also where there is VNNI and
    # it changes nothing, so only machines that need it are sent there.
    options.add_session_config_entry("session.x64quantprecision", "0" if _is_exact() else "1")
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except (
        errors.Fail,
        errors.InvalidArgument,
        errors.InvalidGraph,
        errors.InvalidProtobuf,
        errors.NoModel,
        errors.NotImplemented,
        errors.RuntimeException,
        UnicodeDecodeError,  # its message quotes bytes of the file
    ) as error:
        reason = str(error).strip().splitlines()[0].rpartition(" : ")[2].rstrip(".")
        raise DamagedError(
            f"{source} is not a whole ONNX model that this ONNX Runtime can run ({reason}); "
            "get it again."
        ) from error


def described(session: Any, source: Path) -> tuple[str | None, list[Any], list[Any]]:
    """Return what a session's file says of itself: the text of its header, inputs and outputs.

    The text is None where there is none; inputs and outputs are (name, type, shape but for the
    first axis) each.

    Raises:
        DamagedError: a name or the text isn't UTF-8.
    """
    with undamaged(f"The metadata of {source}", "get it again"):
        text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        inputs = [(one.name, one.type, one.shape[1:]) for one in session.get_inputs()]
        outputs = [(one.name, one.type, one.shape[1:]) for one in session.get_outputs()]
    return text, inputs, outputs


@lru_cache(maxsize=1)
def _is_exact() -> bool:
    """Does this machine add 8-bit products without running over? Asks it for the largest ones."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(_PRODUCT, options, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"a": np.full((1, 4), 255, dtype=np.uint8)})
    return int(found[0, 0]) == 4 * 255 * 127


def _checked_header(text: str, source: Path) -> dict[str, Any]:
    with undamaged(f"The metadata of {source}", "get it again"):
        header = json_value(text)
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        found = header.get("format") if isinstance(header, dict) else None
        raise DamagedError(f"Model {source} has format {found}, this hemiface reads {FORMAT}.")
    if header.get("kind", "emotion") != "emotion":
        raise UsageError(f"{source} tells {header['kind']}, not emotions; name another model.")
    bad = [name for name, kind in _HEADER_TYPES.items() if not isinstance(header.get(name), kind)]
    if header.get("precision") not in PRECISIONS:
        bad.append("precision")
    if bad:
        raise DamagedError(f"The metadata of {source} lacks a valid {bad[0]}; export it again.")
    if header.get("emotions") != list(EMOTIONS) or header.get("size_px") != FER2013_SIZE_PX:
        raise DamagedError(
            f"Model {source} is for {header.get('size_px')} px and {header.get('emotions')}, "
            f"not for {FER2013_SIZE_PX} px and {list(EMOTIONS)}."
        )
    return header
