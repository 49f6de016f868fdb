"""What lies beneath a network: our own small ResNets and those of timm, for pictures of 48 pixels.

Whatever timm passes over in silence is told here: weights that fit nothing are no weights, and
where HEMIFACE_OFFLINE forbids the network nothing is asked of it.
"""

import difflib
import logging
import os
from pathlib import Path, PurePosixPath
from pickle import UnpicklingError
from typing import Any
from urllib.parse import urlparse

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from hemiface.config import ModelConfig
from hemiface.errors import HemifaceError, UsageError, first_line
from hemiface.inputs import is_offline
from hemiface.models.onnx_file import METADATA_KEY
from hemiface.tables import EMOTIONS, FER2013_SIZE_PX

__all__ = ["MISFITS", "backbone", "misfit"]

log = logging.getLogger(__name__)

MISFITS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What networks of timm raise where pictures or options don't fit them."""

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


def backbone(config: ModelConfig, *, pretrained: bool) -> nn.Module:
    """Return a new network of seven classes, with the weights that `config` names if `pretrained`.

    Raises:
        UsageError: the architecture is unknown, can't be built or can't take the stem that is asked
            for.
        HemifaceError: the pretrained weights can't be had, or aren't of this architecture.
    """
    if is_offline():
        # Read when timm imports the hub's library.
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    if config.architecture not in _OWN:
        network = _from_timm(config, pretrained)
    elif pretrained:
        raise UsageError(
            f"The {config.architecture} network has no pretrained weights; set "
            "model.pretrained=false."
        )
    else:
        network = _own(config)
    _replace_stem(network, config)
    return network


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
    if not wants_weights:
        try:
            return _created(config)
        except (OSError, *MISFITS) as error:
            raise UsageError(
                f"timm can't build {config.architecture} for {FER2013_SIZE_PX} pixels and "
                f"{config.channels} channel(s) ({first_line(error)}); choose another architecture."
            ) from error
    if config.weights:
        return _from_file(config, Path(config.weights))
    way = "unset HEMIFACE_OFFLINE once" if is_offline() else "connect to the network once"
    try:
        if is_offline():
            _require_kept(timm.get_pretrained_cfg(config.architecture))
        return _created(config, pretrained=True)
    except (OSError, UnpicklingError, *MISFITS) as error:
        # huggingface_hub reports a machine without network as one of several of these.
        raise HemifaceError(
            f"The pretrained weights of {config.architecture} can't be loaded "
            f"({first_line(error)}); {way}, name a local file with --set model.weights=PATH, or "
            "start from random weights with --set model.pretrained=false."
        ) from error


def _created(config: ModelConfig, **options: Any) -> nn.Module:
    """Return what timm makes of `config` and further options of its own."""
    import timm

    known = timm.get_pretrained_cfg(config.architecture)
    if known is not None and known.fixed_input_size:
        options["img_size"] = FER2013_SIZE_PX  # transformers are built for one size
    network: nn.Module = timm.create_model(
        config.architecture,
        num_classes=len(EMOTIONS),
        in_chans=config.channels,
        drop_rate=config.dropout,
        **options,
    )
    return network


def _require_kept(known: Any) -> None:
    """Raise OSError unless what timm would fetch lies in a cache, or the hub's library is offline.

    That one looks into its own cache.
    """
    from huggingface_hub import constants

    if known is None or known.hf_hub_id:
        if not constants.HF_HUB_OFFLINE:
            raise OSError("timm was imported while it might use the network; set HF_HUB_OFFLINE=1")
    elif known.url:
        name = PurePosixPath(urlparse(known.url).path).name
        if not Path(torch.hub.get_dir(), "checkpoints", name).is_file():
            raise OSError(f"{name} isn't in the cache of torch, and the network is forbidden")


