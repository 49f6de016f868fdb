"""Networks, and the Bundle: weights with everything that is needed to use them again.

A network takes grey faces as they are stored (0..255, [n, height, width]); scaling, normalising
and copying into three channels happen inside, so that preprocessing always travels with weights.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from hemiface.config import ModelConfig, as_plain, model_config
from hemiface.documents import entry, json_value, undamaged
from hemiface.errors import DamagedError, UsageError
from hemiface.files import SEAL_KEY, UNSEALED, atomic_path, seal, sealed_content
from hemiface.inputs import require_file
from hemiface.models.onnx_file import METADATA_KEY
from hemiface.networks.backbones import backbone, misfit
from hemiface.tables import EMOTIONS, FER2013_SIZE_PX

__all__ = ["Bundle", "FaceNetwork", "build", "predict", "resolve_device"]

_FORMAT = 1


class FaceNetwork(nn.Module):
    """A timm backbone that reads faces [n, height, width] on 0..255 and returns logits [n, 7]."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: ModelConfig, backbone: nn.Module) -> None:
        super().__init__()
        self.config = config
        self.backbone: Any = backbone  # timm's interface is not nn.Module's
        shape = (1, -1, 1, 1)
        self.register_buffer("mean", torch.tensor(config.mean).view(shape), persistent=False)
        self.register_buffer("std", torch.tensor(config.std).view(shape), persistent=False)

    @property
    def width(self) -> int:
        """How many features the last layer reads."""
        # timm's num_features is the width before a head's own layers, where it has some.
        return int(self.backbone.get_classifier().in_features)

    def forward(self, faces: Tensor) -> Tensor:
        """Return logits float [n, 7] for faces on the scale 0..255."""
        logits: Tensor = self.backbone(self._normalised(faces))
        return logits

    def features(self, faces: Tensor) -> Tensor:
        """Return what the last layer reads, float [n, width]; `classify` makes logits of it."""
        return self.pooled(self.feature_map(faces))

    def feature_map(self, faces: Tensor) -> Tensor:
        """Return what the head reads: of a convolutional network float [n, channels, h, w]."""
        found: Tensor = self.backbone.forward_features(self._normalised(faces))
        return found

    def pooled(self, feature_map: Tensor) -> Tensor:
        """Return what the last layer reads of a feature map, float [n, width]."""
        found: Tensor = self.backbone.forward_head(feature_map, pre_logits=True)
        return found

    def classify(self, features: Tensor) -> Tensor:
        """Return logits float [n, 7] for features [n, width]."""
        logits: Tensor = self.backbone.get_classifier()(features)
        return logits

    def _normalised(self, faces: Tensor) -> Tensor:
        scaled = faces.to(self.mean.dtype)[:, None] / 255
        # With one mean and three channels the copies are equal: normalise once, then expand.
        normalised = (scaled - self.mean) / self.std
        if normalised.shape[1] != self.config.channels:
            normalised = normalised.expand(-1, self.config.channels, -1, -1)
        return normalised


