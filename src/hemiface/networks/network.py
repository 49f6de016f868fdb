"""Networks, and the Bundle: weights with everything that is needed to use them again.

A network takes grey faces as they are stored (0..255, [n, height, width]); scaling, normalising
and copying into three channels happen inside, so that preprocessing always travels with weights.
"""

import difflib
import json
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from hemiface.config import ModelConfig, as_plain, model_config
from hemiface.documents import entry, json_value, undamaged
from hemiface.errors import DamagedError, HemifaceError, UsageError, first_line
from hemiface.files import SEAL_KEY, UNSEALED, atomic_path, seal, sealed_content
from hemiface.inputs import require_file
from hemiface.tables import EMOTIONS, FER2013_SIZE_PX

__all__ = ["Bundle", "FaceNetwork", "build", "predict", "resolve_device"]

_OWN: dict[str, dict[str, Any]] = {
    # A ResNet of eight basic blocks for processors: 2.8 M parameters.
    "compact": {"layers": (2, 2, 2, 2), "channels": (32, 64, 128, 256)},
    # Where many networks are trained on a processor: four blocks, .32 M parameters.
    "tiny": {"layers": (1, 1, 1, 1), "channels": (16, 32, 64, 128)},
    # For browsers and telephones, with a stem of three narrow convolutions: .33 M parameters.
    "nano": {
        "layers": (1, 1, 2, 1),
        "channels": (24, 48, 64, 96),
        "stem_type": "deep",
        "stem_width": 12,
    },
}
"""Our own ResNets: what timm's class is given."""
_STEMS = {"3x3": (3, 1), "3x3-stride2": (3, 2), "5x5-stride3": (5, 3)}
"""Kernel and stride, in pixels, of the convolutions that replace a ResNet's stem."""
_OWN_STEM = {"compact": "3x3-stride2", "tiny": "5x5-stride3"}
"""The stems of our own ResNets, whatever the config says."""
_METADATA_KEY = "hemiface"
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
        HemifaceError: the pretrained weights can't be had.
    """
    wants_weights = (config.pretrained or bool(config.weights)) and pretrained is not False
    if config.architecture in _OWN:
        if wants_weights:
            raise UsageError(
                f"The {config.architecture} network has no pretrained weights; set "
                "model.pretrained=false."
            )
        backbone = _own(config)
    else:
        backbone = _from_timm(config, wants_weights)
    _replace_stem(backbone, config)
    return FaceNetwork(config, backbone)


def _without_memory(config: ModelConfig) -> FaceNetwork | None:
    """Return a network whose weights have shapes and no content, None where that can't be.

    Some architectures of older versions of timm compute with numbers while they are built.
    """
    try:
        with torch.device("meta"):
            return build(config, pretrained=False)
    except UsageError:
        return None  # Whether it can be built at all, building it tells.


def _own(config: ModelConfig) -> nn.Module:
    """Return one of our own ResNets of basic blocks."""
    from timm.models.resnet import BasicBlock, ResNet

    network: nn.Module = ResNet(
        BasicBlock,  # type: ignore[arg-type]  # timm means the class
        **_OWN[config.architecture],
        num_classes=len(EMOTIONS),
        in_chans=config.channels,
        drop_rate=config.dropout,
        zero_init_last=False,  # blocks that start as identities learn slowly in a short training
    )
    return network


def _from_timm(config: ModelConfig, wants_weights: bool) -> nn.Module:
    import timm

    if not timm.is_model(config.architecture):
        close = difflib.get_close_matches(config.architecture, timm.list_models(), n=3)
        hint = f"did you mean {', '.join(close)}?" if close else "timm.list_models() lists them."
        raise UsageError(f"Architecture {config.architecture!r} is not in timm; {hint}")
    options: dict[str, Any] = {
        "num_classes": len(EMOTIONS),
        "in_chans": config.channels,
        "drop_rate": config.dropout,
    }
    if config.weights and wants_weights:
        if not Path(config.weights).is_file():
            raise UsageError(f"model.weights {config.weights} doesn't exist; check the path.")
        options["pretrained_cfg_overlay"] = {"file": config.weights}
    try:
        known = timm.get_pretrained_cfg(config.architecture)
        if known is not None and known.fixed_input_size:
            options["img_size"] = FER2013_SIZE_PX  # transformers are built for one size
        network: nn.Module = timm.create_model(
            config.architecture, pretrained=wants_weights, **options
        )
    except (OSError, RuntimeError, UnpicklingError, ValueError) as error:
        if not wants_weights:
            raise UsageError(
                f"timm can't build {config.architecture} with {config.channels} channel(s): {error}"
            ) from error
        if config.weights:
            raise HemifaceError(
                f"model.weights {config.weights} can't be loaded into {config.architecture} "
                f"({first_line(error)}); name a state dict of this architecture."
            ) from error
        # huggingface_hub reports a machine without network as one of several of these.
        raise HemifaceError(
            f"The pretrained weights of {config.architecture} can't be loaded "
            f"({first_line(error)}); connect to the network once, name a local file with "
            "--set model.weights=PATH, or start from random weights with "
            "--set model.pretrained=false."
        ) from error
    return network


def _misfit(error: Exception) -> str:
    """Return the first misfit that load_state_dict lists under its title."""
    lines = [line.strip() for line in str(error).splitlines()[1:]]
    return lines[0].rstrip(".")[:200] if lines else first_line(error)


def _replace_stem(backbone: nn.Module, config: ModelConfig) -> None:
    """Put one small convolution in place of a ResNet's 7x7 stride-2 convolution and pooling."""
    if config.architecture == "nano":
        backbone.maxpool = nn.Identity()  # its own stem has halved the picture already
        return
    stem = _OWN_STEM.get(config.architecture, config.stem)
    if stem == "imagenet":
        return
    old = getattr(backbone, "conv1", None)
    if not isinstance(old, nn.Conv2d) or not hasattr(backbone, "maxpool"):
        raise UsageError(
            f"Stem {stem} is for ResNets of timm; {config.architecture} needs model.stem=imagenet."
        )
    kernel, stride = _STEMS[stem]
    new = nn.Conv2d(
        config.channels, old.out_channels, kernel, stride, padding=kernel // 2, bias=False
    )
    nn.init.kaiming_normal_(new.weight, mode="fan_out", nonlinearity="relu")
    backbone.conv1 = new
    backbone.maxpool = nn.Identity()


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
            DamagedError: the weights don't fit the architecture.
        """
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
                f"The weights don't fit {self.model.architecture} ({_misfit(error)}); the Bundle "
                "is damaged or of another version of timm."
            ) from error
        network.to(device)
        network.to(memory_format=torch.channels_last)
        return network.eval()

    def save(self, path: str | Path, dtype: torch.dtype = torch.float32) -> None:
        """Write one safetensors file, whole or not at all; floating weights are cast to `dtype`."""
        header = {
            "format": _FORMAT,
            "model": as_plain(self.model),
            "emotions": list(self.emotions),
            "size_px": self.size_px,
            "provenance": self.provenance,
            SEAL_KEY: UNSEALED,
        }
        weights = {
            name: (value.to(dtype) if value.is_floating_point() else value).contiguous().cpu()
            for name, value in self.weights.items()
        }
        with atomic_path(path) as partial:
            # One key: safetensors writes several in an order that changes from run to run.
            partial.write_bytes(save(weights, {_METADATA_KEY: json.dumps(header)}))
            seal(partial)

    @classmethod
    def load(cls, path: str | Path) -> "Bundle":
        """Read a Bundle.

        Raises:
            DamagedError: the file is missing, truncated or changed since it was written, not a
                Bundle, or of another class order.
        """
        source = Path(path)
        require_file(source, "Bundle")
        sealed_content(source)
        with undamaged(f"Bundle {source}", "get it again"):
            try:
                with safe_open(source, framework="pt") as file:
                    header = json_value((file.metadata() or {})[_METADATA_KEY])
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
