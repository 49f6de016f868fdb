"""What names emotions in faces as they are stored: networks, and the files exported from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from hemiface.errors import UsageError
from hemiface.files import sha256_file
from hemiface.models.onnx_file import FOLDER, OnnxModel
from hemiface.networks.network import Bundle, FaceNetwork, predict

__all__ = ["Classifier", "NetworkClassifier", "described", "opened"]


class Classifier(Protocol):
    """Whatever names emotions in faces as they are stored."""

    def predict(
        self, faces: npt.NDArray[np.uint8], batch_size: int = 256
    ) -> npt.NDArray[np.float32]:
        """Return probabilities float32 [n, 7] for uint8 faces [n, 48, 48]."""


@dataclass(frozen=True, eq=False)
class NetworkClassifier:
    """A torch network as a Classifier, on the device that it lies on."""

    network: FaceNetwork

    def predict(
        self, faces: npt.NDArray[np.uint8], batch_size: int = 256
    ) -> npt.NDArray[np.float32]:
        """Return probabilities float32 [n, 7] for uint8 faces [n, 48, 48]."""
        tensor = torch.from_numpy(np.ascontiguousarray(faces))
        # A GPU's convolutions would round fp32 to 10 bits (TF32); scores are of the whole numbers.
        with torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        ):
            answers = predict(self.network, tensor, batch_size).cpu().numpy()
        result: npt.NDArray[np.float32] = answers
        return result


def opened(path: str | Path, device: torch.device) -> Classifier:
    """Return the network of a Bundle on `device`, or an ONNX file, which always runs on the CPU.

    Raises:
        DamagedError: the file can't be read.
    """
    if _is_onnx(path):
        return OnnxModel.load(path, threads=torch.get_num_threads())
    return NetworkClassifier(Bundle.load(path).network(device))


def _is_onnx(path: str | Path) -> bool:
    return Path(path).suffix.lower() == ".onnx"


def _identify(path: Path) -> tuple[str, str, Mapping[str, Any]]:
    """Return a model's ID, its name (what it was trained on) and its provenance.

    Those of an ONNX file carry its precision, so that it can be compared with its Bundle; a model
    that comes along has the name that users know.
    """
    if not _is_onnx(path):
        known: Mapping[str, Any] = Bundle.load(path).provenance
        name = known.get("name", path.parent.name)
        return known.get("model_id", f"{name}-seed{known.get('seed', 0)}"), name, known
    header = OnnxModel.load(path).header
    known = header["provenance"]
    is_shipped = path.resolve().parent == FOLDER.resolve()
    name = path.stem if is_shipped else f"{known.get('name', path.stem)}-{header['precision']}"
    return f"{name}-seed{known.get('seed', 0)}", name, known


def described(paths: Sequence[Path], names: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return the models table: one dict for each Bundle or ONNX file, in order.

    `names` are what they are called, in the same order; () for their own names.

    Raises:
        UsageError: two have the same model ID, or there are more or fewer names than files.
        DamagedError: a file can't be read.
    """
    if names and (len(names) != len(paths) or not all(one.strip() for one in names)):
        raise UsageError(
            f"{len(names)} names are given for {len(paths)} networks; give --name once for each, "
            "in their order."
        )
    models = []
    for place, path in enumerate(paths):
        model, name, known = _identify(path)
        if names:
            name = names[place].strip()
            model = f"{name}-seed{known.get('seed', 0)}"
        models.append(
            {
                "model": model,
                "name": name,
                "seed": known.get("seed", 0),
                "trained_on": ", ".join(known.get("conditions", [])),
                "conditions": known.get("conditions", []),
                "flips": known.get("flips", True),
                "config_hash": known.get("config_hash"),
                "data_hash": known.get("data_sha256"),
                "sha256": sha256_file(path),
                "epoch": known.get("epoch"),
                "validation_accuracy": known.get("validation_accuracy"),
                "training_s": known.get("training_s"),
            }
        )
    for (path, one), (other_path, other) in combinations(zip(paths, models, strict=True), 2):
        if one["model"] == other["model"]:
            if one["sha256"] == other["sha256"]:
                raise UsageError(f"{path} and {other_path} are the same network; leave one out.")
            raise UsageError(
                f"{path} and {other_path} are both called {one['model']}; give each network a name "
                "of its own with --name, in their order."
            )
    return models