def resolve_device(device: str) -> str:
    """Return `cpu`, `cuda` or `mps`; `auto` takes the best that is there.

    Raises:
        UsageError: the device is unknown or absent.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if device == "auto":
        return next(name for name, present in there.items() if present)
    if not there.get(device):
        present = ", ".join(name for name, is_there in there.items() if is_there)
        raise UsageError(f"Device {device!r} isn't here; choose auto or one of {present}.")
    return device


@torch.inference_mode()
def predict(network: FaceNetwork, faces: Tensor, batch_size: int = 512) -> Tensor:
    """Return probabilities float32 [n, 7] on the network's device for uint8 faces [n, 48, 48].

    The network is put into evaluation mode; how faces are batched doesn't change the result beyond
    rounding.
    """
    network.eval()
    logits = [
        network(batch.to(network.mean.device)).float() for batch in torch.split(faces, batch_size)
    ]
    return torch.cat(logits).softmax(1) if logits else torch.zeros(0, len(EMOTIONS))


def build(config: ModelConfig, *, pretrained: bool | None = None) -> FaceNetwork:
    """Return a new network; its initial weights come from torch's global random state.

    `pretrained` overrides the config's: a Bundle that is loaded needs no ImageNet weights.

    Raises:
        UsageError: the architecture is unknown or can't take the stem that is asked for.
        HemifaceError: the pretrained weights can't be had, or aren't of this architecture.
    """
    wants_weights = (config.pretrained or bool(config.weights)) and pretrained is not False
    return FaceNetwork(config, backbone(config, pretrained=wants_weights))


def _without_memory(config: ModelConfig) -> FaceNetwork | None:
    """Return a network whose weights have shapes and no content, None where that can't be.

    Some architectures of older versions of timm compute with numbers while they are built.
    """
    try:
        with torch.device("meta"):
            return build(config, pretrained=False)
    except UsageError:
        return None  # Whether it can be built at all, building it tells.


@dataclass(frozen=True, eq=False)
class Bundle:
    """Weights, preprocessing, class order and provenance of one finished network.

    `weights` is the state dict of `FaceNetwork`; `provenance` holds what it was trained on, by
    which config and data (hashes), with which seed, and its validation scores.
    """

    model: ModelConfig
    weights: dict[str, Tensor]
    provenance: dict[str, Any] = field(default_factory=dict)
    emotions: tuple[str, ...] = EMOTIONS
    size_px: int = FER2013_SIZE_PX

    def network(self, device: str | torch.device = "cpu") -> FaceNetwork:
        """Return the network in evaluation mode on `device`, weights in fp32.

        Raises:
            UsageError: the device is unknown or absent.
            DamagedError: the weights don't fit the architecture.
        """
        if isinstance(device, str) and ":" not in device:
            device = resolve_device(device)
        try:
            # A header may name any architecture: before its gigabytes are allocated, its shapes
            # are compared with those of the file, whose length is limited.
            bare = _without_memory(self.model)
            if bare is not None:
                bare.load_state_dict(self.weights, assign=True)
            network = build(self.model, pretrained=False)
            network.load_state_dict(
                {
                    name: value.float() if value.is_floating_point() else value
                    for name, value in self.weights.items()
                }
            )
        except RuntimeError as error:
            raise DamagedError(
                f"The weights don't fit {self.model.architecture} ({misfit(error)}); the Bundle "
                "is damaged or of another version of timm."
            ) from error
        network.to(device)
        network.to(memory_format=torch.channels_last)
        return network.eval()

    def save(self, path: str | Path, dtype: torch.dtype = torch.float32) -> None:
        """Write one safetensors file, whole or not at all; floating weights are cast to `dtype`.

        Raises:
            UsageError: `load` would refuse it: it is called .onnx, `dtype` has no fractions, or the
                provenance isn't JSON.
        """
        if Path(path).suffix.lower() == ".onnx":
            raise UsageError(f"{path} is called as an exported file; name it *.safetensors.")
        if not dtype.is_floating_point:
            raise UsageError(
                f"Weights as {dtype} would lose their fractions; take float16 or more."
            )
        header = {
            "format": _FORMAT,
            "model": as_plain(self.model),
            "emotions": list(self.emotions),
            "size_px": self.size_px,
            "provenance": self.provenance,
            SEAL_KEY: UNSEALED,
        }
        try:
            text = json.dumps(header, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise UsageError(f"The provenance can't be written as JSON ({error}).") from error
        weights = {
            name: (value.to(dtype) if value.is_floating_point() else value).contiguous().cpu()
            for name, value in self.weights.items()
        }
        with atomic_path(path) as partial:
            # One key: safetensors writes several in an order that changes from run to run.
            partial.write_bytes(save(weights, {METADATA_KEY: text}))
            seal(partial)

    @classmethod
    def load(cls, path: str | Path) -> "Bundle":
        """Read a Bundle.

        Raises:
            UsageError: an exported file is named, which has no weights that could be trained.
            DamagedError: the file is missing, truncated or changed since it was written, not a
                Bundle, or of another class order.
        """
        source = Path(path)
        if source.suffix.lower() == ".onnx" and source.is_file():
            raise UsageError(
                f"{source} is an exported file; name the Bundle (*.safetensors) that it was made "
                "from."
            )
        require_file(source, "Bundle")
        sealed_content(source)
        with undamaged(f"Bundle {source}", "get it again"):
            try:
                with safe_open(source, framework="pt") as file:
                    header = json_value((file.metadata() or {})[METADATA_KEY])
                    weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            except SafetensorError as error:
                raise ValueError(str(error)) from error
            if entry(header, "format", int) != _FORMAT:
                raise DamagedError(
                    f"Bundle {source} has format {header['format']}, this hemiface reads {_FORMAT}."
                )
            try:
                model = model_config(entry(header, "model", dict), "[model] of its header")
            except UsageError as error:
                raise ValueError(str(error)) from error
            bundle = cls(
                model=model,
                weights=weights,
                provenance=_checked_provenance(entry(header, "provenance", dict)),
                emotions=tuple(entry(header, "emotions", list)),
                size_px=entry(header, "size_px", int),
            )
            if bundle.size_px != FER2013_SIZE_PX:
                raise ValueError(f"faces of {bundle.size_px} pixels, not of {FER2013_SIZE_PX}")
        if bundle.emotions != EMOTIONS:
            raise DamagedError(
                f"Bundle {source} orders its classes {bundle.emotions}, not {EMOTIONS}."
            )
        return bundle


def _checked_provenance(known: dict[str, Any]) -> dict[str, Any]:
    """Return a header's provenance; of what others use, each is of the kind that was written."""
    kinds = {"model_id": str, "name": str, "seed": int, "training_s": float, "conditions": list}
    for key in kinds.keys() & known.keys():
        entry(known, key, kinds[key])
    for condition in known.get("conditions", ()):
        entry({"conditions": condition}, "conditions", str)
    return known