def _from_file(config: ModelConfig, path: Path) -> nn.Module:
    """Return a network of timm with the weights of a file, but for its last layer.

    Raises:
        UsageError: there is no such file, or it is a Bundle.
        HemifaceError: it can't be read, or lacks weights that stay in the network.
    """
    if not path.is_file():
        raise UsageError(f"model.weights {path} doesn't exist; check the path.")
    if _is_bundle(path):
        raise UsageError(
            f"model.weights {path} is a Bundle, which holds more than {config.architecture}; start "
            "from it with train --init, and leave model.weights out."
        )
    # The makers of some transformers publish arrays of NumPy, which timm reads name by name.
    is_arrays = path.suffix == ".npz"
    from_file = {"file": str(path), "custom_load": is_arrays}
    try:
        if not is_arrays:
            _require_known(config, path)
        return _created(config, pretrained=True, pretrained_cfg_overlay=from_file)
    except (OSError, UnpicklingError, SafetensorError, *MISFITS) as error:
        raise HemifaceError(
            f"model.weights {path} can't be loaded into {config.architecture} "
            f"({misfit(error)}); name a state dict of this architecture."
        ) from error


def _is_bundle(path: Path) -> bool:
    try:
        with safe_open(path, framework="pt") as file:
            return METADATA_KEY in (file.metadata() or {})
    except (OSError, SafetensorError):
        return False


def _require_known(config: ModelConfig, path: Path) -> None:
    """Raise unless a file's state dict fills all of the network but its last layer.

    timm loads what fits and leaves the rest as it was drawn. What its own renaming leaves of a file
    shows in a network that is filled with a copy of it in which every number is NaN.

    Raises:
        HemifaceError: a weight that stays in the network isn't there.
    """
    from timm.models import load_state_dict

    weights = load_state_dict(str(path))
    marked = {
        name: torch.full_like(value, torch.nan) if _is_floating(value) else value
        for name, value in weights.items()
    }
    with torch.random.fork_rng(devices=[]):  # the network itself is drawn as without this look
        network: Any = _created(
            config,
            pretrained=True,
            pretrained_cfg_overlay={"state_dict": marked, "custom_load": False},
        )
    replaced = _names(network.pretrained_cfg, "classifier")
    left_out = [name for name in weights if name.rpartition(".")[0] in replaced]
    if _stem_of(config) != "imagenet":
        replaced += _names(network.pretrained_cfg, "first_conv")
    wanted = {
        name: value
        for name, value in network.state_dict().items()
        if _is_floating(value) and name.rpartition(".")[0] not in replaced
    }
    missing = [name for name, value in wanted.items() if not value.isnan().any()]
    if len(missing) == len(wanted):
        raise HemifaceError(
            f"model.weights {path} holds nothing that {config.architecture} knows (its first name "
            f"is {next(iter(weights), '')!r}, not like {missing[0]!r}); name a state dict of this "
            "architecture."
        )
    if missing:
        raise HemifaceError(
            f"model.weights {path} lacks {len(missing)} of {len(wanted)} weights of "
            f"{config.architecture} (the first is {missing[0]}); name a whole state dict of this "
            "architecture."
        )
    if left_out:
        log.info("model.weights %s: %s stay out, they are learnt anew", path, ", ".join(left_out))


def _is_floating(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.is_floating_point()


def _names(known: dict[str, Any], key: str) -> list[str]:
    """Return the layers that timm names under a key: none, one or several."""
    named = known.get(key) or ()
    return [named] if isinstance(named, str) else list(named)


def misfit(error: Exception) -> str:
    """Return the first misfit that load_state_dict lists under its title, else the first line."""
    lines = [line.strip() for line in str(error).splitlines()[1:]]
    return lines[0].rstrip(".")[:200] if lines else first_line(error)


def _stem_of(config: ModelConfig) -> str:
    return _OWN_STEM.get(config.architecture, config.stem)


def _replace_stem(backbone: nn.Module, config: ModelConfig) -> None:
    """Put one small convolution in place of a ResNet's 7x7 stride-2 convolution and pooling."""
    if config.architecture == "nano":
        backbone.maxpool = nn.Identity()  # its own stem has halved the picture already
        return
    stem = _stem_of(config)
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
